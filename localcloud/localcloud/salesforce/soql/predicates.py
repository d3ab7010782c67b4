"""The part of the parser for expressions: fields, functions, conditions and values."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from localcloud.salesforce.soql.lexer import Kind, Token, decode
from localcloud.salesforce.soql.periods import PERIODS
from localcloud.salesforce.soql.syntax import Call, Comparison, Constant, DateLiteral, Distance, Logic, Path

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.soql.cursor import Cursor
    from localcloud.salesforce.soql.syntax import Condition, Expression, Query

_COMPARE = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
_CURRENCY = re.compile(r"([A-Za-z]{3})([0-9]+\.?[0-9]*)", re.ASCII)


def expression(cursor: Cursor) -> Expression:
    """A field, a function of one, a function of a function of one, or a distance.

    Raises:
        SoqlError: MALFORMED_QUERY; functions nest two deep at most.
    """
    token = cursor.now
    if token.upper == "DISTANCE" and cursor.ahead().text == "(" and cursor.ahead(3).text == ",":
        return _distance(cursor)
    path = cursor.path()
    if not cursor.take("("):
        return path
    inner = cursor.path()
    argument: Path | Call = inner
    if cursor.take("("):
        argument = Call(inner.text.upper(), cursor.path(), inner.start)
        cursor.need(")")
    cursor.need(")")
    return Call(path.text.upper(), argument, token.start)


def field(cursor: Cursor) -> Path | Call:
    """A field or a function, where a distance has no place.

    Raises:
        SoqlError: MALFORMED_QUERY.
    """
    token = cursor.now
    found = expression(cursor)
    if isinstance(found, Distance):
        raise cursor.unexpected(token)
    return found


def _distance(cursor: Cursor) -> Distance:
    start = cursor.now.start
    cursor.at += 2
    place = cursor.path()
    cursor.need(",")
    other: Path | tuple[Decimal, Decimal]
    if cursor.now.upper == "GEOLOCATION" and cursor.ahead().text == "(":
        cursor.at += 2
        latitude = _number(cursor).value
        cursor.need(",")
        longitude = _number(cursor).value
        cursor.need(")")
        other = (Decimal(str(latitude)), Decimal(str(longitude)))
    else:
        other = cursor.path()
    cursor.need(",")
    token = cursor.now
    if token.kind is not Kind.STRING:
        raise cursor.unexpected()
    cursor.at += 1
    cursor.need(")")
    return Distance(place, other, token.text, start)


def condition(cursor: Cursor, subquery: Callable[[], Query]) -> Condition:
    """A WHERE or HAVING expression.

    AND and OR do not mix without brackets, and NOT stands only at the start of an expression.

    Args:
        cursor: The tokens.
        subquery: Parses the subquery of an IN.

    Raises:
        SoqlError: MALFORMED_QUERY.
    """
    cursor.deeper()
    found: Condition
    if cursor.word("NOT"):
        found = Logic("NOT", (_one(cursor, subquery),))
    else:
        parts = [_one(cursor, subquery)]
        joined: Literal["AND", "OR"] | None = None
        while (word := cursor.now.upper) == "AND" or word == "OR":
            if joined is not None and word != joined:
                raise cursor.unexpected()
            joined = "AND" if word == "AND" else "OR"
            cursor.at += 1
            parts.append(_one(cursor, subquery))
        found = parts[0] if joined is None else Logic(joined, tuple(parts))
    cursor.out()
    return found


def _one(cursor: Cursor, subquery: Callable[[], Query]) -> Condition:
    if cursor.take("("):
        inner = condition(cursor, subquery)
        cursor.need(")")
        return inner
    first = cursor.now
    left = expression(cursor)
    token = cursor.now
    if token.text in _COMPARE and token.kind is Kind.OPERATOR:
        cursor.at += 1
        return Comparison(left, "!=" if token.text == "<>" else token.text, literal(cursor), token.start)
    if isinstance(left, Distance):
        raise cursor.unexpected()
    if cursor.word("LIKE"):
        if cursor.now.upper == "NULL":
            raise cursor.unexpected()
        return Comparison(left, "LIKE", literal(cursor, like=True), token.start)
    if cursor.word("INCLUDES") or cursor.word("EXCLUDES"):
        return Comparison(left, token.upper, _list(cursor, first), token.start)
    negated = cursor.word("NOT")
    if not cursor.word("IN"):
        raise cursor.unexpected()
    operator = "NOT IN" if negated else "IN"
    if cursor.now.text == "(" and cursor.ahead().upper == "SELECT":
        cursor.at += 1
        query = subquery()
        cursor.need(")")
        return Comparison(left, operator, query, token.start)
    return Comparison(left, operator, _list(cursor, first), token.start)


def _list(cursor: Cursor, first: Token) -> tuple[Constant, ...]:
    cursor.need("(")
    if cursor.now.kind is Kind.OPERATOR and cursor.now.text == ")":
        raise cursor.error(cursor.now.start, f"unexpected token: '{cursor.statement[first.start : cursor.now.end]}'")
    values = [literal(cursor)]
    while cursor.take(","):
        values.append(literal(cursor))
    cursor.need(")")
    return tuple(values)


def literal(cursor: Cursor, *, like: bool = False) -> Constant:
    """A value.

    Raises:
        SoqlError: MALFORMED_QUERY.
    """
    token = cursor.now
    match token.kind:
        case Kind.STRING:
            cursor.at += 1
            text = decode(cursor.statement, token.text, token.start, like=like)
            return Constant("string", text, token.text, token.start)
        case Kind.DATE | Kind.DATETIME | Kind.TIME:
            cursor.at += 1
            kind: Literal["date", "datetime", "time"] = (
                "date" if token.kind is Kind.DATE else "datetime" if token.kind is Kind.DATETIME else "time"
            )
            return Constant(kind, token.text, token.text, token.start)
        case Kind.NAME:
            return _word_literal(cursor, token)
    if token.text == ":":
        raise cursor.error(token.start, "Bind variables only allowed in Apex code")
    return _number(cursor)


def _number(cursor: Cursor) -> Constant:
    start = cursor.now
    negative = cursor.take("-")
    if not negative:
        cursor.take("+")
    token = cursor.now
    if token.kind not in {Kind.INTEGER, Kind.DECIMAL}:
        raise cursor.unexpected()
    cursor.at += 1
    value = Decimal(token.text)
    return Constant("number", -value if negative else value, token.text, start.start)


def _word_literal(cursor: Cursor, token: Token) -> Constant:
    word = token.upper
    cursor.at += 1
    if word == "NULL":
        return Constant("null", None, token.text, token.start)
    if word in {"TRUE", "FALSE"}:
        return Constant("boolean", word == "TRUE", token.text, token.start)
    if word in PERIODS:
        n = count(cursor) if cursor.take(":") else None
        return Constant("period", DateLiteral(word, n), token.text, token.start)
    amount = _CURRENCY.fullmatch(token.text)
    if amount is not None:
        return Constant("number", Decimal(amount[2]), token.text, token.start, amount[1].upper())
    if (
        len(word) == 3
        and word.isascii()
        and word.isalpha()
        and cursor.now.start == token.end
        and cursor.now.text == "-"
    ):
        number = _number(cursor)
        return Constant("number", number.value, number.text, token.start, word)
    raise cursor.unexpected(token)


def count(cursor: Cursor, *, signed: bool = False) -> int:
    """A whole number that must come next.

    Args:
        cursor: The tokens.
        signed: Whether it may have a sign.

    Raises:
        SoqlError: MALFORMED_QUERY.
    """
    negative = signed and cursor.take("-")
    if signed and not negative:
        cursor.take("+")
    token = cursor.now
    if token.kind is not Kind.INTEGER:
        raise cursor.unexpected()
    cursor.at += 1
    return int(token.text[:12]) * (-1 if negative else 1)
