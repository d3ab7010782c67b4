"""Searching the catalog: all that is found, page by page, and never a part that passes for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyatlan.client.common import Search
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Query, Range, Term, Terms

from target_atlan_metadata.errors import AtlanError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Iterator, Sequence

    from pyatlan.model.assets import Asset

    from target_atlan_metadata.gateway import Gateway

__all__ = ["search"]

_PAGE: Final = 250
_DEEPEST: Final = 10_000  # documents that a search may skip (Elasticsearch, `index.max_result_window`)
_PASSES: Final = 3


def search(
    gateway: Gateway,
    kinds: Sequence[str],
    filters: Sequence[Query],
    attributes: Sequence[str],
    log: logging.Logger | None = None,
) -> Iterator[Asset]:
    """Find live assets, in the order of their GUIDs, whatever is crawled in between.

    Atlan counts documents of assets that are no more, and leaves them out of the page
    (atlas-metastore, `EntityDiscoveryService.prepareSearchResult`); a part of the index may also not tell in time
    (Elasticsearch, `allow_partial_search_results`). So where the numbers of the answers do not fit what they show, all
    is asked for again, until as much is missing as before. What is missing in the count too, nobody can see.

    Args:
        gateway: To Atlan.
        kinds: Types of the assets.
        filters: What else they are to fit.
        attributes: To be shown of each, beside name and qualified name.
        log: For an operator: how many are counted and not shown.

    Raises:
        AtlanError: another part is missing each time.
    """
    clauses: list[Query] = [
        Terms(field="__typeName.keyword", values=list(kinds)),
        Term(field="__state", value="ACTIVE"),
        *filters,
    ]

    def ask(after: str, start: int) -> _Page:
        beyond = [Range(field="__guid", gt=after)] if after else []
        order = [{"__guid": {"order": "asc"}}]
        dsl = DSL(query=Bool(filter=[*clauses, *beyond]), from_=start, size=_PAGE, sort=order)
        request = IndexSearchRequest(dsl=dsl, attributes=["name", "qualifiedName", *attributes])
        return gateway.read("search the catalog", lambda: _page(gateway, request))

    shown: set[str] = set()
    missing: int | None = None
    for _ in range(_PASSES):
        found = yield from _pass(ask, shown)
        before, missing = missing, found.told - found.shown
        if found.fits or (before is not None and len(shown) >= found.told):  # else something was crawled meanwhile
            return
        if missing == before:
            if log is not None and missing > 0:
                log.warning("Atlan's search counts %d assets that it does not show.", missing)
            return
    raise AtlanError(
        f"Atlan's search leaves {missing:,} of {found.told:,} assets out, each time others: what is counted is "
        "kept in the ledger; run again later."
    )


class _Page(NamedTuple):
    """Part of what a search finds, and how much it tells that there is beyond the last one that was shown."""

    assets: Sequence[Asset]
    told: int


class _Pass(NamedTuple):
    """How many assets there were when a pass began, how many it showed, and whether all its numbers fit that."""

    told: int
    shown: int
    fits: bool


def _pass(ask: Callable[[str, int], _Page], known: set[str]) -> Generator[Asset, None, _Pass]:
    """All pages once; assets that are known are left out, and the others are noted.

    Args:
        ask: Asks for a page, behind a GUID and so many documents.
        known: GUIDs.

    Raises:
        AtlanError: the pages are in no order.
    """
    after, start, number = "", 0, 0
    page = ask(after, start)
    told, fits = page.told, True
    while True:
        number += len(page.assets)
        yield from _new(page.assets, known)
        if page.assets:
            last, left = str(page.assets[-1].guid), page.told - len(page.assets)
            if last <= after:
                raise AtlanError("Atlan's search does not keep the order that was asked for: run again later.")
            if len(page.assets) < _PAGE and left <= 0:
                return _Pass(told, number, fits)
            after, start = last, 0
        else:
            start, left = start + _PAGE, page.told
            if start >= min(page.told, _DEEPEST):
                return _Pass(told, number, fits and page.told <= 0)
        page = ask(after, start)
        fits = fits and page.told == left


def _new(assets: Sequence[Asset], known: set[str]) -> Iterator[Asset]:
    for asset in assets:
        if str(asset.guid) not in known:
            known.add(str(asset.guid))
            yield asset


def _page(gateway: Gateway, request: IndexSearchRequest) -> _Page:
    """One request; pyatlan's own `search` asks anew in another order where there are 100,000 assets (11.6)."""
    endpoint, body = Search.prepare_request(request)  # type: ignore[no-untyped-call]
    found = Search.process_response(gateway.client._call_api(endpoint, request_obj=body), request)
    count = found["count"]
    return _Page(found["assets"], count if isinstance(count, int) else 0)
