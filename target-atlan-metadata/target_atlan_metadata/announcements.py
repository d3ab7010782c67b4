"""An announcement on an object of which many records were deleted in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyatlan.model.assets import SalesforceObject
from pyatlan.model.enums import AnnouncementType

if TYPE_CHECKING:
    from datetime import datetime

    from target_atlan_metadata.catalog import CatalogAsset
    from target_atlan_metadata.gateway import Gateway

__all__ = ["announce"]


def announce(gateway: Gateway, asset: CatalogAsset, deletes: int, as_of: datetime) -> None:
    """Put an announcement on an object; the next one takes its place."""
    entity = SalesforceObject.updater(qualified_name=asset.qualified_name, name=asset.name)
    entity.guid = asset.guid
    entity.announcement_type = AnnouncementType.WARNING
    entity.announcement_title = "Many records were deleted"
    entity.announcement_message = f"{deletes:,} deletions of {asset.api_name} were seen on {as_of:%Y-%m-%d} (UTC)."
    gateway.write("put an announcement on an object", lambda: gateway.client.asset.save_merging_cm([entity]))
