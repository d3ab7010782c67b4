"""The left side of a comparison: a field, a date function of one, or an aggregate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.sobject import DECIMAL_TYPES, NUMBER_TYPES
from localcloud.salesforce.soql.syntax import Call, Path

if TYPE_CHECKING:
    from localcloud.salesforce.soql.scope import Column, Scope

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
_SAME = frozenset({"TOLABEL", "FORMAT", "CONVERTCURRENCY"})
AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"})


class Operand(msgspec.Struct, frozen=True):
    """SQL of a value, its describe type, and how messages call it.

    `column` is the field it is, if it is a plain one (also under `toLabel` and its like); `name` the key in
    the answer, None where Salesforce numbers it (`expr0`).
    """

    sql: str
    type: str
    label: str
    start: int
    name: str | None = None
    column: Column | None = None
    aggregate: bool = False
    nillable: bool = True

    @property
    def order(self) -> str:
        """SQL that sorts as Salesforce does: numbers by value, text without regard to case."""
        if self.type in DECIMAL_TYPES:
            return f"CAST({self.sql} AS REAL)"
        if self.type in {"id", "reference", "date", "datetime", "boolean", "int", "anyType"}:
            return self.sql
        return f"{self.sql} COLLATE NOCASE"


def operand(scope: Scope, what: Path | Call) -> Operand:
    """What an expression stands for.

    Raises:
        SoqlError: An unknown field (INVALID_FIELD), or a function that cannot take it (MALFORMED_QUERY).
    """
    if isinstance(what, Path):
        column = scope.column(what)
        field = column.field
        return Operand(column.sql, field.type, field.name, what.start, field.name, column, nillable=field.nillable)
    if what.name in AGGREGATES:
        return _aggregate(scope, what)
    argument = _argument(scope, what)
    if what.name in _SAME:
        return msgspec.structs.replace(argument, start=what.start)
    if what.name == "CONVERTTIMEZONE":  # the user's time zone is GMT
        return argument
    if what.name in _DATE_FUNCTIONS and argument.type in {"date", "datetime"}:
        return Operand(_DATE_FUNCTIONS[what.name].format(argument.sql), "int", argument.label, what.start)
    if what.name in _TIME_FUNCTIONS and argument.type == "datetime":
        type_, sql = _TIME_FUNCTIONS[what.name]
        return Operand(sql.format(argument.sql), type_, argument.label, what.start)
    if what.name in _DATE_FUNCTIONS or what.name in _TIME_FUNCTIONS:
        raise scope.context.error(
            what.start, f"field {argument.label} does not support date function {what.name}", "MALFORMED_QUERY"
        )
    raise scope.context.error(what.start, f"Unknown function '{what.name}'", "MALFORMED_QUERY")


def _argument(scope: Scope, call: Call) -> Operand:
    if call.argument is None:
        raise scope.context.error(call.start, "unexpected token: ')'")
    found = operand(scope, call.argument)
    if found.aggregate:
        raise scope.context.error(call.start, f"{call.name} of an aggregate is not supported")
    return found


def _aggregate(scope: Scope, call: Call) -> Operand:
    if call.argument is None and call.name == "COUNT":
        return Operand("count(*)", "int", "COUNT()", call.start, aggregate=True)
    argument = _argument(scope, call)
    field = argument.column.field if argument.column else None
    plain = field is None or (field.filterable and field.type != "anyType")
    number = argument.type in NUMBER_TYPES
    fits = {
        "COUNT": plain,
        "COUNT_DISTINCT": plain,
        "SUM": number,
        "AVG": number,
        "MIN": plain and argument.type != "boolean",
        "MAX": plain and argument.type != "boolean",
    }[call.name]
    if not fits:
        raise scope.context.error(call.start, f"field {argument.label} does not support aggregate operator {call.name}")
    exact = argument.type in DECIMAL_TYPES
    sql = {
        "COUNT": f"count({argument.sql})",
        "COUNT_DISTINCT": f"count(DISTINCT {argument.sql})",
        "SUM": f"decimal_sum({argument.sql})" if exact else f"sum({argument.sql})",
        "AVG": f"decimal_avg({argument.sql})",
        "MIN": f"decimal_min({argument.sql})" if exact else f"min({argument.sql})",
        "MAX": f"decimal_max({argument.sql})" if exact else f"max({argument.sql})",
    }[call.name]
    type_ = {"COUNT": "int", "COUNT_DISTINCT": "int", "AVG": "double"}.get(call.name, argument.type)
    return Operand(sql, type_, argument.label, call.start, aggregate=True)
