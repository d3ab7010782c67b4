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
    TIME = "time"
    OPERATOR = "operator"
    END = "end"


class Token(msgspec.Struct, frozen=True):
    """A token: its kind, its text (of a string: what stands between the quotes), and where it starts."""

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
      (?P<space>[ \t\r\n]+)
    | (?P<datetime>[0-9]{4}-[0-9]{2}-[0-9]{2}[tT][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[zZ]|[+-][0-9]{2}:?[0-9]{2}))
    | (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})
    | (?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?[zZ])
    | (?P<decimal>[0-9]*\.[0-9]+)
    | (?P<integer>[0-9]+)
    | (?P<name>[A-Za-z][A-Za-z0-9_.\x80-\U0010ffff]*)
    | (?P<string>'(?:[^'\\\n]|\\.)*')
    | (?P<operator><>|!=|[<>][ \t\r\n]*=|[=<>(),:+-])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r"\\([uU][0-9a-fA-F]{4}|.)", re.DOTALL)


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
        SoqlError: A character that begins no token, or a string without an end.
    """
    found = []
    position = 0
    if "\0" in statement:  # also inside of a text, where SQLite could not hold it
        raise _stray(statement, statement.index("\0"))
    while position < len(statement):
        match = _PATTERN.match(statement, position)
        if match is None:
            raise _stray(statement, position)
        kind = match.lastgroup
        if kind != "space":
            text = match.group()
            if kind == "string":
                text = text[1:-1]
            elif kind == "operator":
                text = text.translate(_NO_SPACE)
            found.append(Token(Kind(kind), text, position, match.end()))
        position = match.end()
    found.append(Token(Kind.END, "<EOF>", position, position))
    return found


_NO_SPACE = dict.fromkeys(map(ord, " \t\r\n"))


def _stray(statement: str, position: int) -> SoqlError:
    """The error of a character that begins no token."""
    before, character = statement[:position], statement[position]
    line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1)
    what = character if character.isprintable() else f"\\u{ord(character):04x}"
    return pointed(statement, position, f"line {line}:{column} unexpected token: '{what}'")


def decode(statement: str, body: str, position: int, *, like: bool = False) -> str:
    r"""The text that a string literal stands for.

    Args:
        statement: The statement, for the message.
        body: What stands between the quotes.
        position: Where the literal starts.
        like: Whether it is the pattern of a LIKE, in which alone `\_` and `\%` are allowed.

    Raises:
        SoqlError: An escape that SOQL does not know.
    """

    def replace(match: re.Match[str]) -> str:
        what = match.group(1)
        character = what if like and what in {"%", "_"} else _unescape(what)
        if character is None:
            raise pointed(
                statement,
                position,
                f"Invalid string literal '{body}'. Illegal character sequence '{match.group()}' in string literal.",
            )
        return character

    return _ESCAPE.sub(replace, body)


def like_pattern(body: str) -> str:
    """The pattern of a LIKE, as written between the quotes, for SQLite with a backslash as its ESCAPE."""

    def replace(match: re.Match[str]) -> str:
        what = match.group(1)
        if what in {"%", "_", "\\"}:
            return "\\" + what
        return _unescape(what) or ""

    return _ESCAPE.sub(replace, body)


def _unescape(what: str) -> str | None:
    """The character that an escape stands for; None when there is none."""
    if len(what) == 5:
        character = chr(int(what[1:], 16))
        return None if character == "\0" or "\ud800" <= character <= "\udfff" else character
    return _ESCAPES.get(what.lower())
