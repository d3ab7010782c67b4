"""Everything behind the socket of an org, wired together: a request in, an answer out."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import traceback
from email.utils import format_datetime
from typing import TYPE_CHECKING, ClassVar

from localcloud.journal import Request
from localcloud.loopback import HOST
from localcloud.page.site import Page
from localcloud.salesforce import describe
from localcloud.salesforce.actions import Actions
from localcloud.salesforce.console import Console
from localcloud.salesforce.control import Controller, State
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.faults import Switches
from localcloud.salesforce.login import LoginService, OAuthError, Sessions
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.control import PubSubController
from localcloud.salesforce.pubsub.server import PubSubServer
from localcloud.salesforce.rest import Api
from localcloud.salesforce.storage import instant_text
from localcloud.salesforce.tuning import Tuning
from localcloud.salesforce.wire import Answer, Call, error_body
from localcloud.scenario import Player
from localcloud.serving import cuts, service
from localcloud.serving.service import JSON, received

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from aiohttp import web

LONGEST_URI = 16_384
_DATA = "/services/data"


class Service(service.Service[State]):
    """Everything behind the socket, wired together.

    Args:
        org: The org to serve.
        real: Seconds since the epoch by the real clock, for the login service.
        sleep: Waits for so many seconds, where a switch asks for that.

    Attributes:
        bus: The event bus.
        player: Plays a scenario.
    """

    controller: Controller
    _console: Console
    _packed: ClassVar[Mapping[str, str]] = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}

    def __init__(
        self,
        org: Org,
        *,
        real: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(sleep)
        self.org = org
        self.pubsub: str | None = None
        self._tuning = tuning = Tuning(org.clock.now_ms)
        self._switches = Switches(tuning.usage)
        self._sessions = Sessions(org.org_id)
        self._login = LoginService(org, self._sessions, now=real)
        self.bus = Bus(org)
        # A connection of its own, so that nobody who reads sees half of a transaction.
        self._writer = Org.open(org.path, clock=org.clock)
        actions = Actions(self._writer, Bus(self._writer), truth=org.path / "truth.jsonl")
        self._api = Api(org, self._switches, tuning, actions)
        self.controller = Controller(
            org, self._switches, self._sessions, self.journal, self._login, tuning=tuning, actions=actions
        )
        self.player = Player(org.clock, self.controller)
        page = Page(
            org, self.journal, self.controller, self.player, tuning.usage, self.bus, lambda: (self.url, self.pubsub)
        )
        self._console = Console(self.journal, self.controller, self.player, page, self.bus.hub.listen, self.closing)

    def close(self) -> None:
        """Stop what runs beside the requests."""
        self._api.close()
        self._console.close()
        self._writer.close()

    @contextlib.asynccontextmanager
    async def publishing(self, port: int, pair: tuple[Path, Path] | None) -> AsyncIterator[int]:
        """Serve the Pub/Sub API while the context lasts; yields its port.

        Args:
            port: Where to listen; 0 takes any free port.
            pair: Certificate chain and private key; with them it speaks TLS.

        Raises:
            PortTakenError: The port is taken.
        """
        cert, key = pair or (None, None)
        server = PubSubServer(
            self.org, self._sessions, self._switches, self._tuning.usage, self.journal, port=port, tls_cert=cert,
            tls_key=key,
        )  # fmt: skip
        self.pubsub = f"{HOST}:{server.port}"
        self.controller.pubsub = PubSubController(server, self.org, self._writer)
        try:
            yield server.port
        finally:
            self.controller.pubsub = None
            await asyncio.to_thread(server.stop)

    async def _answer(self, request: web.BaseRequest, struck: list[str]) -> web.StreamResponse:
        started = time.perf_counter()
        call, shown = await received(request, Call)
        self.player.look_at_clock()
        if pause := self._switches.delay(shown, latency=call.path.startswith(f"{_DATA}/")):
            await self._sleep(pause)
        cut = self._switches.cut(shown)
        if cut is not None and cut.before_answer:
            self._note(call, Answer(0, b""), started, 0, struck)
            self.player.answered(shown)
            return await cuts.refuse(request, cut, self.closing)
        spent = self._switches.spent
        response_headers = {"Content-Type": JSON, "Server": "localcloud"}
        if call.path.startswith(_DATA):  # the login service lives elsewhere and shows real time
            response_headers["Date"] = format_datetime(self.org.clock.now(), usegmt=True)
        answer = await self._result(request, call, shown, response_headers)
        if answer.status in {414, 431, 502}:  # a front end answers these, not the API
            response_headers["Content-Type"] = "text/html;charset=UTF-8"
            answer = Answer(answer.status, f"<h1>Error {answer.status}</h1>".encode())
        content = answer.body
        if "json" in response_headers["Content-Type"]:
            content = self._switches.pad(shown, content)
        self._note(call, answer, started, self._switches.spent - spent, struck)
        self.player.answered(shown)
        return await self._send(request, answer.status, content, response_headers, cut)

    async def _result(
        self, request: web.BaseRequest, call: Call, shown: str, response_headers: dict[str, str]
    ) -> Answer:
        """The answer of whichever part is asked, or of a switch in its place; errors are answers too."""
        try:
            _check_size(request)
            self._switches.check_failure(shown)
            if call.kind == "query_more":
                self._switches.check_locator(shown, call.path.rpartition("/")[2])
            answer = await self._route(call, response_headers)
            response_headers.update(answer.headers)
        except ApiError as error:
            response_headers.update(error.headers)
            return Answer(error.status, error_body(error))
        except OAuthError as error:
            return Answer(400, error.body())
        except Exception:  # noqa: BLE001 - a fault of ours is told like one of theirs, and where it can be mended
            traceback.print_exc(file=sys.stderr)
            fault = ApiError(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred: see the log of localcloud")
            return Answer(fault.status, error_body(fault))
        return answer

    async def _route(self, call: Call, response_headers: dict[str, str]) -> Answer:
        path = call.path
        if self._login.answers(path):
            return await self._login.answer(call, self.url)
        if path == _DATA:
            return Answer(200, describe.versions())
        if not path.startswith(f"{_DATA}/"):
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        self._sessions.check(call.headers.get("authorization"))
        self._switches.spend()
        answer = self._api.answer(call)
        usage = f"api-usage={self._switches.quota_used}/{self._switches.quota_max}"
        response_headers["Sforce-Limit-Info"] = usage
        return answer

    def _note(self, call: Call, answer: Answer, started: float, api_calls: int, struck: list[str]) -> None:
        client = call.headers.get("sforce-call-options", "").partition("client=")[2].partition(",")[0].strip()
        self.journal.add(
            Request(
                number=0,
                kind=call.kind,
                at=instant_text(self.org.clock.now()),
                method=call.method,
                path=call.path,
                status=answer.status,
                query=call.parameter("q"),
                rows=answer.rows,
                client=client or call.headers.get("user-agent"),
                bytes=len(answer.body),
                api_calls=api_calls,
                duration_ms=round((time.perf_counter() - started) * 1000, 3),
                parts=answer.parts,
                fault="; ".join(struck) or None,
            )
        )


def _check_size(request: web.BaseRequest) -> None:
    uri = len(request.raw_path)
    if uri > LONGEST_URI:
        raise ApiError(414, "URI_TOO_LONG", "URI Too Long")
    if uri + sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > LONGEST_URI:
        raise ApiError(431, "HEADERS_TOO_LARGE", "Request Header Fields Too Large")
