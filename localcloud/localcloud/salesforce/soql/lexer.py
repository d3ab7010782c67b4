"""From the text of a SOQL statement to tokens with their places."""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from localcloud.salesforce.errors import SoqlError


class Kind(Enum):
    """What a token is."""

    NAME = "name"
    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    DATETIME = "datetime"
    OPERATOR = "operator"
    END = "end"


class Token(msgspec.Struct, frozen=True):
    """A token: its kind, its text (of a string: the decoded text), and where it starts."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """The text of a name in capitals, for keywords; empty for anything else."""
        return self.text.upper() if self.kind is Kind.NAME else ""


_PATTERN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<datetime>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2}))
    | (?P<date>\d{4}-\d{2}-\d{2})
    | (?P<decimal>[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?\d+[eE][+-]?\d+)
    | (?P<integer>[+-]?\d+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<operator><=|>=|!=|<>|[=<>(),:])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def place(statement: str, position: int) -> str:
    """`Row:r:Column:c` of a position, as Salesforce's messages say it."""
    before = statement[:position]
    return f"Row:{before.count(chr(10)) + 1}:Column:{position - (before.rfind(chr(10)) + 1) + 1}"


def pointed(statement: str, position: int, message: str, code: str = "MALFORMED_QUERY") -> SoqlError:
    """The error that shows the statement around a position, a caret under it, and the message."""
    start = max(0, position - 20)
    excerpt = statement[start : position + 20].replace("\n", " ")
    caret = " " * (position - start) + "^"
    return SoqlError(code, f"\n{excerpt}\n{caret}\nERROR at {place(statement, position)}\n{message}")


def tokens(statement: str) -> list[Token]:
    """All tokens, ended by one of kind END.

    Raises:
        SoqlError: A character that begins no token, a string without an end or with an unknown escape.
    """
    found = []
    position = 0
    if "\0" in statement:
        raise pointed(statement, statement.index("\0"), "line 1: unexpected character")
    while position < len(statement):
        match = _PATTERN.match(statement, position)
        if match is None:
            raise pointed(statement, position, f"unexpected token: '{statement[position]}'")
        kind = match.lastgroup
        if kind != "space":
            text = match.group()
            if kind == "string":
                text = _decode(statement, text[1:-1], position)
            found.append(Token(Kind(kind), text, position, match.end()))
        position = match.end()
    found.append(Token(Kind.END, "<EOF>", position, position))
    return found


def like_pattern(body: str) -> str:
    """The pattern of a LIKE, as written between the quotes, for SQLite with a backslash as its ESCAPE."""

    def replace(match: re.Match[str]) -> str:
        what = match.group(1)
        if what in {"%", "_", "\\"}:
            return "\\" + what
        return _unescape(what) or ""

    return _ESCAPE.sub(replace, body)


def _decode(statement: str, body: str, position: int) -> str:
    def replace(match: re.Match[str]) -> str:
        what = match.group(1)
        character = what if what in {"%", "_"} else _unescape(what)
        if character is None:
            raise pointed(statement, position, f"Illegal string literal: Invalid string literal '{body}'")
        return character

    return _ESCAPE.sub(replace, body)


def _unescape(what: str) -> str | None:
    """The character that an escape stands for; None when there is none."""
    if what in _ESCAPES:
        return _ESCAPES[what]
    if len(what) == 5:
        character = chr(int(what[1:], 16))
        if character != "\0" and not "\ud800" <= character <= "\udfff":
            return character
    return None
