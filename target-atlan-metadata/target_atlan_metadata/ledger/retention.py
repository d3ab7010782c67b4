"""What the ledger forgets when it is asked to: ids of old events, and the single days of long ago."""

from __future__ import annotations

import sqlalchemy as sa

from target_atlan_metadata.counting import COLUMNS, day_in
from target_atlan_metadata.ledger.tables import DAILY, SEEN, add

__all__ = ["fold_days", "forget_events"]


def forget_events(connection: sa.Connection, before: int) -> None:
    """Forget the ids of events before a day. What they counted stays.

    Deletes are not forgotten: another witness of one may come whenever its record is touched in the recycle bin.
    """
    connection.execute(SEEN.delete().where(day_in(SEEN.c.mark) < before))


def fold_days(connection: sa.Connection, before: int) -> None:
    """Keep what happened before a day as one sum a cell, on day 0."""
    is_old = sa.and_(DAILY.c.day < before, DAILY.c.day > 0)
    sums = (
        sa.select(DAILY.c.cell, *(sa.func.sum(DAILY.c[name]) for name in COLUMNS)).where(is_old).group_by(DAILY.c.cell)
    )
    rows = [(cell, 0, *map(int, numbers)) for cell, *numbers in connection.execute(sums)]
    connection.execute(DAILY.delete().where(is_old))
    add(connection, DAILY, rows)
