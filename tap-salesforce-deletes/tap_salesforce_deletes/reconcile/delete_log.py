"""The delete log of an object: getDeleted, by windows that the org can answer."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import soql, timestamps
from microdecisions.errors import SalesforceError
from microdecisions.ids import to_18
from tap_salesforce_deletes.reconcile.deciding import Interval
from tap_salesforce_deletes.reconcile.windows import SHORTEST, halves

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microdecisions.session import SalesforceSession

__all__ = ["DeleteLog", "LogAnswer", "LogRow"]

_ROWS_PER_PAGE: Final = 2_000
_ROW: Final = re.compile(rb"\{[^{}]*\}")
_OVERLAP: Final = timedelta(minutes=1)
_BEYOND_HORIZON: Final = "INVALID_REPLICATION_DATE"
_TOO_MANY: Final = "EXCEEDED_ID_LIMIT"
_BACK: Final = (timedelta(0), timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""How far before its end a refused window is tried again: a long transaction may be open since then."""


class LogRow(msgspec.Struct, frozen=True, gc=False):
    """One deletion in the log: the record's id of 18 characters, and when, in canonical text."""

    record_id: str
    at: str


class LogAnswer(msgspec.Struct, frozen=True):
    """What the log says of a window.

    Attributes:
        asked: The window; rows before it belong to the one before.
        earliest: Since when the log of the object is whole.
        covered: Up to when the answer is whole: long transactions may be open.
        rows: The rows as they came, decoded by `pages`; None when the window holds too many for any answer.
    """

    asked: Interval
    earliest: datetime
    covered: datetime
    rows: msgspec.Raw | None

    def pages(self) -> Iterator[list[LogRow]]:
        """The rows, some thousand at a time: an answer may have 600,000.

        Raises:
            SalesforceError: a row is not of the documented form.
        """
        page: list[LogRow] = []
        try:
            for match in _ROW.finditer(memoryview(self.rows or b"")):
                row = _decode(match.group())
                page.append(LogRow(to_18(row.id), timestamps.canonical(row.deleted_date)))
                if len(page) == _ROWS_PER_PAGE:
                    yield page
                    page = []
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, IndexError):
            raise SalesforceError("A row of the delete log is not of the documented form.") from None
        if page:
            yield page


class _Row(msgspec.Struct, rename="camel", gc=False):
    id: str
    deleted_date: str


_decode: Final = msgspec.json.Decoder(_Row).decode


class _Answer(msgspec.Struct, rename="camel"):
    deleted_records: msgspec.Raw
    earliest_date_available: str
    latest_date_covered: str


class DeleteLog:
    """Asks getDeleted.

    Args:
        session: Logged-in session.
    """

    def __init__(self, session: SalesforceSession) -> None:
        self._session = session

    def read(self, sobject: str, whole: Interval, *, overlapping: bool) -> Iterator[LogAnswer]:
        """Read a window of an object's log, oldest first, in as many calls as it takes.

        What lies before the log's horizon is left out: the first answer's `earliest` says since when there is one.

        Args:
            sobject: API name.
            whole: Whole minutes.
            overlapping: Whether something was read up to its start, and nothing at that instant may be missed.

        Raises:
            SalesforceError: the log refuses, also shorter and later windows.
        """
        try:
            yield from self._halving(sobject, whole, overlapping=overlapping)
        except SalesforceError as error:
            if error.code != _BEYOND_HORIZON:
                raise
        else:
            return
        open_window = self._open_window(sobject, whole)
        if open_window is not None:
            yield from self._halving(sobject, open_window, overlapping=False)

    def _open_window(self, sobject: str, whole: Interval) -> Interval | None:
        """What can be asked of a window that is refused, found by asking short ones; None when nothing can for now.

        Raises:
            SalesforceError: the window is longer than a day, and nothing of it can be asked.
        """
        refusal: SalesforceError | None = None
        for back in _BACK:
            end = whole.end - back
            if end - SHORTEST < whole.start:
                return None
            try:
                found = self._ask(sobject, Interval(end - SHORTEST, end))
            except SalesforceError as error:
                if error.code != _BEYOND_HORIZON:
                    raise
                refusal = error
                continue
            start = max(whole.start, _ceil_minute(found.earliest))
            return Interval(min(start, end - SHORTEST), end)
        raise refusal or AssertionError("every window was asked for")

    def _halving(self, sobject: str, asked: Interval, *, overlapping: bool) -> Iterator[LogAnswer]:
        """A window, halved as often as it holds too many ids for one answer."""
        try:
            answer = self._ask(sobject, asked, overlapping=overlapping)
        except SalesforceError as error:
            if error.code != _TOO_MANY:
                raise
        else:
            yield answer
            return
        parts = halves(asked)
        if parts is not None:
            yield from self._halving(sobject, parts[0], overlapping=overlapping)
            yield from self._halving(sobject, parts[1], overlapping=True)
        elif overlapping:
            yield from self._halving(sobject, asked, overlapping=False)
        else:
            yield LogAnswer(asked, asked.start, asked.end, None)

    def _ask(self, sobject: str, asked: Interval, *, overlapping: bool = False) -> LogAnswer:
        """One API call. Whether the first instant of a window is part of it is not documented: so it overlaps."""
        start = asked.start - _OVERLAP if overlapping else asked.start
        answer = self._session.get_json(
            f"sobjects/{soql.identifier(sobject)}/deleted/",
            {"start": _parameter(start), "end": _parameter(asked.end)},
            kind=_Answer,
        )
        try:
            earliest = timestamps.parse(answer.earliest_date_available)
            covered = timestamps.parse(answer.latest_date_covered)
        except ValueError:
            raise SalesforceError(f"The delete log of {sobject} answers with a date that cannot be read.") from None
        return LogAnswer(asked, earliest, covered, answer.deleted_records)


def _parameter(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S}Z"


def _ceil_minute(instant: datetime) -> datetime:
    floor = instant.replace(second=0, microsecond=0)
    return floor if floor == instant else floor + timedelta(minutes=1)
