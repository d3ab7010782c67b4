"""SOQL over REST: typed pages, always by queryAll: archived rows and rows of deleted parents appear only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

import msgspec

from microdecisions import soql, timestamps, values
from microdecisions.errors import IncompleteReadError, SalesforceError
from microdecisions.surrogates import without_lone_surrogates
from tap_salesforce_temporal.reading.together import first_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from microdecisions.event import Source as Api
    from microdecisions.session import SalesforceSession
    from tap_salesforce_temporal.sources import Source

__all__ = ["QueryPage", "RestReader"]

RowT = TypeVar("RowT", bound=msgspec.Struct)


class QueryPage(msgspec.Struct, Generic[RowT], kw_only=True):
    """One answer of `query`, `queryAll` or a locator.

    Attributes:
        total: Rows that Salesforce counts for the whole statement.
        rows: Rows of this page.
        next_url: Path of the next page; None on the last.
        size: Bytes of the answer.
    """

    total: int = msgspec.field(name="totalSize")
    rows: list[RowT] = msgspec.field(name="records")
    next_url: str | None = msgspec.field(name="nextRecordsUrl", default=None)
    size: int = 0


class _Instant(msgspec.Struct):
    cursor: str


class _NoRow(msgspec.Struct):
    """A count has no rows."""


class RestReader:
    """Runs statements on one org.

    Args:
        session: Logged-in session.
        api_version: Such as `66.0`.
    """

    source: Final[Api] = "rest"

    def __init__(self, session: SalesforceSession, api_version: str) -> None:
        self._session = session
        self._path = f"/services/data/v{api_version}/queryAll"
        self._first: dict[str, bytes] = {}
        self._decoders: dict[type[msgspec.Struct], msgspec.json.Decoder[QueryPage[msgspec.Struct]]] = {}

    def read_together(self, statements: Sequence[str]) -> None:
        """Fetch the first pages of up to five statements in one API call; `pages` begins with them, once."""
        self._first.update(first_pages(self._session, statements))

    def holds(self, statement: str) -> bool:
        """Whether the first page of a statement was fetched, and is still to be read."""
        return statement in self._first

    def pages(self, statement: str, row_type: type[RowT]) -> Iterator[QueryPage[RowT]]:
        """Run a statement and yield its pages.

        Raises:
            QueryTimeoutError, LocatorExpiredError, SalesforceError, UnreachableError: from the session.
        """
        body = self._first.pop(statement, None)
        if body is None:
            body = self._session.query(self._path, statement).body
        page = self._decode(body, row_type)
        yield page
        while page.next_url is not None:
            page = self._decode(self._session.get_bytes(page.next_url).body, row_type)
            yield page

    def rows(self, statement: str, row_type: type[RowT]) -> Iterator[RowT]:
        """Run a statement and yield its rows.

        Raises:
            IncompleteReadError: fewer or more rows came than Salesforce counted.
        """
        read = total = 0
        for page in self.pages(statement, row_type):
            read, total = read + len(page.rows), page.total
            yield from page.rows
        if read != total:
            raise IncompleteReadError(
                f"Salesforce counts {total} rows for a query and delivered {read}. Nothing is lost: run again later."
            )

    def count(self, sobject: str, conditions: tuple[str, ...]) -> int:
        """Count rows anew.

        Raises:
            SalesforceError: the answer is not of the documented form, or one of the session.
        """
        statement = f"SELECT COUNT() FROM {soql.identifier(sobject)} WHERE {' AND '.join(conditions)}"  # noqa: S608
        return self._decode(self._session.query(self._path, statement).body, _NoRow).total

    def oldest(self, source: Source) -> datetime | None:
        """Find the cursor value of the oldest row; None when there is no row."""
        statement = soql.select((source.cursor,), source.sobject, tail=f"ORDER BY {source.cursor} ASC LIMIT 1")
        field = ("cursor", str, msgspec.field(name=source.cursor))
        row_type = cast("type[_Instant]", msgspec.defstruct("Oldest", [field], bases=(_Instant,)))
        for row in self.rows(statement, row_type):
            return timestamps.floor_second(timestamps.parse(row.cursor))
        return None

    def _decode(self, body: bytes, row_type: type[RowT]) -> QueryPage[RowT]:
        decoder = self._decoders.get(row_type)
        if decoder is None:
            decoder = values.page_decoder(QueryPage[row_type])  # type: ignore[valid-type]
            self._decoders[row_type] = decoder
        try:
            try:
                page = decoder.decode(body)
            except msgspec.DecodeError:
                page = decoder.decode(without_lone_surrogates(body))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # The message of a DecodeError names a path and types, never a value.
            what = error if isinstance(error, msgspec.DecodeError) else "it is not UTF-8"
            raise SalesforceError(f"Salesforce's answer to a query is not of the documented form: {what}.") from None
        page.size = len(body)
        return page  # type: ignore[return-value]
