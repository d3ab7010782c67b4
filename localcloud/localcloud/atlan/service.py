"""Everything behind the socket of a catalog, wired together: a request in, an answer out."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web

from localcloud.atlan.api import Answer, Api, Call
from localcloud.atlan.console import Console
from localcloud.atlan.control import Controller, State
from localcloud.atlan.errors import AtlanError
from localcloud.atlan.login import Logins
from localcloud.atlan.switches import USUAL_PER_MINUTE, Switches
from localcloud.journal import Request
from localcloud.salesforce.storage import instant_text
from localcloud.serving import cuts, service
from localcloud.serving.service import JSON, received

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from localcloud.atlan.store import Store
    from localcloud.atlan.switches import Failure

LARGEST_BODY = 64 * 2**20


class Service(service.Service[State]):
    """Everything behind the socket, wired together.

    Args:
        store: The catalog's memory.
        requests_per_minute: Over it callers are shut out for a minute; None: there is no limit.
        sleep: Waits for so many seconds, where a switch asks for that.
    """

    def __init__(
        self,
        store: Store,
        *,
        requests_per_minute: int | None = USUAL_PER_MINUTE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(sleep)
        self.store = store
        self._switches = Switches(store.clock, requests_per_minute or 0)
        logins = Logins(store.clock)
        self._api = Api(store, logins, self._switches)
        self.controller = Controller(store, self._switches, logins, self.journal)
        self._console = Console(store, self.journal, self.controller, self.closing)

    async def _answer(self, request: web.BaseRequest, struck: list[str]) -> web.StreamResponse:
        started = time.perf_counter()
        call, shown = await received(request, Call)
        if pause := self._switches.delay(shown):
            await self._sleep(pause)
        cut = self._switches.cut(shown)
        if cut is not None and cut.before_answer:
            self._note(call, Answer(0, kind=self._api.kind(call)), started, struck)
            return await cuts.refuse(request, cut, self.closing)
        headers = {"Content-Type": JSON, "Date": format_datetime(self.store.clock.now(), usegmt=True)}
        answer = self._result(call, self._switches.failure(shown), headers)
        self._note(call, answer, started, struck)
        kind = web.Response if self._switches.tells_time else _Undated
        return await self._send(request, answer.status, answer.body, headers, cut, kind)

    def _result(self, call: Call, failure: Failure | None, headers: dict[str, str]) -> Answer:
        """The answer of the API, or of a switch in its place; errors are answers too."""
        try:
            self._switches.check_rate()
            answer = Answer(0, kind=self._api.kind(call))
            if failure is None or failure.after_commit:
                answer = self._api.answer(call)
        except AtlanError as error:
            headers.update(error.headers)
            return Answer(error.status, error.body(), self._api.kind(call))
        except Exception:  # noqa: BLE001 - a fault of ours is told like one of theirs, and where it can be mended
            traceback.print_exc(file=sys.stderr)
            fault = AtlanError(500, "ATLAS-500-00-001", "an unexpected error occurred: see the log of localcloud")
            return Answer(fault.status, fault.body(), self._api.kind(call))
        return answer if failure is None else _failed(failure, answer.kind, headers)

    def _note(self, call: Call, answer: Answer, started: float, struck: list[str]) -> None:
        self.journal.add(
            Request(
                number=0,
                kind=answer.kind,
                at=instant_text(self.store.clock.now()),
                method=call.method,
                path=call.target,
                status=answer.status,
                rows=answer.rows,
                client=call.headers.get("user-agent"),
                bytes=len(answer.body),
                duration_ms=round((time.perf_counter() - started) * 1000, 3),
                fault="; ".join(struck) or None,
            )
        )


class _Undated(web.Response):
    """An answer whose `Date` something on the way has removed."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Date", None)


def _failed(failure: Failure, kind: str, headers: dict[str, str]) -> Answer:
    """What a switch lets be answered."""
    error = failure.error()
    headers.update(error.headers)
    if failure.body is not None:
        return Answer(error.status, failure.body.encode(), kind)
    if not failure.as_html:
        return Answer(error.status, error.body(), kind)
    headers["Content-Type"] = "text/html; charset=utf-8"
    page = f"<html><body><h1>{error.status} {error.message}</h1></body></html>"
    return Answer(error.status, page.encode(), kind)
