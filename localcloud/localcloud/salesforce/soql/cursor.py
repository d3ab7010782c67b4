"""A cursor over the tokens of one statement: what comes next, and the error where it does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.soql.lexer import Kind, Token, pointed, tokens
from localcloud.salesforce.soql.syntax import Path

if TYPE_CHECKING:
    from localcloud.salesforce.errors import SoqlError

RESERVED = frozenset(
    {
        "AND", "AS", "ASC", "BIND", "BY", "CUBE", "DESC", "ELSE", "EXCLUDES", "FALSE", "FIRST", "FOR", "FROM",
        "HAVING", "IN", "INCLUDES", "LAST", "LIKE", "LIMIT", "LOOKUP", "NOT", "NULL", "NULLS", "OR", "ROLLUP",
        "SELECT", "TRUE", "UPDATE", "USING", "WHERE", "WITH",
    }
)  # fmt: skip
"""What can be neither a field nor an alias. GROUP, ORDER, OFFSET and others can: `SELECT Id FROM Group`."""
_DEEPEST = 25


class Cursor:
    """Tokens and the place among them.

    Args:
        statement: SOQL.

    Raises:
        SoqlError: The text holds what is no token.
    """

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self._tokens = tokens(statement)
        self.at = 0
        self._depth = 0

    @property
    def now(self) -> Token:
        """The token that comes next."""
        return self._tokens[self.at]

    def ahead(self, steps: int = 1) -> Token:
        """A token further on; the last one beyond the end."""
        return self._tokens[min(self.at + steps, len(self._tokens) - 1)]

    def word(self, word: str) -> bool:
        """Step over a keyword if it comes next."""
        if self.now.upper == word:
            self.at += 1
            return True
        return False

    def keyword(self, word: str) -> None:
        """Step over a keyword that must come next."""
        if not self.word(word):
            raise self.unexpected()

    def take(self, text: str) -> bool:
        """Step over an operator if it comes next."""
        if self.now.kind is Kind.OPERATOR and self.now.text == text:
            self.at += 1
            return True
        return False

    def need(self, text: str) -> None:
        """Step over an operator that must come next."""
        if not self.take(text):
            raise self.unexpected()

    def name(self) -> str:
        """Step over a name that must come next."""
        return self.path().text

    def path(self) -> Path:
        """Step over a field or object that must come next."""
        token = self.now
        if token.kind is not Kind.NAME or token.upper in RESERVED:
            raise self.unexpected()
        self.at += 1
        return Path(tuple(token.text.split(".")), token.start)

    def deeper(self) -> None:
        """Note one more level of nesting."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error(self.now.start, "the statement is nested too deeply")

    def out(self) -> None:
        """Note one level less."""
        self._depth -= 1

    def error(self, position: int, message: str) -> SoqlError:
        """A MALFORMED_QUERY that points into the statement."""
        return pointed(self.statement, position, message)

    def unexpected(self, token: Token | None = None) -> SoqlError:
        """The error of a token that does not fit."""
        token = token or self.now
        if token.kind is Kind.END:
            return self.error(token.start, "unexpected token: '<EOF>'")
        return self.error(token.start, f"unexpected token: '{self.statement[token.start : token.end]}'")
