"""The daily verification: rows that Salesforce counts of the last days, compared with the rows that were read.

Rows become visible late, and the overlap catches those that come minutes late. For later ones the rows read of each day
are counted (`Tally`); once a day one grouped count asks Salesforce how many there are, and a day that has more is read
again. Only objects whose rows neither change nor vanish can be compared so.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import soql, timestamps
from microdecisions.errors import IncompleteReadError, QueryTimeoutError, SalesforceError
from tap_salesforce_temporal.bookmarks import DayCounts
from tap_salesforce_temporal.reading.together import MOST_QUERIES
from tap_salesforce_temporal.windows import Window

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_salesforce_temporal.reading.rest import RestReader
    from tap_salesforce_temporal.sources import Source

__all__ = ["CountedRows", "DayRows", "Tally", "count_by_day", "count_statement", "day_window"]

_DAY: Final = timedelta(days=1)
_SECOND: Final = 19  # characters of a date-time down to the second


class _Day(msgspec.Struct):
    day: str = ""
    counted: int = 0


class Tally:
    """How many rows of each UTC day were read, before this run and by it.

    Windows come in order and without holes from `start` on; rows of a window count when it is complete.

    Args:
        counts: Of the stored bookmark.
        start: Where the run wants to read from.
        earliest: Before it no row is read, whatever the bookmark says (`start_date`); None without.
        today: Salesforce's day.
        days: How many days before today are counted (`verify_days`).
        overlap: How much the next run reads again.

    Attributes:
        start: Where the run has to read from: the beginning of the day when the stored counts are of another overlap.
    """

    def __init__(
        self,
        counts: DayCounts,
        start: datetime,
        earliest: datetime | None,
        today: date,
        days: int,
        overlap: timedelta,
    ) -> None:
        since = datetime(today.year, today.month, today.day, tzinfo=UTC) - _DAY * days
        since = max(since, start if counts.since is None else counts.since)
        if earliest is not None and earliest > since:
            since = _next_midnight(earliest)
        self._since, self._since_text = since, timestamps.to_text(since)[:_SECOND]
        self._today = today.isoformat()
        self._verified = self._today if counts.since is None else counts.verified
        self._overlap = overlap
        self.start = start
        rows = {day: number for day, number in counts.rows.items() if day >= self._since_text[:10]}
        if start <= since:  # all that is counted is read again
            self._before, self._behind = {}, rows
        elif start == counts.overlap_since:
            self._behind = dict(counts.overlap)
            self._before = {day: max(0, number - self._behind.get(day, 0)) for day, number in rows.items()}
        else:
            self.start = max(since, _midnight(start))
            first = _day_of(self.start)
            self._before = {day: number for day, number in rows.items() if day < first}
            self._behind = {day: number for day, number in rows.items() if day >= first}
        self._read: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._pending: Counter[str] = Counter()
        self._counting = False
        self._cut = ""

    @property
    def due(self) -> Window | None:
        """What to count today: rows read before and not read by this run; None when there is nothing to compare."""
        if self._verified >= self._today or self._since >= self.start:
            return None
        return Window(self._since, self.start)

    def grown(self, rows: Mapping[str, int]) -> list[str]:
        """The days of which there are more rows than were read before."""
        return sorted(day for day, number in rows.items() if number > self._before.get(day, 0))

    def missing(self, rows: Mapping[str, int]) -> int:
        """How many more rows there are than were read before."""
        return sum(rows[day] - self._before.get(day, 0) for day in self.grown(rows))

    def shrunk(self, rows: Mapping[str, int]) -> None:
        """Take that of some days there are fewer rows now: Salesforce deletes them with their parents."""
        self._before = {day: min(number, rows.get(day, 0)) for day, number in self._before.items()}

    def read_again(self, rows: Mapping[str, int]) -> None:
        """Take days that were read again."""
        self._before.update(rows)

    def verified(self) -> None:
        """Today's verification is done."""
        self._verified = self._today

    def unchanged(self) -> DayCounts:
        """What to keep beside a bookmark that has not moved."""
        rows = Counter(self._before) + Counter(self._behind)
        return DayCounts(self._since, dict(rows), self.start, self._behind, self._verified)

    # The rows of this run, window by window.

    def begin(self, window: Window) -> None:
        """Rows of this window follow; what came since the last complete one is void."""
        self._pending = Counter()
        self._counting = window.end > self._since
        self._cut = timestamps.to_text(timestamps.floor_second(window.end) - self._overlap)[:_SECOND]

    def add(self, cursors: Iterable[str]) -> None:
        """Count a page by its rows' cursors, as Salesforce writes them."""
        if not self._counting:
            return
        for cursor, rows in Counter(cursors).items():
            second = _second(cursor)
            if second >= self._cut:
                self._pending[second] += rows
            elif second >= self._since_text:
                self._pending[second[:10]] += rows

    def complete(self) -> None:
        """The window is complete."""
        self._seconds.update({key: rows for key, rows in self._pending.items() if len(key) == _SECOND})
        self._read.update({key: rows for key, rows in self._pending.items() if len(key) != _SECOND})
        for second in [second for second in self._seconds if second < self._cut]:
            rows = self._seconds.pop(second)
            if second >= self._since_text:
                self._read[second[:10]] += rows
        self._pending = Counter()

    def counts(self, complete_to: datetime) -> DayCounts:
        """What to keep beside a bookmark that moved to the end of the last complete window."""
        overlap: Counter[str] = Counter()
        since = max(self.start, self._since, timestamps.floor_second(complete_to) - self._overlap)
        for second, rows in self._seconds.items():
            if second >= self._since_text:
                overlap[second[:10]] += rows
        read = Counter(self._before) + self._read + overlap
        return DayCounts(self._since, dict(read), since, dict(overlap), self._verified)


class CountedRows:
    """Hands the cursors of rows to what counts them.

    Args:
        counts: What counts; None when nothing does.
        source: The object.
        row_type: The type of its rows.
    """

    def __init__(self, counts: Tally | DayRows | None, source: Source, row_type: type[msgspec.Struct]) -> None:
        names = [field.name for field in msgspec.structs.fields(row_type) if field.encode_name == source.cursor]
        self._counts = counts if names else None
        self._cursor = attrgetter(names[0] if names else "")

    def begin(self, window: Window) -> None:
        """Rows of this window follow; what came since the last complete one is void."""
        if self._counts is not None:
            self._counts.begin(window)

    def add(self, rows: Iterable[Any]) -> None:
        """Count a page."""
        if self._counts is not None:
            self._counts.add(map(self._cursor, rows))

    def complete(self) -> None:
        """The window is complete."""
        if self._counts is not None:
            self._counts.complete()


class DayRows:
    """Rows of days that are read again, by day.

    Args:
        window: What is read again.
    """

    def __init__(self, window: Window) -> None:
        self.rows = Counter({_day_of(day.start): 0 for day in _days(window)})
        self._pending: Counter[str] = Counter()

    def begin(self, window: Window) -> None:
        """Rows of a window follow; what came since the last complete one is void."""
        del window
        self._pending = Counter()

    def add(self, cursors: Iterable[str]) -> None:
        """Count a page."""
        for cursor, rows in Counter(cursors).items():
            self._pending[_second(cursor)[:10]] += rows

    def complete(self) -> None:
        """The window is complete."""
        self.rows.update(self._pending)
        self._pending = Counter()


def day_window(day: str, due: Window) -> Window:
    """The part of a UTC day that is verified."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return Window(max(begin, due.start), min(begin + _DAY, due.end))


def count_statement(source: Source, window: Window) -> str:
    """SOQL that counts the rows of each UTC day (SOQL Reference, Date Functions: DAY_ONLY)."""
    day = f"DAY_ONLY({soql.identifier(source.cursor)})"
    rows = f"FROM {soql.identifier(source.sobject)} WHERE {_where(source, window)}"
    return f"SELECT {day} day, COUNT(Id) counted {rows} GROUP BY {day}"


def count_by_day(
    reader: RestReader, source: Source, window: Window, log: logging.Logger, *, grouped: bool = True
) -> dict[str, int] | None:
    """Count the rows of each day: by one statement, or day by day where Salesforce refuses to group.

    Args:
        reader: Of the org.
        source: The object.
        window: The days; the first and the last may be parts.
        log: For an operator.
        grouped: False to count day by day, by the bounds of UTC days.

    Returns:
        Rows by UTC day; None when the object cannot be counted.

    Raises:
        MicroDecisionError: no stream can be read.
    """
    if grouped:
        try:
            return {row.day: row.counted for row in reader.rows(count_statement(source, window), _Day)}
        except (SalesforceError, IncompleteReadError) as error:
            if _is_of_all(error):
                raise
            log.debug("%s cannot be counted by groups: %s", source.sobject, error)
    try:
        return dict(_each_day(reader, source, list(_days(window))))
    except (SalesforceError, IncompleteReadError) as error:
        if _is_of_all(error):
            raise
        log.warning(
            "Stream `%s`: Salesforce does not count %s today, so rows that came late are not looked for: %s",
            source.stream,
            source.sobject,
            error,
        )
    return None


def _each_day(reader: RestReader, source: Source, days: Sequence[Window]) -> Iterator[tuple[str, int]]:
    statements = [
        f"SELECT COUNT() FROM {soql.identifier(source.sobject)} WHERE {_where(source, day)}"  # noqa: S608
        for day in days
    ]
    for place in range(0, len(days), MOST_QUERIES):
        reader.read_together(statements[place : place + MOST_QUERIES])
    for day, statement in zip(days, statements, strict=True):
        for page in reader.pages(statement, _Day):
            yield _day_of(day.start), page.total


def _days(window: Window) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        end = min(_midnight(start) + _DAY, window.end)
        yield Window(start, end)
        start = end


def _where(source: Source, window: Window) -> str:
    return " AND ".join(source.where(window))


def _is_of_all(error: SalesforceError | IncompleteReadError) -> bool:
    """Whether every other stream would meet it too."""
    if isinstance(error, IncompleteReadError | QueryTimeoutError):
        return False
    return error.status >= 500 or error.status in {401, 408, 420, 429}


def _midnight(instant: datetime) -> datetime:
    return instant.replace(hour=0, minute=0, second=0, microsecond=0)


def _next_midnight(instant: datetime) -> datetime:
    midnight = _midnight(instant)
    return midnight if midnight == instant else midnight + _DAY


def _day_of(instant: datetime) -> str:
    return instant.date().isoformat()


def _second(cursor: str) -> str:
    if cursor.endswith(("+0000", "Z")) and cursor[10:11] == "T":
        return cursor[:_SECOND]
    return timestamps.canonical(cursor)[:_SECOND]
