"""A second that Salesforce cannot answer for as a whole, read in parts by Id: the last resort of a slow object."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from microdecisions import ids, soql
from microdecisions.errors import IncompleteReadError, SalesforceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_salesforce_temporal.reading.rest import QueryPage, RestReader
    from tap_salesforce_temporal.sources import Source
    from tap_salesforce_temporal.windows import Window

__all__ = ["PARTS", "can_be_read", "pages_by_id"]

RowT = TypeVar("RowT", bound=msgspec.Struct)

PARTS: Final = (2_000, 200, 20)
"""Rows asked for at once: fewer when Salesforce cannot answer for so many either."""


def can_be_read(source: Source, row_type: type[msgspec.Struct]) -> bool:
    """Whether an object's rows can be asked for in the order of their Ids; big objects have an order of their own."""
    return source.countable and source.by_window and not source.one_by_one and _id_of(row_type) is not None


def pages_by_id(
    reader: RestReader, source: Source, window: Window, row_type: type[RowT], limit: int
) -> Iterator[QueryPage[RowT]]:
    """Yield a window's pages, some rows at a time: each statement goes on behind the last Id of the one before.

    Args:
        reader: Of the org.
        source: An object that can be read so.
        window: What to read.
        row_type: The type of its rows.
        limit: Rows of one statement.

    Raises:
        IncompleteReadError: a statement delivers other than Salesforce counts of it.
        QueryTimeoutError, LocatorExpiredError, SalesforceError: from the reader.
    """
    id_of = _id_of(row_type)
    assert id_of is not None  # noqa: S101  # the caller asked `can_be_read`
    behind: tuple[str, ...] = ()
    while True:
        where = (*source.where(window), *behind)
        statement = soql.select(source.fields, source.sobject, *where, tail=f"ORDER BY Id LIMIT {limit}")
        read = total = 0
        last = ""
        for page in reader.pages(statement, row_type):
            read, total = read + len(page.rows), page.total
            if page.rows:
                last = id_of(page.rows[-1])
            yield page
        if read != total:
            raise IncompleteReadError(
                f"Stream `{source.stream}`: Salesforce counts {total} rows of a query for {source.sobject} and "
                f"delivered {read}. Nothing is lost: run again later."
            )
        if total < limit:
            return
        if not ids.is_id(last):
            raise SalesforceError(f"Stream `{source.stream}`: Salesforce's answer holds an Id that is none.")
        behind = (f"Id > {soql.quote(last)}",)


def _id_of(row_type: type[msgspec.Struct]) -> Callable[[object], str] | None:
    names = [field.name for field in msgspec.structs.fields(row_type) if field.encode_name == "Id"]
    return attrgetter(names[0]) if names else None
