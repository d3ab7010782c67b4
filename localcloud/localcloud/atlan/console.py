"""What the catalog answers beside its API, to whoever tests or looks: `/__localcloud__/...`, and the page."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from localcloud.page.catalog import CatalogPage
from localcloud.page.layout import ROOT as PAGE
from localcloud.salesforce.console import LONGEST_WAIT_S, PREFIX, Failed, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.atlan.control import Controller
    from localcloud.atlan.store import Store
    from localcloud.journal import Journal, JournalPage

_NEWS_WAIT_S = 50.0


class Console:
    """Answers the requests of a tester.

    Args:
        store: The catalog's memory.
        journal: What it was asked.
        controller: Its switches.
        closing: Set when the server stops; whoever waits is answered then.
    """

    def __init__(self, store: Store, journal: Journal, controller: Controller, closing: asyncio.Event) -> None:
        self._journal = journal
        self._controller = controller
        self._closing = closing
        self._page = CatalogPage(store, journal)

    def takes(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == "/" or path.startswith(PREFIX)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; only this machine is answered, and no page of a foreign site."""
        if reason := refusal(request):
            return _json(Failed(reason), HTTPStatus.FORBIDDEN)
        if request.path == f"{PAGE}/news":
            seen = request.query.get("seen", "")
            await self._until(lambda: str(self._journal.total) != seen, _NEWS_WAIT_S)
            return web.Response(text=str(self._journal.total))
        if request.path == "/" or request.path.startswith(PAGE):
            if request.method not in {"GET", "HEAD"}:
                return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED)
            return self._page.show(request.path, request.query.get("q", ""))
        try:
            content = await self._content(request)
        except ValueError as error:
            return _json(Failed(str(error)), HTTPStatus.BAD_REQUEST)
        return web.Response(status=HTTPStatus.NOT_FOUND) if content is None else _json(content, HTTPStatus.OK)

    async def _content(self, request: web.BaseRequest) -> msgspec.Struct | None:
        match request.method, request.path.removeprefix(PREFIX):
            case "GET", "journal":
                return await self._newest(request)
            case "GET", "status":
                return self._controller.state()
            case "POST", "control":
                return self._controller.apply(await request.read())
        return None

    async def _newest(self, request: web.BaseRequest) -> JournalPage:
        after = _number(request, "after")
        seconds = min(_number(request, "wait"), LONGEST_WAIT_S)
        if seconds:
            await self._until(lambda: self._journal.total != after, seconds)
        return self._journal.page(after)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, the time is over or the server stops."""
        changed = asyncio.Event()
        ignore = self._journal.subscribe(changed.set)  # requests are answered in this thread
        closing = asyncio.create_task(self._closing.wait())
        closing.add_done_callback(lambda _task: changed.set())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not condition() and not self._closing.is_set():
                        await changed.wait()
                        changed.clear()
        finally:
            ignore()
            closing.cancel()


def _number(request: web.BaseRequest, name: str) -> int:
    text = request.query.get(name, "0")
    return int(text) if text.isdecimal() else 0


def _json(content: msgspec.Struct, status: int) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")
