"""What surrounds the SELECT list: source, WHERE, ORDER BY, LIMIT, and the subquery of an IN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.soql import clauses, restrictions, semijoins
from localcloud.salesforce.soql.conditions import Conditions
from localcloud.salesforce.soql.operands import DATE_FUNCTIONS, operand
from localcloud.salesforce.soql.scope import Scope, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.soql.operands import Operand
    from localcloud.salesforce.soql.scope import Context
    from localcloud.salesforce.soql.syntax import Expression, Order, Query

    Resolve = Callable[[Expression], Operand]

_BATCH = 2_000
_FILTERING = frozenset({"TOLABEL", "DISTANCE"}) | DATE_FUNCTIONS
_SORTING = frozenset({"DISTANCE", "GROUPING"}) | DATE_FUNCTIONS


def source(context: Context, query: Query) -> SObject:
    """The object of the FROM; the clauses of the statement go together.

    Raises:
        SoqlError: INVALID_TYPE, the user sees no such object or may not query it; MALFORMED_QUERY, a clause
            is not allowed.
    """
    clauses.check(context, query)
    name = query.source.text
    found = context.schema.get(name)
    if found is None or not found.queryable or found.since > context.version:
        raise context.error(
            query.source.start,
            f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append "
            "the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate "
            "names.",
            "INVALID_TYPE",
        )
    return found


def where(scope: Scope, query: Query, *, root: bool = True) -> str:
    """SQL of the WHERE, with what a user may see of the rows.

    Args:
        scope: The rows.
        query: The statement.
        root: Whether it is the whole statement and no subquery.
    """
    visible = scope.context.visible(scope.alias)
    visible += restrictions.seen(scope.context, scope.root.sobject, scope.alias)
    visible += _scope(scope, query)
    if query.where is None:
        return visible

    def resolve(what: Expression) -> Operand:
        found = operand(scope, what)
        if found.aggregate:
            raise scope.context.error(found.start, "Invalid aggregate function")
        if found.function is not None and found.function not in _FILTERING:
            raise scope.context.error(found.start, f"function {found.function} is not allowed in a WHERE clause")
        return found

    semijoins.check_places(scope.context, query.where, root=root)
    return f"{visible} AND ({conditions(scope, resolve).sql(query.where)})"


def having(scope: Scope, query: Query, resolve: Resolve) -> str:
    """SQL of the HAVING; empty where there is none."""
    if query.having is None:
        return ""
    semijoins.check_places(scope.context, query.having, root=True, having=True)
    return f" HAVING {conditions(scope, resolve).sql(query.having)}"


def conditions(scope: Scope, resolve: Resolve) -> Conditions:
    """A compiler of conditions whose left sides are found by `resolve`."""
    return Conditions(scope.context, resolve, lambda left, query: _semi_join(scope, left, query))


def order_by(context: Context, keys: tuple[Order, ...], resolve: Resolve, *, grouped: bool = False) -> str:
    """SQL of the ORDER BY; empty where there is none.

    Args:
        context: The statement's.
        keys: What to sort by.
        resolve: What a key stands for.
        grouped: Whether groups are sorted, which can be by an aggregate.

    Raises:
        SoqlError: A field that cannot be sorted.
    """
    for key in keys:
        found = resolve(key.what)
        if found.aggregate and not grouped:
            raise context.error(found.start, "Invalid aggregate function")
    parts = [sql + direction for sql, direction in sort_keys(context, keys, resolve)]
    return f" ORDER BY {', '.join(parts)}" if parts else ""


def sort_keys(context: Context, keys: tuple[Order, ...], resolve: Resolve) -> list[tuple[str, str]]:
    """SQL of the values to sort by, and the direction of each.

    Raises:
        SoqlError: A field that cannot be sorted.
    """
    parts = []
    for key in keys:
        found = resolve(key.what)
        if found.column is not None and not (found.column.field.sortable and found.type != "multipicklist"):
            raise context.error(found.start, f"field '{found.label}' can not be sorted in a query call")
        if not found.aggregate and found.function is not None and found.function not in _SORTING:
            raise context.error(found.start, f"function {found.function} is not allowed in an ORDER BY clause")
        nulls_last = key.nulls_last and found.type != "reference"  # "not supported" there: nulls come first
        direction = " NULLS LAST" if nulls_last else ""
        if key.descending:
            direction = " DESC" if nulls_last else " DESC NULLS FIRST"
        parts += [(sql, direction) for sql in found.orders]
    return parts


def window(query: Query) -> str:
    """SQL of LIMIT and OFFSET; empty where there are none. With an OFFSET only the first batch is answered."""
    if query.limit is None and query.offset is None:
        return ""
    limit = -1 if query.limit is None else query.limit
    if query.offset is not None and not 0 <= limit <= _BATCH:
        limit = _BATCH
    return f" LIMIT {limit} OFFSET {query.offset or 0}"


def _scope(scope: Scope, query: Query) -> str:
    """SQL, beginning with AND, of a USING SCOPE."""
    if query.scope is None:
        return ""
    name = query.scope.text
    owner = scope.root.sobject.by_name.get("ownerid")
    if name.lower() == "everything":
        return ""
    if name.lower() == "mine" and owner is not None:
        return f" AND {scope.root.sql(owner)} = {quoted(scope.context.user_id or '')}"
    raise scope.context.error(
        query.scope.start, f"Scope '{name}' is not supported for sObject type '{scope.root.sobject.name}'"
    )


def _semi_join(outer: Scope, left: Operand, query: Query) -> str:
    context = outer.context
    semijoins.check_left(context, left)
    scope = Scope(context, source(context, query), (query.alias, query.source.text), query.aliases)
    inner = semijoins.subquery(scope, query, left, outer.root.sobject)
    condition = where(scope, query, root=False)
    return f"SELECT {inner.sql} {scope.source} WHERE {condition} AND {inner.sql} IS NOT NULL"
