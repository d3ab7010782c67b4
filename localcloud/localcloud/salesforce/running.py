"""A served org: its HTTP and Pub/Sub ports, in a thread for tests and in a process by `server`."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from localcloud import proxy
from localcloud.loopback import HOST
from localcloud.salesforce.control import State
from localcloud.salesforce.org import Org
from localcloud.salesforce.service import Service
from localcloud.scenario import Scenario, ScenarioState, load_scenario
from localcloud.serving import running
from localcloud.serving.running import Served
from localcloud.tls import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from localcloud.loopback import Address
    from localcloud.salesforce.pubsub.bus import ShownEvent
    from localcloud.scenario import Player


class Running(Served[State]):
    """A server that runs.

    Attributes:
        org_path: The folder of the org.
        proxy: The address of its proxy, if it has one.
        pubsub: Where its Pub/Sub API listens: `127.0.0.1:7443`.
    """

    _service: Service

    def __init__(self, service: Service, proxy: str | None = None) -> None:
        super().__init__(service)
        self.proxy = f"http://{proxy}" if proxy else None
        self.pubsub = service.pubsub or ""
        self.org_path = service.org.path

    def play(self, scenario: Scenario) -> None:
        """Begin a scenario, in place of the one that is being played."""
        self._do(lambda: self._service.player.play(scenario))

    def scenario(self) -> ScenarioState:
        """How far the scenario is."""
        return self._service.player.state()

    def events(self, topic: str, n: int = 100) -> list[ShownEvent]:
        """The newest events of a topic, newest first."""
        return self._do(lambda: self._service.bus.last_events(topic, n))


class Ports(msgspec.Struct, frozen=True):
    """Where an org is to listen; 0 takes any free port, and without one for it there is no proxy."""

    http: int = 0
    pubsub: int = 0
    proxy: int | None = None


@contextlib.asynccontextmanager
async def listening(
    service: Service,
    ports: Ports,
    tls: ssl.SSLContext | None,
    pair: tuple[Path, Path] | None,
    scenario: Scenario | None,
) -> AsyncIterator[Address]:
    """Serve HTTP, the Pub/Sub API and the proxy while the context lasts; yields where.

    Args:
        service: The org behind them.
        ports: Where to listen.
        tls: With it, https is spoken.
        pair: Certificate chain and private key; with them the Pub/Sub API speaks TLS.
        scenario: What is to happen when.

    Raises:
        OSError: A port is taken.
    """
    server = web.Server(service.handle, max_line_size=4 * 2**20, max_field_size=2**20, access_log=None)
    with contextlib.closing(service):
        async with (
            running.listening(service, server, ports.http, tls) as address,
            _watching(service.player),
            service.publishing(ports.pubsub, pair) as events,
            proxy.beside(address.port, events if pair else None, ports.proxy) as tunnels,
        ):
            if scenario is not None:
                service.player.play(scenario)
            yield replace(address, pubsub=service.pubsub, proxy=f"{HOST}:{tunnels}" if tunnels else None)


@contextlib.asynccontextmanager
async def _watching(player: Player) -> AsyncIterator[None]:
    watch = asyncio.create_task(player.watch())
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait([watch])


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
    ports, pair = Ports(port, pubsub_port, proxy_port), (tls_cert, tls_key) if tls_cert and tls_key else None
    tls = tls_context(tls_cert, tls_key)

    @contextlib.asynccontextmanager
    async def serving() -> AsyncIterator[Running]:
        service = Service(own, real=real, sleep=sleep)
        async with listening(service, ports, tls, pair, script) as address:
            yield Running(service, address.proxy)

    with (
        Org.open(org.path, clock=org.clock) if isinstance(org, Org) else Org.open(org) as own,
        running.in_thread("localcloud-salesforce", serving) as served,
    ):
        yield served
