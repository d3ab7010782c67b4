"""Decisions as they were taken, the story of one record, and the truth log they are written to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.salesforce.actions.truth import MARK, TruthChange
from localcloud.salesforce.actions.values import canonical_number
from localcloud.seed.model import ACTIVITIES, MODELS, SNAPSHOT_FIELDS, stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Action = Literal[
    "create", "update", "delete", "submit", "approve", "reject", "remove",
    "flow_submit", "flow_approve", "flow_reject", "setup", "login", "event_log", "archive",
]  # fmt: skip
APPROVAL_ACTIONS: frozenset[Action] = frozenset({"submit", "approve", "reject", "remove"})
FLOW_ACTIONS: frozenset[Action] = frozenset({"flow_submit", "flow_approve", "flow_reject"})
_DEEDS: dict[str, str] = {"setup": "setup_audit_trail", "login": "login_history", "event_log": "event_log_file"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ref(msgspec.Struct, frozen=True):
    """The value of a look-up: the record it points to and that record's name."""

    id: str
    name: str


class Decision(msgspec.Struct, omit_defaults=True):
    """One save (transaction): a line of the truth log.

    ``at`` is UTC with second precision, ``process``, ``instance`` (ProcessInstance id) and ``step``
    (name of the approval node) belong to approvals, ``assignee`` is the next approver's User id, and
    ``last`` says that no later line is about this record. Of an approval by a flow, ``instance`` is the
    ApprovalSubmission and ``item`` the ApprovalWorkItem that is decided on. A setup change, a login and an
    event log file are a line too: ``record`` is the id of its row, ``changes`` hold its values, and Salesforce's
    own setup changes have no ``actor``.
    """

    at: str
    actor: str | None
    action: Action
    object: str
    record: str
    changes: tuple[TruthChange, ...]
    process: str | None = None
    instance: str | None = None
    step: str | None = None
    assignee: str | None = None
    last: bool = False
    item: str | None = None
    next_item: str | None = None


Value = str | Ref | None


class Story:
    """The life of one record, told save by save; keeps its state so that each change knows its old value."""

    __slots__ = ("_fields", "_state", "decisions", "object", "record")

    def __init__(self, sobject: str, record: str) -> None:
        self.object = sobject
        self.record = record
        self.decisions: list[Decision] = []
        self._fields = _MODELS[sobject].fields
        self._state: dict[str, Value] = {}

    def __getitem__(self, field: str) -> Value:
        return self._state.get(field)

    def text(self, field: str) -> str | None:
        """Return the current value of a field as canonical text; for a look-up its id."""
        value = self._state.get(field)
        return value.id if isinstance(value, Ref) else value

    def create(self, at: str, actor: str, values: Mapping[str, Value]) -> None:
        """Save the new record; empty values are not part of the decision."""
        self._save(at, actor, "create", values, ())

    def update(self, at: str, actor: str, values: Mapping[str, Value], *, unrecorded: tuple[str, ...] = ()) -> bool:
        """Save what differs from the current state; say whether anything did.

        Args:
            at: when, as text.
            actor: the User id.
            values: new values by field; those equal to the current ones are no change.
            unrecorded: long text fields that change without their values being kept.
        """
        return self._save(at, actor, "update", values, unrecorded)

    def delete(self, at: str, actor: str) -> None:
        """Delete the record."""
        self.decisions.append(Decision(at, actor, "delete", self.object, self.record, ()))

    def approval(
        self,
        at: str,
        actor: str,
        action: Action,
        *,
        process: str,
        instance: str,
        step: str,
        assignee: str | None = None,
    ) -> None:
        """Take a step of an approval about the record."""
        self.decisions.append(
            Decision(at, actor, action, self.object, self.record, (), process, instance, step, assignee)
        )

    def finish(self) -> list[Decision]:
        """Mark the last decision as the record's last and return all, in the order they were taken."""
        if self.decisions:
            self.decisions[-1].last = True
        return self.decisions

    def _save(
        self, at: str, actor: str, action: Action, values: Mapping[str, Value], unrecorded: tuple[str, ...]
    ) -> bool:
        changes = [TruthChange(name, self._fields[name].type, None, None) for name in unrecorded]
        state = self._state
        for name, new in values.items():
            old = state.get(name)
            if new == old:
                continue
            state[name] = new
            if isinstance(new, Ref) or isinstance(old, Ref):
                before = (old.id, old.name) if isinstance(old, Ref) else (None, None)
                after = (new.id, new.name) if isinstance(new, Ref) else (None, None)
                changes.append(TruthChange(name, "lookup", before[0], after[0], before[1], after[1]))
            else:
                changes.append(TruthChange(name, self._fields[name].type, old, new))
        if changes or action == "create":
            self.decisions.append(Decision(at, actor, action, self.object, self.record, tuple(changes)))
            return True
        return False


class Expectation:
    """Counts the events that a set of decisions must make, per stream, by the rules of the truth log.

    Attributes:
        streams: Events of field histories, of the stages of opportunities, and of approval processes.
        also: What there is beside: records of mutable objects, rows of the others.
        deleted: Records that some decision deletes.
        archived: Object and instant of each copying of old history.
    """

    def __init__(self) -> None:
        self.streams: dict[str, int] = {}
        self.also: dict[str, int] = {}
        self.decisions = 0
        self.deleted: set[str] = set()
        self.archived: list[tuple[str, str]] = []

    @property
    def events(self) -> int:
        """Return all expected events together."""
        return sum(self.streams.values())

    def add(self, decision: Decision) -> None:
        """Count one decision."""
        self.decisions += 1
        history = _HISTORY_STREAMS.get(decision.object)
        if history is None or decision.action in FLOW_ACTIONS:
            self._add_other(decision)
        elif decision.action == "create":
            self._count(history, 1)
            if decision.object == "Opportunity":
                self._count("opportunity_history", 1)
        elif decision.action == "update":
            events_by_field, events = _EVENTS[decision.object], 0
            for change in decision.changes:
                events += events_by_field.get(change.field, 0)
            self._count(history, events)
            if decision.object == "Lead" and is_conversion(decision):
                self._count(history, 1)
            if decision.object == "Opportunity":
                snapshot = 0
                for change in decision.changes:
                    snapshot += change.field in SNAPSHOT_FIELDS
                self._count("opportunity_history", snapshot)
        elif decision.action == "delete":
            self.deleted.add(decision.record)
        else:
            self._count("process_instance_step", 1)

    def _add_other(self, decision: Decision) -> None:
        model = ACTIVITIES.get(decision.object)
        if decision.action == "archive":
            self.archived.append((decision.changes[0].new or "", decision.at))
        elif decision.action in FLOW_ACTIONS:
            self._note("approval_submission", decision.action == "flow_submit")
            self._note("approval_work_item", decision.next_item is not None)
        elif model is None:
            self._note(_DEEDS[decision.action], 1)
        elif decision.action == "create":
            self._note(stream_name(decision.object), 1)
        else:
            self._note("activity_field_history", sum(model.fields[c.field].tracked for c in decision.changes))

    def merge(self, other: Expectation) -> None:
        """Count what another one has counted."""
        self.decisions += other.decisions
        self.deleted |= other.deleted
        self.archived += other.archived
        for stream, events in other.streams.items():
            self._count(stream, events)
        for stream, events in other.also.items():
            self._note(stream, events)

    def _count(self, stream: str, events: int) -> None:
        if events:
            self.streams[stream] = self.streams.get(stream, 0) + events

    def _note(self, stream: str, rows: int) -> None:
        if rows:
            self.also[stream] = self.also.get(stream, 0) + rows


def is_conversion(decision: Decision) -> bool:
    """Say whether a save of a lead converts it, which its history says in a row of its own."""
    return any(change.field == "IsConverted" and change.new == "true" for change in decision.changes)


_MODELS = MODELS | ACTIVITIES
_HISTORY_STREAMS = {name: stream_name(model.history) for name, model in MODELS.items()}
_EVENTS = {
    name: {f.name: 2 if f.type == "lookup" else 1 for f in model.fields.values() if f.tracked}
    for name, model in MODELS.items()
}


def events_of(decisions: Iterable[Decision]) -> int:
    """Return how many events these decisions make together."""
    expectation = Expectation()
    for decision in decisions:
        expectation.add(decision)
    return expectation.events


def write_truth(path: Path, decisions: Iterable[Decision], expectation: Expectation) -> None:
    """Append decisions to a truth log, one JSON object a line, counting them on the way.

    Args:
        path: the truth log; created when it is not there.
        decisions: in time order.
        expectation: receives every decision.
    """
    encoder = msgspec.json.Encoder()
    with path.open("ab") as out:
        batch: list[Decision] = []
        for decision in decisions:
            expectation.add(decision)
            batch.append(decision)
            if len(batch) >= 5_000:
                out.write(encoder.encode_lines(batch))
                batch.clear()
        if batch:
            out.write(encoder.encode_lines(batch))


def read_truth(path: Path, *, end: int | None = None) -> Iterator[Decision]:
    """Yield the decisions of a truth log, in its order; the lines of later actions are passed over.

    Args:
        path: the truth log.
        end: stop at this byte offset, where a line begins; None reads all.
    """
    decoder = msgspec.json.Decoder(Decision)
    with path.open("rb") as lines:
        read = 0
        for line in lines:
            read += len(line)
            if end is not None and read > end:
                return
            if MARK not in line:
                yield decoder.decode(line)


_days: dict[int, str] = {}
_MINUTES = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(1_440)]
_SECONDS = [f":{second:02}Z" for second in range(60)]


def instant_text(second: int) -> str:
    """Return an epoch second as the truth log writes it: ``2026-01-03T10:00:01Z``."""
    day, rest = divmod(second, 86_400)
    date = _days.get(day)
    if date is None:
        date = _days[day] = (_EPOCH + timedelta(days=day)).date().isoformat()
    return f"{date}T{_MINUTES[rest // 60]}{_SECONDS[rest % 60]}"


def date_text(second: int) -> str:
    """Return the UTC date of an epoch second: ``2026-01-03``."""
    return instant_text(second)[:10]


def number_text(text: str, *, places: int | None = None) -> str:
    """Return a number in canonical text: plain, no trailing zeros of the fraction, no ``-0``.

    Args:
        text: any decimal notation.
        places: digits of the fraction to round to (half to even), as a currency field does.

    Raises:
        ValueError: the text is no finite number.
    """
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text!r} is not a number") from error
    if not number.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    return canonical_number(number if places is None else round(number, places))
