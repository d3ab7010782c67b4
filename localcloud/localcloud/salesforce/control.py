"""The control endpoint: what a test may ask of the org beside its API."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec

from localcloud.salesforce.actions.documents import Action, ActionError, Outcome
from localcloud.salesforce.actions.settings import ActionSettings, save
from localcloud.salesforce.bulk.control import BulkControl, JobFailure  # noqa: TC001
from localcloud.salesforce.cost import QueryControl  # noqa: TC001
from localcloud.salesforce.faults import Failure, Pad  # noqa: TC001 - msgspec reads them at run time
from localcloud.salesforce.limits import LimitControl  # noqa: TC001
from localcloud.salesforce.login.policies import LoginControl  # noqa: TC001
from localcloud.salesforce.pubsub.control import PubSubControl  # noqa: TC001 - msgspec reads it at run time
from localcloud.salesforce.replication import Replication, ReplicationControl
from localcloud.salesforce.storage import instant_text
from localcloud.salesforce.tuning import Tuning
from localcloud.serving.control import Clock, Instant, Positive  # noqa: TC001
from localcloud.serving.faults import Cut, Delay, Trap  # noqa: TC001 - msgspec reads them at run time

if TYPE_CHECKING:
    from localcloud.journal import Journal
    from localcloud.salesforce.faults import Switches
    from localcloud.salesforce.login import LoginService, Sessions
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.pubsub.control import PubSubController

Count = Annotated[int, msgspec.Meta(ge=0)]


class Quota(msgspec.Struct, forbid_unknown_fields=True):
    """API calls of the day: how many there may be, how many there were; or how many are `left`."""

    max: Count | None = None
    used: Count | None = None
    left: Count | None = None


class Forbid(msgspec.Struct, forbid_unknown_fields=True):
    """What the user may not see from now on: objects, and fields as `Object.Field`; replaces what was set."""

    objects: list[str] = []
    fields: list[str] = []


class Late(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Rows created in [start, end), or in the `last_seconds`, are seen only `delay_seconds` after their creation."""

    object: str
    start: Instant | None = msgspec.field(name="from", default=None)
    end: Instant | None = msgspec.field(name="to", default=None)
    last_seconds: Positive | None = None
    delay_seconds: Positive

    def __post_init__(self) -> None:
        if (self.start is None) != (self.end is None) or (self.start is None) == (self.last_seconds is None):
            raise ValueError("a late row needs `from` and `to`, or else `last_seconds`")

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """From when to before when the rows were created."""
        if self.start is not None and self.end is not None:
            return self.start, self.end
        return now - timedelta(seconds=self.last_seconds or 0.0), now + timedelta(seconds=1)


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
    delay: list[Delay] = []
    fail: list[Failure] = []
    drop: list[Cut] = []
    pad: list[Pad] = []
    query_timeout: list[Trap] = []
    expire_locator: list[Trap] = []
    quota: Quota | None = None
    forbid: Forbid | None = None
    clock: Clock | None = None
    delay_visibility: list[Late] = []
    insert: list[Insert] = []
    act: list[Action] = []
    login: LoginControl | None = None
    limits: dict[str, LimitControl] = {}
    queries: QueryControl | None = None
    bulk: BulkControl | None = None
    replication: ReplicationControl | None = None
    actions: ActionSettings | None = None
    pubsub: PubSubControl | None = None


_DECODER = msgspec.json.Decoder(Control, float_hook=Decimal)


class State(msgspec.Struct, frozen=True):
    """How things stand after a control request; `refreshing` logins by refresh token are being worked on."""

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
    refreshing: int = 0
    delay: list[Delay] = []
    pad: list[Pad] = []
    expire_locator: list[Trap] = []
    bulk_fail: list[JobFailure] = []
    acted: list[Outcome] = []


class Acts(Protocol):
    """What carries out an action on records."""

    def act(self, document: Action) -> Outcome:
        """Do it; raises ActionError where it cannot be tried at all."""


class Controller:
    """Turns the switches of an org that is being served.

    Args:
        org: The org.
        switches: Its switches.
        sessions: Who is logged in.
        journal: What it was asked.
        login: The login service.
        actions: What changes records.
        tuning: Limits, queries, Bulk jobs.

    Attributes:
        pubsub: Turns the switches of the Pub/Sub API, once that is served.
    """

    def __init__(
        self,
        org: Org,
        switches: Switches,
        sessions: Sessions,
        journal: Journal,
        login: LoginService,
        actions: Acts | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        self._tuning = tuning or Tuning(org.clock.now_ms)
        self._actions = actions
        self._org = org
        self._switches = switches
        self._sessions = sessions
        self._journal = journal
        self._login = login
        self.pubsub: PubSubController | None = None

    def apply(self, body: bytes) -> State:
        """Do what a control request asks.

        Raises:
            ValueError: The body is not right; what came before the fault is done.
        """
        asked = _DECODER.decode(body or b"{}")  # its errors are ValueErrors
        if asked.clear_journal:
            self._journal.clear()
        self._turn(asked)
        if asked.clock is not None:
            asked.clock.turn(self._org.clock)
        acted = [self.act(action) for action in asked.act]
        now = self._org.clock.now()
        try:
            inserted = sum(
                self._org.load(one.object, [_row(row) for row in one.rows], visible_at=one.visible_at)
                for one in asked.insert
            )
            delayed = sum(
                self._org.delay_visibility(one.object, *one.span(now), timedelta(seconds=one.delay_seconds))
                for one in asked.delay_visibility
            )
        except KeyError as error:
            raise ValueError(f"no such object: {error.args[0]}") from error
        except sqlite3.IntegrityError as error:
            raise ValueError(f"a row cannot be inserted: {error}") from error
        return self._state(inserted, delayed, acted)

    def act(self, action: Action) -> Outcome:
        """Carry out an action on records.

        Raises:
            ActionError: It cannot be tried at all (a ValueError).
        """
        if self._actions is None:
            raise ActionError("this server has no actions")
        return self._actions.act(action)

    def _turn(self, asked: Control) -> None:
        switches = self._switches
        if asked.reset:
            self._reset()
        self._tuning.apply(asked.limits, asked.queries, asked.bulk)
        if asked.latency_ms is not None:
            switches.latency_ms = asked.latency_ms
        if asked.expire_sessions:
            self._sessions.expire()
        if asked.expire_sessions_after is not None:
            self._sessions.expire_after(asked.expire_sessions_after)
        if asked.login is not None:
            self._login.control(asked.login)
        self._turn_records(asked)
        self._turn_pubsub(asked)
        switches.delays += asked.delay
        switches.failures += asked.fail
        switches.cuts += asked.drop
        switches.pads += asked.pad
        switches.timeouts += asked.query_timeout
        switches.expiries += asked.expire_locator
        if asked.quota is not None:
            switches.quota_max = switches.quota_max if asked.quota.max is None else asked.quota.max
            switches.quota_used = switches.quota_used if asked.quota.used is None else asked.quota.used
            if asked.quota.left is not None:
                switches.quota_max = switches.quota_used + asked.quota.left
        if asked.forbid is not None:
            self._check_known(asked.forbid)
            switches.forbidden_objects = set(asked.forbid.objects)
            switches.forbidden_fields = set(asked.forbid.fields)

    def _check_known(self, asked: Forbid) -> None:
        """Refuse to hide what is not there: it would hide nothing without a word."""
        for name in asked.objects:
            if self._org.schema.get(name) is None and not name.lower().endswith("__e"):
                raise ValueError(f"no such object: {name}")
        for name in asked.fields:
            sobject, _, field = name.partition(".")
            found = self._org.schema.get(sobject)
            if found is None or field.lower() not in found.by_name:
                raise ValueError(f"no such field: {name}")

    def _reset(self) -> None:
        self._tuning.reset()
        self._switches.reset()
        Replication(self._org).control(ReplicationControl(reset=True))
        save(self._org, ActionSettings())
        if self.pubsub is not None:
            self.pubsub.reset()

    def _turn_records(self, asked: Control) -> None:
        if asked.replication is not None:
            Replication(self._org).control(asked.replication)
        if asked.actions is not None:
            save(self._org, asked.actions)

    def _turn_pubsub(self, asked: Control) -> None:
        if asked.pubsub is None:
            return
        if self.pubsub is None:
            raise ValueError("this server has no Pub/Sub API")
        self.pubsub.apply(asked.pubsub)

    def _state(self, inserted: int, delayed: int, acted: list[Outcome]) -> State:
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
            refreshing=self._login.refreshing,
            delay=switches.delays,
            pad=switches.pads,
            expire_locator=switches.expiries,
            bulk_fail=self._tuning.bulk.fail,
            acted=acted,
        )


def _row(raw: dict[str, msgspec.Raw]) -> dict[str, object]:
    """The values of a row, its numbers as the tokens that were sent."""
    return {name: json.loads(bytes(value), parse_float=Decimal) for name, value in raw.items()}
