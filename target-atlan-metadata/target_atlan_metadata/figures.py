"""The figures of an asset: totals, velocity, last change, quality score. Pure; docs/atlan.md says what each means."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from target_atlan_metadata.activity import CellActivity, Counts, Last
from target_atlan_metadata.counting import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

__all__ = ["AssetKey", "Figures", "QualityWeights", "figures_of", "figures_of_assets", "quality_score"]

_FRESHNESS: Final = ((7, 100), (30, 75), (90, 50), (365, 25))
"""Days since the last change, and the part of the score; steps, so that a quiet asset is seldom written."""


class AssetKey(msgspec.Struct, frozen=True, order=True):
    """What an asset is of: an object, or one of its fields, by the names that events use."""

    object: str
    field: str | None = None

    @property
    def name(self) -> str:
        """`Object` or `Object.Field`."""
        return self.object if self.field is None else f"{self.object}.{self.field}"

    @property
    def level(self) -> str:
        """`object` or `field`, as in setting `asset_levels`."""
        return "field" if self.field else "object"


class QualityWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much each part weighs in the quality score; 0 leaves it out."""

    freshness: int = 30
    completeness: int = 25
    automation: int = 10
    decisions: int = 20
    deletes: int = 15


class Figures(msgspec.Struct, frozen=True):
    """What is written on one asset.

    Attributes:
        last_change: When a field last changed; None where none ever did.
        last_changed_field: Which field that was; None on the asset of a field, and where the object has no change.
        last_changed_by: Id, or name, of who changed it; None for Salesforce itself.
        change_count: Changes of fields, stages included.
        delete_count: Resolved deletions of records; None on the asset of a field.
        changes_7_days: Changes in the last seven days, today included.
        changes_30_days: The same of thirty days.
        stage_change_count: Changes of stage; None where there was never one.
        approval_count: Approval decisions; None where there was never one.
        approval_rejection_count: Of them, rejections and recalls.
        quality_score: 0 to 100; None where nothing ever changed.
    """

    last_change: datetime | None
    last_changed_field: str | None
    last_changed_by: str | None
    change_count: int
    delete_count: int | None
    changes_7_days: int
    changes_30_days: int
    stage_change_count: int | None
    approval_count: int | None
    approval_rejection_count: int | None
    quality_score: int | None

    @property
    def says_something(self) -> bool:
        """Whether anything ever happened."""
        return bool(self.change_count or self.delete_count or self.approval_count)


def figures_of_assets(
    cells: Iterable[CellActivity], as_of: datetime, weights: QualityWeights, *, names: bool = False
) -> Iterator[tuple[AssetKey, Figures, Sequence[CellActivity]]]:
    """Tell the figures of each object, and of each of its fields: one each, however its name is spelled.

    Args:
        cells: All cells of some objects.
        as_of: The instant of the run.
        weights: Of the parts of the quality score.
        names: Show names of actors where they are known, instead of ids.

    Yields:
        Asset, its figures, and the cells that they come from.
    """
    for _, of_object in groupby(sorted(cells, key=_names), key=lambda cell: cell.object.casefold()):
        members = list(of_object)
        name = members[0].object
        yield AssetKey(name), figures_of(members, as_of, weights, names=names, is_object=True), members
        for _, of_field in groupby(members, key=lambda cell: cell.field and cell.field.casefold()):
            same = list(of_field)
            if (field := same[0].field) is not None:
                yield AssetKey(name, field), figures_of(same, as_of, weights, names=names, is_object=False), same


def figures_of(
    cells: Sequence[CellActivity], as_of: datetime, weights: QualityWeights, *, names: bool, is_object: bool
) -> Figures:
    """Tell the figures of one asset.

    Args:
        cells: All that it sums up.
        as_of: The instant of the run.
        weights: Of the parts of the quality score.
        names: Show names of actors where they are known, instead of ids.
        is_object: Whether it is an object, and no field.
    """
    total = _sum(cell.total for cell in cells)
    changed = [(cell.last, cell.field) for cell in cells if cell.last is not None]
    last, field = max(changed, key=lambda pair: (pair[0].at, pair[0].event), default=(None, None))
    at = timestamps.parse(last.at) if last is not None else None
    days_quiet = None if at is None else max(0, (as_of.date() - at.date()).days)
    has_approvals = is_object and bool(total.approvals)
    return Figures(
        last_change=at,
        last_changed_field=field if is_object else None,
        last_changed_by=_actor(last, names=names),
        change_count=total.changes,
        delete_count=total.deletes if is_object else None,
        changes_7_days=sum(cell.week for cell in cells),
        changes_30_days=sum(cell.month for cell in cells),
        stage_change_count=total.stage_changes or None,
        approval_count=total.approvals if has_approvals else None,
        approval_rejection_count=total.rejections if has_approvals else None,
        quality_score=quality_score(_sum(cell.recent for cell in cells), days_quiet, weights),
    )


def quality_score(recent: Counts, days_quiet: int | None, weights: QualityWeights) -> int | None:
    """Weigh the parts that can be judged, each 0 to 100; None where nothing ever changed.

    Args:
        recent: What happened in the days that are looked at.
        days_quiet: Whole days since the last change; None where there was none.
        weights: Of the parts.
    """
    if days_quiet is None:
        return None
    parts = {
        "freshness": next((part for days, part in _FRESHNESS if days_quiet < days), 0),
        "completeness": _share(recent.changes - recent.emptied, recent.changes),
        "automation": _share(recent.changes - recent.automated, recent.changes),
        "decisions": _share(
            recent.approvals + recent.stage_changes - recent.rejections - recent.reopened,
            recent.approvals + recent.stage_changes,
        ),
        "deletes": _share(recent.changes, recent.changes + recent.deletes),
    }
    judged = [(getattr(weights, name), part) for name, part in parts.items() if part is not None]
    total = sum(weight for weight, _ in judged)
    if not total:
        return None
    weighed = sum(weight * part for weight, part in judged)
    return int((2 * weighed + total) // (2 * total))


def _names(cell: CellActivity) -> tuple[str, str, int]:
    """An order by names as Salesforce tells them apart; the first spelling that came is the first."""
    return cell.object.casefold(), (cell.field or "").casefold(), cell.cell


def _share(good: int, all_of_them: int) -> int | None:
    """Percent, rounded down; None where there is nothing to judge."""
    return None if all_of_them <= 0 else max(0, 100 * good // all_of_them)


def _actor(last: Last | None, *, names: bool) -> str | None:
    if last is None:
        return None
    return (last.actor_name or last.actor_id) if names else last.actor_id


def _sum(counts: Iterable[Counts]) -> Counts:
    rows = [msgspec.structs.astuple(one) for one in counts]
    return Counts(*(sum(column) for column in zip(*rows, strict=True))) if rows else Counts(*([0] * len(COLUMNS)))
