"""What is missing or there twice, by the truth log: this file imports neither the plugins nor the mock org.

The rules of the truth log are the demo's (`demo/expected.py`, `demo/check.py`).
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parents[1] / "demo"))  # scripts, not a package

from check import Arrived, arrived_event
from expected import Event, Expected, Json, expected_events, history_stream, read_truth, second, tracked_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Difference", "Late", "Promise", "compare", "missing"]

MUTABLE = frozenset(
    {"process_instance", "process_instance_workitem", "approval_submission", "approval_work_item", "task", "event"}
)
_STREAMS = {"OpportunityFieldHistory": "opportunity_field_history", "OpportunityHistory": "opportunity_history"}


@dataclass(frozen=True, slots=True)
class Late:
    """Rows that are seen late.

    Attributes:
        sobject: Of which object.
        start: Rows created at or after this instant.
        end: And before this one; both are whole seconds, aware UTC.
        delay: They are seen so long after their creation.
    """

    sobject: str
    start: datetime
    end: datetime
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Promise:
    """What a run that says success has read.

    Attributes:
        lag: It stays so far behind Salesforce's clock.
        overlap: It reads so much before its bookmark again; rows that are later are found on the next UTC day.
    """

    lag: timedelta = timedelta(seconds=60)
    overlap: timedelta = timedelta(seconds=900)


@dataclass
class Difference:
    """What differs between the truth log and the tables.

    Attributes:
        lost: Events that were decided and are not there.
        doubled: Events that are there and were not decided, or not so often, or whose id has had two contents.
        wrong: The first of each stream, as sentences.
    """

    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def note(self, stream: str, word: str, events: Counter[Event]) -> int:
        """Say what differs in a stream; returns how much."""
        if events:
            example = " | ".join("null" if part is None else str(part) for part in next(iter(events)))
            self.wrong.append(f"{stream}: {events.total()} events {word}, for example: {example}")
        return events.total()


def compare(
    org: Path,
    clock: datetime,
    streams: Iterable[str],
    tables: Mapping[str, Mapping[str, Json]],
    changed: Mapping[str, Iterable[str]],
) -> Difference:
    """Compare all that was decided with what arrived.

    Args:
        org: The org's folder, with `truth.jsonl` and `meta.json`.
        clock: What the org's clock shows.
        streams: Those that were read.
        tables: Records by stream and event id, without those that were taken back.
        changed: Event ids by stream that came with two contents.
    """
    expected = expected_events(read_truth(org / "truth.jsonl"), tracked_fields(org), clock)
    difference = Difference()
    for stream in sorted(streams):
        wanted, table = expected.get(stream, Expected()), arrived(tables.get(stream, {}).values())
        difference.lost += difference.note(stream, "missing", wanted.required - table.events)
        more = table.events - wanted.required - wanted.allowed
        difference.doubled += difference.note(stream, "not decided, or not so often", more)
        ids = Counter[Event]({(event_id,): 1 for event_id in changed.get(stream, ())})
        difference.doubled += difference.note(stream, "with two contents", ids)
    return difference


def missing(
    org: Path,
    clock: tuple[datetime, datetime],
    streams: Iterable[str],
    tables: Mapping[str, Mapping[str, Json]],
    late: Sequence[Late] = (),
    promise: Promise | None = None,
) -> Difference:
    """What a run that said success should have brought, or one before it, and is not there.

    Args:
        org: The org's folder.
        clock: What the org's clock showed when the run began and when it ended.
        streams: Those that it had to read.
        tables: Records by stream and event id, without those that were taken back.
        late: Rows that were seen late; those that nobody could see yet, or not in time, are not missing.
        promise: How far it reads.
    """
    promise = promise or Promise()
    began, ended = clock
    limit = _text(began - promise.lag - timedelta(seconds=1))  # the clock of its first answer, in whole seconds
    lines, tracked = list(read_truth(org / "truth.jsonl")), tracked_fields(org)
    due = expected_events((line for line in lines if second(line["at"]) < limit), tracked, ended)
    at_last = expected_events(lines, tracked, ended)
    unseen = [rows for rows in late if not _is_due(rows, began, promise)]
    difference = Difference()
    for stream in sorted(streams):
        wanted = due.get(stream, Expected()).required
        if stream in MUTABLE:  # a row that has changed since is read with its last version
            wanted = wanted & at_last.get(stream, Expected()).required
        wanted = _without(wanted, [rows for rows in unseen if _stream(rows.sobject) == stream], stream)
        found = arrived(tables.get(stream, {}).values()).events
        difference.lost += difference.note(stream, "missing", wanted - found)
    return difference


def arrived(records: Iterable[Json]) -> Arrived:
    """Records in the form of the expected events."""
    table = Arrived()
    for record in records:
        table.events[arrived_event({name.upper(): value for name, value in record.items()})] += 1
        table.ids.add(record["event_id"])
    return table


def _is_due(rows: Late, began: datetime, promise: Promise) -> bool:
    """Whether a run that began then has to have read all of them."""
    seen = rows.end + rows.delay
    if rows.delay <= promise.overlap:
        return seen <= began
    return seen.date() < began.date()


def _without(wanted: Counter[Event], late: Sequence[Late], stream: str) -> Counter[Event]:
    """Leave out events of late rows; of saves that are told from the one before, all of the record."""
    if not late:
        return wanted
    spans = [(_text(rows.start), _text(rows.end)) for rows in late]
    void = {event for event in wanted if any(start <= str(event[1]) < end for start, end in spans)}
    if stream == "opportunity_history":
        records = {event[4] for event in void}
        void = {event for event in wanted if event[4] in records}
    return Counter({event: times for event, times in wanted.items() if event not in void})


def _stream(sobject: str) -> str:
    """The stream of a history object."""
    if sobject in _STREAMS:
        return _STREAMS[sobject]
    if sobject.endswith("__History"):
        return history_stream(f"{sobject.removesuffix('__History')}__c")
    if sobject.endswith("History") and sobject != "LoginHistory":
        return history_stream(sobject.removesuffix("History"))
    return {"SetupAuditTrail": "setup_audit_trail", "LoginHistory": "login_history"}[sobject]


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
