"""An announcement on an object of which many records were deleted in one run; it goes with the figures that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyatlan.model.enums import AnnouncementType

if TYPE_CHECKING:
    from datetime import datetime

    from pyatlan.model.assets import Asset

    from target_atlan_metadata.catalog import CatalogAsset

__all__ = ["announcement_of", "put_announcement"]

_TITLE: Final = "Many records were deleted"


def announcement_of(asset: CatalogAsset, deletes: int, burst: int, as_of: datetime) -> str | None:
    """What is to be announced on an object, if anything; the next announcement takes its place.

    Args:
        asset: The object; an announcement of somebody else stays.
        deletes: How many deletions are new in this run.
        burst: How many are worth a word.
        as_of: The instant of the figures.
    """
    if deletes < burst or asset.announcement not in {"", _TITLE}:
        return None
    return f"{deletes:,} deletions of {asset.api_name} were seen on {as_of:%Y-%m-%d} (UTC)."


def put_announcement(entity: Asset, message: str) -> None:
    """Put an announcement on an asset that is about to be written."""
    entity.announcement_type = AnnouncementType.WARNING
    entity.announcement_title = _TITLE
    entity.announcement_message = message
