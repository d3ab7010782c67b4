"""Sightings of deletes become deletions: each deletion once, whatever saw it, in whatever order it was told.

Each delete event is a sighting: what one witness says of one record at one time. An id is never reused, and a deleted
record cannot be deleted again before it is undeleted. So the sightings of a record between two undeletes are one
deletion, however many witnesses there were. The rules, and how SQL says the same, are in `docs/deletes.md`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from microdecisions import timestamps
from microdecisions.event import ActorType  # noqa: TC001  # evaluated by what makes structs of annotations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from microdecisions.event import MicroDecisionEvent

__all__ = [
    "LONG_AFTER",
    "PUBLISH_DELAY",
    "WITNESSES",
    "Deletion",
    "Sighting",
    "commit_number_of",
    "resolve",
    "sighting_of",
]

WITNESSES: Final = ("change_event", "platform_event", "query_all", "get_deleted")
"""From the best to the least: the first two come with who did it, the last only with when."""

LONG_AFTER: Final = timedelta(hours=1)
"""Times of one deletion lie closer together: a transaction stamps rows when it writes them and events when it ends."""

PUBLISH_DELAY: Final = timedelta(seconds=10)
"""A platform event this little after a change event tells of the same delete, even if an undelete lies between."""

_EXACT: Final = frozenset({"change_event", "get_deleted"})
"""Salesforce stamps these with the deletion itself; a platform event may be published late, a row be touched later."""

_MOST: Final = 2**63 - 1  # commitNumber is a long in the Avro schema of change events

_SECOND_STAMPED: Final = frozenset({"query_all", "get_deleted"})
_WHOLE_SECOND: Final = ".000000Z"
_END_OF_SECOND: Final = ".999999Z"

_TextT = TypeVar("_TextT", bound=str)


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """What one event says of the delete or undelete of one record.

    Attributes:
        record_id: 18 characters.
        event_type: What happened.
        at: When Salesforce stamped it, in canonical text.
        source: The witness; one of `WITNESSES`.
        event_id: Id of the event; its first part is the org.
        record_type: API name of the object.
        actor_id: Who did it, and what kind of user with what name.
        actor_type: See the event.
        actor_name: See the event.
        owner_id: Who owned the record.
        commit_number: Order of the transactions that change events of one second come from; 0 when not known.
    """

    record_id: str
    event_type: Literal["record_delete", "record_undelete"]
    at: str
    source: str
    event_id: str
    record_type: str | None = None
    actor_id: str | None = None
    actor_type: ActorType | None = None
    actor_name: str | None = None
    owner_id: str | None = None
    commit_number: int = 0


class Deletion(msgspec.Struct, frozen=True, gc=False):
    """One deletion of one record.

    Attributes:
        record_id: 18 characters.
        at: The earliest time that a witness gives, in canonical text.
        record_type: API name of the object. This and the next four are each from the best witness that has it.
        actor_id: Who deleted it.
        actor_type: See the event.
        actor_name: See the event.
        owner_id: Who owned it.
        source: The best witness.
        event_id: Event of the best witness.
        event_ids: All events that tell of it, in alphabetical order.
        sources: All witnesses, the best first.
        undeleted_at: When an undelete ended it; None when none was seen.
        after_missed_undelete: The flag of a deletion that can only be if nobody saw an undelete before it.
    """

    record_id: str
    at: str
    record_type: str | None
    actor_id: str | None
    actor_type: ActorType | None
    actor_name: str | None
    owner_id: str | None
    source: str
    event_id: str
    event_ids: tuple[str, ...]
    sources: tuple[str, ...]
    undeleted_at: str | None = None
    after_missed_undelete: bool = False


def commit_number_of(text: str) -> int | None:
    """The commit number in the facts of an event: 0 where there is none, None for one that Salesforce cannot give."""
    if not (text.isascii() and text.isdecimal()):
        return 0
    digits = text.lstrip("0") or "0"
    number = int(digits) if len(digits) <= len(str(_MOST)) else _MOST + 1  # Python refuses to read very long ones
    return number if number <= _MOST else None


def sighting_of(event: MicroDecisionEvent) -> Sighting | None:
    """The sighting that an event is, or None for an event of another type or without a record.

    Its time is `timestamp_recorded`: Salesforce's own stamp, also where a platform event brings a date of its own.
    """
    kind = event.event_type
    if (kind != "record_delete" and kind != "record_undelete") or event.record_id is None:  # noqa: PLR1714 - narrows
        return None
    facts = event.context.metadata
    return Sighting(
        event.record_id,
        kind,
        event.timestamp_recorded,
        event.context.source,
        event.event_id,
        event.record_type,
        event.actor_id,
        event.actor_type,
        event.actor_name,
        facts.get("owner_id"),
        commit_number_of(facts.get("commit_number", "")) or 0,
    )


def resolve(sightings: Iterable[Sighting]) -> list[Deletion]:
    """Tell the deletions that the sightings are of.

    Args:
        sightings: Of any records of any orgs, in any order, as often as they came.

    Returns:
        Deletions by record, and by time within a record: the same for the same set of sightings.
    """
    records: dict[tuple[str, str], dict[str, Sighting]] = {}
    for sighting in sightings:
        known = records.setdefault((sighting.event_id.partition(":")[0], sighting.record_id), {})
        before = known.get(sighting.event_id)
        known[sighting.event_id] = sighting if before is None or before == sighting else _merged(before, sighting)
    return [deletion for key in sorted(records) for deletion in _deletions(records[key].values())]


def _merged(one: Sighting, other: Sighting) -> Sighting:
    """One event that came with different content, as after an upgrade: whatever came first, the same is left of it."""
    return Sighting(
        one.record_id,
        max(one.event_type, other.event_type),
        min(one.at, other.at),
        min(one.source, other.source),
        one.event_id,
        _either(one.record_type, other.record_type),
        _either(one.actor_id, other.actor_id),
        _either(one.actor_type, other.actor_type),
        _either(one.actor_name, other.actor_name),
        _either(one.owner_id, other.owner_id),
        max(one.commit_number, other.commit_number),
    )


def _either(one: _TextT | None, other: _TextT | None) -> _TextT | None:
    return one if other is None or (one is not None and one <= other) else other


def _deletions(sightings: Collection[Sighting]) -> Iterator[Deletion]:
    """The deletions of one record."""
    witnesses: list[Sighting] = []
    exact: str | None = None
    missed = False
    for sighting in _ordered(sightings):
        if sighting.event_type == "record_undelete":
            if witnesses:
                yield _deletion(witnesses, sighting.at, after_missed_undelete=missed)
            witnesses, exact, missed = [], None, False
            continue
        if sighting.source in _EXACT:
            if witnesses and _long_after(sighting.at, exact or min(witness.at for witness in witnesses)):
                before, witnesses = _split(witnesses, sighting.at)
                yield _deletion(before, None, after_missed_undelete=missed)
                missed = True
            exact = sighting.at
        witnesses.append(sighting)
    if witnesses:
        yield _deletion(witnesses, None, after_missed_undelete=missed)


def _split(witnesses: Sequence[Sighting], at: str) -> tuple[list[Sighting], list[Sighting]]:
    """Those of the deletion before, and those near to the exact sighting that proves another one at an instant."""
    since = timestamps.to_text(timestamps.parse(at) - LONG_AFTER)
    near = [witness for witness in witnesses if witness.at >= since and witness.source not in _EXACT]
    return [witness for witness in witnesses if witness not in near], near


def _ordered(sightings: Collection[Sighting]) -> Sequence[Sighting]:
    """Sightings of one record in the order in which things happened."""
    if len(sightings) == 1:
        return tuple(sightings)
    pins = sorted(
        (sighting.at, sighting.commit_number)
        for sighting in sightings
        if sighting.source == "change_event" and sighting.event_type == "record_delete"
    )
    return sorted(sightings, key=lambda sighting: (*_place(sighting, pins), *_content(sighting)))


def _place(sighting: Sighting, pins: Sequence[tuple[str, int]]) -> tuple[str, int, bool]:
    """Where a sighting belongs: a time, the number of a transaction, and undeletes after deletes.

    Change events are stamped with whole seconds and ordered by their commit numbers. What else tells of a delete is put
    beside the change event of the same delete, if there is one; without one, to the end of its second: an undelete in
    that second came before, or the record would no longer be among the deleted ones.

    Args:
        sighting: A sighting.
        pins: Time and commit number of each change event of a delete of this record, in order.
    """
    at = sighting.at
    if sighting.source == "change_event" or sighting.event_type == "record_undelete":
        return at, sighting.commit_number, sighting.event_type == "record_undelete"
    if sighting.source in _SECOND_STAMPED:
        near = [pin for pin in pins if pin[0][:19] == at[:19]]
    else:
        near = [pin for pin in pins if pin[0] <= at and _distance(pin[0], at) <= PUBLISH_DELAY]
    if near:
        return *near[-1], False
    if sighting.source in _SECOND_STAMPED and at.endswith(_WHOLE_SECOND):
        at = at[:19] + _END_OF_SECOND
    return at, 0, False


def _long_after(later: str, earlier: str) -> bool:
    return later[:13] != earlier[:13] and _distance(earlier, later) > LONG_AFTER


def _distance(earlier: str, later: str) -> timedelta:
    return timestamps.parse(later) - timestamps.parse(earlier)


def _deletion(sightings: Sequence[Sighting], undeleted_at: str | None, *, after_missed_undelete: bool) -> Deletion:
    witnesses = sorted(sightings, key=_quality)
    best = witnesses[0]
    return Deletion(
        best.record_id,
        min(witness.at for witness in witnesses),
        next((witness.record_type for witness in witnesses if witness.record_type), None),
        *_actor(witnesses),
        next((witness.owner_id for witness in witnesses if witness.owner_id), None),
        best.source,
        best.event_id,
        tuple(sorted({witness.event_id for witness in witnesses})),
        tuple(dict.fromkeys(witness.source for witness in witnesses)),
        undeleted_at,
        after_missed_undelete,
    )


def _actor(witnesses: Sequence[Sighting]) -> tuple[str | None, ActorType | None, str | None]:
    """The actor's id, type and name, all of one user."""
    actor_id = next((witness.actor_id for witness in witnesses if witness.actor_id), None)
    same = [witness for witness in witnesses if witness.actor_id == actor_id]
    actor_type = next((witness.actor_type for witness in same if witness.actor_type), None)
    return actor_id, actor_type, next((witness.actor_name for witness in same if witness.actor_name), None)


def _quality(sighting: Sighting) -> tuple[object, ...]:
    source = sighting.source
    return WITNESSES.index(source) if source in WITNESSES else len(WITNESSES), sighting.at, *_content(sighting)


def _content(sighting: Sighting) -> tuple[str, ...]:
    """A total order, so that nothing depends on the order of arrival; what says more comes first."""
    texts = (sighting.record_type, sighting.actor_id, sighting.actor_type, sighting.actor_name, sighting.owner_id)
    return sighting.event_id, sighting.source, sighting.at, *(text or "\uffff" for text in texts)
