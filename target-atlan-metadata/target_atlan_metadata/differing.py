"""What of figures has to be written: what Atlan was not told last, what it does not show, and what must go. Pure.

The search of Atlan lags behind what is written, so it is not believed alone: beside it stands what Atlan was last told
of each asset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from target_atlan_metadata.attributes import FIGURES, digest_of, values_of
from target_atlan_metadata.resolving import unnamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_atlan_metadata.attributes import Value
    from target_atlan_metadata.catalog import Catalog, CatalogAsset
    from target_atlan_metadata.figures import AssetKey
    from target_atlan_metadata.resolving import Resolved
    from target_atlan_metadata.settings import TargetSettings

__all__ = ["NOTHING", "UNSURE", "Differing", "differing", "has_untold_figures", "to_clear"]

NOTHING: Final[Mapping[str, Value]] = dict.fromkeys(FIGURES)
"""The values of an asset that carries no figure."""

UNSURE: Final = b""
"""Stands for the digest of values while they are written: nobody knows whether Atlan has them."""


class Differing(NamedTuple):
    """An asset that is to be written.

    Attributes:
        one: The asset and its figures.
        values: Of all attributes; None takes one away.
        is_news: Whether Atlan was not told just these the last time.
    """

    one: Resolved
    values: Mapping[str, Value]
    is_news: bool


def differing(resolved: Iterable[Resolved], told: Mapping[str, bytes]) -> tuple[list[Differing], int]:
    """Find the assets whose figures are not what Atlan was last told, or not what the catalog shows.

    Args:
        resolved: Assets and their figures.
        told: Digest of what Atlan was last told, by GUID.

    Returns:
        These assets, and how many others carry their figures already.
    """
    found: list[Differing] = []
    unchanged = 0
    for one in resolved:
        values = values_of(one.figures)
        carried = {name: value for name, value in one.asset.values.items() if name in values}
        last = told.get(one.asset.guid)
        if not carried and last is None and not one.figures.says_something:
            continue
        wanted = {name: value for name, value in values.items() if value is not None}
        is_news = last != digest_of(values)
        if carried == wanted and (last is None or not is_news):
            unchanged += 1
        else:
            # Of None too: the index may not show yet what has to go.
            found.append(Differing(one, values, is_news))
    return found, unchanged


def to_clear(
    resolved: Sequence[Resolved], catalog: Catalog, settings: TargetSettings, told: Mapping[str, bytes]
) -> list[tuple[AssetKey, CatalogAsset]]:
    """Find the assets that carry figures though none lead to them: another ledger's, a person's, or those of old names.

    Args:
        resolved: What all figures lead to.
        catalog: What it shows.
        settings: At which levels to look.
        told: Digest of what Atlan was last told, by GUID.
    """
    carries_none = {None, digest_of(NOTHING)}
    return [
        (key, asset)
        for key, asset in unnamed(resolved, catalog, settings)
        if _shows_figures(asset) or told.get(asset.guid) not in carries_none
    ]


def has_untold_figures(catalog: Catalog, told: Mapping[str, bytes]) -> bool:
    """Whether an asset shows other figures than those that Atlan was told last by this ledger."""
    return any(
        _shows_figures(asset) and told.get(asset.guid) not in {UNSURE, _digest_shown(asset)}
        for _, asset in catalog.places()
    )


def _digest_shown(asset: CatalogAsset) -> bytes:
    return digest_of({name: asset.values.get(name) for name in FIGURES})


def _shows_figures(asset: CatalogAsset) -> bool:
    return not asset.values.keys().isdisjoint(FIGURES)
