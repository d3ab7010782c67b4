"""Which deletions the truth log tells of, and whether the sightings that arrived tell of each of them, once.

It knows the rules of docs/deletes.md and of the truth log (localcloud/README.md), and imports neither the plugins nor
localcloud. A record is deleted by a line about itself, by one about what it hangs on (`cascade`), or by a merge that it
loses (`losers`); it comes back by an undelete. What is in the recycle bin already is not deleted again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from expected import second

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from datetime import datetime

    from expected import Json

STREAM = "delete_events"
CHANGE_EVENTS = frozenset({"Account", "Contact", "Opportunity", "Case", "Invoice__c"})
"""Objects whose change events the mock org publishes; of others, the log forgets what was undeleted."""
KEPT_DAYS = 14  # the delete log keeps 15
_END = "9"  # after every instant


@dataclass(slots=True)
class Deletion:
    """One deletion that happened.

    Attributes:
        sobject: API name of the record's object.
        record: Its id.
        at: When, to the second.
        actor: Id of who did it.
        until: When it was undeleted, to the second; None while it is gone.
    """

    sobject: str
    record: str
    at: str
    actor: str | None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Sighting:
    """One event of the stream, as far as it matters here; `at` is to the second."""

    kind: str
    record: str
    at: str
    actor: str | None


@dataclass(slots=True)
class Deletions:
    """The comparison.

    Attributes:
        decided: Deletions of the truth log that can be known.
        resolved: Those of them that at least one sighting tells of.
        sightings: Events that tell of a delete or undelete.
        wrong: The first differences, as sentences.
    """

    decided: int = 0
    resolved: int = 0
    sightings: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether each deletion is told, as it was decided, and no other."""
        return self.decided == self.resolved and not self.wrong


def decided_deletions(truth: Iterable[Json]) -> list[Deletion]:
    """All deletions of a truth log, in their order."""
    found: list[Deletion] = []
    gone: dict[str, Deletion] = {}
    for line in truth:
        if line["action"] == "undelete":
            for _, record in (*_itself(line), *line.get("cascade", ())):
                if record in gone:
                    gone.pop(record).until = second(line["at"])
            continue
        for sobject, record in _deleted(line):
            if record not in gone:
                gone[record] = Deletion(sobject, record, second(line["at"]), line["actor"])
                found.append(gone[record])
    return found


def is_required(deletion: Deletion, tracked: Container[str], clock: datetime | None) -> bool:
    """Whether a witness must tell of it.

    Args:
        deletion: What happened.
        tracked: Objects whose history is tracked: the tap asks for these.
        clock: The org's; what was deleted long before the first run is no longer in the delete log.
    """
    if clock is not None and deletion.at < second((clock - timedelta(days=KEPT_DAYS)).isoformat()):
        return False
    return deletion.sobject in tracked and (deletion.until is None or deletion.sobject in CHANGE_EVENTS)


def _deleted(line: Json) -> Iterator[tuple[str, str]]:
    if line["action"] in ("delete", "hard_delete"):
        yield from _itself(line)
        yield from line.get("cascade", ())
    elif line["action"] == "merge":
        yield from ((line["object"], record) for record in line.get("losers", ()))


def _itself(line: Json) -> Iterator[tuple[str, str]]:
    yield line["object"], line["record"]


def sighting(row: Json) -> Sighting:
    """A row of the stream's table."""
    return Sighting(row["EVENT_TYPE"], row["RECORD_ID"], second(str(row["TIMESTAMP_RECORDED"])), row["ACTOR_ID"])


def compare(
    decided: Iterable[Deletion], rows: Iterable[Json], tracked: Container[str], clock: datetime | None
) -> Deletions:
    """Compare what happened with what arrived.

    Args:
        decided: From `decided_deletions`.
        rows: Of the stream's table; two with one `EVENT_ID` are a difference.
        tracked: Objects whose history is tracked; see `is_required`.
        clock: The org's; see `is_required`.
    """
    sightings = [(row["EVENT_ID"], sighting(row)) for row in rows]
    told = Told(one for _, one in sightings)
    found = Deletions(sightings=len({event_id for event_id, _ in sightings}))
    if found.sightings != len(sightings):
        found.wrong.append(f"{len(sightings) - found.sightings} rows repeat an event_id")
    differences: list[str] = []
    for deletion in decided:
        seen = told.take(deletion)
        if not seen and not is_required(deletion, tracked, clock):
            continue
        found.decided += 1
        found.resolved += bool(seen)
        said = f"{deletion.sobject} {deletion.record} {deletion.at}"
        differences += [f"{said}: {words}" for words in told.differences(deletion, seen)]
    differences += told.invented()
    if differences:
        found.wrong += [*differences[:3], f"{len(differences)} differences in all"]
    return found


class Told:
    """The sightings that no deletion of the truth log has been found for yet."""

    def __init__(self, sightings: Iterable[Sighting]) -> None:
        self._deletes: defaultdict[str, list[Sighting]] = defaultdict(list)
        self._undeletes: Counter[tuple[str, str]] = Counter()
        for one in sightings:
            if one.kind == "record_delete":
                self._deletes[one.record].append(one)
            elif one.kind == "record_undelete":
                self._undeletes[one.record, one.at] += 1

    def take(self, deletion: Deletion) -> list[Sighting]:
        """The deletes that tell of a deletion: those of its record while it was gone."""
        waiting = self._deletes[deletion.record]
        seen = [one for one in waiting if deletion.at <= one.at <= (deletion.until or _END)]
        self._deletes[deletion.record] = [one for one in waiting if one not in seen]
        return seen

    def differences(self, deletion: Deletion, seen: Sequence[Sighting]) -> Iterator[str]:
        """How what was seen differs from what happened."""
        if not seen:
            yield "no event tells of its deletion"
        elif any(one.actor not in (None, deletion.actor) for one in seen):
            yield "deleted by another actor"
        came_back = (deletion.record, deletion.until or "")
        if deletion.until and not self._undeletes.pop(came_back, 0) and deletion.sobject in CHANGE_EVENTS:
            yield f"no event tells that it came back at {deletion.until}"

    def invented(self) -> Iterator[str]:
        """What nothing in the truth log stands behind."""
        for one in (one for rest in self._deletes.values() for one in rest):
            yield f"{one.record} {one.at}: deleted, as an event tells, but not by the truth log"
        for record, at in self._undeletes:
            yield f"{record} {at}: came back, as an event tells, but not by the truth log"
