"""Runs statements and pages their results: a cursor is a list of row numbers that can be read again."""

from __future__ import annotations

import itertools
import re
import sqlite3
from array import array
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from localcloud.salesforce.errors import ApiError, SoqlError
from localcloud.salesforce.ids import make_id
from localcloud.salesforce.soql.compiler import Plan, compile_soql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema

PAGE_ROWS = 2_000
SMALLEST_PAGE = 200
_MOST_GROUPS = 2_000
_CURSOR_LIFE = timedelta(days=2)
_MOST_KEPT_ROWS = 30_000_000
_LOCATOR = re.compile(r"(01g[A-Za-z0-9]{15})-(\d{1,9})")


class Page(msgspec.Struct, frozen=True):
    """One answer of a query: the JSON body, and how many records are in it."""

    body: bytes
    rows: int


class Cursor(msgspec.Struct, frozen=True):
    """A result that is read page by page; rows may change meanwhile, its row numbers do not."""

    locator: str
    plan: Plan
    rowids: array[int]
    page_rows: int
    opened: datetime


class Queries:
    """The queries of one org.

    Args:
        org: Where the rows are.
    """

    def __init__(self, org: Org) -> None:
        self._org = org
        self._cursors: OrderedDict[str, Cursor] = OrderedDict()
        self._numbers = itertools.count(1)

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
        """
        now = self._org.clock.now()
        plan = compile_soql(statement, schema, version, now, all_rows=all_rows)
        if plan.kind == "count":
            total = int(next(self._column(plan.sql)))
            return Page(_envelope(total, [], None), 0)
        if plan.kind == "groups":
            groups = list(self._column(plan.sql))
            if len(groups) > _MOST_GROUPS:
                raise SoqlError(
                    "EXCEEDED_ID_LIMIT",
                    "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
                )
            return Page(_envelope(len(groups), groups, None), len(groups))
        rowids: array[int] = array("q", self._column(plan.sql))
        cursor = Cursor(make_id("01g", next(self._numbers)), plan, rowids, page_rows, now)
        if len(rowids) > page_rows:
            self._keep(cursor)
        return self._page(cursor, 0, version)

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
        end = start + cursor.page_rows
        chosen = cursor.rowids[start:end].tolist()
        records = list(self._column(cursor.plan.page_sql, str(chosen)))
        following = None
        if end < len(cursor.rowids):
            following = f"/services/data/v{version:.1f}/query/{cursor.locator}-{end}"
        return Page(_envelope(len(cursor.rowids), records, following), len(records))

    def _column(self, sql: str, *values: str) -> Iterator[Any]:
        try:
            for (value,) in self._org.db.execute(sql, values):
                yield value
        except sqlite3.OperationalError as error:  # deeper, wider or longer than SQLite takes
            raise SoqlError("QUERY_TOO_COMPLICATED", f"the statement is too complicated: {error}") from error

    def _keep(self, cursor: Cursor) -> None:
        self._cursors[cursor.locator] = cursor
        while len(self._cursors) > 1 and sum(len(one.rowids) for one in self._cursors.values()) > _MOST_KEPT_ROWS:
            self._cursors.popitem(last=False)


def _envelope(total: int, records: list[str], following: str | None) -> bytes:
    head = f'{{"totalSize":{total},"done":{"true" if following is None else "false"}'
    if following is not None:
        head += f',"nextRecordsUrl":"{following}"'
    return f'{head},"records":[{",".join(records)}]}}'.encode()
