"""WHERE and HAVING as SQL: typed literals, two-valued logic, text without regard to case."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from localcloud.salesforce.ids import to_18
from localcloud.salesforce.sobject import DECIMAL_TYPES, ID_TYPES, NUMBER_TYPES
from localcloud.salesforce.soql.distances import LOCATION_TYPES
from localcloud.salesforce.soql.lexer import like_pattern
from localcloud.salesforce.soql.operands import DATE_FUNCTIONS
from localcloud.salesforce.soql.periods import bounds, is_counted
from localcloud.salesforce.soql.scope import quoted
from localcloud.salesforce.soql.syntax import Comparison, Constant, DateLiteral, Query
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.errors import SoqlError
    from localcloud.salesforce.soql.operands import Operand
    from localcloud.salesforce.soql.scope import Context
    from localcloud.salesforce.soql.syntax import Condition, Expression

    Resolve = Callable[[Expression], Operand]
    SemiJoin = Callable[[Operand, Query], str]

_TYPED = {"datetime": "dateTime", "anyType": "string", "reference": "string", "id": "string"}
_UNQUOTED = NUMBER_TYPES | {"boolean", "date", "datetime", "time"}
_LONGEST_TEXT = 4_000
_FIRST_DAY, _LAST_DAY = date(1700, 1, 1), date(4000, 12, 31)
_LIKE_TYPES = frozenset({"multipicklist"}) | _UNQUOTED | ID_TYPES


class Conditions:
    """Compiles conditions of one scope.

    Args:
        context: The statement's.
        resolve: What the left side of a comparison stands for.
        semi_join: SQL of the subquery of an IN.
    """

    def __init__(self, context: Context, resolve: Resolve, semi_join: SemiJoin) -> None:
        self._context = context
        self._resolve = resolve
        self._semi_join = semi_join

    def sql(self, condition: Condition) -> str:
        """SQL that is true where the condition holds.

        Raises:
            SoqlError: A field that cannot be filtered, or a value or operator that does not fit it.
        """
        if isinstance(condition, Comparison):
            return self._comparison(condition)
        parts = [self.sql(part) for part in condition.parts]
        if condition.operator == "NOT":  # what is unknown is false, so its opposite is true
            return f"NOT coalesce({parts[0]},0)"
        return balanced(condition.operator, parts)

    def _comparison(self, comparison: Comparison) -> str:
        left = self._resolve(comparison.left)
        value, operator = comparison.value, comparison.operator
        if left.function == "DISTANCE" and operator not in {"<", ">"}:
            raise self._context.error(comparison.start, "DISTANCE can only be compared with < and >")
        if isinstance(value, Query):
            inside = f"{left.sql} IN ({self._semi_join(left, value)})"
            return inside if operator == "IN" else f"NOT coalesce({inside},0)"
        if left.type in LOCATION_TYPES:
            raise self._context.error(
                left.start, "Address fields can only be filtered using Distance expressions", "INVALID_FIELD"
            )
        if left.column is not None and not left.column.field.filterable:
            raise self._context.error(
                left.start, f"field '{left.label}' can not be filtered in a query call", "INVALID_FIELD"
            )
        if isinstance(value, Constant):
            return self._one(left, operator, value, comparison.start)
        if len({constant.currency is None for constant in value}) > 1:
            raise self._context.error(comparison.start, "Values with and without an ISO code cannot be mixed")
        if operator in {"INCLUDES", "EXCLUDES"}:
            return self._includes(left, operator, value, comparison.start)
        inside = self._inside(left, value)
        return inside if operator == "IN" else f"NOT coalesce({inside},0)"

    def _inside(self, left: Operand, values: tuple[Constant, ...]) -> str:
        plain, others = [], []
        for value in values:
            if value.kind in {"null", "period"} or value.value == "":
                others.append(self._one(left, "=", value, value.start))
            else:
                plain.append(self._scalar(left, value))
        if plain and left.function is None and any(not one.isascii() for one in plain) and _is_text(left):
            others.append(f"fold({left.sql}) IN ({','.join(one.casefold() for one in plain)})")
        elif plain:
            others.append(f"{_comparable(left)} IN ({','.join(plain)})")
        return balanced("OR", others)

    def _includes(self, left: Operand, operator: str, values: tuple[Constant, ...], start: int) -> str:
        if left.type != "multipicklist":
            raise self._refused(left, operator, start)
        any_of = []
        for value in values:
            wanted = self._scalar(left, value)[1:-1].upper().split(";")
            any_of.append(balanced("AND", [f"instr(';'||upper({left.sql})||';',';{one};') > 0" for one in wanted]))
        inside = balanced("OR", any_of)
        return inside if operator == "INCLUDES" else f"NOT coalesce({inside},0)"

    def _one(self, left: Operand, operator: str, value: Constant, start: int) -> str:
        if operator == "LIKE":
            return self._like(left, value, start)
        ordered = operator not in {"=", "!="}
        if ordered and left.type in {"boolean", "multipicklist"}:
            raise self._refused(left, operator, start)
        if left.type == "boolean" and value.kind == "null":  # null is false
            value = Constant("boolean", False, value.text, value.start)
        if value.kind == "null" or (value.value == "" and left.type not in _UNQUOTED):
            if ordered:
                return "0"
            return f"{left.sql} IS {'NOT ' if operator == '!=' else ''}NULL"
        if value.kind == "period" and isinstance(value.value, DateLiteral):
            return self._period(left, operator, value.value, value.start)
        scalar = self._scalar(left, value)
        if not scalar.isascii() and _is_text(left) and not ordered:
            return f"fold({left.sql}) {'IS NOT' if operator == '!=' else operator} {scalar.casefold()}"
        return f"{_comparable(left)} {'IS NOT' if operator == '!=' else operator} {scalar}"

    def _like(self, left: Operand, value: Constant, start: int) -> str:
        if left.type in _LIKE_TYPES:
            raise self._refused(left, "LIKE", start)
        if value.kind != "string":
            raise self._mistyped(left, value)
        self._check_length(value)
        pattern = like_pattern(value.text)
        if not pattern.isascii():
            return f"fold({left.sql}) LIKE {quoted(pattern.casefold())} ESCAPE '\\'"
        return f"{left.sql} LIKE {quoted(pattern)} ESCAPE '\\'"

    def _period(self, left: Operand, operator: str, literal: DateLiteral, start: int) -> str:
        if left.function in DATE_FUNCTIONS:
            raise self._context.error(
                start, f"date function {left.function} cannot be compared with date literal {literal.name}"
            )
        if left.type not in {"date", "datetime"}:
            raise self._context.error(
                start, f"date literal {literal.name} does not fit field '{left.label}'", "INVALID_FIELD"
            )
        if is_counted(literal.name) != (literal.n is not None):
            raise self._context.error(start, f"Invalid date literal: {literal.name}")
        try:
            first, after = bounds(literal.name, literal.n or 0, self._context.now.astimezone(UTC).date())
        except (OverflowError, ValueError) as error:
            raise self._context.error(start, f"Invalid date literal {literal.name}:{literal.n}") from error
        low, high = (quoted(_midnight(day, left.type)) for day in (first, after))
        return {
            "=": f"({left.sql} >= {low} AND {left.sql} < {high})",
            "!=": f"NOT coalesce({left.sql} >= {low} AND {left.sql} < {high},0)",
            "<": f"{left.sql} < {low}",
            "<=": f"{left.sql} < {high}",
            ">": f"{left.sql} >= {high}",
            ">=": f"{left.sql} >= {low}",
        }[operator]

    def _scalar(self, left: Operand, value: Constant) -> str:
        content = value.value
        self._check_length(value)
        if value.currency is not None and left.type != "currency":
            raise self._mistyped(left, value)
        if value.currency is not None and left.aggregate:
            raise self._context.error(value.start, "An ISO code cannot be used with an aggregate function")
        match left.type, value.kind:
            case ("id" | "reference", "string"):
                found = to_18(str(content))
                if found is None:
                    raise self._context.error(
                        value.start, f"invalid ID field: {content}", "INVALID_QUERY_FILTER_OPERATOR"
                    )
                return quoted(found)
            case (type_, "number") if type_ in NUMBER_TYPES and isinstance(content, Decimal):
                return f"{content:f}"
            case ("boolean", "boolean"):
                return "1" if content else "0"
            case ("date", "date"):
                return quoted(self._checked(value, _day, "date"))
            case ("datetime", "datetime"):
                return quoted(self._checked(value, _instant, "datetime"))
            case (type_, "string") if type_ not in _UNQUOTED:
                return quoted(str(content))
        raise self._mistyped(left, value)

    def _checked(self, value: Constant, parse: Callable[[str], str], what: str) -> str:
        try:
            return parse(value.text)
        except (ValueError, OverflowError) as error:
            raise self._context.error(value.start, f"Invalid {what}: {value.text}") from error

    def _check_length(self, value: Constant) -> None:
        if value.kind == "string" and len(str(value.value)) > _LONGEST_TEXT:
            raise self._context.error(value.start, f"String literals cannot exceed {_LONGEST_TEXT:,} characters")

    def _mistyped(self, left: Operand, value: Constant) -> SoqlError:
        type_ = _TYPED.get(left.type, left.type)
        quotes = "should not be enclosed in quotes" if left.type in _UNQUOTED else "should be enclosed in quotes"
        return self._context.error(
            value.start,
            f"value of filter criterion for field '{left.label}' must be of type {type_} and {quotes}",
            "INVALID_FIELD",
        )

    def _refused(self, left: Operand, operator: str, start: int) -> SoqlError:
        type_ = "id" if left.type in ID_TYPES else left.type
        return self._context.error(
            start, f"invalid operator on {type_} field: {operator}", "INVALID_QUERY_FILTER_OPERATOR"
        )


def balanced(operator: str, parts: list[str]) -> str:
    """Parts joined by an operator, as a shallow tree: SQLite bounds the depth of an expression."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({balanced(operator, parts[:middle])} {operator} {balanced(operator, parts[middle:])})"


def _is_text(left: Operand) -> bool:
    return left.type not in ID_TYPES and left.type not in _UNQUOTED


def _comparable(left: Operand) -> str:
    if left.type in DECIMAL_TYPES:
        return f"CAST({left.sql} AS REAL)"
    if left.type == "boolean" and left.column is not None and left.column.way:  # no parent: false
        return f"coalesce({left.sql},0)"
    if left.type in ID_TYPES or left.type in _UNQUOTED:
        return left.sql
    return f"{left.sql} COLLATE NOCASE"


def _day(text: str) -> str:
    day = date.fromisoformat(text)
    if not _FIRST_DAY <= day <= _LAST_DAY:
        raise ValueError(text)
    return day.isoformat()


def _instant(text: str) -> str:
    moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    if not _FIRST_DAY <= moment.date() <= _LAST_DAY:
        raise ValueError(text)
    return instant_text(moment)


def _midnight(day: date, type_: str) -> str:
    if type_ == "date":
        return day.isoformat()
    return instant_text(datetime.combine(day, datetime.min.time(), UTC))
