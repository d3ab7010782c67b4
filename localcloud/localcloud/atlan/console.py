"""What the catalog answers beside its API: the journal, its status, switches, and its page."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web

from localcloud.page.catalog import CatalogPage
from localcloud.serving import console

if TYPE_CHECKING:
    import asyncio

    import msgspec

    from localcloud.atlan.control import Controller
    from localcloud.atlan.store import Store
    from localcloud.journal import Journal


class Console(console.Console):
    """Answers the requests of a tester.

    Args:
        store: The catalog's memory.
        journal: What it was asked.
        controller: Its switches.
        closing: Set when the server stops; whoever waits is answered then.
    """

    def __init__(self, store: Store, journal: Journal, controller: Controller, closing: asyncio.Event) -> None:
        super().__init__(journal, closing)
        self._controller = controller
        self._page = CatalogPage(store, journal)

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED)
        return self._page.show(request.path, request.query.get("q", ""))

    async def _content(self, request: web.BaseRequest, what: str) -> msgspec.Struct | None:
        match request.method, what:
            case "GET", "status":
                return self._controller.state()
            case "POST", "control":
                return self._controller.apply(await request.read())
        return None
