"""An announcement on an object of which many records were deleted in one run; it goes with the figures that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyatlan.model.enums import AnnouncementType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from pyatlan.model.assets import Asset

    from target_atlan_metadata.catalog import Catalog
    from target_atlan_metadata.resolving import Resolved
    from target_atlan_metadata.run import Told

__all__ = ["Bursts", "put_announcement"]

_TITLE: Final = "Many records were deleted"


class Bursts:
    """What objects carried when a run began, and so how many deletions are new to those who look.

    Args:
        burst: How many new deletions are worth a word.
        catalog: As it was loaded when the run began.
        known: What the ledger knew then.
        told: Digest of what Atlan was last told, by GUID.
    """

    def __init__(self, burst: int, catalog: Catalog, known: Iterable[Told], told: Mapping[str, bytes]) -> None:
        self._burst = burst
        self._before: dict[str, int] = {}
        for asset in catalog.objects.values():
            if isinstance(deletes := asset.values.get("Deletes"), int):
                self._before[asset.guid] = deletes
        for key, figures, cells in known:
            found, deletes = catalog.find(key), figures.delete_count
            if found is None or deletes is None or any(cell.dirty for cell in cells):
                continue
            if found.guid in told:  # the search may not show it yet
                self._before[found.guid] = deletes

    def announced(self, one: Resolved, as_of: datetime) -> str | None:
        """What is to be announced on an object, if anything; the next announcement takes its place.

        Nothing is on one that carried no figures when the run began; an announcement of somebody else stays.

        Args:
            one: The object and its figures.
            as_of: Their instant.
        """
        before, now = self._before.get(one.asset.guid), one.figures.delete_count
        if before is None or now is None or now - before < self._burst:
            return None
        if one.asset.announcement not in {"", _TITLE}:
            return None
        return f"{now - before:,} deletions of {one.asset.api_name} were seen on {as_of:%Y-%m-%d} (UTC)."


def put_announcement(entity: Asset, message: str) -> None:
    """Put an announcement on an asset that is about to be written."""
    entity.announcement_type = AnnouncementType.WARNING
    entity.announcement_title = _TITLE
    entity.announcement_message = message
