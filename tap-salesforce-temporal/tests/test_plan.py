"""Whatever the reader does (delivers less, loses its cursor, times out), each row comes exactly once."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import soql
from microdecisions.errors import IncompleteReadError, LocatorExpiredError, QueryTimeoutError, SalesforceError
from microdecisions.pages import StopFlag
from tap_salesforce_temporal.reading.choice import Choice
from tap_salesforce_temporal.reading.plan import Begin, Complete, Item, Rows, WindowReader
from tap_salesforce_temporal.reading.rest import QueryPage, RestReader
from tap_salesforce_temporal.reading.side_by_side import in_order
from tap_salesforce_temporal.sources import Source
from tap_salesforce_temporal.windows import Planner, Window

LAW = settings(deadline=None, derandomize=True)
LOG = logging.getLogger("test")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPAN = 2_000  # seconds that the tests read
PAGE = 7


class Row(msgspec.Struct, frozen=True):
    id: int
    second: int


def _source(*, mutable: bool = False) -> Source:
    return Source(
        stream="account_history",
        sobject="AccountHistory",
        kind="field_history",
        cursor="CreatedDate",
        fields=("Id",),
        mutable=mutable,
    )


def _in(window_conditions: tuple[str, ...], row: Row) -> bool:
    at = soql.datetime_literal(BEGIN + SECOND * row.second)
    start, end = (condition.split()[-1] for condition in window_conditions)
    return start <= at < end


class FakeReader:
    """An org in memory that misbehaves as often as it is told.

    Args:
        rows: The org's rows.
        faults: What the next queries do: nothing, lose the cursor, time out, deliver a row too few, or see one appear.
        most_seconds: A query over a longer window times out.
    """

    def __init__(self, rows: list[Row], faults: Iterator[str] = iter(()), most_seconds: int = SPAN) -> None:  # noqa: B008
        self.rows = list(rows)
        self.counts = 0
        self.queries = 0
        self._faults = faults
        self._most_seconds = most_seconds
        self.undeliverable: set[int] = set()

    source: Final = "rest"

    def pages(self, statement: str, row_type: type[Row]) -> Iterator[QueryPage[Row]]:
        assert row_type is Row
        self.queries += 1
        assert self.queries < 10_000, "the reader is asked without end"
        conditions = tuple(statement.split(" WHERE ")[1].split(" AND "))
        start, end = (datetime.fromisoformat(condition.split()[-1]) for condition in conditions)
        fault = next(self._faults, "")
        if end - start > SECOND * self._most_seconds:
            raise QueryTimeoutError("too slow", status=400, code="QUERY_TIMEOUT")
        found = [row for row in self.rows if _in(conditions, row)]
        total = len(found)
        delivered = [row for row in found if row.id not in self.undeliverable]
        if fault == "few":
            delivered = delivered[:-1]
        if fault == "grow":
            self.rows.append(Row(len(self.rows), int((start - BEGIN) / SECOND)))
        pages = [delivered[place : place + PAGE] for place in range(0, len(delivered), PAGE)] or [[]]
        for place, page in enumerate(pages):
            if fault == "locator" and place:
                raise LocatorExpiredError("gone", status=400, code="INVALID_QUERY_LOCATOR")
            if fault == "timeout" and end - start > SECOND and place == len(pages) - 1:
                raise QueryTimeoutError("too slow", status=400, code="QUERY_TIMEOUT")
            more = place + 1 < len(pages)
            yield QueryPage(total=total, rows=page, next_url="/more" if more else None)

    def count(self, sobject: str, conditions: tuple[str, ...]) -> int:
        assert sobject == "AccountHistory"
        self.counts += 1
        return sum(_in(conditions, row) for row in self.rows)


def _read(
    reader: FakeReader, *, seconds: int = SPAN, mutable: bool = False, target: int = 20, side_by_side: int = 1
) -> Iterator[Item]:
    planner = Planner(target_rows=target, most_rows=2 * target, first_width=timedelta(seconds=60))
    choice = Choice("rest", cast("RestReader", reader), None, planner, "account_history", LOG)
    planner.aim(target_rows=target, most_rows=2 * target)
    windows = WindowReader(_source(mutable=mutable), Row, choice, planner, LOG)
    return in_order(windows.lanes(BEGIN, BEGIN + SECOND * seconds), StopFlag(), side_by_side=lambda: side_by_side)


def _delivered(items: Iterator[Item]) -> tuple[list[Row], list[Window]]:
    """What a consumer keeps that forgets, at each Begin, what came since the last Complete."""
    kept: list[Row] = []
    pending: list[Row] = []
    windows = []
    begun: Window | None = None
    for item in items:
        if isinstance(item, Begin):
            begun, pending = item.window, []
        elif isinstance(item, Rows):
            assert begun is not None
            pending += item.rows
        else:
            assert item.window == begun
            assert item.rows == len(pending)
            assert all(begun.start <= BEGIN + SECOND * row.second < begun.end for row in pending)
            kept += pending
            windows.append(item.window)
            begun, pending = None, []
    assert not pending
    return kept, windows


def _check_tiling(windows: list[Window], seconds: int = SPAN) -> None:
    assert windows[0].start == BEGIN
    assert windows[-1].end == BEGIN + SECOND * seconds
    assert all(one.end == other.start for one, other in itertools.pairwise(windows))


rows_in_time = st.lists(st.integers(0, SPAN - 1) | st.integers(500, 503), max_size=120).map(
    lambda seconds: [Row(number, second) for number, second in enumerate(seconds)]
)


@LAW
@given(rows_in_time, st.integers(1, 60), st.integers(1, 6))
def test_every_row_comes_once_in_windows_that_tile_the_span(rows: list[Row], target: int, side_by_side: int) -> None:
    kept, windows = _delivered(_read(FakeReader(rows), target=target, side_by_side=side_by_side))
    assert sorted(row.id for row in kept) == [row.id for row in rows]
    _check_tiling(windows)


@LAW
@given(
    rows_in_time,
    st.lists(st.sampled_from(["", "", "locator", "timeout", "few"]), max_size=40),
    st.integers(1, SPAN),
)
def test_every_row_comes_once_whatever_the_reader_does(rows: list[Row], faults: list[str], most_seconds: int) -> None:
    # Not the same fault three times in a row: that is another case.
    faults = [fault for place, fault in enumerate(faults) if fault != faults[place - 1] or place % 2]
    healed = itertools.chain.from_iterable((fault, "", "") for fault in faults)
    reader = FakeReader(rows, healed, most_seconds)
    kept, windows = _delivered(_read(reader))
    assert sorted(row.id for row in kept) == [row.id for row in rows]
    _check_tiling(windows)


@LAW
@given(rows_in_time, st.integers(0, 10))
def test_rows_that_appear_while_reading_are_read_at_most_once(rows: list[Row], calm: int) -> None:
    reader = FakeReader(rows, iter([""] * calm + ["grow"]))
    kept, windows = _delivered(_read(reader))
    read = [row.id for row in kept]
    assert len(read) == len(set(read))
    assert {row.id for row in rows} <= set(read) <= {row.id for row in reader.rows}
    _check_tiling(windows)


def test_more_rows_than_counted_are_read_again() -> None:
    class Grown(FakeReader):
        def pages(self, statement: str, row_type: type[Row]) -> Iterator[QueryPage[Row]]:
            for page in super().pages(statement, row_type):
                total = page.total - 1 if self.queries == 1 else page.total
                yield QueryPage(total=total, rows=page.rows, next_url=page.next_url)

    reader = Grown([Row(0, 1), Row(1, 50)])
    kept, windows = _delivered(_read(reader, seconds=60))
    assert [row.id for row in kept] == [0, 1]
    assert len(windows) == 2  # the halves
    _check_tiling(windows, 60)


def test_a_row_that_is_never_delivered_is_an_error_after_three_tries() -> None:
    reader = FakeReader([Row(number, 30) for number in range(3)])
    reader.undeliverable = {1}
    items: list[Any] = []
    with pytest.raises(IncompleteReadError, match=r"`account_history`.* counts 3 rows .*delivered 2, 3 times"):
        items.extend(_read(reader, seconds=60))
    completed = [item for item in items if isinstance(item, Complete)]
    assert all(item.window.end <= BEGIN + 30 * SECOND for item in completed)
    assert reader.queries <= 5


def test_a_row_that_is_lost_once_is_found_by_the_halves() -> None:
    reader = FakeReader([Row(number, number) for number in range(10)], iter(["few"]))
    kept, windows = _delivered(_read(reader, seconds=60))
    assert sorted(row.id for row in kept) == list(range(10))
    assert [window.width // SECOND for window in windows] == [30, 30]


def test_fewer_rows_are_taken_where_a_new_count_agrees() -> None:
    class Shrunk(FakeReader):
        def count(self, sobject: str, conditions: tuple[str, ...]) -> int:
            return super().count(sobject, conditions) - 1

    reader = Shrunk([Row(number, 30) for number in range(3)])
    reader.undeliverable = {1}
    kept, _ = _delivered(_read(reader, seconds=60))
    assert [row.id for row in kept] == [0, 2]
    assert reader.counts == 1


class Leaving(FakeReader):
    """Rows leave the window while it is read: so many after each query."""

    leave = 1

    def pages(self, statement: str, row_type: type[Row]) -> Iterator[QueryPage[Row]]:
        for page in super().pages(statement, row_type):
            yield QueryPage(total=page.total, rows=page.rows[self.leave :], next_url=page.next_url)
        del self.rows[: self.leave]


def test_rows_of_a_mutable_object_that_leave_while_it_is_read_are_not_missed() -> None:
    reader = Leaving([Row(number, 30) for number in range(6)])
    kept, _ = _delivered(_read(reader, seconds=60, mutable=True))
    assert [row.id for row in kept] == [1, 2, 3, 4, 5]
    assert reader.counts == 1


def test_a_mutable_object_that_never_rests_is_taken_as_the_last_try_finds_it() -> None:
    class Restless(Leaving):
        def count(self, sobject: str, conditions: tuple[str, ...]) -> int:
            return super().count(sobject, conditions) - 1  # another one left between the page and the count

    kept, _ = _delivered(_read(Restless([Row(number, 30) for number in range(6)]), seconds=60, mutable=True))
    assert [row.id for row in kept] == [4, 5]


def test_a_mutable_object_of_which_rows_are_not_delivered_is_an_error() -> None:
    reader = FakeReader([Row(number, 30) for number in range(3)])
    reader.undeliverable = {1}
    with pytest.raises(IncompleteReadError, match=r"counts 3 rows .* delivered 2"):
        list(_read(reader, seconds=60, mutable=True))


def test_a_cursor_that_is_lost_three_times_is_an_error() -> None:
    reader = FakeReader([Row(number, 30) for number in range(20)], iter(["locator"] * 3))
    with pytest.raises(LocatorExpiredError):
        list(_read(reader, seconds=60))
    assert reader.queries == 3


def test_a_second_that_always_times_out_is_an_error_that_says_what_to_do() -> None:
    reader = FakeReader([Row(0, 30)], most_seconds=0)
    with pytest.raises(QueryTimeoutError, match="custom index on CreatedDate") as caught:
        list(_read(reader, seconds=60))
    assert (caught.value.status, caught.value.code) == (400, "QUERY_TIMEOUT")


def test_windows_too_slow_for_salesforce_are_halved_until_they_are_not() -> None:
    rows = [Row(number, number) for number in range(60)]
    kept, windows = _delivered(_read(FakeReader(rows, most_seconds=1), seconds=60))
    assert [row.id for row in kept] == list(range(60))
    assert {window.width for window in windows} == {SECOND}


def test_a_crowded_window_is_cut_before_its_rows_are_taken() -> None:
    rows = [Row(number, number % 60) for number in range(600)]
    items = list(_read(FakeReader(rows), seconds=60, target=20))
    for _, group in itertools.groupby(items, key=lambda item: isinstance(item, Rows)):
        assert sum(len(item.rows) for item in group if isinstance(item, Rows)) <= 40
    kept, _ = _delivered(iter(items))
    assert len(kept) == 600


def test_a_second_with_more_rows_than_wanted_is_read_as_it_is() -> None:
    rows = [Row(number, 30) for number in range(500)]
    kept, windows = _delivered(_read(FakeReader(rows), seconds=60, target=20))
    assert len(kept) == 500
    _check_tiling(windows, 60)


def test_other_errors_pass_and_nothing_is_said_to_be_complete() -> None:
    class Broken(FakeReader):
        def pages(self, statement: str, row_type: type[Row]) -> Iterator[QueryPage[Row]]:
            yield from itertools.islice(super().pages(statement, row_type), 1)
            raise SalesforceError("no", status=400, code="INVALID_FIELD")

    items: list[Any] = []
    with pytest.raises(SalesforceError, match="no"):
        items.extend(_read(Broken([Row(n, 30) for n in range(20)]), seconds=60))
    assert not [item for item in items if isinstance(item, Complete)]


def test_an_empty_span_reads_nothing() -> None:
    reader = FakeReader([Row(0, 0)])
    assert list(_read(reader, seconds=0)) == []
    assert reader.queries == 0
