"""How long records stay at the values of a field."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import groupby
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microdecisions.event import MicroDecisionEvent

__all__ = ["StageDuration", "StageVisit", "stage_durations", "stage_visits"]

_DAY: Final = timedelta(days=1)


class StageVisit(msgspec.Struct, frozen=True):
    """The time that one record spent at one value of a field.

    Attributes:
        record_id: 18-character id.
        stage: The value; None when empty.
        entered: When it was set, canonical text.
        left: When it was changed again; None while it lasts.
        days: Length in days; None while it lasts.
    """

    record_id: str
    stage: str | None
    entered: str
    left: str | None
    days: float | None


class StageDuration(msgspec.Struct, frozen=True):
    """How long records stay at one value: completed visits only; durations in days.

    Attributes:
        stage: The value.
        visits: Completed visits.
        records: Records with such a visit.
        open: Visits that last.
        total_days: Of all completed visits.
        mean_days: None without a completed visit, like the others below.
        median_days: Of completed visits.
        longest_days: Of completed visits.
    """

    stage: str | None
    visits: int
    records: int
    open: int
    total_days: float
    mean_days: float | None
    median_days: float | None
    longest_days: float | None


def stage_visits(
    events: Iterable[MicroDecisionEvent], *, record_type: str = "Opportunity", field: str = "StageName"
) -> list[StageVisit]:
    """List each record's way through the values of a field, records in order of id and visits in order of time.

    A value that was set before the first event is no visit: when it was entered is not known. Changes of the same
    second follow each other by their values (the old one is the new one before it), then by event id.

    Args:
        events: Those of one stream that witnesses the field; others are passed over.
        record_type: API name of the object.
        field: API name of the field.
    """
    by_record: dict[str, dict[str, MicroDecisionEvent]] = defaultdict(dict)
    for event in events:
        mine = event.record_type == record_type and event.field_name == field and event.record_id is not None
        # A change that was found to be none is written with equal values and as not primary.
        if mine and event.is_primary and event.event_type in {"stage_change", "field_change"}:
            by_record[event.record_id or ""][event.event_id] = event
    visits = []
    for record_id, found in sorted(by_record.items()):
        changes = _in_order(list(found.values()))
        for change, following in zip(changes, [*changes[1:], None], strict=True):
            left = None if following is None else following.timestamp_occurred
            days = None if left is None else _days(change.timestamp_occurred, left)
            visits.append(StageVisit(record_id, change.new_value, change.timestamp_occurred, left, days))
    return visits


def stage_durations(visits: Iterable[StageVisit]) -> list[StageDuration]:
    """Sum up visits by stage, the stage with the most days first."""
    days: dict[str | None, list[float]] = defaultdict(list)
    records: dict[str | None, set[str]] = defaultdict(set)
    lasting: Counter[str | None] = Counter()
    for visit in visits:
        spent = days[visit.stage]
        if visit.days is None:
            lasting[visit.stage] += 1
        else:
            spent.append(visit.days)
            records[visit.stage].add(visit.record_id)
    found = [
        StageDuration(
            stage=stage,
            visits=len(spent),
            records=len(records[stage]),
            open=lasting[stage],
            total_days=sum(sorted(spent)),  # sorted: the sum of floats depends on their order
            mean_days=sum(sorted(spent)) / len(spent) if spent else None,
            median_days=median(spent) if spent else None,
            longest_days=max(spent, default=None),
        )
        for stage, spent in days.items()
    ]
    return sorted(found, key=lambda one: (-one.total_days, one.stage or ""))


def _in_order(changes: list[MicroDecisionEvent]) -> list[MicroDecisionEvent]:
    changes.sort(key=lambda event: (event.timestamp_occurred, event.event_id))
    ordered: list[MicroDecisionEvent] = []
    for _, group in groupby(changes, key=lambda event: event.timestamp_occurred):
        second = list(group)
        while second:
            current = ordered[-1].new_value if ordered else None
            ordered.append(next((event for event in second if event.old_value == current), second[0]))
            second.remove(ordered[-1])
    return ordered


def _days(start: str, end: str) -> float:
    return (timestamps.parse(end) - timestamps.parse(start)) / _DAY
