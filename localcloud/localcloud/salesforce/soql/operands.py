"""What a comparison or a column of the answer stands for: a field, a function of one, or an aggregate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.sobject import DECIMAL_TYPES, NUMBER_TYPES
from localcloud.salesforce.soql.distances import distance_sql
from localcloud.salesforce.soql.formats import FORMATTED_TYPES, formatted
from localcloud.salesforce.soql.scope import quoted
from localcloud.salesforce.soql.syntax import Call, Distance, Path

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import Field
    from localcloud.salesforce.soql.scope import Column, Scope
    from localcloud.salesforce.soql.syntax import Expression

_DATE_FUNCTIONS = {
    "CALENDAR_MONTH": "CAST(substr({0},6,2) AS INTEGER)",
    "CALENDAR_QUARTER": "((CAST(substr({0},6,2) AS INTEGER)+2)/3)",
    "CALENDAR_YEAR": "CAST(substr({0},1,4) AS INTEGER)",
    "FISCAL_MONTH": "CAST(substr({0},6,2) AS INTEGER)",
    "FISCAL_QUARTER": "((CAST(substr({0},6,2) AS INTEGER)+2)/3)",
    "FISCAL_YEAR": "CAST(substr({0},1,4) AS INTEGER)",
    "DAY_IN_MONTH": "CAST(substr({0},9,2) AS INTEGER)",
    "DAY_IN_WEEK": "(CAST(strftime('%w',substr({0},1,10)) AS INTEGER)+1)",
    "DAY_IN_YEAR": "CAST(strftime('%j',substr({0},1,10)) AS INTEGER)",
    "WEEK_IN_MONTH": "((CAST(substr({0},9,2) AS INTEGER)+6)/7)",
    "WEEK_IN_YEAR": "((CAST(strftime('%j',substr({0},1,10)) AS INTEGER)+6)/7)",
}
_TIME_FUNCTIONS = {
    "HOUR_IN_DAY": ("int", "CAST(substr({0},12,2) AS INTEGER)"),
    "DAY_ONLY": ("date", "substr({0},1,10)"),
}
DATE_FUNCTIONS = frozenset(_DATE_FUNCTIONS) | frozenset(_TIME_FUNCTIONS)
AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})
_NOT_COUNTED = frozenset(
    {"boolean", "multipicklist", "anyType", "base64", "address", "location", "time", "encryptedstring", "complexvalue"}
)


class Operand(msgspec.Struct, frozen=True):
    """SQL of a value, its describe type, and how messages call it.

    `column` is the field it is, if it is a plain one (also under `toLabel` and its like); `name` the key in
    the answer, None where Salesforce numbers it (`expr0`); `function` the outermost function.
    """

    sql: str
    type: str
    label: str
    start: int
    name: str | None = None
    column: Column | None = None
    aggregate: bool = False
    nillable: bool = True
    function: str | None = None

    @property
    def orders(self) -> tuple[str, ...]:
        """SQL keys that sort as Salesforce does: numbers by value, picklists by their list, text without case."""
        if self.type in DECIMAL_TYPES:
            return (f"CAST({self.sql} AS REAL)",)
        if self.type in {"id", "reference", "date", "datetime", "boolean", "int", "anyType"}:
            return (self.sql,)
        if self.type == "picklist" and self.column is not None and self.column.field.values:
            return listed(self.column.field, self.sql), f"upper({self.sql})"
        return (f"upper({self.sql})",)


def listed(field: Field, sql: str) -> str:
    """SQL of the place that a value has in its picklist; those that are not in it come behind."""
    cases = " ".join(f"WHEN {quoted(value.upper())} THEN {place}" for place, value in enumerate(field.values))
    return f"iif({sql} IS NULL,NULL,CASE upper({sql}) {cases} ELSE {len(field.values)} END)"


def operand(scope: Scope, what: Expression) -> Operand:
    """What an expression stands for.

    Raises:
        SoqlError: An unknown field (INVALID_FIELD), or a function that cannot take it (MALFORMED_QUERY).
    """
    if isinstance(what, Path):
        column = scope.column(what)
        field = column.field
        return Operand(column.sql, field.type, field.name, what.start, field.name, column, nillable=field.nillable)
    if isinstance(what, Distance):
        return Operand(distance_sql(scope, what), "double", "DISTANCE", what.start, function="DISTANCE")
    if what.name in AGGREGATES:
        return _aggregate(scope, what)
    argument = _argument(scope, what)
    if what.name == "FORMAT":
        return _format(scope, what, argument)
    if argument.aggregate:
        raise scope.context.error(what.start, f"{what.name} of an aggregate is not supported")
    return _date_function(scope, what, argument) if what.name in DATE_FUNCTIONS else _same(scope, what, argument)


def _same(scope: Scope, call: Call, argument: Operand) -> Operand:
    """A function that leaves the value as it is: one language, one currency, and GMT."""
    fits = {
        "TOLABEL": True,
        "CONVERTCURRENCY": argument.type == "currency",
        "CONVERTTIMEZONE": argument.type == "datetime",
        "GROUPING": True,
    }.get(call.name)
    if fits is None:
        raise scope.context.error(call.start, f"Invalid function: {call.name}")
    if argument.function is not None:
        raise scope.context.error(call.start, f"function {call.name} does not take {argument.function}")
    if not fits:
        raise scope.context.error(call.start, f"field {argument.label} does not support function {call.name}")
    if call.name == "GROUPING":
        return Operand(f"grouping({argument.sql})", "int", argument.label, call.start, function="GROUPING")
    return msgspec.structs.replace(argument, start=call.start, function=call.name)


def _argument(scope: Scope, call: Call) -> Operand:
    if call.argument is None:
        raise scope.context.error(call.start, "unexpected token: ')'")
    return operand(scope, call.argument)


def _date_function(scope: Scope, call: Call, argument: Operand) -> Operand:
    plain = argument.function in {None, "CONVERTTIMEZONE"}
    if plain and call.name in _DATE_FUNCTIONS and argument.type in {"date", "datetime"}:
        sql = _DATE_FUNCTIONS[call.name].format(argument.sql)
        return Operand(sql, "int", argument.label, call.start, function=call.name)
    if plain and call.name in _TIME_FUNCTIONS and argument.type == "datetime":
        type_, template = _TIME_FUNCTIONS[call.name]
        return Operand(template.format(argument.sql), type_, argument.label, call.start, function=call.name)
    raise scope.context.error(call.start, f"field {argument.label} does not support date function {call.name}")


def _format(scope: Scope, call: Call, argument: Operand) -> Operand:
    if argument.function not in {None, "CONVERTCURRENCY"} and not argument.aggregate:
        raise scope.context.error(call.start, f"function FORMAT does not take {argument.function}")
    if argument.type not in FORMATTED_TYPES:
        raise scope.context.error(call.start, f"field {argument.label} does not support function FORMAT")
    scale = argument.column.field.scale if argument.column else 2
    sql = formatted(argument.type, argument.sql, scale)
    return msgspec.structs.replace(argument, sql=sql, type="string", start=call.start, nillable=True, function="FORMAT")


def _aggregate(scope: Scope, call: Call) -> Operand:
    if call.argument is None and call.name == "COUNT":
        return Operand("count(*)", "int", "COUNT()", call.start, aggregate=True, function="COUNT")
    argument = _argument(scope, call)
    if argument.aggregate or argument.function not in {None, *DATE_FUNCTIONS}:
        raise scope.context.error(call.start, f"{call.name} of {argument.function} is not supported")
    field = argument.column.field if argument.column else None
    long_text = field is not None and field.type == "textarea" and not field.filterable
    counted = argument.type not in _NOT_COUNTED and not long_text
    number = argument.type in NUMBER_TYPES
    if not (number if call.name in {"SUM", "AVG"} else counted):
        raise scope.context.error(call.start, f"field {argument.label} does not support aggregate operator {call.name}")
    type_ = {"COUNT": "int", "COUNT_DISTINCT": "int", "AVG": "double"}.get(call.name, argument.type)
    sql = _aggregate_sql(call.name, argument)
    return Operand(sql, type_, argument.label, call.start, aggregate=True, function=call.name)


def _aggregate_sql(name: str, argument: Operand) -> str:
    sql = argument.sql
    exact = argument.type in DECIMAL_TYPES
    if name in {"MIN", "MAX"}:
        return f"decimal_{name.lower()}({sql})" if exact else _extreme(name.lower(), argument)
    return {
        "COUNT": f"count({sql})",
        "COUNT_DISTINCT": f"count(DISTINCT {sql})",
        "AVG": f"decimal_avg({sql})",
        "SUM": f"decimal_sum({sql})" if exact else f"sum({sql})",
    }[name]


def _extreme(function: str, argument: Operand) -> str:
    """SQL of the least or greatest value: of a picklist by its list, of text without regard to case."""
    sql = argument.sql
    if argument.type in {"int", "date", "datetime", "id", "reference"}:
        return f"{function}({sql})"
    values = argument.column.field.values if argument.column and argument.type == "picklist" else ()
    if argument.column is None or not values:
        return f"{function}({sql} COLLATE NOCASE)"
    place = listed(argument.column.field, sql)
    names = " ".join(f"WHEN {number} THEN {quoted(value)}" for number, value in enumerate(values))
    best = f"CASE {function}({place}) {names} END"
    unlisted = f"{function}(iif({place}={len(values)},{sql},NULL) COLLATE NOCASE)"
    return f"coalesce({best},{unlisted})" if function == "min" else f"coalesce({unlisted},{best})"
