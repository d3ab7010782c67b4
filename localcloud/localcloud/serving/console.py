"""What a server answers beside its API, to whoever tests or looks: `/__localcloud__/...`, and the page."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from localcloud.page.layout import ROOT as PAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.journal import Journal, JournalPage

    Listen = Callable[[Callable[[], None]], Callable[[], None]]

PREFIX = "/__localcloud__/"
LONGEST_WAIT_S = 60.0
_NEWS_WAIT_S = 50.0
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


class Failed(msgspec.Struct, frozen=True):
    """Why a request was not carried out, in one sentence."""

    error: str


class Console(ABC):
    """Answers the requests of a tester.

    Args:
        journal: What the server was asked.
        closing: Set when the server stops; whoever waits is answered then.
        bells: Each calls a listener, from whichever thread, when something happened; returns what ends that.
    """

    def __init__(self, journal: Journal, closing: asyncio.Event, *bells: Listen) -> None:
        self._journal = journal
        self._closing = closing
        self._bells = (journal.subscribe, *bells)

    def takes(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == "/" or path.startswith(PREFIX)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; only this machine is answered, and no page of a foreign site."""
        if reason := _refusal(request):
            return _json(Failed(reason), HTTPStatus.FORBIDDEN)
        if request.path == f"{PAGE}/news":
            return web.Response(text=await self._news(request.query.get("seen", "")))
        if request.path == "/" or request.path.startswith(PAGE):
            return await self._show(request)
        what = request.path.removeprefix(PREFIX)
        try:
            journal = (request.method, what) == ("GET", "journal")
            content = await self._newest(request) if journal else await self._content(request, what)
        except ValueError as error:
            return _json(Failed(str(error)), HTTPStatus.BAD_REQUEST)
        return web.Response(status=HTTPStatus.NOT_FOUND) if content is None else _json(content, HTTPStatus.OK)

    @abstractmethod
    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        """The page."""

    @abstractmethod
    async def _content(self, request: web.BaseRequest, what: str) -> msgspec.Struct | None:
        """What a request is answered with; None: there is no such thing here."""

    def _seen(self) -> str:
        """Up to where the page knows what happened."""
        return str(self._journal.total)

    async def _newest(self, request: web.BaseRequest) -> JournalPage:
        after = _number(request, "after")
        seconds = min(_number(request, "wait"), LONGEST_WAIT_S)
        if seconds:
            await self._until(lambda: self._journal.total != after, seconds)
        return self._journal.page(after)

    async def _news(self, seen: str) -> str:
        """Up to where the page knows what happened, as soon as that is further than `seen`."""
        await self._until(lambda: self._seen() != seen, _NEWS_WAIT_S)
        return self._seen()

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds, the time is over or the server stops."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        ignore = [subscribe(wake) for subscribe in self._bells]
        closing = asyncio.create_task(self._closing.wait())
        closing.add_done_callback(lambda _task: changed.set())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not condition() and not self._closing.is_set():
                        await changed.wait()
                        changed.clear()
        finally:
            for end in ignore:
                end()
            closing.cancel()


def _refusal(request: web.BaseRequest) -> str | None:
    """Why a request is not for a tester on this machine, or None.

    A page of a foreign site in a browser here could send requests too: by its own name led to 127.0.0.1 (then
    `Host` is that name), or straight to us (then `Origin` is the foreign site).
    """
    if request.remote not in _LOOPBACK:
        return "only this machine is answered here"
    host = request.headers.get("Host", "")
    if urlsplit(f"//{host}").hostname not in _OWN_NAMES:
        return "the Host of the request is not this machine: call it 127.0.0.1 or localhost"
    origin = request.headers.get("Origin")
    if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
        return "a page of another site may not do this"
    return None


def _number(request: web.BaseRequest, name: str) -> int:
    text = request.query.get(name, "0")
    return int(text) if text.isdecimal() else 0


def _json(content: msgspec.Struct, status: HTTPStatus) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")
