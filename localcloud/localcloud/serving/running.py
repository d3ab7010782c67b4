"""Serves a service: its socket, a thread of its own for tests, and a program that ends by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from aiohttp import web

from localcloud.loopback import HOST, Address
from localcloud.serving.service import Service, State

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from localcloud.journal import JournalPage

    Result = TypeVar("Result")
    Handle = TypeVar("Handle", bound="Served[Any]")


class Served(Generic[State]):
    """A service that is served by the loop that runs now, for whoever is in another thread.

    Attributes:
        url: Its address, such as `http://127.0.0.1:8080`.
    """

    def __init__(self, service: Service[State]) -> None:
        self.url = service.url
        self._service = service
        self._loop = asyncio.get_running_loop()

    def control(self, **switches: object) -> State:
        """Turn switches, as the body of a control request names them.

        Raises:
            ValueError: A switch is unknown or its value not right.
        """
        body = msgspec.json.encode(switches)
        return self._do(lambda: self._service.controller.apply(body))

    def journal(self, after: int = 0) -> JournalPage:
        """What it was asked."""
        return self._service.journal.page(after)

    def stop(self) -> None:
        """Let it stop now, before its context ends."""
        self._loop.call_soon_threadsafe(self._service.stopping.set)

    async def stopped(self) -> None:
        """Wait, in the thread that serves, until it is to stop."""
        await self._service.stopping.wait()

    def _do(self, act: Callable[[], Result]) -> Result:
        """Do something in the thread that serves, between two requests."""

        async def run() -> Result:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()


@contextlib.asynccontextmanager
async def listening(
    service: Service[Any], server: web.Server, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[Address]:
    """Serve HTTP while the context lasts.

    Args:
        service: What is served; it learns its URL, and when the server closes.
        server: What hands it requests.
        port: Where to listen; 0 takes any free port.
        tls: With it, https is spoken.

    Raises:
        OSError: The port is taken.
    """
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, ssl_context=tls).start()
        address = Address(runner.addresses[0][1], "https" if tls else "http")
        service.url = f"{address.scheme}://{HOST}:{address.port}"
        yield address
    finally:
        service.closing.set()
        await runner.cleanup()


@contextlib.contextmanager
def in_thread(name: str, serving: Callable[[], AbstractAsyncContextManager[Handle]]) -> Iterator[Handle]:
    """Serve from a thread while the context lasts; what then still runs in its loop is cancelled.

    Args:
        name: Of the thread.
        serving: Makes what serves; called in the thread.

    Raises:
        Exception: Whatever kept it from being served.
    """
    ready: Future[Handle] = Future()

    async def serve() -> None:
        async with serving() as served:
            ready.set_result(served)
            await served.stopped()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            if not ready.done():
                ready.set_exception(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        served = ready.result()
        try:
            yield served
        finally:
            with contextlib.suppress(RuntimeError):  # it has stopped before
                served.stop()
    finally:
        thread.join()


async def until_signalled(
    service: Service[Any], serving: AbstractAsyncContextManager[Address], what: str, ready_file: Path | None
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        service: What is served.
        serving: What serves it.
        what: What it stands in for, for people.
        ready_file: Says where, once connections are accepted.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stopping.set)
    async with serving as address:
        print(f"mock {what} on {service.url} (no data leaves this machine)", file=sys.stderr, flush=True)  # noqa: T201
        if ready_file is not None:
            address.announce(ready_file)
        await service.stopping.wait()
