"""What the server answers beside the API, to whoever tests or looks: `/__localcloud__/...`, and the page."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from localcloud.page.layout import ROOT as PAGE
from localcloud.salesforce.actions import Outcome, decode_actions
from localcloud.scenario import parse_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.journal import Journal, JournalPage
    from localcloud.page.site import Page
    from localcloud.salesforce.actions import Action
    from localcloud.salesforce.control import Controller
    from localcloud.scenario import Player

    Listen = Callable[[Callable[[], None]], Callable[[], None]]

PREFIX = "/__localcloud__/"
LONGEST_WAIT_S = 60.0
_NEWS_WAIT_S = 50.0
_LOOPBACK = frozenset({"127.0.0.1", "::1"})
_OWN_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


class Failed(msgspec.Struct, frozen=True):
    """Why a request was not carried out, in one sentence."""

    error: str


class Acted(msgspec.Struct, frozen=True):
    """What came of actions, one by one."""

    outcomes: list[Outcome]


class Console:
    """Answers the requests of a tester.

    Args:
        journal: What it was asked.
        controller: Its switches.
        player: Plays scenarios.
        page: What a browser is shown.
        listen: Calls a listener, from whichever thread, when something was committed; returns what ends that.
        closing: Set when the server stops; whoever waits is answered then.
    """

    def __init__(
        self,
        journal: Journal,
        controller: Controller,
        player: Player,
        page: Page,
        listen: Listen,
        closing: asyncio.Event,
    ) -> None:
        self._page = page
        self._bells: tuple[Listen, ...] = (journal.subscribe, listen)
        self._commits = 0
        self._ignore = listen(self._committed)
        self._journal = journal
        self._controller = controller
        self._player = player
        self._closing = closing

    def takes(self, path: str) -> bool:
        """Whether a path is answered here."""
        return path == "/" or path.startswith(PREFIX)

    def close(self) -> None:
        """Stop listening, and close the page."""
        self._ignore()
        self._page.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; only this machine is answered, and no page of a foreign site."""
        if reason := refusal(request):
            return _failed(HTTPStatus.FORBIDDEN, reason)
        if request.path == f"{PAGE}/news":
            return web.Response(text=await self._news(request.query.get("seen", "")))
        if request.path == "/" or request.path.startswith(PAGE):
            return await self._page.handle(request, self._seen())
        try:
            content = await self._content(request)
        except ValueError as error:
            return _failed(HTTPStatus.BAD_REQUEST, str(error))
        return web.Response(status=404) if content is None else _json(content)

    async def _content(self, request: web.BaseRequest) -> msgspec.Struct | None:
        """What a request is answered with; None: there is no such thing here."""
        found: msgspec.Struct | None = None
        match request.method, request.path.removeprefix(PREFIX):
            case "GET", "journal":
                found = await self._newest(request)
            case "GET", "status":
                found = await asyncio.to_thread(self._page.status)
            case "GET", "scenario":
                found = self._player.state()
            case "POST", "scenario":
                self._player.play(parse_scenario((await request.read()).decode("utf-8", "replace")))
                found = self._player.state()
            case "POST", "control":
                found = self._controller.apply(await request.read())
            case "POST", "act":
                found = await asyncio.to_thread(self._act, decode_actions(await request.read()))
        return found

    def _act(self, actions: list[Action]) -> Acted:
        return Acted([self._controller.act(action) for action in actions])

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

    def _seen(self) -> str:
        return f"{self._journal.total}-{self._commits}"

    def _committed(self) -> None:
        self._commits += 1

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


def refusal(request: web.BaseRequest) -> str | None:
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


def _json(content: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")


def _failed(status: int, reason: str) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(Failed(reason)), content_type="application/json")
