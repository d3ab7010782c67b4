"""A served catalog: in a thread for tests and in a process by `server`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from localcloud.atlan.control import State
from localcloud.atlan.login import API_KEY, OAUTH_CLIENT_ID, OAUTH_CLIENT_SECRET
from localcloud.atlan.seeding import Sources, seed_catalog
from localcloud.atlan.service import LARGEST_BODY, Service
from localcloud.atlan.store import Store
from localcloud.atlan.switches import USUAL_PER_MINUTE
from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.schema import OBJECTS
from localcloud.serving import running
from localcloud.serving.running import Served
from localcloud.tls import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from localcloud.atlan.assets import Asset
    from localcloud.atlan.types import Value
    from localcloud.loopback import Address

FILE = "atlan.sqlite"
SEED = 7


class Running(Served[State]):
    """A catalog that is served.

    Attributes:
        api_key: A key that it takes.
        oauth_client_id: A client that it knows.
        oauth_client_secret: The secret of that client.
    """

    api_key = API_KEY
    oauth_client_id = OAUTH_CLIENT_ID
    oauth_client_secret = OAUTH_CLIENT_SECRET
    _service: Service

    def assets(self, type_name: str | None = None, *, archived: bool = False) -> list[Asset]:
        """What the catalog holds now, whatever the index shows; archived assets only where asked for."""
        return self._do(lambda: [one for one in self._service.store.assets(type_name) if archived or one.active])

    def asset(self, guid: str) -> Asset | None:
        """One asset, archived or not; None: it is not there."""
        return self._do(lambda: self._service.store.get(guid))

    def custom_metadata(self, display_name: str, guid: str) -> dict[str, Value]:
        """The values of one set of custom metadata on one asset, by the display names of its attributes.

        Raises:
            KeyError: There is no such set or asset.
        """

        def read() -> dict[str, Value]:
            store = self._service.store
            asset, found = store.get(guid), store.definitions.called(display_name)
            if asset is None or found is None:
                raise KeyError(guid if asset is None else display_name)
            names = {one.name: one.display_name for one in found.attribute_defs}
            return {names[key]: value for key, value in asset.custom_metadata.get(found.name, {}).items()}

        return self._do(read)


def open_catalog(
    folder: Path, clock: OrgClock | None = None, seed: int = SEED, objects: Collection[str] | None = None
) -> Store:
    """The catalog in a folder; made from the schema of the org that is there, or of a new org, if it is not there.

    Args:
        folder: The org's folder; it may be empty.
        clock: The catalog's clock; None: the one of the org, or real time.
        seed: The same seed makes the same catalog.
        objects: Names of the only objects of it, each with the table of its history; None: all of the org.
    """
    folder.mkdir(parents=True, exist_ok=True)
    new = not (folder / FILE).exists()
    sources = Sources("Mock Org", "00D000000000001EAA", OBJECTS)
    if (folder / "org.sqlite").exists():
        with Org.open(folder) as org:
            clock = clock or OrgClock(org.clock.now())
            sources = Sources(org.settings.name, org.org_id, list(org.schema))
    if objects is not None:
        kept = [one for one in sources.objects if one.name in objects or (one.associate_parent or "") in objects]
        sources = msgspec.structs.replace(sources, objects=kept)
    store = Store(folder / FILE, clock or OrgClock())
    if new:
        seed_catalog(store, sources, seed=seed)
    return store


def listening(service: Service, port: int, tls: ssl.SSLContext | None) -> AbstractAsyncContextManager[Address]:
    """Serve HTTP while the context lasts.

    Raises:
        OSError: The port is taken.
    """

    def request(*parts: Any) -> web.BaseRequest:
        message, payload, protocol, writer, task = parts
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=LARGEST_BODY)

    server = web.Server(service.handle, request_factory=request, access_log=None, max_line_size=2**20)
    return running.listening(service, server, port, tls)


@contextlib.contextmanager
def serve_in_thread(
    folder: Path,
    port: int = 0,
    *,
    seed: int = SEED,
    clock: OrgClock | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    requests_per_minute: int | None = USUAL_PER_MINUTE,
    objects: Collection[str] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Iterator[Running]:
    """Serve a catalog from a thread while the context lasts.

    Args:
        folder: Where it is kept, and made if it is not there; the folder of an org, or an empty one.
        port: 0 takes any free port.
        seed: The same seed makes the same catalog.
        clock: The catalog's clock; None: the one of the org, or real time.
        tls_cert: Certificate chain (PEM); with it the server speaks https.
        tls_key: Its private key.
        requests_per_minute: Over it callers are shut out for a minute; None: there is no limit.
        objects: Names of the only objects of a new catalog; None: all of the org.
        sleep: Waits for so many seconds, where a switch asks for that.

    Raises:
        OSError: The port is taken.
    """
    tls = tls_context(tls_cert, tls_key)

    @contextlib.asynccontextmanager
    async def serving() -> AsyncIterator[Running]:
        service = Service(store, requests_per_minute=requests_per_minute, sleep=sleep)
        async with listening(service, port, tls):
            yield Running(service)

    with (
        contextlib.closing(open_catalog(folder, clock, seed, objects)) as store,
        running.in_thread("localcloud-atlan", serving) as served,
    ):
        yield served
