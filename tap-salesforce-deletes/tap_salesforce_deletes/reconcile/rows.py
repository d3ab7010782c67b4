"""Rows of a SOQL statement, always by queryAll: typed, page by page, and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from microdecisions.errors import IncompleteReadError, SalesforceError
from microdecisions.surrogates import without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microdecisions.session import SalesforceSession

__all__ = ["query_pages"]

RowT = TypeVar("RowT")


class _Page(msgspec.Struct, Generic[RowT]):
    total: int = msgspec.field(name="totalSize")
    rows: list[RowT] = msgspec.field(name="records")
    next_url: str | None = msgspec.field(name="nextRecordsUrl", default=None)


def query_pages(session: SalesforceSession, statement: str, row_type: type[RowT]) -> Iterator[list[RowT]]:
    """Run a statement and yield its rows by pages; one API call each.

    Args:
        session: Logged-in session.
        statement: SOQL, checked.
        row_type: What a row is decoded into.

    Raises:
        IncompleteReadError: fewer or more rows came than Salesforce counted.
        SalesforceError, UnreachableError: from the session.
    """
    kind: Any = _Page[row_type]  # type: ignore[valid-type]
    read = total = 0
    page = _decode(session.get_bytes("queryAll", {"q": statement}).body, kind)
    while True:
        read, total = read + len(page.rows), page.total
        yield page.rows
        if page.next_url is None:
            break
        page = _decode(session.get_bytes(page.next_url).body, kind)
    if read != total:
        raise IncompleteReadError(
            f"Salesforce counts {total} rows for a query and delivered {read}. Nothing is lost: run again later."
        )


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return _strictly(body, kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return _strictly(without_lone_surrogates(body), kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SalesforceError("Salesforce's answer to a query is not of the documented form.") from None


def _strictly(body: bytes, kind: Any) -> Any:
    """Decode, and look into texts that a `Raw` only skips."""
    msgspec.json.decode(body)
    return msgspec.json.decode(body, type=kind)
