"""What is decided in a story of target-atlan-metadata, and the Singer messages that tell of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from microdecisions import event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

__all__ = ["ORG", "Decided", "Message", "Truth", "delivered", "perhaps", "record_of", "schema_of", "state_of"]

Json = dict[str, Any]

ORG: Final = "00D000000000001AAA"
_FIELDS: Final = {
    "Case": ("Status", "Priority", "Owner"),
    "Opportunity": ("StageName", "Amount", "NextStep"),
    "Lead": ("Status", "Rating"),
    "Invoice__c": ("Status__c", "Amount__c", "Approved__c"),
    "Shipment__c": ("Amount__c", "Status__c"),
    "Contact": ("Email", "NoSuchField__c"),
}
"""Of one object the catalog knows nothing at first, of another not each field."""
_VALUES: Final = (None, "New", "Working", "Closed", "Closed Won", "Closed Lost", "Negotiation")
_STATUSES: Final = ("Approved", "Approved", "Rejected", "Removed", "Started", "Recalled")
_ACTORS: Final = ("user", "user", "automation", "integration", "system", None)
_DAYS: Final = ((0, 0.2), (0, 1), (5.5, 7.5), (28.5, 31), (88.5, 91.5), (0, 200), (0, 200))
_READ_BEFORE: Final = timedelta(hours=1)
"""Two versions of an event are known apart when they were read more than a quarter of an hour apart (docs/atlan.md)."""
_WITNESSES: Final = ("change_event", "platform_event", "query_all", "get_deleted")


@dataclass(frozen=True)
class Decided:
    """One decision.

    Attributes:
        number: Its own.
        kind: `change`, `stage`, `approval`, `deletion`, or `other` for what is no figure.
        sobject: API name of the object.
        field: The field that changed, as history names it.
        at: When, in whole seconds.
        actor: Id of who decided.
        actor_name: Their name.
        automated: They are no person.
        old: The value before.
        new: The value after; of an approval its status.
        record: Which record.
    """

    number: int
    kind: str
    sobject: str
    field: str | None
    at: datetime
    actor: str | None = None
    actor_name: str | None = None
    automated: bool = False
    old: str | None = None
    new: str | None = None
    record: str = ""


@dataclass(frozen=True)
class Message:
    """A record that tells of a decision.

    Attributes:
        decision: The number of the decision.
        stream: Of Singer.
        record: The event.
        void: It takes the decision back.
        at: When the witness says that it was; of deletions.
    """

    decision: int
    stream: str
    record: Json
    void: bool = False
    at: datetime | None = None


@dataclass
class Truth:
    """All decisions, and what each of the two sources tells of them, in the order of arrival.

    Attributes:
        decisions: By number.
        sources: Messages of the history, and of deletes and approvals.
        again: Records that were deleted more than once.
    """

    decisions: dict[int, Decided] = field(default_factory=dict)
    sources: tuple[list[Message], list[Message]] = field(default_factory=lambda: ([], []))
    again: set[str] = field(default_factory=set)
    _late: tuple[list[Message], list[Message]] = field(default_factory=lambda: ([], []))
    _void: int = 0

    def grow(self, chance: Random, now: datetime, news: int) -> None:
        """Let so many decisions happen; sources tell of most of them at once, of some later."""
        for source, late in zip(self.sources, self._late, strict=True):
            source.extend(late)
            late.clear()
        for _ in range(news):
            low, high = chance.choice(_DAYS)
            at = (now - timedelta(days=chance.uniform(low, high))).replace(microsecond=0)
            kind = chance.random()
            if kind < 0.7:
                self._change(chance, at, now)
            elif kind < 0.82:
                self._approval(chance, at, now)
            else:
                self._deletion(chance, at, now)
        if self._void < 3 and chance.random() < 0.4:
            self._take_back(chance, now)

    def _add(self, **parts: Any) -> Decided:
        decided = Decided(len(self.decisions) + 1, **parts)
        self.decisions[decided.number] = decided
        return decided

    def _tell(self, chance: Random, message: Message, source: int) -> None:
        (self._late if chance.random() < 0.15 else self.sources)[source].append(message)

    def _change(self, chance: Random, at: datetime, now: datetime) -> None:
        sobject = chance.choice(list(_FIELDS))
        name = chance.choice(_FIELDS[sobject])
        old, new = chance.sample(_VALUES, 2)
        kind = "stage" if name == "StageName" else chance.choice(["change"] * 8 + ["other"])
        actor, actor_type = _actor(chance)
        decided = self._add(
            kind=kind, sobject=sobject, field=name, at=at, actor=actor, actor_name=f"User {actor}" if actor else None,
            automated=actor_type not in {None, "user"}, old=old, new=new, record=_record_id(chance.randrange(50)),
        )  # fmt: skip
        history = f"{sobject.removesuffix('__c')}{'__' if sobject.endswith('__c') else ''}History"
        row = _row(decided, now, f"{history}:{decided.number:018d}", actor_type)
        row["event_type"] = "stage_change" if kind == "stage" else "field_change"
        row["is_primary"] = kind != "other"
        self._tell(chance, Message(decided.number, f"{sobject.lower()}_history", row), 0)

    def _approval(self, chance: Random, at: datetime, now: datetime) -> None:
        actor, actor_type = _actor(chance)
        decided = self._add(
            kind="approval", sobject=chance.choice(["Opportunity", "Contact", "Invoice__c"]), field=None, at=at,
            actor=actor, new=chance.choice(_STATUSES), record=_record_id(chance.randrange(50)),
        )  # fmt: skip
        row = _row(decided, now, f"ProcessInstanceStep:{decided.number:018d}", actor_type)
        row |= {"event_type": "approval_decision", "field_name": "StepStatus"}
        self._tell(chance, Message(decided.number, "process_instance_step", row), 1)

    def _deletion(self, chance: Random, at: datetime, now: datetime) -> None:
        sobject = chance.choice([name for name in _FIELDS if name != "Lead"])
        record = _record_id(100 + len(self.decisions))
        twice = chance.random() < 0.25
        if twice:
            self.again.add(record)
            self._undelete(sobject, record, at - timedelta(hours=2), now)
            self._deleted(chance, sobject, record, at - timedelta(hours=4), now, late=False)
        self._deleted(chance, sobject, record, at, now, late=not twice)

    def _deleted(self, chance: Random, sobject: str, record: str, at: datetime, now: datetime, *, late: bool) -> None:
        decided = self._add(kind="deletion", sobject=sobject, field=None, at=at, record=record)
        for witness in chance.sample(_WITNESSES, chance.choice([1, 1, 2, 3, 4])):
            seen = at + timedelta(seconds=chance.randrange(5)) if witness == "platform_event" else at
            row = _row(decided, now, f"{sobject}:{record}:{witness}:{decided.number}", None)
            row |= {"event_type": "record_delete", "timestamp_occurred": _text(seen), "timestamp_recorded": _text(seen)}
            row["context"]["source"] = witness
            message = Message(decided.number, "delete_events", row, at=seen)
            if late:
                self._tell(chance, message, 1)
            else:
                self.sources[1].append(message)

    def _undelete(self, sobject: str, record: str, at: datetime, now: datetime) -> None:
        """No decision that is a figure, but what tells two deletions apart."""
        decided = self._add(kind="other", sobject=sobject, field=None, at=at, record=record)
        row = _row(decided, now, f"{sobject}:{record}:cdc:undelete:{decided.number}", None)
        row["event_type"] = "record_undelete"
        row["context"]["source"] = "change_event"
        self.sources[1].append(Message(decided.number, "delete_events", row, at=at))

    def _take_back(self, chance: Random, now: datetime) -> None:
        """A change turns out to be none: it comes again, read later, and is not primary."""
        told = [one for one in self.sources[0] if not one.void and self.decisions[one.decision].kind == "change"]
        if told:
            before = chance.choice(told)
            row = {**before.record, "is_primary": False, "extracted_at": _text(now)}
            self.sources[0].append(Message(before.decision, before.stream, row, void=True))
            self._void += 1


def schema_of(stream: str) -> Json:
    """The SCHEMA message of a stream."""
    return {"type": "SCHEMA", "stream": stream, "schema": event.json_schema(), "key_properties": ["event_id"]}


def record_of(message: Message) -> Json:
    """The RECORD message of a message."""
    return {"type": "RECORD", "stream": message.stream, "record": message.record}


def state_of(source: int, position: int) -> Json:
    """The STATE message behind so many messages of a source."""
    return {"type": "STATE", "value": {"source": source, "position": position}}


def _row(decided: Decided, now: datetime, event_id: str, actor_type: str | None) -> Json:
    text = _text(decided.at)
    return {
        "event_id": f"{ORG}:{event_id}",
        "event_type": "",
        "timestamp_occurred": text,
        "timestamp_recorded": text,
        "actor_id": decided.actor,
        "actor_type": actor_type,
        "actor_name": decided.actor_name,
        "record_type": decided.sobject,
        "record_id": decided.record,
        "field_name": decided.field,
        "old_value": decided.old,
        "new_value": decided.new,
        "is_primary": True,
        "context": {"source_object": "X", "source_record_id": decided.record, "source": "rest"},
        "extracted_at": _text(now - _READ_BEFORE),
        "extractor_version": "chaos 1",
    }


def _actor(chance: Random) -> tuple[str | None, str | None]:
    kind = chance.choice(_ACTORS)
    return (None if kind is None else _record_id(chance.randrange(5), "005"), kind)


def _record_id(number: int, prefix: str = "a01") -> str:
    return f"{prefix}{number:012d}AAA"


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def delivered(truth: Truth, read: Sequence[int]) -> list[Message]:
    """The messages that both sources had told up to their bookmarks."""
    return [message for source, end in zip(truth.sources, read, strict=True) for message in source[:end]]


def perhaps(truth: Truth, read: Sequence[int], fed: Sequence[int]) -> set[str]:
    """Objects of messages that a run was fed of which no STATE came back: they may be counted, or not."""
    return {
        truth.decisions[message.decision].sobject
        for source, begin, end in zip(truth.sources, read, fed, strict=True)
        for message in source[begin:end]
    }
