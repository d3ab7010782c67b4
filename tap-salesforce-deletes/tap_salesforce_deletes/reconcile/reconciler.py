"""Deletes of objects from the delete log and the recycle bin: sightings page by page, and what neither covers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from microdecisions import timestamps
from microdecisions.describe import SalesforceMetadata
from microdecisions.errors import NOT_FOR_THIS_USER, SalesforceError
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import delete_log_id
from tap_salesforce_deletes.normalise.gap import gap_event
from tap_salesforce_deletes.reconcile.deciding import Interval
from tap_salesforce_deletes.reconcile.delete_log import DeleteLog
from tap_salesforce_deletes.reconcile.objects import objects_to_reconcile
from tap_salesforce_deletes.reconcile.recycle_bin import MOST_IDS, RecycleBin, columns_of
from tap_salesforce_deletes.reconcile.rows import query_pages
from tap_salesforce_deletes.reconcile.windows import window

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterator, Sequence

    from microdecisions.event import Source
    from microdecisions.session import SalesforceSession
    from tap_salesforce_deletes.reconcile.delete_log import LogAnswer, LogRow
    from tap_salesforce_deletes.reconcile.recycle_bin import BinColumns

__all__ = ["Reconciled", "Reconciler", "objects_to_reconcile"]

_BY_IDS: Final = 2 * MOST_IDS
"""Up to so many rows are looked up in the bin by their ids; more come cheaper by their time, 2,000 in a call."""
_SECOND: Final = timedelta(seconds=1)

RowT = TypeVar("RowT")


class Reconciled(msgspec.Struct, frozen=True):
    """One page of what was found.

    Attributes:
        sobject: API name.
        events: Sightings, and behind them the event of a gap.
        complete_to: When not None: all deletes before it were found, up to this page; the object's instant may move.
        gap: When not None: what the log does not cover, of which the last of `events` tells.
    """

    sobject: str
    events: list[MicroDecisionEvent]
    complete_to: datetime | None = None
    gap: Interval | None = None


class Reconciler:
    """Asks one org for deletes.

    Args:
        session: Logged-in session.
        extractor_version: Package and version.
        enrich: Whether to ask the recycle bin who deleted and owned what the log names.
        now: When something is read, in canonical text.
        log: For an operator.
    """

    def __init__(
        self,
        session: SalesforceSession,
        extractor_version: str,
        *,
        enrich: bool,
        now: Callable[[], str],
        log: logging.Logger,
    ) -> None:
        self._session = session
        self._version = extractor_version
        self._enrich = enrich
        self._now = now
        self._log = log
        self._delete_log = DeleteLog(session)
        self._bin = RecycleBin(session, extractor_version, now)
        self._metadata = SalesforceMetadata(session)
        self._columns: dict[str, BinColumns | None] = {}

    def rows(self, statement: str, row_type: type[RowT]) -> Iterator[RowT]:
        """Rows of a statement, by queryAll."""
        for page in query_pages(self._session, statement, row_type):
            yield from page

    def reconcile(
        self, sobject: str, since: datetime | None, owed_since: datetime | None = None
    ) -> Iterator[Reconciled]:
        """Find the deletes of an object up to now, oldest first.

        One API call to the delete log, more where it holds too many ids for one answer. If it names any, the recycle
        bin is asked too, unless `enrich` is off: at most 400 ids a call, from 800 rows on 2,000 rows a call.

        Args:
            sobject: API name.
            since: Up to where its log was read; None: as far back as there is.
            owed_since: Since when nothing may be missing without a gap, where that is not `since`.

        Raises:
            SalesforceError, UnreachableError: the object cannot be asked.
        """
        asked = window(since, self._session.server_time())
        if asked is None:
            return
        wanted = asked.start if since is None else since
        owed = since if owed_since is None else owed_since
        reached: datetime | None = None
        for answer in self._delete_log.read(sobject, asked, overlapping=since is not None):
            if reached is None:
                begin = max(answer.earliest, answer.asked.start)
                if owed is not None and begin > owed:
                    yield from self._uncovered(sobject, Interval(owed, begin), _PURGED)
            reached = min(answer.covered, answer.asked.end)
            if answer.rows is None:
                yield from self._uncovered(sobject, answer.asked, _TOO_MANY)
            else:
                start = timestamps.to_text(max(wanted, answer.asked.start))
                yield from self._of_log(sobject, answer, start, timestamps.to_text(reached))
            if reached > wanted:
                yield Reconciled(sobject, [], reached)
            if reached < answer.asked.end:
                break  # a long transaction is open: what is behind it is not whole
        if reached is None or reached <= wanted:
            self._log.warning(
                "The delete log of %s tells nothing after %s yet: a long transaction may be open. The next run asks "
                "again.",
                sobject,
                timestamps.to_text(wanted),
            )

    def enrich(self, sobject: str, record_ids: Sequence[str]) -> Iterator[list[MicroDecisionEvent]]:
        """Look up in the recycle bin who deleted and owned deleted records of an object, and their last values.

        Args:
            sobject: API name.
            record_ids: Each once.

        Yields:
            Pages of further sightings, of those records that are still there. Events that tell of the same deletions
            stay as they were written: read again after the bin was emptied, they would overwrite what was known.

        Raises:
            SalesforceError, UnreachableError: the bin cannot be asked.
        """
        yield from self._in_bin(sobject, record_ids)

    def _of_log(self, sobject: str, answer: LogAnswer, start: str, end: str) -> Iterator[Reconciled]:
        """The rows of an answer from `start` to `end` (canonical text), and what the bin knows of them."""
        ids: list[str] = []
        number, first, last = 0, "", ""
        for page in answer.pages():
            rows = [row for row in page if start <= row.at < end]
            if not rows:
                continue
            number += len(rows)
            ids += [row.record_id for row in rows[: _BY_IDS + 1 - len(ids)]]
            first = min(first or rows[0].at, *(row.at for row in rows))
            last = max(last, *(row.at for row in rows))
            yield Reconciled(sobject, self._sightings(sobject, rows))
        if not number or not self._enrich:
            return
        if number <= _BY_IDS:
            pages = self._in_bin(sobject, list(dict.fromkeys(ids)))
        else:
            pages = self._in_bin_between(sobject, Interval(timestamps.parse(first), timestamps.parse(last) + _SECOND))
        for found in pages:
            yield Reconciled(sobject, found)

    def _sightings(self, sobject: str, rows: Sequence[LogRow]) -> list[MicroDecisionEvent]:
        org_id, extracted_at, version = self._session.org_id, self._now(), self._version
        return [
            MicroDecisionEvent(
                delete_log_id(org_id, sobject, row.record_id, row.at),
                "record_delete",
                row.at,
                row.at,
                None,
                None,
                None,
                sobject,
                row.record_id,
                None,
                None,
                None,
                True,
                EventContext(sobject, row.record_id, "get_deleted"),
                extracted_at,
                version,
            )
            for row in rows
        ]

    def _uncovered(self, sobject: str, hole: Interval, why: str) -> Iterator[Reconciled]:
        """What the bin knows of an interval that the log does not cover, and the gap: it need not know all."""
        for found in self._in_bin_between(sobject, hole):
            yield Reconciled(sobject, found)
        source: Source = "get_deleted"
        event = gap_event(
            self._session.org_id,
            sobject,
            hole.start,
            hole.end,
            why=why.format(sobject=sobject),
            source=source,
            extracted_at=self._now(),
            extractor_version=self._version,
        )
        yield Reconciled(sobject, [event], None, hole)

    def _in_bin(self, sobject: str, ids: Sequence[str]) -> Iterator[list[MicroDecisionEvent]]:
        columns = self._columns_of(sobject)
        if columns is not None:
            yield from self._bin.of_ids(columns, ids)

    def _in_bin_between(self, sobject: str, interval: Interval) -> Iterator[list[MicroDecisionEvent]]:
        columns = self._columns_of(sobject)
        if columns is not None:
            yield from self._bin.of_time(columns, interval)

    def _columns_of(self, sobject: str) -> BinColumns | None:
        """What to read of an object's deleted rows; None where the login user may not, which is told once."""
        if sobject not in self._columns:
            try:
                self._columns[sobject] = columns_of(self._metadata.describe(sobject))
            except SalesforceError as error:
                if error.code not in NOT_FOR_THIS_USER:
                    raise
                self._columns[sobject] = None
            if self._columns[sobject] is None:
                self._log.warning(
                    "Deleted rows of %s cannot be queried by the login user: who deleted them is not looked up.",
                    sobject,
                )
        return self._columns[sobject]


_PURGED: Final = (
    "The delete log of {sobject} does not reach back that far: it keeps 15 days at most, less when an org deletes much."
)
_TOO_MANY: Final = "More records of {sobject} were deleted within two minutes than the delete log answers at once."
