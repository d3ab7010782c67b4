"""From a SOQL statement to SQL that writes each row's CSV; what Bulk does not take is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.bulk.job import DELIMITERS, NOT_SERVED
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.sobject import DECIMAL_TYPES, ID_TYPES
from localcloud.salesforce.soql import filters, restrictions
from localcloud.salesforce.soql.compiler import compile_soql
from localcloud.salesforce.soql.features import features
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.parser import parse
from localcloud.salesforce.soql.scope import Context, Scope, quoted
from localcloud.salesforce.soql.syntax import Call, Selected

if TYPE_CHECKING:
    from datetime import datetime

    from localcloud.salesforce.bulk.control import BulkSettings
    from localcloud.salesforce.bulk.job import Asked
    from localcloud.salesforce.sobject import Schema
    from localcloud.salesforce.soql.operands import Operand

_MOST_VALUES = 100  # SQLite takes 127 arguments of a function
_UNQUOTED_TYPES = ID_TYPES | DECIMAL_TYPES | {"date", "datetime", "boolean", "int"}
_ORDERED_COLUMNS = 50.0
"""The version from which on columns come in the order they were asked for; before, in that of the alphabet."""


class BulkPlan(msgspec.Struct, frozen=True):
    """How to answer a statement: `sql` gives one CSV line per row, without its line ending.

    `chunked` is false where ORDER BY or LIMIT keeps Salesforce from dividing the work.
    """

    sobject: str
    columns: tuple[str, ...]
    sql: str
    chunked: bool


def refusal(statement: str, schema: Schema) -> ApiError | None:
    """Why Bulk does not take a statement that REST takes, if it does not.

    Source: "Create a Query Job" for what is not supported; the messages are those that users have quoted, as
    far as they have.

    Raises:
        SoqlError: The statement is not right.
    """
    used = features(statement, schema)
    if used.sobject in NOT_SERVED:
        return ApiError(400, "INVALIDENTITY", f"Entity '{used.sobject}' is not supported by the Bulk API.")
    reasons = (
        (used.subqueries, "Aggregate Relationships not supported in Bulk V2 Query with CSV content type"),
        (used.base64, "Blob field not supported in Bulk V2 Query with CSV content type"),
        (used.compound, "Selecting compound data not supported in Bulk Query"),
        (used.fields_functions, "FIELDS function not supported in Bulk Query"),
        (used.group_by or used.having, "GROUP BY not supported in Bulk Query"),
        (used.aggregates or used.count_only, "Aggregate functions not supported in Bulk Query"),
        (used.typeof, "TYPEOF not supported in Bulk Query"),
        (used.offset is not None, "OFFSET not supported in Bulk Query"),
    )
    return next((ApiError(400, "API_ERROR", message) for applies, message in reasons if applies), None)


def compile_bulk(
    asked: Asked,
    schema: Schema,
    version: float,
    now: datetime,
    settings: BulkSettings,
    *,
    user_id: str | None = None,
    history_since: datetime | None = None,
) -> BulkPlan:
    """The plan of a statement that Bulk takes.

    Args:
        asked: What the job was asked.
        schema: The objects the user may see.
        version: The API version asked, which decides on fields and on the order of columns.
        now: The org's clock: date literals and late rows count from it.
        settings: How values and rows are to look.
        user_id: The user who asks.
        history_since: Field history that is older is seen by queryAll only.

    Raises:
        SoqlError: The statement is not right; code and message are Salesforce's.
    """
    all_rows = asked.operation == "queryAll"
    # What REST refuses is refused here in the same words.
    compile_soql(asked.query, schema, version, now, all_rows=all_rows, user_id=user_id)
    query = parse(asked.query)
    chunked = not query.order_by and query.limit is None
    all_rows = all_rows or query.all_rows
    context = Context(
        asked.query, schema, version, now, all_rows=all_rows, user_id=user_id, history_since=history_since
    )
    sobject = filters.source(context, query)
    query = restrictions.checked(context, sobject, query)
    scope = Scope(context, sobject, (query.alias, sobject.name), query.aliases)
    columns: dict[str, str] = {}
    for item in query.select:
        if not isinstance(item, Selected):
            raise context.error(query.start, "Bulk Query takes fields only")
        found = operand(scope, item.what)
        if found.column is None:
            raise context.error(found.start, "Bulk Query takes fields only")
        name = ".".join((*found.column.way, item.alias or found.column.field.name))
        formatted = isinstance(item.what, Call) and item.what.name == "FORMAT"
        columns[name] = _value(found, settings, formatted=formatted)
    condition = filters.where(scope, query)
    order = filters.order_by(context, query.order_by, lambda what: operand(scope, what))
    if not order and settings.order == "reversed":
        order = f" ORDER BY {scope.alias}.rowid DESC"
    names = tuple(columns) if version >= _ORDERED_COLUMNS else tuple(sorted(columns))
    line = _line([columns[name] for name in names], DELIMITERS[asked.column_delimiter])
    sql = f"SELECT {line} {scope.source} WHERE {condition}{order}{filters.window(query)}"
    return BulkPlan(sobject.name, names, sql, chunked)


def _value(found: Operand, settings: BulkSettings, *, formatted: bool) -> str:
    """A directive of `format` and SQL for its argument, as one piece: `%s` or `%w` (which doubles quotes)."""
    sql, type_ = found.sql, "string" if formatted else found.type
    if type_ == "boolean":
        # of a parent that is not there it is neither
        return f"%sCASE {sql} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE '' END"
    if type_ == "int" and settings.whole_numbers == "5.0":
        return f"%scoalesce({sql}||'.0','')"
    if type_ in _UNQUOTED_TYPES:
        return f"%scoalesce({sql},'')"
    if type_ == "anyType":
        # It lies there as JSON: a text without a backslash has one quote at each end, any other kind has none.
        sql = f"iif(instr({sql},'\\'),json_extract({sql},'$'),trim({sql},'\"'))"
    return f"%wcoalesce({sql},'')"


def _line(values: list[str], delimiter: str) -> str:
    parts = []
    for start in range(0, len(values), _MOST_VALUES):
        some = values[start : start + _MOST_VALUES]
        template = delimiter.join(f'"{value[:2]}"' for value in some)
        if start:
            template = delimiter + template
        parts.append(f"format({','.join([quoted(template), *(value[2:] for value in some)])})")
    return "||".join(parts)
