"""Aggregates and GROUP BY as SQL that writes each group's JSON; ROLLUP and CUBE are unions of groupings."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.soql import filters
from localcloud.salesforce.soql.fieldsets import expanded
from localcloud.salesforce.soql.jsontext import Verbatim, concatenated
from localcloud.salesforce.soql.operands import AGGREGATES, DATE_FUNCTIONS, operand
from localcloud.salesforce.soql.syntax import Call, Selected
from localcloud.salesforce.storage import json_of

if TYPE_CHECKING:
    from localcloud.salesforce.soql.operands import Operand
    from localcloud.salesforce.soql.scope import Scope
    from localcloud.salesforce.soql.syntax import Expression, Query

_MOST_SUBTOTALS = 3


def is_grouped(query: Query) -> bool:
    """Whether a statement answers with groups and not with rows."""
    return bool(query.group_by) or any(
        isinstance(item, Selected) and isinstance(item.what, Call) and _aggregates(item.what) for item in query.select
    )


def _aggregates(call: Call) -> bool:
    return call.name in AGGREGATES or (isinstance(call.argument, Call) and _aggregates(call.argument))


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
    keys = [_key(scope, what) for what in query.group_by]
    if query.grouping == "PLAIN":
        return _Grouping(scope, query, keys, tuple(range(len(keys)))).sql()
    if len(keys) > _MOST_SUBTOTALS:
        raise context.error(query.start, f"GROUP BY {query.grouping} takes at most {_MOST_SUBTOTALS} fields")
    numbers = range(len(keys))
    if query.grouping == "ROLLUP":
        sets = [tuple(numbers[:size]) for size in range(len(keys), -1, -1)]
    else:
        sets = [some for size in range(len(keys), -1, -1) for some in combinations(numbers, size)]
    return _subtotals(scope, query, [_Grouping(scope, query, keys, some) for some in sets])


def _key(scope: Scope, what: Expression) -> Operand:
    key = operand(scope, what)
    groupable = key.column is None or key.column.field.groupable
    if key.aggregate or not groupable or key.type == "multipicklist":
        raise scope.context.error(key.start, f"field '{key.label}' can not be grouped in a query call")
    if key.function is not None and key.function not in DATE_FUNCTIONS:
        raise scope.context.error(key.start, f"function {key.function} is not allowed in a GROUP BY clause")
    return key


class _Grouping:
    """The groups by some of the keys; of the other keys they are subtotals."""

    def __init__(self, scope: Scope, query: Query, keys: list[Operand], present: tuple[int, ...]) -> None:
        self._scope = scope
        self._query = query
        self._keys = [keys[number].sql for number in present]
        self._all = [key.sql for key in keys]
        self._dates = {key.sql for key in keys if key.type == "date" and key.function is None}

    def sql(self, further: str = "") -> str:
        """SQL of the groups; with `further` columns it is one part of a union, else it is the answer."""
        query, scope = self._query, self._scope
        record = self._record()
        having = filters.having(scope, query, self.resolve)
        order = "" if further else filters.order_by(scope.context, query.order_by, self.resolve, grouped=True)
        condition = filters.where(scope, query)
        by = f" GROUP BY {', '.join(self._keys)}" if self._keys else ""
        if not self._keys and query.group_by:
            by = " GROUP BY NULL"  # the grand total: none where there are no rows
        window = "" if further else filters.window(query)
        return f"SELECT {record}{further} {scope.source} WHERE {condition}{by}{having}{order}{window}"

    def resolve(self, what: Expression) -> Operand:
        """What an expression is worth in these groups.

        Raises:
            SoqlError: It is neither grouped nor aggregated.
        """
        found = operand(self._scope, what)
        context = self._scope.context
        if found.aggregate:
            return found
        if found.function == "GROUPING":
            inner = found.sql.removeprefix("grouping(").removesuffix(")")
            if self._query.grouping == "PLAIN" or inner not in self._all:
                raise context.error(found.start, f"GROUPING needs a field of GROUP BY ROLLUP or CUBE: {found.label}")
            return msgspec.structs.replace(found, sql="0" if inner in self._keys else "1", name=None)
        if found.sql in self._all:
            absent = found.sql not in self._keys
            return msgspec.structs.replace(found, sql="NULL", nillable=True) if absent else found
        date = next((sql for sql in self._dates if sql in found.sql), None)
        if found.function in DATE_FUNCTIONS and date is not None:  # the date may be grouped instead of its function
            return found if date in self._keys else msgspec.structs.replace(found, sql="NULL")
        raise context.error(found.start, f"Field must be grouped or aggregated: {found.label}")

    def places(self, group_by: tuple[Expression, ...]) -> list[tuple[str, str]]:
        """Values to sort by, so that each subtotal comes behind what it sums up."""
        found: list[tuple[str, str]] = []
        for what in group_by:
            kept = self.resolve(what)
            found.append((str(int(kept.sql == "NULL")), ""))
            found += [(sql, "") for sql in kept.orders]
        return found

    def _record(self) -> str:
        context, query = self._scope.context, self._query
        pieces: list[str] = [Verbatim('{"attributes":{"type":"AggregateResult"}')]
        names: set[str] = set()
        unnamed = 0
        for item in expanded(context, self._scope.root.sobject, query):
            if not isinstance(item, Selected):
                raise context.error(query.start, "Grouped query cannot use child relationships in the SELECT list")
            found = self.resolve(item.what)
            name = item.alias or found.name
            if name is None:
                name = f"expr{unnamed}"
                unnamed += 1
            if name.lower() in names:
                raise context.error(found.start, f"duplicate alias: {name}")
            names.add(name.lower())
            value = "'null'" if found.sql == "NULL" else json_of(found.type, found.sql)
            pieces += [Verbatim(f",{json.dumps(name)}:"), value]
        pieces.append(Verbatim("}"))
        return concatenated(pieces)


def _subtotals(scope: Scope, query: Query, groupings: list[_Grouping]) -> str:
    """All groupings in one answer: in the order asked, or each subtotal behind what it sums up."""
    parts = []
    directions: list[str] = []
    for grouping in groupings:
        keys = filters.sort_keys(scope.context, query.order_by, grouping.resolve) or grouping.places(query.group_by)
        directions = [direction for _, direction in keys]
        parts.append(grouping.sql(" AS j" + "".join(f",{sql} AS o{number}" for number, (sql, _) in enumerate(keys))))
    order = ",".join(f"o{number}{direction}" for number, direction in enumerate(directions))
    return f"SELECT j FROM ({' UNION ALL '.join(parts)}) ORDER BY {order}{filters.window(query)}"
