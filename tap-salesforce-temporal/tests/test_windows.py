"""Windows tile what they are cut from; the planner always gets on and never passes its limit."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_salesforce_temporal.windows import Planner, Window

LAW = settings(deadline=None, derandomize=True)
SECOND = timedelta(seconds=1)
FIRST, LAST = datetime(1999, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
instants = st.integers(0, int((LAST - FIRST) / SECOND)).map(lambda seconds: FIRST + SECOND * seconds)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    start = draw(instants)
    return Window(start, start + SECOND * draw(st.integers(1, 100) | st.integers(1, 10**9)))


@LAW
@given(windows(), st.integers(1, 500))
def test_parts_tile_the_window_exactly(window: Window, count: int) -> None:
    parts = window.parts(count)
    assert parts[0].start == window.start
    assert parts[-1].end == window.end
    assert all(one.end == other.start for one, other in itertools.pairwise(parts))
    assert all(part.start < part.end and part.start.microsecond == 0 for part in parts)
    assert len(parts) == min(count, window.width // SECOND)
    widths = {part.width // SECOND for part in parts}
    assert max(widths) - min(widths) <= 1


@LAW
@given(windows(), st.integers(-3, 0))
def test_a_window_is_never_cut_into_nothing(window: Window, count: int) -> None:
    assert window.parts(count) == [window]


@LAW
@given(windows())
def test_a_window_can_be_cut_down_to_a_second(window: Window) -> None:
    cuts = 0
    while window.divisible:
        window = window.parts(2)[cuts % 2]
        cuts += 1
    assert window.width == SECOND
    assert window.parts(2) == [window]
    assert cuts <= 31


def test_conditions_are_half_open() -> None:
    window = Window(datetime(2024, 1, 15, tzinfo=UTC), datetime(2024, 1, 16, tzinfo=UTC))
    assert window.conditions("CreatedDate") == (
        "CreatedDate >= 2024-01-15T00:00:00.000Z",
        "CreatedDate < 2024-01-16T00:00:00.000Z",
    )
    with pytest.raises(ValueError, match="API name"):
        window.conditions("CreatedDate OR Id != null")


densities = st.lists(st.integers(0, 5) | st.integers(0, 10**7), min_size=1, max_size=30)
first_widths = st.integers(1, 36_500 * 86_400).map(lambda seconds: timedelta(seconds=seconds))


@LAW
@given(instants, instants, densities, first_widths, st.integers(1, 10**6))
def test_the_planner_gets_on_whatever_it_saw_and_never_passes_the_limit(
    one: datetime, other: datetime, rows: list[int], first_width: timedelta, target: int
) -> None:
    start, limit = sorted((one, other))
    planner = Planner(target_rows=target, most_rows=2 * target, first_width=first_width)
    for seen in rows:
        if start >= limit:
            break
        window = planner.next(start, limit)
        assert window.start == start
        assert start + SECOND <= window.end <= limit
        assert window.end.microsecond == 0
        planner.saw(window, seen)
        start = window.end


@LAW
@given(windows(), st.floats(0, 500), st.integers(1, 10**5))
def test_a_cut_gets_on_unless_the_window_is_small_enough_or_a_second(window: Window, times: float, target: int) -> None:
    rows = int(times * target)
    parts = Planner(target_rows=target, most_rows=2 * target).cut(window, rows)
    assert (parts[0].start, parts[-1].end) == (window.start, window.end)
    assert (len(parts) > 1) == (rows > 2 * target and window.divisible)
    assert all(part.width < window.width for part in parts) or parts == [window]


def test_the_width_follows_the_density_just_seen() -> None:
    planner = Planner(target_rows=1_000, most_rows=2_000)
    start, limit = datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    first = planner.next(start, limit)
    planner.saw(first, 10_000)  # ten times too many
    second = planner.next(first.end, limit)
    assert second.width / first.width == pytest.approx(1 / 10, rel=0.01)
    planner.saw(second, 500)  # half of what is wanted
    third = planner.next(second.end, limit)
    assert third.width / second.width == pytest.approx(2, rel=0.01)
    planner.saw(third, 0)  # a desert is crossed in ever larger steps
    fourth = planner.next(third.end, limit)
    assert fourth.width / third.width == pytest.approx(16, rel=0.01)


def test_a_century_without_rows_takes_few_windows() -> None:
    planner = Planner(target_rows=50_000, most_rows=100_000)
    start, count = FIRST, 0
    while start < LAST:
        window = planner.next(start, LAST)
        planner.saw(window, 0)
        start, count = window.end, count + 1
    assert count <= 6


def test_the_end_of_the_calendar_is_no_obstacle() -> None:
    limit = datetime(9999, 12, 31, tzinfo=UTC)
    planner = Planner(target_rows=1, most_rows=2, first_width=timedelta(days=36_500))
    assert planner.next(limit - SECOND, limit) == Window(limit - SECOND, limit)
