"""Turns a query of the index's language into a function that says whether an asset matches.

What Elasticsearch does with each kind is in its reference (query DSL); a kind that is not here is refused, never
passed over.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, TypeAlias, cast

from localcloud.atlan.errors import search_refused
from localcloud.atlan.fields import Field, Token, field, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.atlan.assets import Asset
    from localcloud.atlan.definitions import Definitions
    from localcloud.atlan.types import Value

    Matches: TypeAlias = Callable[[Asset], bool]

Clause: TypeAlias = "dict[str, Value]"


def matcher(query: Value, definitions: Definitions) -> Matches:
    """A function that says whether an asset matches.

    Args:
        query: A query as JSON: one key, its kind.
        definitions: The custom metadata, whose attributes can be searched by their ids.

    Raises:
        AtlanError: The query is not one, or of a kind that this stand-in does not know.
    """
    return _Compiler(definitions).compile(query)


class _Compiler:
    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._kinds: dict[str, Callable[[Clause], Matches]] = {
            "match_all": lambda _body: lambda _asset: True,
            "match_none": lambda _body: lambda _asset: False,
            "bool": self._bool,
            "exists": self._exists,
            "terms": self._terms,
            "range": self._range,
            "term": lambda body: self._compare(body, "value", _equals),
            "prefix": lambda body: self._compare(body, "value", _starts),
            "wildcard": lambda body: self._compare(body, "value", _globs),
            "regexp": lambda body: self._compare(body, "value", _regexp),
            "match": lambda body: self._words(body, phrase=False),
            "match_phrase": lambda body: self._words(body, phrase=True),
            "constant_score": lambda body: self.compile(body.get("filter")),
        }

    def compile(self, query: Value) -> Matches:
        if not isinstance(query, dict) or len(query) != 1:
            raise search_refused("[_na] query malformed, no start_object after query name")
        kind, body = next(iter(query.items()))
        if kind not in self._kinds:
            raise search_refused(f"unknown query [{kind}]")
        if not isinstance(body, dict):
            raise search_refused(f"[{kind}] query malformed, no start_object after query name")
        return self._kinds[kind](body)

    def _bool(self, body: Clause) -> Matches:
        needed = [*self._all(body.get("must")), *self._all(body.get("filter"))]
        never = self._all(body.get("must_not"))
        some = self._all(body.get("should"))
        asked = body.get("minimum_should_match")
        fewest = (
            int(asked) if isinstance(asked, (int, str)) and str(asked).isdigit() else int(bool(some and not needed))
        )

        def matches(asset: Asset) -> bool:
            return (
                all(one(asset) for one in needed)
                and not any(one(asset) for one in never)
                and (not fewest or sum(one(asset) for one in some) >= fewest)
            )

        return matches

    def _all(self, clauses: Value) -> list[Matches]:
        listed = clauses if isinstance(clauses, list) else [] if clauses is None else [clauses]
        return [self.compile(one) for one in listed]

    def _exists(self, body: Clause) -> Matches:
        found = self._field(str(body.get("field", "")))
        return lambda asset: found is not None and bool(found.tokens(asset))

    def _terms(self, body: Clause) -> Matches:
        name, values = self._single("terms", body)
        if not isinstance(values, list):
            raise search_refused("[terms] query requires an array of values")
        found = self._field(name)
        if found is None:
            return lambda _asset: False
        wanted = {found.token(value) for value in values if isinstance(value, (str, int, float, bool))}
        return lambda asset: not wanted.isdisjoint(found.tokens(asset))

    def _range(self, body: Clause) -> Matches:
        name, bounds = self._single("range", body)
        found = self._field(name)
        if not isinstance(bounds, dict):
            raise search_refused("[range] query malformed, no start_object after query name")
        tests: list[Callable[[Token], bool]] = []
        for key, bound in bounds.items():
            if key in {"gt", "gte", "lt", "lte"} and bound is not None:
                tests.append(_bound(key, cast("Token", bound)))
        if found is None:
            return lambda _asset: False
        return lambda asset: any(all(test(token) for test in tests) for token in found.tokens(asset))

    def _compare(self, body: Clause, key: str, compare: Callable[[Token, bool], Callable[[Token], bool]]) -> Matches:
        name, given = self._single("term", body)
        value, fold = given, False
        if isinstance(given, dict):
            value, fold = given.get(key), bool(given.get("case_insensitive"))
        found = self._field(name)
        if not isinstance(value, (str, int, float, bool)):
            raise search_refused("value cannot be null")
        if found is None:
            return lambda _asset: False
        test = compare(found.token(value), fold)
        return lambda asset: any(test(token) for token in found.tokens(asset))

    def _words(self, body: Clause, *, phrase: bool) -> Matches:
        name, given = self._single("match", body)
        options = given if isinstance(given, dict) else {"query": given}
        text = options.get("query")
        found = self._field(name)
        if not isinstance(text, (str, int, float, bool)):
            raise search_refused("[match] unknown token or no text specified")
        if found is None:
            return lambda _asset: False
        if not found.analysed:
            wanted = found.token(text)
            return lambda asset: wanted in found.tokens(asset)
        searched = words(str(text))
        every = str(options.get("operator", "or")).lower() == "and"

        def matches(asset: Asset) -> bool:
            tokens = found.tokens(asset)
            if phrase:
                size = len(searched)
                return any(tokens[at : at + size] == searched for at in range(len(tokens) - size + 1))
            return (all if every else any)(word in tokens for word in searched)

        return matches

    def _single(self, kind: str, body: Clause) -> tuple[str, Value]:
        named = [(name, value) for name, value in body.items() if name not in {"boost", "_name"}]
        if len(named) != 1:
            raise search_refused(f"[{kind}] query doesn't support multiple fields")
        return named[0]

    def _field(self, name: str) -> Field | None:
        return field(name, self._definitions)


def _equals(wanted: Token, fold: bool) -> Callable[[Token], bool]:
    if isinstance(wanted, str) and fold:
        return lambda token: isinstance(token, str) and token.lower() == wanted.lower()
    if isinstance(wanted, bool) or wanted in ("true", "false"):
        flag = wanted in (True, "true")
        return lambda token: token is flag if isinstance(token, bool) else token == wanted
    return lambda token: token == wanted or str(token) == str(wanted)


def _starts(wanted: Token, fold: bool) -> Callable[[Token], bool]:
    text = str(wanted).lower() if fold else str(wanted)
    return lambda token: (str(token).lower() if fold else str(token)).startswith(text)


def _globs(wanted: Token, fold: bool) -> Callable[[Token], bool]:
    pattern = str(wanted).replace("[", "[[]")  # only * and ? mean something
    return _searched(translate(pattern), fold)


def _regexp(wanted: Token, fold: bool) -> Callable[[Token], bool]:
    return _searched(str(wanted), fold)


def _searched(pattern: str, fold: bool) -> Callable[[Token], bool]:
    try:
        compiled = re.compile(pattern, re.IGNORECASE if fold else 0)
    except re.error as error:
        raise search_refused(f"invalid pattern: {error}") from error
    return lambda token: compiled.fullmatch(str(token)) is not None


def _bound(key: str, bound: Token) -> Callable[[Token], bool]:
    def holds(token: Token) -> bool:
        left, right = (str(token), str(bound)) if isinstance(token, str) else (float(token), _number(bound))
        if key in {"gte", "lte"} and left == right:
            return True
        return left > right if key in {"gt", "gte"} else left < right  # type: ignore[operator]

    return holds


def _number(bound: Token) -> float:
    try:
        return float(bound)
    except ValueError:
        raise search_refused(f"failed to parse date field or number [{bound}]") from None
