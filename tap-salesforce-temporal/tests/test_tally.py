"""Rows counted by day: whatever becomes visible late within the verified days is found, and nothing else is read."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_salesforce_temporal.bookmarks import DayCounts
from tap_salesforce_temporal.verification import DayRows, Tally, day_window
from tap_salesforce_temporal.windows import Window

DAYS = 3
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Row(msgspec.Struct, frozen=True):
    """A row: its number, when it was recorded, and from when on it is visible."""

    number: int
    at: datetime
    visible: datetime


class Reader:
    """A stream that is read in runs, as the tap reads it."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.seen: Counter[int] = Counter()
        self.complete_to: datetime | None = None
        self.counts = DayCounts()
        self.again = 0

    def run(self, now: datetime, overlap: timedelta, parts: int = 1) -> None:
        """One run: verification, then the increment in windows."""
        complete_to = self.complete_to
        start = datetime(1970, 1, 1, tzinfo=UTC) if complete_to is None else complete_to - overlap
        tally = Tally(self.counts, start, None, now.date(), DAYS, overlap)
        if complete_to is not None and (due := tally.due) is not None:
            found = Counter(f"{row.at:%F}" for row in self.visible(due, now))
            grown = tally.grown(found)
            tally.shrunk(found)
            for day in grown:
                window = day_window(day, due)
                rows = DayRows(window)
                rows.begin(window)
                rows.add(self.read(window, now))
                rows.complete()
                tally.read_again(rows.rows)
                self.again += 1
            tally.verified()
            self.counts = tally.unchanged()
        if tally.start >= now:
            return
        for window in Window(tally.start, now).parts(parts):
            tally.begin(window)
            tally.add(self.read(window, now))
            tally.begin(window)  # what came of a window that was not complete is void
            tally.add(self.read(window, now))
            tally.complete()
            if complete_to is None or window.end >= complete_to:
                self.complete_to = window.end
                self.counts = tally.counts(window.end)

    def visible(self, window: Window, now: datetime) -> list[Row]:
        return [row for row in self.rows if window.start <= row.at < window.end and row.visible <= now]

    def read(self, window: Window, now: datetime) -> list[str]:
        rows = self.visible(window, now)
        self.seen.update({row.number: 1 for row in rows})
        return [f"{row.at:%FT%T}.000+0000" for row in rows]


offsets = st.integers(-60, 6 * 24 * 3_600 // 60).map(lambda minutes: NOW + timedelta(minutes=minutes))
delays = st.sampled_from([0, 0, 0, 1, 20, 180, 2_000]).map(lambda minutes: timedelta(minutes=minutes))
runs = st.lists(st.tuples(offsets, st.sampled_from([15, 15, 15, 60, 600]), st.integers(1, 4)), min_size=1, max_size=12)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(st.tuples(offsets, delays), max_size=40), runs)
def test_rows_that_come_late_are_read_at_the_latest_by_the_next_days_run(
    rows: list[tuple[datetime, timedelta]], at: list[tuple[datetime, int, int]]
) -> None:
    reader = Reader([Row(number, when, when + late) for number, (when, late) in enumerate(rows)])
    end = NOW + timedelta(days=6)
    daily = [(NOW + timedelta(days=day, hours=1), 15, 1) for day in range(10)]
    for now, overlap, parts in sorted([*at, *daily]):
        reader.run(now, timedelta(minutes=overlap), parts)
    assert reader.complete_to is not None
    assert reader.complete_to > end
    assert {row.number for row in reader.rows if not reader.seen[row.number]} == set()


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(offsets, max_size=40), runs)
def test_nothing_is_read_again_where_nothing_is_late(rows: list[datetime], at: list[tuple[datetime, int, int]]) -> None:
    reader = Reader([Row(number, when, when) for number, when in enumerate(rows)])
    for now, overlap, parts in sorted(at):
        reader.run(now, timedelta(minutes=overlap), parts)
    assert reader.again == 0
    since, complete_to = reader.counts.since, reader.complete_to
    assert since is not None
    assert complete_to is not None
    counted = Counter(f"{row:%F}" for row in rows if since <= row < complete_to)
    assert {day: number for day, number in reader.counts.rows.items() if number} == counted
    assert set(reader.counts.rows) <= {f"{NOW + timedelta(days=day):%F}" for day in range(-DAYS, 8)}


def test_days_of_which_rows_were_deleted_are_counted_anew() -> None:
    reader = Reader([Row(number, NOW - number * HOUR, NOW) for number in range(1, 6)])
    reader.run(NOW, HOUR)
    del reader.rows[2:]
    reader.run(NOW + timedelta(days=1), HOUR)
    reader.rows.append(Row(9, NOW - 3 * HOUR, NOW + timedelta(days=1, hours=1)))
    reader.run(NOW + timedelta(days=2), HOUR)
    assert reader.seen[9] == 1
    assert reader.again == 1


def test_a_tally_of_a_bookmark_without_counts_begins_where_the_run_begins() -> None:
    tally = Tally(DayCounts(), NOW - HOUR, None, NOW.date(), DAYS, HOUR)
    assert tally.due is None
    tally.begin(Window(NOW - HOUR, NOW))
    tally.add([f"{NOW - HOUR:%FT%T}.000Z", f"{NOW - HOUR / 2:%FT%T}.000+0000"])
    tally.complete()
    assert tally.counts(NOW) == DayCounts(NOW - HOUR, {"2026-03-02": 2}, NOW - HOUR, {"2026-03-02": 2}, "2026-03-02")


def test_what_is_before_the_start_date_is_not_compared() -> None:
    counts = DayCounts(NOW - timedelta(days=3), {"2026-03-01": 5}, NOW - HOUR, {}, "2026-03-01")
    start_date = NOW - timedelta(hours=20)
    tally = Tally(counts, NOW - HOUR, start_date, NOW.date(), DAYS, HOUR)
    assert tally.due == Window(NOW.replace(hour=0), NOW - HOUR)


def test_rows_of_the_overlap_are_counted_once() -> None:
    reader = Reader([Row(number, NOW - HOUR / 2 + number * HOUR / 60, NOW) for number in range(50)])
    for minutes in (0, 5, 10, 40):
        reader.run(NOW + timedelta(minutes=minutes), HOUR)
        assert reader.counts.since is not None
        assert sum(reader.counts.rows.values()) == len(reader.seen)
