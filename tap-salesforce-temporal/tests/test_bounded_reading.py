"""What is kept in memory while much is read stays small: events near the bookmark, ids of activities."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from microdecisions import timestamps
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_temporal.bookmarks import MOST_EMITTED, Emitted
from tap_salesforce_temporal.reading.by_activity import ChangedActivities
from tap_salesforce_temporal.reading.rest import RestReader
from tap_salesforce_temporal.sources import Source
from tap_salesforce_temporal.windows import Window

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SINCE = timestamps.to_text(BEGIN)


@dataclass(frozen=True, slots=True)
class Line:
    """What is remembered of a line of a log file: they are all of one instant."""

    event_id: str
    timestamp_recorded: str = SINCE

    def digest(self) -> str:
        return f"{hash(self.event_id) & 0xFFFFFFFFFFFFFFFF:016x}"


def pages(count: int) -> Iterator[list[MicroDecisionEvent]]:
    for place in range(0, count, 2_000):
        yield [cast("MicroDecisionEvent", Line(f"{n:018d}")) for n in range(place, place + 2_000)]


def test_of_many_events_of_one_instant_no_more_are_held_than_are_kept_some_times_over() -> None:
    emitted = Emitted("", {})
    tracemalloc.start()
    try:
        for page in pages(120_000):
            emitted.remember(page, SINCE)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 14_000_000  # all of them take 30 MB
    assert held < 10_000_000
    digests = [event.digest() for page in pages(120_000) for event in page]
    assert sorted(emitted.near(SINCE).values()) == sorted(digests)[-MOST_EMITTED:]


class Ids:
    """Gives ids without end, and counts them."""

    given = 0

    def rows(self, statement: str, row_type: Any) -> Iterator[Any]:
        assert statement.startswith("SELECT Id FROM")
        while True:
            self.given += 1
            yield row_type(id=f"00T{self.given:015d}")


def test_activities_too_many_to_be_asked_for_one_by_one_are_not_all_listed_first() -> None:
    reader = Ids()
    source = Source(
        stream="activity_field_history",
        sobject="ActivityFieldHistory",
        kind="activity_history",
        cursor="ChangedDate",
        fields=("Id",),
        parents=("Task", "Event"),
        parent_field="ActivityId",
        by_window=False,
    )
    window = Window(BEGIN, BEGIN + timedelta(days=1))
    asked = ChangedActivities(source, cast("RestReader", reader)).statements(window)
    assert asked == ("SELECT Id FROM ActivityFieldHistory",)
    assert reader.given < 60_000
