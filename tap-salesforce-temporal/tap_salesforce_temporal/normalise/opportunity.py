"""`OpportunityHistory`: snapshots of an opportunity, turned into one event per column that differs from the row before.

The object holds no difference and no order within a second, so the rows of one opportunity are put in order first: by
CreatedDate, then by the chain of previous values that each row carries, then by Id. An order that nothing proves is
flagged, also on the row after it, whose old values rest on it. The first row of an opportunity gives its StageName
from null.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import field_event_id, to_18

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from microdecisions.actors import Actor
    from tap_salesforce_temporal.normalise import Extraction

__all__ = ["COLUMNS", "OpportunityRow", "Snapshot", "by_opportunity", "in_order", "opportunity_changes"]

COLUMNS: Final = {
    "StageName": "Picklist",
    "Amount": "Currency",
    "CloseDate": "DateOnly",
    "Probability": "Percent",
    "ForecastCategory": "Picklist",
}
"""Snapshot columns whose changes are decisions, with their data types. ExpectedRevenue is only their product."""

_MOST_TO_CHAIN: Final = 8  # rows of one opportunity in one second; beyond it their Ids decide


class OpportunityRow(msgspec.Struct, gc=False):
    """One row of `OpportunityHistory`."""

    id: str = msgspec.field(name="Id")
    opportunity_id: str = msgspec.field(name="OpportunityId")
    created_date: str = msgspec.field(name="CreatedDate")
    stage_name: Any = msgspec.field(name="StageName", default=None)
    amount: Any = msgspec.field(name="Amount", default=None)
    close_date: Any = msgspec.field(name="CloseDate", default=None)
    probability: Any = msgspec.field(name="Probability", default=None)
    forecast_category: Any = msgspec.field(name="ForecastCategory", default=None)
    prev_amount: Any = msgspec.field(name="PrevAmount", default=None)
    prev_close_date: Any = msgspec.field(name="PrevCloseDate", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)

    def values(self) -> tuple[str | None, ...]:
        """Canonical values in the order of `COLUMNS`."""
        raw = (self.stage_name, self.amount, self.close_date, self.probability, self.forecast_category)
        return tuple(values.canonical(value, kind) for value, kind in zip(raw, COLUMNS.values(), strict=True))


class Snapshot(msgspec.Struct, frozen=True):
    """The state of an opportunity after its last row.

    Attributes:
        values: Canonical values in the order of `COLUMNS`.
        stage_since: When its stage was entered, canonical text.
        guessed: Whether the last row's place within its second is a guess.
    """

    values: tuple[str | None, ...]
    stage_since: str
    guessed: bool = False


def by_opportunity(rows: Iterable[OpportunityRow]) -> Iterator[tuple[str, list[OpportunityRow]]]:
    """Group rows by opportunity, the groups in order of id."""
    same = attrgetter("opportunity_id")
    for opportunity_id, group in groupby(sorted(rows, key=same), key=same):
        yield opportunity_id, list(group)


def in_order(
    rows: Iterable[OpportunityRow], before: Snapshot | None
) -> Iterator[tuple[OpportunityRow, tuple[str | None, ...], str, bool]]:
    """Put the rows of one opportunity in order.

    Yields:
        The row, its canonical values, its time, and whether its place within its second is a guess.
    """
    once = {row.id: row for row in rows}
    keyed = sorted(
        ((timestamps.canonical(row.created_date), row.id, row, row.values()) for row in once.values()),
        key=lambda item: item[:2],
    )
    last = None if before is None else before.values
    for at, group in groupby(keyed, key=lambda item: item[0]):
        second = [(row, row_values) for _, _, row, row_values in group]
        ordered, guessed = _chain(second, last) if len(second) > 1 else (second, False)
        for row, row_values in ordered:
            yield row, row_values, at, guessed
        last = ordered[-1][1]


_Valued = tuple[OpportunityRow, tuple[str | None, ...]]


def _chain(rows: list[_Valued], last: tuple[str | None, ...] | None) -> tuple[list[_Valued], bool]:
    """Order rows of one second by their previous Amount and CloseDate; True when more than one order fits, or none."""
    if len(rows) > _MOST_TO_CHAIN:
        return rows, True
    fitting: list[list[_Valued]] = []

    def extend(done: list[_Valued], rest: list[_Valued], current: tuple[str | None, ...] | None) -> None:
        if len(fitting) > 1:
            return
        if not rest:
            fitting.append(done)
        tried = set()  # rows that say the same are one candidate: their exchange is no other story
        for place, candidate in enumerate(rest):
            says = (candidate[1], candidate[0].created_by_id)
            if says not in tried and _follows(candidate[0], current):
                tried.add(says)
                extend([*done, candidate], rest[:place] + rest[place + 1 :], candidate[1])

    extend([], rows, last)
    # Candidates are tried in order of Id, so the first order that fits is also the one that Ids prefer.
    return (fitting[0], len(fitting) > 1) if fitting else (rows, True)


def _follows(row: OpportunityRow, current: tuple[str | None, ...] | None) -> bool:
    previous = values.canonical(row.prev_amount, "Currency"), values.canonical(row.prev_close_date, "DateOnly")
    if current is None:
        return previous == (None, None)
    return previous == current[1:3]


def opportunity_changes(
    rows: Sequence[OpportunityRow],
    before: Snapshot | None,
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
    *,
    primary: bool = True,
    already: Container[str] = frozenset(),
) -> tuple[list[MicroDecisionEvent], Snapshot]:
    """Turn the rows of one opportunity into events.

    Args:
        rows: All rows of the opportunity in one window, in any order; at least one.
        before: Its state before the window; None when these are its first rows.
        actors: By user id; holds the CreatedById of each row.
        extraction: What the events share.
        primary: False when `OpportunityFieldHistory` is the first witness (`opportunity_changes_from`).
        already: Ids of events written before. One that a late row has shown to be no change is written again with
            equal values, flagged `superseded`, so that what was written is corrected.

    Returns:
        The events in order of time, and the state after the last row.
    """
    events: list[MicroDecisionEvent] = []
    for row, row_values, at, guessed in in_order(rows, before):
        actor = actors[row.created_by_id]
        for place, (field, data_type) in enumerate(COLUMNS.items()):
            old = None if before is None else before.values[place]
            new = row_values[place]
            event_id = field_event_id(extraction.org_id, "OpportunityHistory", to_18(row.id), field)
            changed = old != new and (before is not None or field == "StageName")
            if not changed and event_id not in already:
                continue
            context = EventContext(
                source_object="OpportunityHistory",
                source_record_id=to_18(row.id),
                source=extraction.source,
                data_type=data_type,
            )
            if not changed:
                old, context.metadata = new, {"superseded": "true"}
            elif guessed or (before is not None and before.guessed):
                context.metadata = {"order_within_second": "ambiguous"}
            if changed and field == "StageName" and before is not None:
                context.previous_stage = old
                context.stage_duration_days = _days(before.stage_since, at)
            events.append(
                MicroDecisionEvent(
                    event_id=event_id,
                    event_type="stage_change" if field == "StageName" else "field_change",
                    timestamp_occurred=at,
                    timestamp_recorded=at,
                    actor_id=actor[0],
                    actor_type=actor[1],
                    actor_name=actor[2],
                    record_type="Opportunity",
                    record_id=to_18(row.opportunity_id),
                    field_name=field,
                    old_value=old,
                    new_value=new,
                    is_primary=primary and changed,
                    context=context,
                    extracted_at=extraction.extracted_at,
                    extractor_version=extraction.extractor_version,
                )
            )
        entered = before is None or before.values[0] != row_values[0]
        before = Snapshot(row_values, at if entered or before is None else before.stage_since, guessed)
    if before is None:
        raise ValueError("an opportunity without rows has no changes")
    return events, before


def _days(start: str, end: str) -> float:
    seconds = (timestamps.parse(end) - timestamps.parse(start)) / timedelta(seconds=1)
    return round(seconds / 86_400, 6)
