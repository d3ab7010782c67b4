"""A served org: its HTTP and Pub/Sub ports, in a thread for tests and in a process by `server`."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from localcloud import proxy
from localcloud.salesforce.org import Org
from localcloud.salesforce.service import HOST, Service
from localcloud.scenario import Scenario, ScenarioState, load_scenario

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from localcloud.journal import JournalPage
    from localcloud.salesforce.control import State
    from localcloud.salesforce.pubsub.bus import ShownEvent


class Running:
    """A server that runs.

    Attributes:
        url: Its address, such as `http://127.0.0.1:8080`.
        org_path: The folder of the org.
        proxy: The address of its proxy, if it has one.
        pubsub: Where its Pub/Sub API listens: `127.0.0.1:7443`.
    """

    def __init__(
        self, url: str, service: Service, loop: asyncio.AbstractEventLoop, *, proxy: str | None = None
    ) -> None:
        self.url = url
        self.proxy = proxy
        self.pubsub = service.pubsub or ""
        self.org_path = service.org.path
        self._service = service
        self._loop = loop

    def control(self, **switches: object) -> State:
        """Turn switches, as the body of a control request names them.

        Raises:
            ValueError: A switch is unknown or its value not right.
        """
        body = msgspec.json.encode(switches)

        async def apply() -> State:
            return self._service.controller.apply(body)

        return asyncio.run_coroutine_threadsafe(apply(), self._loop).result()

    def stop(self) -> None:
        """Let it stop now, before its context ends."""
        self._loop.call_soon_threadsafe(self._service.stopping.set)

    def play(self, scenario: Scenario) -> None:
        """Begin a scenario, in place of the one that is being played."""

        async def play() -> None:
            self._service.player.play(scenario)

        asyncio.run_coroutine_threadsafe(play(), self._loop).result()

    def scenario(self) -> ScenarioState:
        """How far the scenario is."""
        return self._service.player.state()

    def events(self, topic: str, n: int = 100) -> list[ShownEvent]:
        """The newest events of a topic, newest first."""

        async def newest() -> list[ShownEvent]:
            return self._service.bus.last_events(topic, n)

        return asyncio.run_coroutine_threadsafe(newest(), self._loop).result()

    def journal(self, after: int = 0) -> JournalPage:
        """What it was asked."""
        return self._service.journal.page(after)


@contextlib.asynccontextmanager
async def listening(service: Service, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """Serve HTTP while the context lasts; yields the port.

    Raises:
        OSError: The port is taken.
    """
    server = web.Server(service.handle, max_line_size=4 * 2**20, max_field_size=2**20, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, ssl_context=tls).start()
        bound = runner.addresses[0][1]
        service.url = f"{'https' if tls else 'http'}://{HOST}:{bound}"
        watch = asyncio.create_task(service.player.watch())
        try:
            yield bound
        finally:
            watch.cancel()
            await asyncio.wait([watch])
    finally:
        service.closing.set()
        await runner.cleanup()
        service.close()


@contextlib.contextmanager
def serve_in_thread(
    org: Org | Path,
    port: int = 0,
    *,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    proxy_port: int | None = None,
    pubsub_port: int = 0,
    real: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    scenario: Scenario | Path | None = None,
) -> Iterator[Running]:
    """Serve an org from a thread while the context lasts.

    Args:
        org: The org, whose clock is shared with the server, or its folder.
        port: 0 takes any free port.
        tls_cert: Certificate chain (PEM); with it the server speaks https.
        tls_key: Its private key.
        proxy_port: A proxy for clients that hard-code Salesforce's hosts listens here (0: any); None: no proxy.
        pubsub_port: Where the Pub/Sub API listens; 0 takes any free port.
        real: The real clock of the login service.
        sleep: Waits for so many seconds, where a switch asks for that.
        scenario: What is to happen when, or the YAML file that says it.

    Raises:
        OSError: The port is taken.
        ScenarioError: The file holds no scenario.
    """
    script = load_scenario(scenario) if isinstance(scenario, Path) else scenario
    own = Org.open(org.path, clock=org.clock) if isinstance(org, Org) else Org.open(org)
    tls = tls_context(tls_cert, tls_key)
    ready: list[Running | BaseException] = []
    started = threading.Event()
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        service = Service(own, real=real, sleep=sleep)
        service.stopping = stop
        pair = (tls_cert, tls_key) if tls_cert and tls_key else None
        async with (
            listening(service, port, tls) as bound,
            service.publishing(pubsub_port, pair) as events,
            proxy.beside(bound, events if pair else None, proxy_port) as tunnels,
        ):
            if script is not None:
                service.player.play(script)
            ready.append(Running(service.url, service, loop, proxy=f"http://{HOST}:{tunnels}" if tunnels else None))
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            ready.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            started.set()

    thread = threading.Thread(target=run, name="localcloud-salesforce", daemon=True)
    thread.start()
    started.wait()
    outcome = ready[0]
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome
    finally:
        with contextlib.suppress(RuntimeError):  # it has stopped before
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        own.close()


def tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS with a certificate chain and its key (PEM), or None without.

    Raises:
        OSError: They cannot be read or used.
    """
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
