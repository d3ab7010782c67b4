"""The reader's one loop: plan a window, read its pages, count them, say that it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from microdecisions import soql
from microdecisions.errors import IncompleteReadError, LocatorExpiredError, QueryTimeoutError
from tap_salesforce_temporal.windows import Planner, Window

if TYPE_CHECKING:
    import logging
    from collections.abc import Generator, Iterator
    from datetime import datetime

    from tap_salesforce_temporal.reading.rest import RestReader
    from tap_salesforce_temporal.sources import Source

__all__ = ["Begin", "Complete", "Rows", "read_windows"]

RowT = TypeVar("RowT", bound=msgspec.Struct)
_TRIES: Final = 3


class Begin(msgspec.Struct, frozen=True):
    """Rows of this window follow; what came since the last `Complete` is superseded."""

    window: Window


class Rows(msgspec.Struct, Generic[RowT], frozen=True):
    """A page of the window's rows."""

    rows: list[RowT]


class Complete(msgspec.Struct, frozen=True):
    """The window is read whole and counted."""

    window: Window
    rows: int


def read_windows(
    reader: RestReader,
    source: Source,
    row_type: type[RowT],
    start: datetime,
    limit: datetime,
    planner: Planner,
    log: logging.Logger,
) -> Iterator[Begin | Rows[RowT] | Complete]:
    """Read all rows whose cursor is at or after `start` and before `limit`, window by window, in order.

    Raises:
        IncompleteReadError: rows read and rows counted differ, three times.
        QueryTimeoutError: a window of one second is too much for Salesforce.
    """
    while start < limit:
        todo = [(planner.next(start, limit), _TRIES)]
        start = todo[0][0].end
        while todo:
            window, tries = todo.pop()
            again = yield from _read(reader, source, row_type, window, tries, planner, log)
            todo.extend(reversed(again))


_Again = list[tuple[Window, int]]


def _read(
    reader: RestReader,
    source: Source,
    row_type: type[RowT],
    window: Window,
    tries: int,
    planner: Planner,
    log: logging.Logger,
) -> Generator[Begin | Rows[RowT] | Complete, None, _Again]:
    """Read one window; return the windows to read instead when it could not be read whole."""
    conditions = window.conditions(source.cursor)
    read = total = 0
    try:
        for page in reader.pages(soql.select(source.fields, source.sobject, *conditions), row_type):
            if read == 0:
                total = page.total
                parts = planner.cut(window, total)
                if len(parts) > 1:
                    planner.saw(window, total)
                    return [(part, tries) for part in parts]
                yield Begin(window)
            read += len(page.rows)
            yield Rows(page.rows)
    except QueryTimeoutError as error:
        if not window.divisible:
            raise QueryTimeoutError(
                f"Stream `{source.stream}`: Salesforce cannot answer a query for the single second "
                f"{window.start:%FT%TZ} of {source.sobject} in time. "
                f"Ask Salesforce support for a custom index on {source.cursor}.",
                status=error.status,
                code=error.code,
            ) from None
        log.info("Window of %s s took Salesforce too long: reading its halves.", int(window.width.total_seconds()))
        return [(part, tries) for part in window.parts(2)]
    except LocatorExpiredError:
        if tries == 1:
            raise
        log.info("The cursor of the window from %s is gone: reading it again.", f"{window.start:%FT%TZ}")
        return [(window, tries - 1)]
    if read != total and not (read < total and (source.mutable or reader.count(source.sobject, conditions) == read)):
        if tries == 1:
            raise IncompleteReadError(
                f"Stream `{source.stream}`: Salesforce counts {total} rows of {source.sobject} "
                f"from {window.start:%FT%TZ} to {window.end:%FT%TZ} and delivered {read}, {_TRIES} times. "
                "Nothing is lost: run again later."
            )
        log.warning("Read %s of %s rows of a window: reading it again in halves.", read, total)
        return [(part, tries - 1) for part in window.parts(2)]
    planner.saw(window, read)
    yield Complete(window, read)
    return []
