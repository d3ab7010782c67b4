"""Which API reads a stream: REST for little, Bulk API 2.0 for much, REST again where Salesforce refuses Bulk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_salesforce_temporal.reading.bulk import BulkReader, NotForBulkError
    from tap_salesforce_temporal.reading.rest import RestReader
    from tap_salesforce_temporal.windows import Planner, Window

__all__ = ["BULK", "BULK_FROM_ROWS", "BULK_WHOLE", "REST", "ApiType", "Choice", "Size"]

ApiType = Literal["auto", "rest", "bulk2"]

BULK_FROM_ROWS: Final = 100_000
"""Rows of a stream, or of one window, from which on a job is cheaper than pages: 50 calls against about ten."""


PAGE_ROWS: Final = 2_000
"""Rows of a page of REST."""


class Size(NamedTuple):
    """How large a window should be, and when it is too large to be read as it is."""

    target_rows: int
    most_rows: int


# A little less than ten pages, so that a window seldom ends with a page for a few rows.
REST: Final = Size(19_000, 40_000)
# A run that ends early reads a job's window again; a job costs about ten calls beside its results.
BULK: Final = Size(500_000, 1 << 62)
# Of rows that are normalised together: a window waits in memory until it is whole.
BULK_WHOLE: Final = Size(20_000, 40_000)


class Choice:
    """The reader of one stream's next window; it may change in the course of a run.

    Args:
        api_type: What the user set.
        rest: Reads by REST.
        bulk: Reads by Bulk; None where the object is not to be read so.
        planner: Told how large windows should be.
        stream: For the log.
        log: For an operator.
        calls_left: API calls until the run has to end; None when that is not known.
        bulk_size: How large a window is that Bulk reads.
    """

    def __init__(
        self,
        api_type: ApiType,
        rest: RestReader,
        bulk: BulkReader | None,
        planner: Planner,
        stream: str,
        log: logging.Logger,
        calls_left: Callable[[], int | None] = lambda: None,
        bulk_size: Size = BULK,
    ) -> None:
        self.rest = rest
        self._bulk = None if api_type == "rest" else bulk
        self._planner = planner
        self._stream = stream
        self._log = log
        self._calls_left = calls_left
        self._bulk_size = bulk_size
        self._by_bulk = False
        self._aim(by_bulk=api_type == "bulk2" and self._bulk is not None)

    @property
    def reader(self) -> RestReader | BulkReader:
        """What reads the next window."""
        return self._bulk if self._by_bulk and self._bulk is not None else self.rest

    def counted(self, rows: int) -> bool:
        """Take how many rows are to be read; whether that moves the stream from REST to Bulk."""
        if self._by_bulk or self._bulk is None or rows < BULK_FROM_ROWS:
            return False
        self._log.info("Stream `%s`: %s rows, read by Bulk API 2.0.", self._stream, f"{rows:,}")
        self._aim(by_bulk=True)
        return True

    def calls_for(self, rows: int) -> int:
        """About how many API calls it takes to read so many rows."""
        if self._by_bulk and self._bulk is not None:
            return -(-rows // self._bulk.page_rows) + 6 * -(-rows // self._bulk_size.target_rows)
        return -(-rows // PAGE_ROWS) + rows // REST.target_rows

    def lanes(self, most: int) -> int:
        """How many windows may be read at once: no more than the API calls that are left complete, and one at least.

        Windows that are begun together end together: where the calls run out, none of them would be complete.

        Args:
            most: As many as the user allows.
        """
        left = self._calls_left()
        if left is None:
            return most
        return max(1, min(most, left // self.calls_for(self._size.target_rows)))

    def cut(self, window: Window, rows: int) -> list[Window]:
        """What to read instead of a window of so many rows; itself alone when it may be read as it is.

        Where few API calls are left, half of them are to complete a window: else no run would move the bookmark.
        """
        left = None if self._by_bulk else self._calls_left()
        return self._planner.cut(window, rows, None if left is None else max(1, left // 2) * PAGE_ROWS)

    def refused(self, error: NotForBulkError) -> None:
        """Go on by REST."""
        self._bulk = None
        self._aim(by_bulk=False)
        self._log.info("Stream `%s`: read by REST, because Bulk was refused: %s", self._stream, error)

    @property
    def _size(self) -> Size:
        return self._bulk_size if self._by_bulk else REST

    def _aim(self, *, by_bulk: bool) -> None:
        self._by_bulk = by_bulk
        self._planner.aim(target_rows=self._size.target_rows, most_rows=self._size.most_rows)
