"""The control endpoint: what a test may ask of the org beside its API."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import msgspec

from localcloud.salesforce.faults import Cut, Failure, Trap  # noqa: TC001 - msgspec reads them at run time
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from localcloud.journal import Journal
    from localcloud.salesforce.faults import Switches
    from localcloud.salesforce.oauth import Sessions
    from localcloud.salesforce.org import Org

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Positive = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Quota(msgspec.Struct, forbid_unknown_fields=True):
    """API calls of the day: how many there may be, how many there were."""

    max: Count | None = None
    used: Count | None = None


class Forbid(msgspec.Struct, forbid_unknown_fields=True):
    """What the user may not see from now on: objects, and fields as `Object.Field`; replaces what was set."""

    objects: list[str] = []
    fields: list[str] = []


class Clock(msgspec.Struct, forbid_unknown_fields=True):
    """Sets the org's clock, then moves it."""

    set: Instant | None = None
    advance_seconds: float = 0.0


class Late(msgspec.Struct, forbid_unknown_fields=True):
    """Rows created in [start, end) are seen only `delay_seconds` after their creation."""

    object: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    delay_seconds: Positive


class Insert(msgspec.Struct, forbid_unknown_fields=True):
    """Rows to add, seen from `visible_at` on."""

    object: str
    rows: list[dict[str, msgspec.Raw]]
    visible_at: Instant | None = None


class Control(msgspec.Struct, forbid_unknown_fields=True):
    """What the control endpoint takes; what is left out stays as it is."""

    reset: bool = False
    clear_journal: bool = False
    latency_ms: Positive | None = None
    expire_sessions: bool = False
    expire_sessions_after: Count | None = None
    fail: list[Failure] = []
    drop: list[Cut] = []
    query_timeout: list[Trap] = []
    quota: Quota | None = None
    forbid: Forbid | None = None
    clock: Clock | None = None
    delay_visibility: list[Late] = []
    insert: list[Insert] = []


class State(msgspec.Struct, frozen=True):
    """How things stand after a control request; `inserted` holds the ids of added rows, as they were given."""

    now: str
    latency_ms: float
    sessions: int
    quota_max: int
    quota_used: int
    fail: list[Failure]
    drop: list[Cut]
    query_timeout: list[Trap]
    forbidden: list[str]
    delayed: int
    inserted: int


class Controller:
    """Turns the switches of an org that is being served.

    Args:
        org: The org.
        switches: Its switches.
        sessions: Who is logged in.
        journal: What it was asked.
    """

    def __init__(self, org: Org, switches: Switches, sessions: Sessions, journal: Journal) -> None:
        self._org = org
        self._switches = switches
        self._sessions = sessions
        self._journal = journal

    def apply(self, body: bytes) -> State:
        """Do what a control request asks.

        Raises:
            ValueError: The body is not right; what came before the fault is done.
        """
        asked = msgspec.json.decode(body or b"{}", type=Control)  # its errors are ValueErrors
        if asked.clear_journal:
            self._journal.clear()
        self._turn(asked)
        clock = asked.clock or Clock()
        if clock.set is not None:
            self._org.clock.set(clock.set)
        if clock.advance_seconds:
            self._org.clock.advance(timedelta(seconds=clock.advance_seconds))
        try:
            inserted = sum(
                self._org.load(one.object, [_row(row) for row in one.rows], visible_at=one.visible_at)
                for one in asked.insert
            )
            delayed = sum(
                self._org.delay_visibility(one.object, one.start, one.end, timedelta(seconds=one.delay_seconds))
                for one in asked.delay_visibility
            )
        except KeyError as error:
            raise ValueError(f"no such object: {error.args[0]}") from error
        return self._state(inserted, delayed)

    def _turn(self, asked: Control) -> None:
        switches = self._switches
        if asked.reset:
            switches.reset()
        if asked.latency_ms is not None:
            switches.latency_ms = asked.latency_ms
        if asked.expire_sessions:
            self._sessions.expire()
        if asked.expire_sessions_after is not None:
            self._sessions.expire_after(asked.expire_sessions_after)
        switches.failures += asked.fail
        switches.cuts += asked.drop
        switches.timeouts += asked.query_timeout
        if asked.quota is not None:
            switches.quota_max = switches.quota_max if asked.quota.max is None else asked.quota.max
            switches.quota_used = switches.quota_used if asked.quota.used is None else asked.quota.used
        if asked.forbid is not None:
            switches.forbidden_objects = set(asked.forbid.objects)
            switches.forbidden_fields = set(asked.forbid.fields)

    def _state(self, inserted: int, delayed: int) -> State:
        switches = self._switches
        return State(
            now=instant_text(self._org.clock.now()),
            latency_ms=switches.latency_ms,
            sessions=len(self._sessions),
            quota_max=switches.quota_max,
            quota_used=switches.quota_used,
            fail=switches.failures,
            drop=switches.cuts,
            query_timeout=switches.timeouts,
            forbidden=sorted(switches.forbidden_objects | switches.forbidden_fields),
            delayed=delayed,
            inserted=inserted,
        )


def _row(raw: dict[str, msgspec.Raw]) -> dict[str, object]:
    """The values of a row, its numbers as the tokens that were sent."""
    return {name: json.loads(bytes(value), parse_float=Decimal) for name, value in raw.items()}
