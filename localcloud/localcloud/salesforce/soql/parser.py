"""From tokens to the tree of a SOQL statement, by recursive descent.

The grammar is that of "SOQL SELECT Syntax" (SOQL and SOSL Reference); where the page is silent, that of
Salesforce's own published parser (npm `@salesforce/soql-common`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.salesforce.soql.cursor import RESERVED, Cursor
from localcloud.salesforce.soql.lexer import Kind
from localcloud.salesforce.soql.predicates import condition, count, expression, field
from localcloud.salesforce.soql.syntax import AllFields, Branch, Call, Order, Path, Query, Selected, TypeOf, With

if TYPE_CHECKING:
    from localcloud.salesforce.soql.syntax import Expression

    Item = Selected | AllFields | TypeOf | Query
    Grouping = Literal["PLAIN", "ROLLUP", "CUBE"]

_CATEGORY_OPERATORS = frozenset({"AT", "ABOVE", "BELOW", "ABOVE_OR_BELOW"})


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
    """Parses one statement."""

    def __init__(self, statement: str) -> None:
        self._cursor = Cursor(statement)

    def query(self) -> Query:
        cursor = self._cursor
        start = cursor.now.start
        cursor.deeper()
        cursor.keyword("SELECT")
        count_only = cursor.now.upper == "COUNT" and cursor.ahead().text == "(" and cursor.ahead(2).text == ")"
        if count_only:
            select: list[Item] = [Selected(Call("COUNT", None, cursor.now.start))]
            cursor.at += 3
        else:
            if cursor.now.upper == "FROM":
                raise cursor.error(
                    start, f"unexpected token: '{cursor.statement[start : cursor.now.end]}'"
                )  # as Salesforce names it
            select = [self._selected()]
            while cursor.take(","):
                select.append(self._selected())
        cursor.keyword("FROM")
        source, alias, aliases, scope = self._from()
        where = condition(cursor, self._semi_join) if cursor.word("WHERE") else None
        withs = self._withs()
        grouping, group_by = self._group_by()
        having = condition(cursor, self._semi_join) if group_by and cursor.word("HAVING") else None
        order_by = self._order_by()
        limit = count(cursor, signed=True) if cursor.word("LIMIT") else None
        offset = count(cursor, signed=True) if cursor.word("OFFSET") else None
        all_rows, endings = self._endings()
        cursor.out()
        return Query(
            tuple(select), source, alias, aliases, scope, where, withs, grouping, group_by, having, order_by, limit,
            offset, endings, all_rows, count_only, start,
        )  # fmt: skip

    def end(self) -> None:
        if self._cursor.now.kind is not Kind.END:
            raise self._cursor.unexpected()

    # FROM

    def _from(self) -> tuple[Path, str | None, tuple[tuple[str | None, Path], ...], Path | None]:
        cursor = self._cursor
        source = cursor.path()
        alias = self._source_alias()
        scope = self._scope()
        others = []
        while cursor.take(","):
            way = cursor.path()
            others.append((self._source_alias(), way))
            scope = self._scope() or scope
        return source, alias, tuple(others), scope

    def _source_alias(self) -> str | None:
        self._cursor.word("AS")
        return self._alias()

    def _scope(self) -> Path | None:
        if not self._cursor.word("USING"):
            return None
        if self._cursor.now.upper != "SCOPE":
            raise self._cursor.unexpected()
        self._cursor.at += 1
        return self._cursor.path()

    def _semi_join(self) -> Query:
        """`SELECT field FROM object WHERE ...`, without any other clause."""
        cursor = self._cursor
        start = cursor.now.start
        cursor.deeper()
        cursor.keyword("SELECT")
        selected = Selected(field(cursor))
        cursor.keyword("FROM")
        source, alias, aliases, scope = self._from()
        where = condition(cursor, self._semi_join) if cursor.word("WHERE") else None
        withs = self._withs()
        if not (cursor.now.kind is Kind.OPERATOR and cursor.now.text == ")") and cursor.now.kind is not Kind.END:
            token = cursor.now
            raise cursor.error(token.start, f"missing value at '{cursor.statement[token.start : token.end]}'")
        cursor.out()
        return Query((selected,), source, alias, aliases, scope, where, withs, start=start)

    # SELECT list

    def _selected(self) -> Item:
        cursor = self._cursor
        token = cursor.now
        if cursor.take("("):
            query = self.query()
            cursor.need(")")
            return msgspec.structs.replace(query, label=self._alias())
        if token.upper == "TYPEOF" and cursor.ahead().kind is Kind.NAME and cursor.ahead(2).upper == "WHEN":
            return self._typeof()
        what = expression(cursor)
        if isinstance(what, Call) and what.name == "FIELDS" and isinstance(what.argument, Path):
            return AllFields(what.argument.text.upper(), token.start, self._alias())
        return Selected(what, self._alias())

    def _typeof(self) -> TypeOf:
        cursor = self._cursor
        start = cursor.now.start
        cursor.at += 1
        relationship = cursor.path()
        branches = []
        while cursor.word("WHEN"):
            type_name = cursor.name()
            if not cursor.word("THEN"):
                raise cursor.unexpected()
            branches.append(Branch(type_name, self._paths()))
        if cursor.word("ELSE"):
            branches.append(Branch(None, self._paths()))
        cursor.keyword("END")
        return TypeOf(relationship, tuple(branches), start, self._alias())

    def _paths(self) -> tuple[Path, ...]:
        paths = [self._cursor.path()]
        while self._cursor.take(","):
            paths.append(self._cursor.path())
        return tuple(paths)

    def _alias(self) -> str | None:
        """A name that is not the start of the next clause."""
        token, following = self._cursor.now, self._cursor.ahead()
        if token.kind is not Kind.NAME or token.upper in RESERVED:
            return None
        clause = {
            "GROUP": following.upper == "BY",
            "ORDER": following.upper == "BY",
            "OFFSET": following.kind is Kind.INTEGER or following.text in {"+", "-"},
            "ALL": following.upper == "ROWS",
        }
        if clause.get(token.upper, False):
            return None
        self._cursor.at += 1
        return token.text

    # The other clauses

    def _withs(self) -> tuple[With, ...]:
        cursor = self._cursor
        found = []
        while cursor.word("WITH"):
            token = cursor.now
            if token.upper == "DATA" and cursor.ahead().upper == "CATEGORY":
                cursor.at += 2
                self._category()
                while cursor.word("AND"):
                    self._category()
                found.append(With("DATA CATEGORY", token.start))
                continue
            name = cursor.name()
            if cursor.take("="):
                if cursor.now.kind is not Kind.STRING:
                    raise cursor.unexpected()
                cursor.at += 1
            elif cursor.take("("):
                self._setting()
                while cursor.take(","):
                    self._setting()
                cursor.need(")")
            found.append(With(name, token.start))
        return tuple(found)

    def _category(self) -> None:
        cursor = self._cursor
        cursor.name()
        if cursor.now.upper not in _CATEGORY_OPERATORS:
            raise cursor.unexpected()
        cursor.at += 1
        if cursor.take("("):
            self._paths()
            cursor.need(")")
        else:
            cursor.name()

    def _setting(self) -> None:
        cursor = self._cursor
        cursor.name()
        cursor.need("=")
        token = cursor.now
        if token.kind not in {Kind.INTEGER, Kind.STRING} and token.upper not in {"TRUE", "FALSE"}:
            raise cursor.unexpected()
        cursor.at += 1

    def _group_by(self) -> tuple[Grouping, tuple[Expression, ...]]:
        cursor = self._cursor
        if not cursor.word("GROUP"):
            return "PLAIN", ()
        cursor.keyword("BY")
        grouping: Grouping = "PLAIN"
        if cursor.now.upper in {"ROLLUP", "CUBE"}:
            grouping = "ROLLUP" if cursor.now.upper == "ROLLUP" else "CUBE"
            cursor.at += 1
            cursor.need("(")
        keys: list[Expression] = [field(cursor)]
        while cursor.take(","):
            keys.append(field(cursor))
        if grouping != "PLAIN":
            cursor.need(")")
        return grouping, tuple(keys)

    def _order_by(self) -> tuple[Order, ...]:
        cursor = self._cursor
        if not cursor.word("ORDER"):
            return ()
        cursor.keyword("BY")
        keys = []
        while True:
            what = expression(cursor)
            descending = cursor.word("DESC")
            if not descending:
                cursor.word("ASC")
            nulls_last = False
            if cursor.word("NULLS"):
                nulls_last = cursor.now.upper == "LAST"
                if not (cursor.word("LAST") or cursor.word("FIRST")):
                    raise cursor.unexpected()
            keys.append(Order(what, descending, nulls_last))
            if not cursor.take(","):
                return tuple(keys)

    def _endings(self) -> tuple[bool, tuple[str, ...]]:
        """`[ALL ROWS] [FOR VIEW | FOR REFERENCE | FOR UPDATE] [UPDATE TRACKING, VIEWSTAT]`."""
        cursor = self._cursor
        all_rows = self._all_rows()
        endings = []
        if cursor.word("FOR"):
            word = cursor.now.upper
            if word not in {"VIEW", "REFERENCE", "UPDATE"}:
                raise cursor.unexpected()
            cursor.at += 1
            endings.append(f"FOR {word}")
        if cursor.word("UPDATE"):
            endings.append(self._updated())
            while cursor.take(","):
                endings.append(self._updated())
        return all_rows or self._all_rows(), tuple(endings)

    def _updated(self) -> str:
        return f"UPDATE {self._cursor.name().upper()}"

    def _all_rows(self) -> bool:
        if self._cursor.now.upper == "ALL" and self._cursor.ahead().upper == "ROWS":
            self._cursor.at += 2
            return True
        return False
