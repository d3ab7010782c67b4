"""From a SOQL statement to SQL that answers it in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql import filters, restrictions
from localcloud.salesforce.soql.groups import group_sql, is_grouped
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.parser import parse
from localcloud.salesforce.soql.rows import row_json
from localcloud.salesforce.soql.scope import Context, Scope

if TYPE_CHECKING:
    from datetime import datetime

    from localcloud.salesforce.sobject import Schema
    from localcloud.salesforce.soql.children import Children

_LONGEST = 100_000


class Plan(msgspec.Struct, frozen=True):
    """How to answer a statement.

    Of kind `rows`, `sql` gives the row numbers of the whole result in order, and `page_sql`, given a JSON
    array of row numbers, the JSON text of each. Of kind `count`, `sql` gives one number. Of kind `groups`,
    it gives the JSON text of each group. `children` tells how to read the children of a record that has more
    than come with it, by the name of the relationship.
    """

    kind: Literal["rows", "count", "groups"]
    sobject: str
    sql: str
    page_sql: str = ""
    children: dict[str, Children] = {}


def compile_soql(
    statement: str,
    schema: Schema,
    version: float,
    now: datetime,
    *,
    all_rows: bool = False,
    user_id: str | None = None,
    history_since: datetime | None = None,
) -> Plan:
    """The plan of a statement.

    Args:
        statement: SOQL.
        schema: The objects the user may see.
        version: The API version asked, which shows in the urls of the answer.
        now: The org's clock: date literals and late rows count from it.
        all_rows: Whether deleted rows are wanted (queryAll, or ALL ROWS in the statement).
        user_id: The user who asks, for `USING SCOPE mine`.
        history_since: Field history that is older is seen only where deleted rows are wanted too.

    Raises:
        SoqlError: The statement is not right; code and message are Salesforce's.
    """
    if not statement.strip():
        raise SoqlError("MALFORMED_QUERY", "A query string has to be specified")
    if not statement.isprintable():
        _check_text(statement)
    if len(statement) > _LONGEST:
        raise SoqlError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {_LONGEST:,} characters.")
    query = parse(statement)
    all_rows = all_rows or query.all_rows
    context = Context(statement, schema, version, now, all_rows=all_rows, user_id=user_id, history_since=history_since)
    sobject = filters.source(context, query)
    query = restrictions.checked(context, sobject, query)

    def scope() -> Scope:
        return Scope(context, sobject, (query.alias, sobject.name), query.aliases)

    filtered = scope()
    if not query.count_only and is_grouped(query):
        return Plan("groups", sobject.name, group_sql(filtered, query))
    condition = filters.where(filtered, query)
    if query.count_only:
        inside = f"SELECT 1 {filtered.source} WHERE {condition}{filters.window(query)}"
        return Plan("count", sobject.name, f"SELECT count(*) FROM ({inside})")
    order = filters.order_by(context, query.order_by, lambda what: operand(filtered, what))
    window = filters.window(query)
    ids = f"SELECT {filtered.alias}.rowid {filtered.source} WHERE {condition}{order}{window}"
    selected = scope()
    children: dict[str, Children] = {}
    record = row_json(selected, query, children=children)
    page = (
        f'SELECT {record} FROM json_each(?) CROSS JOIN "{sobject.name}" {selected.alias} '
        f"ON {selected.alias}.rowid = json_each.value{selected.joins}"
    )
    return Plan("rows", sobject.name, ids, page, children)


def _check_text(statement: str) -> None:
    try:
        statement.encode()
    except UnicodeEncodeError as error:  # half of a character that JSON can spell and SQLite cannot hold
        raise SoqlError("MALFORMED_QUERY", "the statement is not valid Unicode text") from error
