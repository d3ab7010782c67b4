"""The index search: finds, sorts, pages, counts and groups assets as the index shows them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

import msgspec

from localcloud.atlan.assets import Asset, chosen, header
from localcloud.atlan.errors import bad_request, search_refused
from localcloud.atlan.fields import Field, Token, field
from localcloud.atlan.query import matcher
from localcloud.atlan.types import Value  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from localcloud.atlan.store import Store
    from localcloud.atlan.switches import Switches

DEEPEST = 10_000
"""`from` and `size` together may not go beyond this."""
_DEFAULT_SIZE = 10
_METRICS = frozenset({"min", "max", "avg", "sum", "value_count", "cardinality"})


class Dsl(msgspec.Struct):
    """The query of a search."""

    query: Value = None
    size: int = _DEFAULT_SIZE
    start: int = msgspec.field(name="from", default=0)
    sort: list[Value] = []
    aggregations: dict[str, Value] = {}
    aggs: dict[str, Value] = {}
    search_after: list[Value] | None = None
    post_filter: Value = None


class SearchIn(msgspec.Struct, rename="camel"):
    """The body of a search."""

    dsl: Dsl | None = None
    attributes: list[str] = []
    relation_attributes: list[str] = []


class Found(msgspec.Struct, frozen=True):
    """A page of what was found, and how much there is in all."""

    assets: list[Asset]
    total: int
    aggregations: dict[str, Value]


class Searches:
    """Searches the index.

    Args:
        store: The catalog's memory.
        switches: Say what is left out of what was found.
    """

    def __init__(self, store: Store, switches: Switches) -> None:
        self._store = store
        self._switches = switches
        self._last: tuple[bytes, int, list[Asset]] | None = None

    def answer(self, asked: SearchIn) -> dict[str, Value]:
        """The body of an answer; `entities` is missing where nothing was found.

        Raises:
            AtlanError: 400, the query is not right.
        """
        found = self.find(asked)
        body: dict[str, Value] = {
            "queryType": "INDEX",
            "searchParameters": msgspec.to_builtins(asked),
            "approximateCount": found.total,
        }
        if found.assets:
            index = self._store.indexed()
            body["entities"] = [
                header(one, chosen(one, asked.attributes, index.get, asked.relation_attributes)) for one in found.assets
            ]
        if found.aggregations:
            body["aggregations"] = found.aggregations
        return body

    def find(self, asked: SearchIn) -> Found:
        """One page of what matches.

        Raises:
            AtlanError: 400, the query is not right.
        """
        dsl = asked.dsl
        if dsl is None:
            raise bad_request("Invalid search query")
        if dsl.size < 0 or dsl.start < 0:
            raise search_refused("[from] and [size] parameters cannot be negative")
        if dsl.start + dsl.size > DEEPEST:
            reason = f"Result window is too large, from + size must be less than or equal to: [{DEEPEST}] but was "
            raise search_refused(f"{reason}[{dsl.start + dsl.size}]")
        everything = self._sorted(dsl)
        page = everything
        if dsl.post_filter is not None:
            fits = matcher(dsl.post_filter, self._store.definitions)
            page = [one for one in page if fits(one)]
        lost = self._switches.loss(page, counted=False)
        page = [one for one in page if one.guid not in lost]
        total = len(page)
        if dsl.search_after is not None:
            page = page[bisect_left(page, True, key=lambda one: self._after(one, dsl)) :]
        page = page[dsl.start : dsl.start + dsl.size]
        lost = self._switches.loss(page, counted=True)
        groups = {**dsl.aggregations, **dsl.aggs}
        return Found(
            [one for one in page if one.guid not in lost],
            total,
            {name: self._aggregate(body, everything) for name, body in groups.items()},
        )

    def _sorted(self, dsl: Dsl) -> list[Asset]:
        """All that matches, in order; kept, since the next page is asked for next."""
        index = self._store.indexed()
        key = msgspec.json.encode((dsl.query, dsl.sort))
        if self._last is not None and self._last[:2] == (key, self._store.version):
            return self._last[2]
        fits = matcher({"match_all": {}} if dsl.query is None else dsl.query, self._store.definitions)
        found = [one for one in index.values() if fits(one)]
        found.sort(key=lambda one: one.guid)  # no order is promised where none is asked for
        for name, descending in reversed(_orders(dsl.sort)):
            sorter = field(name, self._store.definitions)
            if name == "_score":
                continue
            if sorter is None:
                raise search_refused(f"No mapping found for [{name}] in order to sort on")
            _require_whole(sorter)
            with_value = [one for one in found if sorter.tokens(one)]
            without = [one for one in found if not sorter.tokens(one)]
            with_value.sort(key=_rank(sorter), reverse=descending)
            found = with_value + without
        self._last = (key, self._store.version, found)
        return found

    def _after(self, asset: Asset, dsl: Dsl) -> bool:
        """Whether an asset comes after the values of `search_after`."""
        for (name, descending), limit in zip(_orders(dsl.sort), dsl.search_after or [], strict=False):
            sorter = field(name, self._store.definitions)
            tokens = sorter.tokens(asset) if sorter else []
            if not tokens:
                return True
            if sorter and isinstance(limit, (str, int, float)):
                order = _compare(tokens[0], sorter.token(limit))
                if order:
                    return (order > 0) is not descending
        return False

    def _aggregate(self, body: Value, assets: list[Asset]) -> Value:
        if not isinstance(body, dict):
            raise search_refused("aggregation definition must be an object")
        nested = {**_object(body.get("aggregations")), **_object(body.get("aggs"))}
        kinds = [kind for kind in body if kind not in {"aggregations", "aggs", "order", "meta"}]
        if len(kinds) != 1:
            raise search_refused("an aggregation needs one type")
        kind, options = kinds[0], _object(body[kinds[0]])
        if not options:
            raise search_refused(f"[{kind}] aggregation needs a field")
        if kind == "top_hits":
            return _top_hits(options, assets)
        by = field(str(options.get("field", "")), self._store.definitions)
        if by is not None:
            _require_whole(by)
        if kind == "terms":
            return self._terms(by, options, nested, assets)
        if kind not in _METRICS:
            raise search_refused(f"Unknown aggregation type [{kind}]")
        return {"value": _metric(kind, [token for one in assets for token in by.tokens(one)] if by else [])}

    def _terms(
        self, by: Field | None, options: dict[str, Value], nested: dict[str, Value], assets: list[Asset]
    ) -> Value:
        members: dict[Token, list[Asset]] = {}
        for one in assets:
            for token in dict.fromkeys(by.tokens(one)) if by else ():
                members.setdefault(token, []).append(one)
        ordered = sorted(members.items(), key=lambda item: (-len(item[1]), str(item[0])))
        size = options.get("size", 10)
        shown = ordered[: size if isinstance(size, int) else 10]
        buckets: list[Value] = []
        for token, inside in shown:
            bucket: dict[str, Value] = {"key": token, "doc_count": len(inside)}
            buckets.append(bucket | {name: self._aggregate(body, inside) for name, body in nested.items()})
        rest = sum(len(inside) for _, inside in ordered[len(shown) :])
        return {"doc_count_error_upper_bound": 0, "sum_other_doc_count": rest, "buckets": buckets}


def _orders(sort: Iterable[Value]) -> list[tuple[str, bool]]:
    """The fields to sort by, and whether each descends."""
    found = []
    for one in sort:
        if isinstance(one, str):
            found.append((one, one == "_score"))
        elif isinstance(one, dict) and len(one) == 1:
            name, how = next(iter(one.items()))
            order = how.get("order", "asc") if isinstance(how, dict) else how
            found.append((name, str(order).lower() == "desc"))
        else:
            raise search_refused("malformed sort format, expected one field")
    return found


def _require_whole(by: Field) -> None:
    """Refuse to sort or group by words, as the index does."""
    if by.analysed:
        raise search_refused(f"Fielddata is disabled on [{by.name}]: use a keyword field instead")


def _rank(by: Field) -> Callable[[Asset], Any]:
    ranked = cmp_to_key(_compare)
    return lambda asset: ranked(by.tokens(asset)[0])


def _compare(left: Token, right: Token) -> int:
    if isinstance(left, str) or isinstance(right, str):
        return (str(left) > str(right)) - (str(left) < str(right))
    return (left > right) - (left < right)


def _object(value: Value) -> dict[str, Value]:
    return value if isinstance(value, dict) else {}


def _metric(kind: str, tokens: list[Token]) -> Value:
    if kind == "value_count":
        return len(tokens)
    if kind == "cardinality":
        return len(Counter(tokens))
    numbers = [float(token) for token in tokens if isinstance(token, (int, float))]
    if not numbers:
        return 0.0 if kind == "sum" else None
    return {"min": min, "max": max, "sum": sum, "avg": lambda values: sum(values) / len(values)}[kind](numbers)  # type: ignore[operator,no-any-return]


def _top_hits(options: dict[str, Value], assets: list[Asset]) -> Value:
    size = options.get("size", 3)
    hits: list[Value] = []
    for one in assets[: size if isinstance(size, int) else 3]:
        source: dict[str, Value] = {**one.attributes, "__typeName": one.type_name, "__guid": one.guid}
        includes = _object(options.get("_source")).get("includes")
        wanted = includes if isinstance(includes, list) else list(source)
        shown: dict[str, Value] = {name: source[name] for name in wanted if isinstance(name, str) and name in source}
        hits.append({"_index": "janusgraph_vertex_index", "_id": one.guid, "_score": 1.0, "_source": shown})
    return {"hits": {"total": {"value": len(assets), "relation": "eq"}, "max_score": 1.0, "hits": hits}}
