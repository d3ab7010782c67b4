"""Which assets show which figures: several names may lead to one, which then shows the sum of their cells. Pure.

History names a look-up `Owner` where other sources say `OwnerId`, and names in Salesforce have no case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from target_atlan_metadata.figures import figures_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from target_atlan_metadata.catalog import Catalog, CatalogAsset
    from target_atlan_metadata.figures import AssetKey, Figures
    from target_atlan_metadata.ledger import CellActivity
    from target_atlan_metadata.run import Told
    from target_atlan_metadata.settings import TargetSettings

__all__ = ["Resolved", "resolve", "unnamed"]


class Resolved(NamedTuple):
    """An asset, and what it is to show.

    Attributes:
        asset: Of the catalog.
        key: The first of the names that lead to it.
        figures: Of all of them.
        cells: That the figures come from.
    """

    asset: CatalogAsset
    key: AssetKey
    figures: Figures
    cells: Sequence[CellActivity]


def resolve(told: Iterable[Told], catalog: Catalog, settings: TargetSettings, as_of: datetime) -> list[Resolved]:
    """Find the assets of figures, at the levels that are wanted; what has none is left out.

    Args:
        told: Figures by name.
        catalog: Where to look.
        settings: Which levels, and how figures are made.
        as_of: The instant of the figures.
    """
    found: dict[str, Resolved] = {}
    for key, figures, cells in told:
        if key.level not in settings.asset_levels:
            continue
        for asset in catalog.find_all(key):
            one = Resolved(asset, key, figures, cells)
            before = found.get(asset.guid)
            if before is not None:
                together = [*before.cells, *cells]
                is_object = key.field is None
                summed = figures_of(
                    together, as_of, settings.quality_weights, names=settings.actor_names, is_object=is_object
                )
                one = Resolved(asset, before.key, summed, together)
            found[asset.guid] = one
    return list(found.values())


def unnamed(
    resolved: Iterable[Resolved], catalog: Catalog, settings: TargetSettings
) -> list[tuple[AssetKey, CatalogAsset]]:
    """Find the assets to which no figures lead, at the levels that are wanted, each with its name.

    Args:
        resolved: What all figures lead to.
        catalog: Where to look.
        settings: Which levels.
    """
    found = {one.asset.guid for one in resolved}
    return [
        (key, asset)
        for key, asset in catalog.places()
        if key.level in settings.asset_levels and asset.guid not in found
    ]
