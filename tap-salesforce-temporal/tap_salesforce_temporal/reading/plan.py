"""The reader's one loop: plan a window, read its pages, count them, say that it is complete.

Each planned window is a lane: an iterator of its own, so that several can be read side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from microdecisions.errors import IncompleteReadError, LocatorExpiredError, QueryTimeoutError, SlowAnswerError
from microdecisions.event import Source as Api  # noqa: TC001  # msgspec evaluates annotations
from tap_salesforce_temporal.reading import by_id
from tap_salesforce_temporal.reading.bulk import JobFailedError, NotForBulkError
from tap_salesforce_temporal.reading.together import MOST_QUERIES
from tap_salesforce_temporal.windows import Planner, Window

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Iterator, Sequence
    from datetime import datetime

    from tap_salesforce_temporal.reading.choice import Choice
    from tap_salesforce_temporal.sources import Source

__all__ = ["Begin", "Complete", "Item", "Rows", "WindowReader"]

RowT = TypeVar("RowT", bound=msgspec.Struct)
_TRIES: Final = 3
_PARTS_OF_SLOW: Final = 16


class Begin(msgspec.Struct, frozen=True):
    """Rows of this window follow, read by the API `source`; what came since the last `Complete` is superseded."""

    window: Window
    source: Api = "rest"


class Rows(msgspec.Struct, Generic[RowT], frozen=True):
    """A page of the window's rows; `size` is that of the answer they came in, in bytes."""

    rows: list[RowT]
    size: int = 0


class Complete(msgspec.Struct, frozen=True):
    """The window is read whole and counted."""

    window: Window
    rows: int


class _Part(NamedTuple):
    """A window to read: so many tries are left for it, and so many rows are asked for at once by Id (0: all rows)."""

    window: Window
    tries: int = _TRIES
    rows_by_id: int = 0


Item = Begin | Rows[Any] | Complete
_Again = list[_Part]
_Mended = QueryTimeoutError | NotForBulkError | LocatorExpiredError | JobFailedError | IncompleteReadError
_MENDED: Final = (QueryTimeoutError, NotForBulkError, LocatorExpiredError, JobFailedError, IncompleteReadError)


class WindowReader:
    """Reads one object, window by window.

    Args:
        source: The object.
        row_type: The type of its rows.
        choice: Which API reads a window.
        planner: How long a window is.
        log: For an operator.
        statements: Gives the SOQL for a window, where it is not the source's own.
    """

    def __init__(
        self,
        source: Source,
        row_type: type[msgspec.Struct],
        choice: Choice,
        planner: Planner,
        log: logging.Logger,
        statements: Callable[[Window], Sequence[str]] | None = None,
    ) -> None:
        self._source = source
        self._row_type = row_type
        self._choice = choice
        self._planner = planner
        self._log = log
        self._statements = statements or source.statements

    def lanes(self, start: datetime, limit: datetime) -> Iterator[Iterator[Item]]:
        """Yield a lane for each window; together, in order, they read all rows from `start` on and before `limit`.

        A window is planned when its lane is asked for, by the density that the lanes before have seen so far. A lane
        raises IncompleteReadError when rows read and rows counted differ, three times, and QueryTimeoutError when a
        few rows of one second are too much for Salesforce.
        """
        while start < limit:
            window = self._planner.next(start, limit) if self._source.by_window else Window(start, limit)
            start = window.end
            yield self._lane(window)

    def _lane(self, window: Window) -> Iterator[Item]:
        todo = [_Part(window)]
        while todo:
            part = todo.pop()
            again = yield from (self._read_by_id(part) if part.rows_by_id else self._read(part))
            todo.extend(reversed(again))

    def _read(self, part: _Part) -> Generator[Item, None, _Again]:
        """Read one window; return what to read instead when it could not be read whole."""
        source, reader, window = self._source, self._choice.reader, part.window
        conditions = source.where(window)
        read = total = 0
        begun = uncounted = False
        try:
            for statement in self._together(self._statements(window)):
                counted = False
                for page in reader.pages(statement, self._row_type):
                    if not counted:
                        counted = True
                        # Of a big object Salesforce may say -1: not counted. What it then delivers is all there is.
                        uncounted = uncounted or page.total < 0
                        total += page.total
                        instead = [] if uncounted else self._instead(window, total)
                        if instead:
                            return [_Part(other, part.tries) for other in instead]
                    if not begun:
                        begun = True
                        yield Begin(window, reader.source)
                    read += len(page.rows)
                    yield Rows(page.rows, page.size)
        except _MENDED as error:
            return self._after(error, part)
        if not begun:
            yield Begin(window, reader.source)
        if not uncounted and read != total and not self._may_differ(read, total, conditions, part.tries):
            short = IncompleteReadError(
                f"Stream `{source.stream}`: Salesforce counts {total} rows of {source.sobject} "
                f"from {window.start:%FT%TZ} to {window.end:%FT%TZ} and delivered {read}, {_TRIES} times. "
                "Nothing is lost: run again later."
            )
            return self._after(short, part)
        yield Complete(window, read)
        return []

    def _read_by_id(self, part: _Part) -> Generator[Item, None, _Again]:
        """Read one second, some rows at a time."""
        rest, read = self._choice.rest, 0
        yield Begin(part.window, rest.source)
        try:
            for page in by_id.pages_by_id(rest, self._source, part.window, self._row_type, part.rows_by_id):
                read += len(page.rows)
                yield Rows(page.rows, page.size)
        except _MENDED as error:
            return self._after(error, part)
        yield Complete(part.window, read)
        return []

    def _together(self, statements: Sequence[str]) -> Iterator[str]:
        """The statements; by REST, the first pages of five of them come in one API call."""
        for place in range(0, len(statements), MOST_QUERIES):
            five = statements[place : place + MOST_QUERIES]
            if len(five) > 1 and self._choice.reader is self._choice.rest:
                self._choice.rest.read_together(five)
            yield from five

    def _instead(self, window: Window, total: int) -> list[Window]:
        """What to read instead of a window of which Salesforce counts so many rows: nothing, or other windows."""
        self._planner.saw(window, total)  # the next lane is planned by it while this one is read
        if self._choice.counted(total):
            return [window]
        parts = self._choice.cut(window, total) if self._source.by_window else []
        return parts if len(parts) > 1 else []

    def _after(self, error: _Mended, part: _Part) -> _Again:
        """What to read after a window could not be read whole.

        Raises:
            SalesforceError, IncompleteReadError: nothing is left to try.
        """
        window, tries, _ = part
        if isinstance(error, NotForBulkError):
            self._choice.refused(error)
            return [part]
        if isinstance(error, QueryTimeoutError):
            return self._after_timeout(error, part)
        if tries == 1:
            raise error
        once_more = part._replace(tries=tries - 1)
        if isinstance(error, IncompleteReadError) and self._source.by_window:
            self._log.warning("A window was incomplete: reading it again in halves.")
            return [once_more._replace(window=half) for half in window.parts(2)]
        if isinstance(error, IncompleteReadError):
            self._log.warning("A window was incomplete: reading it again.")
            return [once_more]
        lost = "cursor" if isinstance(error, LocatorExpiredError) else "job"
        self._log.info("The %s of the window from %s is gone: reading it again.", lost, f"{window.start:%FT%TZ}")
        return [once_more]

    def _after_timeout(self, error: QueryTimeoutError, part: _Part) -> _Again:
        """Less at once: halves of the window down to a second, and then some rows of the second by Id.

        Raises:
            QueryTimeoutError: a few rows of a second are too much.
        """
        window = part.window
        if window.divisible and self._source.by_window:
            # Two answers that never came took minutes: fewer steps than by halves.
            count = _PARTS_OF_SLOW if isinstance(error, SlowAnswerError) else 2
            seconds = int(window.width.total_seconds())
            self._log.info("Window of %s s took Salesforce too long: reading it in %s parts.", seconds, count)
            return [part._replace(window=piece) for piece in window.parts(count)]
        fewer = [rows for rows in by_id.PARTS if not part.rows_by_id or rows < part.rows_by_id]
        if not fewer or not by_id.can_be_read(self._source, self._row_type):
            raise self._too_slow(window, error) from None
        self._log.info(
            "The second %s took Salesforce too long: reading it by Id, %s rows at a time.",
            f"{window.start:%FT%TZ}",
            f"{fewer[0]:,}",
        )
        return [part._replace(rows_by_id=fewer[0])]

    def _too_slow(self, window: Window, error: QueryTimeoutError) -> QueryTimeoutError:
        source = self._source
        return QueryTimeoutError(
            f"Stream `{source.stream}`: Salesforce cannot answer a query for the single second "
            f"{window.start:%FT%TZ} of {source.sobject} in time. "
            f"Ask Salesforce support for a custom index on {source.cursor}.",
            status=error.status,
            code=error.code,
        )

    def _may_differ(self, read: int, total: int, conditions: tuple[str, ...], tries: int) -> bool:
        """Fewer rows than counted are right where a fresh count agrees.

        Rows of a mutable object leave a window of the past when they change, and may do so between the last page and
        the count: it is read again then, and what the last try brings is right when no more rows are left than it read.
        """
        source = self._source
        if read > total:
            return False
        if not source.countable:
            return source.mutable
        try:
            left = self._choice.rest.count(source.sobject, conditions)
        except QueryTimeoutError:
            return False
        return left == read or (source.mutable and tries == 1 and left < read)
