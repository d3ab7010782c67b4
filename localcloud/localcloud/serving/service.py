"""The frame in which every service answers: testers apart, faults noted, and one way onto the wire."""

from __future__ import annotations

import asyncio
import zlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar
from urllib.parse import unquote_plus

from aiohttp import web

from localcloud.journal import Journal
from localcloud.serving import cuts
from localcloud.serving.faults import noting

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from localcloud.serving.console import Console
    from localcloud.serving.faults import Cut
    from localcloud.serving.wire import Call

    Asked = TypeVar("Asked", bound=Call)

State = TypeVar("State")
State_co = TypeVar("State_co", covariant=True)
JSON = "application/json;charset=UTF-8"
_GZIP_FROM = 1_024


class Controls(Protocol[State_co]):
    """What turns the switches of a service."""

    def apply(self, body: bytes) -> State_co:
        """Do what a control request asks; raises ValueError where it is not right."""


class Service(ABC, Generic[State]):
    """Everything behind one socket.

    Args:
        sleep: Waits for so many seconds, where a switch asks for that.

    Attributes:
        url: Where it is served, once it is.
        journal: What was asked.
        controller: The switches.
        stopping: Set by whoever wants the server to stop.
        closing: Set when the server stops.
    """

    controller: Controls[State]
    _console: Console
    _packed: ClassVar[Mapping[str, str]] = {"Content-Encoding": "gzip"}

    def __init__(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.url = ""
        self.journal = Journal()
        self.stopping = asyncio.Event()
        self.closing = asyncio.Event()
        self._sleep = sleep

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        if self._console.takes(request.path):
            return await self._console.handle(request)
        with noting() as struck:
            return await self._answer(request, struck)

    @abstractmethod
    async def _answer(self, request: web.BaseRequest, struck: list[str]) -> web.StreamResponse:
        """Answer a request to the API; `struck` gathers the names of the faults that meet it."""

    async def _send(
        self,
        request: web.BaseRequest,
        status: int,
        body: bytes,
        headers: dict[str, str],
        cut: Cut | None,
        kind: type[web.Response] = web.Response,
    ) -> web.StreamResponse:
        """Send an answer as a switch would have it, packed where the caller takes that."""
        if cut is not None and cut.mode == "shorten":
            body = cut.part(body)
        elif cut is not None:
            return await cuts.spoil(request, status, body, headers, cut, self.closing)
        if len(body) >= _GZIP_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = await asyncio.to_thread(_gzip, body)
            headers |= self._packed
        return kind(status=status, body=body, headers=headers)


async def received(request: web.BaseRequest, kind: type[Asked]) -> tuple[Asked, str]:
    """A request as the API takes it, and as switches are shown it: `METHOD path?decoded query`."""
    body = await request.read()
    headers = {name.lower(): value for name, value in request.headers.items()}
    shown = f"{request.method} {unquote_plus(request.raw_path, errors='replace')}"
    return kind(request.method, request.raw_path, headers, body), shown


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(content) + packer.flush()
