"""What the ledger tells of one object or field: sums of its days, and its last change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from target_atlan_metadata.counting import COLUMNS
from target_atlan_metadata.ledger.tables import CELL, DAILY, LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CellActivity", "Counts", "Last", "activities"]


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many decisions of each kind; the fields are `counting.COLUMNS`."""

    changes: int = 0
    stage_changes: int = 0
    approvals: int = 0
    rejections: int = 0
    others: int = 0
    automated: int = 0
    emptied: int = 0
    reopened: int = 0
    deletes: int = 0


class Last(msgspec.Struct, frozen=True, order=True, gc=False):
    """A change; of several the greatest is the last.

    Attributes:
        at: When it happened, in canonical text.
        event: Digest of its id, which decides between changes of one instant.
        actor_id: Who made it.
        actor_name: Their name, where the ledger keeps names.
    """

    at: str
    event: bytes
    actor_id: str | None = None
    actor_name: str | None = None


class CellActivity(msgspec.Struct, frozen=True, gc=False):
    """What happened to an object itself, or to one field of it.

    Attributes:
        cell: Number in the ledger.
        object: API name.
        field: API name as history names it; None for what is about the object and no field of it.
        dirty: How often it changed since Atlan was told; 0 for never.
        total: All there ever was.
        recent: What happened in the days that the quality score looks at.
        week: Changes in the last 7 days.
        month: Changes in the last 30 days.
        last: The last change; None where there is none.
    """

    cell: int
    object: str
    field: str | None
    dirty: int
    total: Counts
    recent: Counts
    week: int
    month: int
    last: Last | None


def activities(
    connection: sa.Connection, today: int, quality_days: int, *, dirty_objects: bool = False
) -> Iterator[CellActivity]:
    """Sum up the days of cells, in the order of objects and fields.

    Args:
        connection: To the ledger.
        today: Day to which windows extend, by `counting.day_number`.
        quality_days: How many days the quality score looks at.
        dirty_objects: Only cells of objects of which a cell is dirty.
    """

    def within(days: int, column: sa.Column[int]) -> sa.ColumnElement[int]:
        is_in = sa.and_(DAILY.c.day > today - days, DAILY.c.day <= today)
        return sa.func.coalesce(sa.func.sum(sa.case((is_in, column), else_=0)), 0)

    sums = sa.select(
        CELL.c.cell,
        CELL.c.object,
        CELL.c.field,
        CELL.c.dirty,
        *(sa.func.coalesce(sa.func.sum(DAILY.c[name]), 0) for name in COLUMNS),
        *(within(quality_days, DAILY.c[name]) for name in COLUMNS),
        within(7, DAILY.c.changes),
        within(30, DAILY.c.changes),
    ).select_from(CELL.outerjoin(DAILY, CELL.c.cell == DAILY.c.cell))
    newest = sa.select(LATEST).order_by(LATEST.c.cell, LATEST.c.at, LATEST.c.event)
    if dirty_objects:
        objects = sa.select(CELL.c.object).where(CELL.c.dirty > 0)
        sums = sums.where(CELL.c.object.in_(objects))
        cells = sa.select(CELL.c.cell).where(CELL.c.object.in_(objects))
        newest = newest.where(LATEST.c.cell.in_(cells))
    sums = sums.group_by(CELL.c.cell, CELL.c.object, CELL.c.field, CELL.c.dirty).order_by(CELL.c.object, CELL.c.field)
    last = {
        cell: Last(at, bytes(event), actor_id, actor_name)
        for cell, at, event, actor_id, actor_name in connection.execute(newest)
    }
    width = len(COLUMNS)
    for cell, name, field, dirty, *numbers in connection.execute(sums):
        counted = [int(number) for number in numbers]
        yield CellActivity(
            cell,
            name,
            field or None,
            dirty,
            Counts(*counted[:width]),
            Counts(*counted[width : 2 * width]),
            counted[-2],
            counted[-1],
            last.get(cell),
        )
