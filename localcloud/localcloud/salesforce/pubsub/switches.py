"""Switches that make the Pub/Sub API misbehave: all off until a test turns one on."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from localcloud.salesforce.pubsub.errors import PREFIX, RST_STREAM, TABLE, PubSubError
from localcloud.serving.faults import Trap

if TYPE_CHECKING:
    from collections.abc import Sequence

Count = Annotated[int, msgspec.Meta(ge=0)]


class StreamTrap(Trap, forbid_unknown_fields=True):
    """Strikes RPCs, each at most once; `pattern` is searched in `RPC subject`, as in `Subscribe /data/ChangeEvents`.

    A Subscribe stream is struck when it has delivered `after_events` events, also one that is open already.
    """

    after_events: Count = 0


class RpcFailure(StreamTrap, forbid_unknown_fields=True):
    """Ends an RPC with a documented error; `code` with or without its prefix, or `RST_STREAM`."""

    code: str = "service.unavailable"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.code != RST_STREAM and self.code.removeprefix(PREFIX) not in TABLE:
            raise ValueError(f"no such error code: {self.code}")

    def error(self, topic: str, tenant: str) -> PubSubError:
        """What the RPC ends with."""
        return PubSubError(self.code, topic=topic, tenant=tenant)


class ConnectionCut(StreamTrap, forbid_unknown_fields=True):
    """Ends the connection of an RPC: `close` as a server that goes away, `reset` with a TCP reset."""

    mode: Literal["close", "reset"] = "reset"


class Hang(StreamTrap, forbid_unknown_fields=True):
    """Lets an RPC hang: `silent` sends nothing more on it, `frozen` makes the whole connection half open.

    A frozen connection answers no ping either (Linux only; elsewhere it is as `silent`).
    """

    mode: Literal["silent", "frozen"] = "silent"


class LargeResponse(Trap, forbid_unknown_fields=True):
    """Makes a response of Subscribe longer by `bytes` that no reader knows."""

    bytes: Annotated[int, msgspec.Meta(ge=0, le=512 * 2**20)] = 5 * 2**20


AnyTrap = TypeVar("AnyTrap", bound=Trap)


class PubSubSwitches:
    """The state of all switches.

    Attributes:
        latency_ms: Before each response.
        keepalive_seconds: The longest time without a response while events are on order.
        idle_close_seconds: How long a client may have nothing on order.
        publish_idle_seconds: How long a publish stream may be quiet.
        chunk: Events in a response at most.
        streams: Subscribe and PublishStream calls at a time.
        latest_is_tip: Whether `latest_replay_id` of a response with events names the end of the bus.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Turn all switches off."""
        self.latency_ms = 0.0
        self.keepalive_seconds = 60.0
        self.idle_close_seconds = 60.0
        self.publish_idle_seconds = 1_800.0
        self.chunk = 100
        self.streams = 200
        self.latest_is_tip = False
        self.failures: list[RpcFailure] = []
        self.cuts: list[ConnectionCut] = []
        self.hangs: list[Hang] = []
        self.large: list[LargeResponse] = []
        self.blank_schema_ids: list[Trap] = []
        self.corrupted: list[Trap] = []

    @property
    def traps(self) -> bool:
        """Whether any trap is set for RPCs."""
        return bool(self.failures or self.cuts or self.hangs)

    @property
    def spoils_events(self) -> bool:
        """Whether events may have to be changed on their way."""
        return bool(self.blank_schema_ids or self.corrupted)

    def strikes(self, traps: Sequence[AnyTrap], text: str) -> AnyTrap | None:
        """The first trap that strikes; counts down."""
        if not traps:
            return None
        with self._lock:
            return next((trap for trap in traps if trap.strikes(text)), None)


class Victim:
    """One RPC as traps see it: each trap looks at it once.

    Args:
        switches: Where traps are set.
        text: `Subscribe /data/ChangeEvents`.
    """

    def __init__(self, switches: PubSubSwitches, text: str) -> None:
        self._switches = switches
        self._seen: list[StreamTrap] = []
        self.text = text

    def struck(self, delivered: int = 0) -> StreamTrap | None:
        """The trap that strikes it now, after so many events."""
        switches = self._switches
        for trap in (*switches.failures, *switches.cuts, *switches.hangs):
            if trap.after_events > delivered or any(trap is seen for seen in self._seen):
                continue
            self._seen.append(trap)
            if switches.strikes([trap], self.text):
                return trap
        return None

    def room(self, delivered: int) -> int | None:
        """How many more events may go before a trap has to look again."""
        traps = (*self._switches.failures, *self._switches.cuts, *self._switches.hangs)
        waiting = [trap.after_events - delivered for trap in traps if trap.after_events > delivered]
        return min(waiting, default=None)
