"""What surrounds the SELECT list: source, WHERE, ORDER BY, LIMIT, and the subquery of an IN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.sobject import ID_TYPES
from localcloud.salesforce.soql.conditions import Conditions
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.scope import Scope
from localcloud.salesforce.soql.syntax import Selected

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.soql.operands import Operand
    from localcloud.salesforce.soql.scope import Context
    from localcloud.salesforce.soql.syntax import Call, Order, Path, Query

    Resolve = Callable[[Path | Call], Operand]

_MOST_OFFSET = 2_000


def source(context: Context, query: Query) -> SObject:
    """The object of the FROM.

    Raises:
        SoqlError: INVALID_TYPE, the user sees no such object or may not query it.
    """
    name = query.source.text
    found = context.schema.get(name)
    if found is None or not found.queryable:
        raise context.error(
            query.source.start,
            f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append "
            "the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate "
            "names.",
            "INVALID_TYPE",
        )
    return found


def where(scope: Scope, query: Query) -> str:
    """SQL of the WHERE, with what a user may see of the rows."""
    visible = scope.context.visible(scope.alias)
    if query.where is None:
        return visible

    def resolve(what: Path | Call) -> Operand:
        found = operand(scope, what)
        if found.aggregate:
            raise scope.context.error(found.start, "Grouped field should not be filtered in WHERE")
        return found

    return f"{visible} AND ({conditions(scope.context, resolve).sql(query.where)})"


def conditions(context: Context, resolve: Resolve) -> Conditions:
    """A compiler of conditions whose left sides are found by `resolve`."""
    return Conditions(context, resolve, lambda query, left: _semi_join(context, query, left))


def order_by(context: Context, keys: tuple[Order, ...], resolve: Resolve) -> str:
    """SQL of the ORDER BY; empty where there is none.

    Raises:
        SoqlError: A field that cannot be sorted.
    """
    parts = []
    for key in keys:
        found = resolve(key.what)
        if found.column is not None and not found.column.field.sortable:
            raise context.error(found.start, f"field '{found.label}' can not be sorted in a query call")
        part = found.order
        if key.descending:
            part += " DESC" if key.nulls_last else " DESC NULLS FIRST"
        elif key.nulls_last:
            part += " NULLS LAST"
        parts.append(part)
    return f" ORDER BY {', '.join(parts)}" if parts else ""


def window(query: Query) -> str:
    """SQL of LIMIT and OFFSET; empty where there are none.

    Raises:
        SoqlError: The offset is above 2,000.
    """
    if (query.offset or 0) > _MOST_OFFSET:
        raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {_MOST_OFFSET}")
    if query.limit is None and query.offset is None:
        return ""
    limit = -1 if query.limit is None else query.limit
    return f" LIMIT {limit} OFFSET {query.offset or 0}"


def _semi_join(context: Context, query: Query, left: Operand) -> str:
    if left.type not in ID_TYPES:
        raise context.error(
            left.start,
            f"The left operand field in the where expression for subquery should be an id or reference field, but is: "
            f"{left.label}",
        )
    if query.order_by or query.limit is not None or query.offset is not None or query.group_by or query.count_only:
        raise context.error(query.start, "Nesting of semi join sub-selects takes no ORDER BY, LIMIT or GROUP BY")
    scope = Scope(context, source(context, query), (query.alias, query.source.text), query.aliases)
    only = query.select[0]
    if len(query.select) != 1 or not isinstance(only, Selected):
        raise context.error(query.start, "the subquery of an IN selects exactly one field")
    inner = operand(scope, only.what)
    if inner.type not in ID_TYPES or inner.aggregate:
        raise context.error(
            inner.start,
            f"The inner select field '{inner.label}' must be an id or reference field",
        )
    condition = where(scope, query)
    return f"SELECT {inner.sql} {scope.source} WHERE {condition} AND {inner.sql} IS NOT NULL"
