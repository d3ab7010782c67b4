"""What the org answers beside its API: the journal, its status, scenarios, switches, actions, and its page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.actions import Outcome, decode_actions
from localcloud.scenario import parse_scenario
from localcloud.serving import console

if TYPE_CHECKING:
    from aiohttp import web

    from localcloud.journal import Journal
    from localcloud.page.site import Page
    from localcloud.salesforce.actions import Action
    from localcloud.salesforce.control import Controller
    from localcloud.scenario import Player
    from localcloud.serving.console import Listen


class Acted(msgspec.Struct, frozen=True):
    """What came of actions, one by one."""

    outcomes: list[Outcome]


class Console(console.Console):
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
        super().__init__(journal, closing, listen)
        self._page = page
        self._commits = 0
        self._ignore = listen(self._committed)
        self._controller = controller
        self._player = player

    def close(self) -> None:
        """Stop listening, and close the page."""
        self._ignore()
        self._page.close()

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._page.handle(request, self._seen())

    async def _content(self, request: web.BaseRequest, what: str) -> msgspec.Struct | None:
        found: msgspec.Struct | None = None
        match request.method, what:
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

    def _seen(self) -> str:
        return f"{super()._seen()}-{self._commits}"

    def _committed(self) -> None:
        self._commits += 1
