"""Runs statements and pages their results: a cursor is a list of row numbers that can be read again."""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from array import array
from collections import OrderedDict
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from localcloud.salesforce.cost import QuerySettings, TooCostly, bounded
from localcloud.salesforce.errors import ApiError, SoqlError
from localcloud.salesforce.ids import make_id
from localcloud.salesforce.soql.children import BATCH, MARK
from localcloud.salesforce.soql.compiler import Plan, compile_soql
from localcloud.salesforce.soql.parser import parse
from localcloud.salesforce.soql.syntax import AllFields, Path, Selected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema, SObject

PAGE_ROWS = 2_000
SMALLEST_PAGE = 200
_MOST_GROUPS = 2_000
_WIDE_FIELDS = 2
_JOINED = "SELECT count(*), coalesce(group_concat(j, ','), '') FROM page"
_T = TypeVar("_T")
_CURSOR_LIFE = timedelta(days=2)
_MOST_KEPT_ROWS = 30_000_000
_CHILDREN = re.compile(f'"nextRecordsUrl":"{MARK}(\\w+):(\\w+)"', re.ASCII)
_TOO_MUCH = re.compile("too |at most|overflow")
_LOCATOR = re.compile(r"(01g[A-Za-z0-9]{15})-(\d{1,9})")


class Page(msgspec.Struct, frozen=True):
    """One answer of a query: the JSON body, and how many records are in it."""

    body: bytes
    rows: int


class Cursor(msgspec.Struct, frozen=True):
    """A result that is read page by page; rows may change meanwhile, its row numbers do not."""

    locator: str
    plan: Plan
    rowids: Sequence[int]
    page_rows: int
    opened: datetime


class Queries:
    """The queries of one org.

    Args:
        org: Where the rows are.
        settings: How far a query may go.
    """

    def __init__(self, org: Org, settings: QuerySettings | None = None) -> None:
        self._org = org
        self._settings = settings or QuerySettings()
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()
        self._numbers = itertools.count(1)
        self._db = org.db

    @contextmanager
    def reading(self, db: sqlite3.Connection) -> Iterator[None]:
        """Read through another connection, inside of its transaction, while the context lasts."""
        self._db = db
        try:
            yield
        finally:
            self._db = self._org.db

    def run(
        self, statement: str, schema: Schema, version: float, *, all_rows: bool, page_rows: int = PAGE_ROWS
    ) -> Page:
        """The first page of a statement.

        Args:
            statement: SOQL.
            schema: The objects the user may see.
            version: The API version, such as 60.0.
            all_rows: Whether deleted rows are wanted.
            page_rows: The most records of one page.

        Raises:
            SoqlError: The statement is not right.
            ApiError: QUERY_TIMEOUT, it reads more rows than it may.
        """
        now = self._org.clock.now()
        since, user_id = self._settings.history_since(now), self._org.user_id
        plan = compile_soql(statement, schema, version, now, all_rows=all_rows, user_id=user_id, history_since=since)
        if plan.kind == "count":
            (total,) = self._searched(plan.sql, list)
            return Page(_envelope(int(total), "", None), 0)
        if plan.kind == "groups":
            groups = self._searched(plan.sql, list)
            if len(groups) > _MOST_GROUPS:
                raise SoqlError(
                    "EXCEEDED_ID_LIMIT",
                    "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
                )
            return Page(_envelope(len(groups), ",".join(groups), None), len(groups))
        rowids = self._searched(plan.sql, _rowids)
        if page_rows > SMALLEST_PAGE and _is_wide(statement, schema.get(plan.sobject)):
            page_rows = SMALLEST_PAGE
        cursor = Cursor(make_id("01g", next(self._numbers)), plan, rowids, page_rows, now)
        page = self._page(cursor, 0, version)
        if page.rows < len(rowids):
            self._keep(cursor)
        return page

    def _searched(self, sql: str, collect: Callable[[Iterator[Any]], _T]) -> _T:
        """The values of a statement that looks for rows, within the cost that it may have."""
        try:
            with bounded(self._db, self._settings.cost_ceiling):
                return self._column(sql, collect)
        except TooCostly as error:
            raise ApiError(400, "QUERY_TIMEOUT", "Your query request was running for too long.") from error

    def more(self, locator: str, version: float) -> Page:
        """A further page; any page of a cursor can be asked for again.

        Args:
            locator: The last part of a `nextRecordsUrl`: cursor id and first row.
            version: The API version, which shows in the next url.

        Raises:
            ApiError: INVALID_QUERY_LOCATOR, the cursor is unknown or older than two days.
        """
        match = _LOCATOR.fullmatch(locator)
        cursor = self._cursors.get(match.group(1)) if match else None
        if match is None or cursor is None or int(match.group(2)) >= len(cursor.rowids):
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        if self._org.clock.now() - cursor.opened > _CURSOR_LIFE:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(cursor, int(match.group(2)), version)

    def _page(self, cursor: Cursor, start: int, version: float) -> Page:
        chosen = str(list(cursor.rowids[start : start + cursor.page_rows]))
        end = start + cursor.page_rows  # of rows that are gone for good meanwhile nothing comes
        if cursor.plan.children or self._settings.page_bytes:
            records = self._column(cursor.plan.page_sql, list, chosen)
            found = len(records)
            if cursor.plan.children:
                records = [self._with_child_cursors(cursor.plan, record, version) for record in records]
            if self._settings.page_bytes:
                records = _fitting(records, self._settings.page_bytes)
            count, joined = len(records), ",".join(records)
            if count < found:
                end = start + self._length(cursor, chosen, count)
        else:  # joined by SQLite, in the order of the row numbers, in three quarters of the time
            count, joined = self._column(f"WITH page(j) AS ({cursor.plan.page_sql}) {_JOINED}", list, chosen)
        following = None
        if end < len(cursor.rowids):
            following = f"/services/data/v{version:.1f}/query/{cursor.locator}-{end}"
        return Page(_envelope(len(cursor.rowids), joined, following), count)

    def _length(self, cursor: Cursor, chosen: str, records: int) -> int:
        """How many of the chosen rows the first records of a page use up, with those that are gone."""
        there = set(
            self._column(
                f'SELECT value FROM json_each(?) WHERE value IN (SELECT rowid FROM "{cursor.plan.sobject}")',
                list,
                chosen,
            )
        )
        rowids = json.loads(chosen)
        places = [place for place, rowid in enumerate(rowids, 1) if rowid in there]
        return places[records - 1]

    def _with_child_cursors(self, plan: Plan, record: str, version: float) -> str:
        """A record with a cursor for each relationship that has more children than come with it."""

        def opened(match: re.Match[str]) -> str:
            children = plan.children[match[1]]
            rowids = self._column(children.sql, _rowids, match[2])
            below = Plan("rows", children.sobject, children.sql, children.page_sql)
            cursor = Cursor(make_id("01g", next(self._numbers)), below, rowids, BATCH, self._org.clock.now())
            self._keep(cursor)
            return f'"nextRecordsUrl":"/services/data/v{version:.1f}/query/{cursor.locator}-{BATCH}"'

        return _CHILDREN.sub(opened, record)

    def _column(self, sql: str, collect: Callable[[Iterator[Any]], _T], *values: str) -> _T:
        """The values of a statement, row by row."""
        try:
            return collect(chain.from_iterable(self._db.execute(sql, values)))
        except sqlite3.OperationalError as error:  # deeper, wider or longer than SQLite takes
            if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT or not _TOO_MUCH.search(str(error)):
                raise
            raise SoqlError("QUERY_TOO_COMPLICATED", f"the statement is too complicated: {error}") from error

    def _keep(self, cursor: Cursor) -> None:
        self._cursors[cursor.locator] = cursor
        while len(self._cursors) > 1 and sum(len(one.rowids) for one in self._cursors.values()) > _MOST_KEPT_ROWS:
            self._cursors.popitem(last=False)


def _rowids(found: Iterator[int]) -> Sequence[int]:
    """Row numbers in little room: those of a whole table are mostly a range."""
    kept = array("q", found)
    whole = range(kept[0], kept[0] + len(kept)) if kept else range(0)
    return whole if kept == array("q", whole) else kept


def _is_wide(statement: str, sobject: SObject | None) -> bool:
    """Whether two custom fields of long text are selected ("Change the Batch Size in Queries")."""
    long = {
        field.name.lower()
        for field in (sobject.fields if sobject else ())
        if field.custom and field.type == "textarea" and not field.filterable
    }
    if len(long) < _WIDE_FIELDS:
        return False
    selected: set[str] = set()
    for item in parse(statement).select:
        if isinstance(item, AllFields) and item.which != "STANDARD":
            return True
        if isinstance(item, Selected) and isinstance(item.what, Path) and len(item.what.parts) <= 2:
            selected.add(item.what.parts[-1].lower())
    return len(long & selected) >= _WIDE_FIELDS


def _fitting(records: list[str], most_bytes: int) -> list[str]:
    """The records that fit into a page, one at least."""
    size = 0
    for number, record in enumerate(records):
        size += len(record.encode())
        if number and size > most_bytes:
            return records[:number]
    return records


def _envelope(total: int, records: str, following: str | None) -> bytes:
    head = f'{{"totalSize":{total},"done":{"true" if following is None else "false"}'
    if following is not None:
        head += f',"nextRecordsUrl":"{following}"'
    return f'{head},"records":[{records}]}}'.encode()
