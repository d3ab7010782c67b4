"""Filter expressions of channel members, a documented subset: conditions on header fields of change events.

Source: Change Data Capture guide, "Filter Expression Format" and "Change Event Filters". Here: the operators
`= != > < >= <= LIKE IN NOT IN`, joined by AND and OR with parentheses, on the fields of ChangeEventHeader that
are not arrays. Text does not tell case apart. Not modelled: conditions on record fields.
"""

from __future__ import annotations

import re

COLUMNS = {
    "entityname": "entity",
    "changetype": "change_type",
    "changeorigin": "change_origin",
    "transactionkey": "transaction_key",
    "sequencenumber": "sequence_number",
    "committimestamp": "at",
    "commitnumber": "commit_number",
    "commituser": "commit_user",
}
"""Where the event table keeps a header field."""
_NUMBERS = frozenset({"sequence_number", "at", "commit_number"})
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<number>-?\d+)|(?P<word>[A-Za-z_][\w.]*)|(?P<sign><=|>=|!=|=|<|>|\(|\)|,))"
)
_DEEPEST = 20


def to_sql(expression: str) -> tuple[str, list[str | int]]:
    """SQL of a condition on the event table, and its parameters.

    Raises:
        ValueError: The expression is outside the subset; the message says where.
    """
    if not expression.strip():
        return "1", []
    return _Parser(expression).parse()


class _Parser:
    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = self._split(expression)
        self._next = 0
        self._parameters: list[str | int] = []

    def parse(self) -> tuple[str, list[str | int]]:
        sql = self._any(0)
        if self._next < len(self._tokens):
            raise self._fault()
        return sql, self._parameters

    def _split(self, expression: str) -> list[str]:
        tokens, at = [], 0
        rest = expression.rstrip()
        while at < len(rest):
            match = _TOKEN.match(rest, at)
            if match is None:
                raise ValueError(f"filter expression, near {rest[at : at + 20]!r}: not understood")
            tokens.append(match.group().strip())
            at = match.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self, *wanted: str) -> bool:
        if self._peek().upper() in wanted:
            self._next += 1
            return True
        return False

    def _fault(self) -> ValueError:
        near = self._peek() or "its end"
        return ValueError(f"filter expression {self._expression!r}, near {near}: not understood")

    def _any(self, depth: int) -> str:
        parts = [self._all(depth)]
        while self._take("OR"):
            parts.append(self._all(depth))
        return f"({' OR '.join(parts)})"

    def _all(self, depth: int) -> str:
        parts = [self._condition(depth)]
        while self._take("AND"):
            parts.append(self._condition(depth))
        return f"({' AND '.join(parts)})"

    def _condition(self, depth: int) -> str:
        if self._take("("):
            if depth == _DEEPEST:
                raise self._fault()
            inner = self._any(depth + 1)
            if not self._take(")"):
                raise self._fault()
            return inner
        column = self._column()
        negated = self._take("NOT")
        if self._take("IN"):
            marks = ", ".join("?" * self._list(column))
            return f"{column} COLLATE NOCASE {'NOT ' if negated else ''}IN ({marks})"
        sign = self._peek().upper()
        if negated or sign not in {"=", "!=", ">", "<", ">=", "<=", "LIKE"}:
            raise self._fault()
        self._next += 1
        self._value(column)
        return f"{column} {sign} ? COLLATE NOCASE" if sign != "LIKE" else f"{column} LIKE ?"

    def _column(self) -> str:
        prefix, _, name = self._peek().partition(".")
        column = COLUMNS.get(name.lower()) if prefix.lower() == "changeeventheader" else None
        if column is None:
            raise ValueError(f"filter expression: {self._peek() or 'a field'!r} is no header field that filters take")
        self._next += 1
        return column

    def _list(self, column: str) -> int:
        if not self._take("("):
            raise self._fault()
        count = 1
        self._value(column)
        while self._take(","):
            self._value(column)
            count += 1
        if not self._take(")"):
            raise self._fault()
        return count

    def _value(self, column: str) -> None:
        token = self._peek()
        if column in _NUMBERS:
            if not re.fullmatch(r"-?\d{1,18}", token):
                raise self._fault()
            self._parameters.append(int(token))
        else:
            if not token.startswith("'"):
                raise self._fault()
            self._parameters.append(re.sub(r"\\(.)", r"\1", token[1:-1]))
        self._next += 1
