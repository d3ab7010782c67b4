"""What a control request can ask of the Pub/Sub API, under its key `pubsub`; all of it is off by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from localcloud.salesforce.ids import make_id
from localcloud.salesforce.limits import DELIVERED_EVENTS, LimitControl
from localcloud.salesforce.pubsub.settings import (  # noqa: TC001 - msgspec reads them at run time
    Channel,
    DeleteTrigger,
    PlatformEvent,
)
from localcloud.salesforce.pubsub.switches import (  # noqa: TC001 - msgspec reads them at run time
    ConnectionCut,
    Count,
    Hang,
    LargeResponse,
    RpcFailure,
)
from localcloud.salesforce.sobject import Field
from localcloud.serving.faults import Trap  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.pubsub.server import PubSubServer

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Chunk = Annotated[int, msgspec.Meta(ge=1)]


class Allocation(msgspec.Struct, forbid_unknown_fields=True):
    """Events that may be delivered in 24 hours, and how many were."""

    max: Count | None = None
    used: Count | None = None


class AddField(msgspec.Struct, forbid_unknown_fields=True):
    """A field that is added to the definition of an object or platform event: its events get another schema."""

    entity: str
    name: str
    type: Literal["string", "boolean", "double", "int", "date", "datetime"] = "string"


class Duplicate(msgspec.Struct, forbid_unknown_fields=True):
    """Puts the newest events of a topic on the bus again: same id and content, new replay id."""

    topic: str
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


class GoAway(msgspec.Struct, forbid_unknown_fields=True):
    """A GOAWAY on every connection; what is open goes on for so long."""

    grace_seconds: Seconds = 0.0


class Migration(msgspec.Struct, forbid_unknown_fields=True):
    """A new stream, as when an org is moved; with `new_org` the org has another id afterwards.

    `instance` is the name of the instance that holds it then, which the Organization row says.
    """

    new_org: bool = False
    instance: Annotated[str, msgspec.Meta(max_length=5)] | None = None


class Setup(msgspec.Struct, forbid_unknown_fields=True):
    """What an administrator sets up; kept in the org. What is left out stays as it is."""

    selected: tuple[str, ...] | None = None
    channels: tuple[Channel, ...] | None = None
    platform_events: tuple[PlatformEvent, ...] | None = None
    delete_triggers: tuple[DeleteTrigger, ...] | None = None
    retention_hours: Seconds | None = None
    replay_ids: Literal["numeric", "opaque"] | None = None
    change_event_ids: bool | None = None
    overflow_ceiling: Count | None = None
    event_bytes: Count | None = None
    gap_next: Count | None = None

    def changes(self) -> dict[str, object]:
        """The settings that were named."""
        named = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in named if value is not None}


class PubSubControl(msgspec.Struct, forbid_unknown_fields=True):
    """What the key `pubsub` takes; lists are added to what is set, what is left out stays as it is."""

    latency_ms: Seconds | None = None
    keepalive_seconds: Seconds | None = None
    idle_close_seconds: Seconds | None = None
    publish_idle_seconds: Seconds | None = None
    chunk: Chunk | None = None
    streams: Count | None = None
    latest_is_tip: bool | None = None
    fail: list[RpcFailure] = []
    cut: list[ConnectionCut] = []
    hang: list[Hang] = []
    large: list[LargeResponse] = []
    blank_schema_id: list[Trap] = []
    corrupt: list[Trap] = []
    setup: Setup | None = None
    allocation: Allocation | None = None
    add_field: list[AddField] = []
    duplicate: list[Duplicate] = []
    expire_replay_ids: bool = False
    migrate: Migration | None = None
    go_away: GoAway | None = None


class PubSubController:
    """Carries out what is asked of the Pub/Sub API.

    Args:
        server: The server.
        orgs: Other openings of the org that have to hear when it gets another id.
    """

    def __init__(self, server: PubSubServer, *orgs: Org) -> None:
        self._server = server
        self._room = server.room
        self._orgs = (server.room.org, *orgs)

    def reset(self) -> None:
        """Turn all switches off; what was set up stays."""
        self._room.switches.reset()
        self._room.bus.wake()

    def apply(self, asked: PubSubControl) -> None:
        """Do what is asked.

        Raises:
            ValueError: An entity or a filter expression is not there or not right.
        """
        self._turn(asked)
        room = self._room
        with room.lock:
            if asked.setup is not None:
                room.bus.configure(**asked.setup.changes())
            for field in asked.add_field:
                self._add_field(field)
            for duplicate in asked.duplicate:
                room.bus.duplicate(duplicate.topic, duplicate.count)
            if asked.expire_replay_ids:
                room.bus.expire()
            if asked.migrate is not None:
                room.bus.reset_stream()
                if asked.migrate.new_org:
                    self._new_org()
                if asked.migrate.instance is not None:
                    org = room.org
                    with org.db:
                        org.db.execute('UPDATE "Organization" SET "InstanceName" = ?', (asked.migrate.instance,))
        if asked.go_away is not None:
            self._server.go_away(asked.go_away.grace_seconds)
        room.bus.wake()

    def _turn(self, asked: PubSubControl) -> None:
        switches = self._room.switches
        for name in (
            "latency_ms", "keepalive_seconds", "idle_close_seconds", "publish_idle_seconds", "chunk", "streams",
            "latest_is_tip",
        ):  # fmt: skip
            if (value := getattr(asked, name)) is not None:
                setattr(switches, name, value)
        switches.failures += asked.fail
        switches.cuts += asked.cut
        switches.hangs += asked.hang
        switches.large += asked.large
        switches.blank_schema_ids += asked.blank_schema_id
        switches.corrupted += asked.corrupt
        if asked.allocation is not None:
            limit = LimitControl(asked.allocation.max, asked.allocation.used)
            self._room.usage.apply({DELIVERED_EVENTS: limit})

    def _add_field(self, asked: AddField) -> None:
        bus = self._room.bus
        try:
            bus.schema_of(asked.entity)
        except KeyError:
            raise ValueError(f"no such object or platform event: {asked.entity}") from None
        more = dict(bus.settings.more_fields)
        more[asked.entity] = (*more.get(asked.entity, ()), Field(asked.name, asked.type))
        bus.configure(more_fields=more)

    def _new_org(self) -> None:
        """Give the org another id, everywhere."""
        org = self._room.org
        number = sum(map(ord, org.org_id)) + 62**9
        settings = msgspec.structs.replace(org.settings, org_id=make_id("00D", 62**8 + number))
        with org.db:
            text = msgspec.json.encode(settings).decode()
            org.db.execute("UPDATE settings SET value = ? WHERE key = 'org'", (text,))
            org.db.execute('UPDATE "Organization" SET "Id" = ?', (settings.org_id,))
        for one in self._orgs:
            one.settings = settings
