"""From tokens to the tree of a SOQL statement, by recursive descent."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from localcloud.salesforce.soql.lexer import Kind, Token, pointed, tokens
from localcloud.salesforce.soql.periods import PERIODS, is_counted
from localcloud.salesforce.soql.syntax import (
    AllFields,
    Branch,
    Call,
    Comparison,
    Constant,
    DateLiteral,
    Logic,
    Order,
    Path,
    Query,
    Selected,
    TypeOf,
)

if TYPE_CHECKING:
    from localcloud.salesforce.errors import SoqlError
    from localcloud.salesforce.soql.syntax import Condition

_DEEPEST = 25
_RESERVED = frozenset(
    {
        "AND", "ASC", "BY", "DESC", "EXCLUDES", "FROM", "GROUP", "HAVING", "IN", "INCLUDES", "LIKE", "LIMIT", "NOT",
        "NULL", "NULLS", "OR", "SELECT", "WHERE", "WITH", "ORDER", "OFFSET", "USING", "FOR", "ALL", "TYPEOF",
    }
)  # fmt: skip
_COMPARE = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})


def parse(statement: str) -> Query:
    """The tree of a statement.

    Raises:
        SoqlError: `MALFORMED_QUERY` with the place and what was not expected there.
    """
    parser = _Parser(statement)
    query = parser.query()
    parser.end()
    return query


class _Parser:
    """A cursor over the tokens of one statement."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._tokens = tokens(statement)
        self._at = 0
        self._depth = 0

    # Statement

    def query(self, *, nested: bool = False) -> Query:
        start = self._now.start
        self._deeper()
        self._keyword("SELECT")
        select = [self._selected(nested=nested)]
        while self._take(","):
            select.append(self._selected(nested=nested))
        self._keyword("FROM")
        source = self._source()
        alias = self._alias()
        aliases = []
        while self._take(","):
            way = self._path()
            name = self._alias()
            if name is None:
                raise self._unexpected()
            aliases.append((name, way.parts))
        self._scope()
        where = self._condition() if self._word("WHERE") else None
        self._with()
        group_by: list[Path | Call] = []
        if self._word("GROUP"):
            self._keyword("BY")
            group_by = [self._expression()]
            while self._take(","):
                group_by.append(self._expression())
        having = self._condition() if self._word("HAVING") else None
        order_by = self._order_by()
        limit = self._count() if self._word("LIMIT") else None
        offset = self._count() if self._word("OFFSET") else None
        all_rows = self._endings()
        self._depth -= 1
        only = select[0]
        count_only = (
            isinstance(only, Selected)
            and isinstance(only.what, Call)
            and only.what.name == "COUNT"
            and only.what.argument is None
        )
        if count_only and (len(select) > 1 or group_by):
            raise pointed(self._statement, start, "COUNT() must be the only element in the SELECT list")
        return Query(
            tuple(select), source, alias, tuple(aliases), where, tuple(group_by), having, order_by, limit, offset,
            all_rows, count_only, start,
        )  # fmt: skip

    def end(self) -> None:
        if self._now.kind is not Kind.END:
            raise self._unexpected()

    def _source(self) -> Path:
        token = self._now
        if token.upper in {"GROUP", "ORDER"}:  # reserved, and yet names of objects
            self._at += 1
            return Path((token.text,), token.start)
        return self._path()

    def _scope(self) -> None:
        if self._word("USING"):
            self._keyword("SCOPE")
            self._name()

    def _with(self) -> None:
        if self._word("WITH") and not (
            self._word("SECURITY_ENFORCED") or self._word("USER_MODE") or self._word("SYSTEM_MODE")
        ):
            raise self._unexpected()

    def _endings(self) -> bool:
        all_rows = False
        while True:
            if self._word("FOR"):
                if not (self._word("VIEW") or self._word("REFERENCE") or self._word("UPDATE")):
                    raise self._unexpected()
            elif self._word("ALL"):
                self._keyword("ROWS")
                all_rows = True
            else:
                return all_rows

    def _order_by(self) -> tuple[Order, ...]:
        if not self._word("ORDER"):
            return ()
        self._keyword("BY")
        keys = []
        while True:
            what = self._expression()
            descending = False
            if self._word("DESC"):
                descending = True
            else:
                self._word("ASC")
            nulls_last = False
            if self._word("NULLS"):
                nulls_last = self._now.upper == "LAST"
                if not (self._word("LAST") or self._word("FIRST")):
                    raise self._unexpected()
            keys.append(Order(what, descending, nulls_last))
            if not self._take(","):
                return tuple(keys)

    def _count(self) -> int:
        token = self._now
        if token.kind is not Kind.INTEGER or token.text[0] in "+-" or len(token.text) > 9:
            raise self._unexpected()
        self._at += 1
        return int(token.text)

    # SELECT list

    def _selected(self, *, nested: bool) -> Selected | AllFields | TypeOf | Query:
        token = self._now
        if self._take("("):
            if nested:
                raise self._unexpected(token)
            query = self.query(nested=True)
            self._need(")")
            return query
        if token.upper == "TYPEOF":
            return self._typeof()
        if token.upper == "FIELDS" and self._next.text == "(":
            self._at += 2
            which = self._name().upper()
            if which not in {"ALL", "STANDARD", "CUSTOM"}:
                raise self._unexpected(token)
            self._need(")")
            return AllFields(which, token.start)
        return Selected(self._expression(), self._alias())

    def _typeof(self) -> TypeOf:
        start = self._now.start
        self._at += 1
        relationship = self._name()
        branches = []
        while self._word("WHEN"):
            type_name = self._name()
            self._keyword("THEN")
            branches.append(Branch(type_name, self._paths()))
        if not branches:
            raise self._unexpected()
        if self._word("ELSE"):
            branches.append(Branch(None, self._paths()))
        self._keyword("END")
        return TypeOf(relationship, tuple(branches), start)

    def _paths(self) -> tuple[Path, ...]:
        paths = [self._path()]
        while self._take(","):
            paths.append(self._path())
        return tuple(paths)

    def _expression(self) -> Path | Call:
        token = self._now
        path = self._path()
        if not self._take("("):
            return path
        self._deeper()
        argument = None if self._now.text == ")" else self._expression()
        self._need(")")
        self._depth -= 1
        return Call(path.text.upper(), argument, token.start)

    def _path(self) -> Path:
        token = self._now
        if token.kind is not Kind.NAME or token.upper in _RESERVED:
            raise self._unexpected()
        self._at += 1
        return Path(tuple(token.text.split(".")), token.start)

    def _alias(self) -> str | None:
        token = self._now
        if token.kind is Kind.NAME and "." not in token.text and token.upper not in _RESERVED:
            self._at += 1
            return token.text
        return None

    # Conditions

    def _condition(self) -> Condition:
        self._deeper()
        parts = [self._negation()]
        joined: Literal["AND", "OR"] | None = None
        while (word := self._now.upper) == "AND" or word == "OR":
            if joined is not None and word != joined:  # Salesforce wants brackets where both are used
                raise self._unexpected()
            joined = "AND" if word == "AND" else "OR"
            self._at += 1
            parts.append(self._negation())
        self._depth -= 1
        return parts[0] if joined is None else Logic(joined, tuple(parts))

    def _negation(self) -> Condition:
        if self._word("NOT"):
            self._deeper()
            inner = self._negation()
            self._depth -= 1
            return Logic("NOT", (inner,))
        if self._take("("):
            inner = self._condition()
            self._need(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Condition:
        left = self._expression()
        token = self._now
        if token.text in _COMPARE and token.kind is Kind.OPERATOR:
            self._at += 1
            return Comparison(left, "!=" if token.text == "<>" else token.text, self._literal(), token.start)
        if self._word("LIKE"):
            return Comparison(left, "LIKE", self._literal(), token.start)
        if self._word("INCLUDES") or self._word("EXCLUDES"):
            return Comparison(left, token.upper, self._list(), token.start)
        negated = self._word("NOT")
        if not self._word("IN"):
            raise self._unexpected()
        operator = "NOT IN" if negated else "IN"
        if self._now.text == "(" and self._next.upper == "SELECT":
            self._at += 1
            query = self.query(nested=True)
            self._need(")")
            return Comparison(left, operator, query, token.start)
        return Comparison(left, operator, self._list(), token.start)

    def _list(self) -> tuple[Constant, ...]:
        self._need("(")
        values = [self._literal()]
        while self._take(","):
            values.append(self._literal())
        self._need(")")
        return tuple(values)

    def _literal(self) -> Constant:
        token = self._now
        self._at += 1
        match token.kind:
            case Kind.STRING:
                return Constant("string", token.text, self._statement[token.start + 1 : token.end - 1], token.start)
            case Kind.INTEGER | Kind.DECIMAL:
                return Constant("number", Decimal(token.text), token.text, token.start)
            case Kind.DATE:
                return Constant("date", token.text, token.text, token.start)
            case Kind.DATETIME:
                return Constant("datetime", token.text, token.text, token.start)
            case Kind.NAME:
                return self._word_literal(token)
        self._at -= 1
        raise self._unexpected()

    def _word_literal(self, token: Token) -> Constant:
        word = token.upper
        if word == "NULL":
            return Constant("null", None, token.text, token.start)
        if word in {"TRUE", "FALSE"}:
            return Constant("boolean", word == "TRUE", token.text, token.start)
        if word in PERIODS:
            n = 0
            if is_counted(word):
                self._need(":")
                n = self._count()
            return Constant("period", DateLiteral(word, n), token.text, token.start)
        currency = word[:3]
        if len(word) > 3 and currency.isalpha() and word[3:].isdigit():
            number = word[3:]
            if self._now.kind is Kind.DECIMAL and self._now.text[0] == "." and self._now.start == token.end:
                number += self._now.text
                self._at += 1
            return Constant("number", Decimal(number), token.text, token.start)
        raise self._unexpected(token)

    # Tokens

    @property
    def _now(self) -> Token:
        return self._tokens[self._at]

    @property
    def _next(self) -> Token:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def _word(self, word: str) -> bool:
        if self._now.upper == word:
            self._at += 1
            return True
        return False

    def _keyword(self, word: str) -> None:
        if not self._word(word):
            raise self._unexpected()

    def _name(self) -> str:
        token = self._now
        if token.kind is not Kind.NAME:
            raise self._unexpected()
        self._at += 1
        return token.text

    def _take(self, text: str) -> bool:
        if self._now.kind is Kind.OPERATOR and self._now.text == text:
            self._at += 1
            return True
        return False

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._unexpected()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise pointed(self._statement, self._now.start, "the statement is nested too deeply")

    def _unexpected(self, token: Token | None = None) -> SoqlError:
        token = token or self._now
        if token.kind is Kind.END:
            return pointed(self._statement, token.start, "unexpected token: '<EOF>'")
        text = self._statement[token.start : token.end]
        return pointed(self._statement, token.start, f"unexpected token: '{text}'")
