"""Aggregates and GROUP BY as SQL that writes each group's JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localcloud.salesforce.soql import filters
from localcloud.salesforce.soql.operands import AGGREGATES, operand
from localcloud.salesforce.soql.rows import Verbatim, concatenated
from localcloud.salesforce.soql.syntax import Call, Selected
from localcloud.salesforce.storage import json_of

if TYPE_CHECKING:
    from localcloud.salesforce.soql.operands import Operand
    from localcloud.salesforce.soql.scope import Scope
    from localcloud.salesforce.soql.syntax import Path, Query


def is_grouped(query: Query) -> bool:
    """Whether a statement answers with groups and not with rows."""
    return bool(query.group_by) or any(
        isinstance(item, Selected) and isinstance(item.what, Call) and item.what.name in AGGREGATES
        for item in query.select
    )


def group_sql(scope: Scope, query: Query) -> str:
    """SQL for the JSON text of each group, in order.

    Raises:
        SoqlError: A field that is neither grouped nor aggregated, or that cannot be.
    """
    context = scope.context
    if not query.group_by and query.limit is not None:
        raise context.error(
            query.start, "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
        )
    grouped: list[str] = []
    for what in query.group_by:
        key = operand(scope, what)
        if key.aggregate or (key.column is not None and not key.column.field.groupable):
            raise context.error(key.start, f"field '{key.label}' can not be grouped in a query call")
        grouped.append(key.sql)

    def resolve(what: Path | Call) -> Operand:
        found = operand(scope, what)
        if not found.aggregate and found.sql not in grouped:
            raise context.error(found.start, f"Field must be grouped or aggregated: {found.label}")
        return found

    pieces: list[str] = [Verbatim('{"attributes":{"type":"AggregateResult"}')]
    names: set[str] = set()
    unnamed = 0
    for item in query.select:
        if not isinstance(item, Selected):
            raise context.error(query.start, "an aggregate query selects fields and functions only")
        found = resolve(item.what)
        name = item.alias or found.name
        if name is None:
            name = f"expr{unnamed}"
            unnamed += 1
        if name.lower() in names:
            raise context.error(found.start, f"duplicate alias: {name}")
        names.add(name.lower())
        pieces += [Verbatim(f",{json.dumps(name)}:"), json_of(found.type, found.sql)]
    pieces.append(Verbatim("}"))
    condition = filters.where(scope, query)
    having = f" HAVING {filters.conditions(context, resolve).sql(query.having)}" if query.having else ""
    order = filters.order_by(context, query.order_by, resolve)
    by = f" GROUP BY {', '.join(grouped)}" if grouped else ""
    window = filters.window(query)
    return f"SELECT {concatenated(pieces)} {scope.source} WHERE {condition}{by}{having}{order}{window}"
