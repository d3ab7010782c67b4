"""From a SOQL statement to SQL that answers it in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql import filters
from localcloud.salesforce.soql.groups import group_sql, is_grouped
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.parser import parse
from localcloud.salesforce.soql.rows import row_json
from localcloud.salesforce.soql.scope import Context, Scope

if TYPE_CHECKING:
    from datetime import datetime

    from localcloud.salesforce.sobject import Schema

_LONGEST = 100_000


class Plan(msgspec.Struct, frozen=True):
    """How to answer a statement.

    Of kind `rows`, `sql` gives the row numbers of the whole result in order, and `page_sql`, given a JSON
    array of row numbers, the JSON text of each. Of kind `count`, `sql` gives one number. Of kind `groups`,
    it gives the JSON text of each group.
    """

    kind: Literal["rows", "count", "groups"]
    sobject: str
    sql: str
    page_sql: str = ""


def compile_soql(statement: str, schema: Schema, version: float, now: datetime, *, all_rows: bool = False) -> Plan:
    """The plan of a statement.

    Args:
        statement: SOQL.
        schema: The objects the user may see.
        version: The API version asked, which shows in the urls of the answer.
        now: The org's clock: date literals and late rows count from it.
        all_rows: Whether deleted rows are wanted (queryAll, or ALL ROWS in the statement).

    Raises:
        SoqlError: The statement is not right; code and message are Salesforce's.
    """
    if not statement.strip():
        raise SoqlError("MALFORMED_QUERY", "A query string has to be specified")
    if not statement.isprintable():
        _check_text(statement)
    if len(statement) > _LONGEST:
        raise SoqlError("QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100,000 characters.")
    query = parse(statement)
    context = Context(statement, schema, version, now, all_rows=all_rows or query.all_rows)
    sobject = filters.source(context, query)

    def scope() -> Scope:
        return Scope(context, sobject, (query.alias, sobject.name), query.aliases)

    filtered = scope()
    if not query.count_only and is_grouped(query):
        return Plan("groups", sobject.name, group_sql(filtered, query))
    if query.having is not None:
        raise context.error(query.start, "HAVING needs GROUP BY or an aggregate")
    condition = filters.where(filtered, query)
    if query.count_only:
        inside = f"SELECT 1 {filtered.source} WHERE {condition}{filters.window(query)}"
        return Plan("count", sobject.name, f"SELECT count(*) FROM ({inside})")
    order = filters.order_by(context, query.order_by, lambda what: operand(filtered, what))
    window = filters.window(query)
    ids = f"SELECT {filtered.alias}.rowid {filtered.source} WHERE {condition}{order}{window}"
    selected = scope()
    record = row_json(selected, query)
    page = (
        f'SELECT {record} FROM json_each(?) CROSS JOIN "{sobject.name}" {selected.alias} '
        f"ON {selected.alias}.rowid = json_each.value{selected.joins}"
    )
    return Plan("rows", sobject.name, ids, page)


def _check_text(statement: str) -> None:
    try:
        statement.encode()
    except UnicodeEncodeError as error:  # half of a character that JSON can spell and SQLite cannot hold
        raise SoqlError("MALFORMED_QUERY", "the statement is not valid Unicode text") from error
