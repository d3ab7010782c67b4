"""Asking the ledger what happened to each object and field: sums of its days, and its last change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from target_atlan_metadata.activity import CellActivity, Counts, Last
from target_atlan_metadata.counting import COLUMNS
from target_atlan_metadata.ledger.tables import CELL, DAILY, LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["activities"]


def activities(
    connection: sa.Connection, today: int, quality_days: int, *, dirty_objects: bool = False
) -> Iterator[CellActivity]:
    """Sum up the days of cells, in the order of objects and fields.

    Args:
        connection: To the ledger.
        today: Day to which windows extend, by `counting.day_number`.
        quality_days: How many days the quality score looks at.
        dirty_objects: Only cells of objects of which a cell is dirty, in whatever spelling.
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
        objects = sa.select(sa.func.lower(CELL.c.object)).where(CELL.c.dirty > 0)
        is_one = sa.func.lower(CELL.c.object).in_(objects)
        sums = sums.where(is_one)
        cells = sa.select(CELL.c.cell).where(is_one)
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
