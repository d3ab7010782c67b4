"""The newest changes of each cell: a few, so that the last one is known even when the very last are taken back."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from target_atlan_metadata.ledger.tables import LATEST, Row, many

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Change", "LatestStore"]

Change = tuple[str, bytes, str | None, str | None]
"""When, digest of the event, id of the actor, name of the actor: the columns of the table, and the order of changes."""

_KEPT: Final = 8
_MOST_CELLS: Final = 10_000
_LONGEST: Final = 255  # characters of an id or name; those of Salesforce have at most 121


class LatestStore:
    """The newest changes in the ledger, as far as they were asked for in memory.

    Args:
        connection: To the ledger.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._cells: dict[int, list[Change]] = {}
        self._changed: set[int] = set()
        self._touched: set[int] = set()

    def add(self, cell: int, change: Change) -> None:
        """Take a change that is not there yet."""
        newest = self._of(cell)
        if len(newest) == _KEPT:
            if change < newest[0]:
                return
            del newest[0]
        insort(newest, change)
        self._changed.add(cell)

    def remove(self, cell: int, event: bytes) -> None:
        """Take a change back."""
        newest = self._of(cell)
        for place, change in enumerate(newest):
            if change[1] == event:
                del newest[place]
                self._changed.add(cell)
                return

    def keep_small(self) -> None:
        """Write and forget when many cells are in memory."""
        if len(self._cells) > _MOST_CELLS:
            self.write()

    def write(self) -> None:
        """Write what changed, into the open transaction, and forget it."""
        if self._changed:
            rows: list[Row] = []
            for cell in self._changed:
                rows += [(cell, at, event, _cut(by), _cut(name)) for at, event, by, name in self._cells[cell]]
            statement = LATEST.delete().where(LATEST.c.cell == sa.bindparam("b_cell"))
            self._connection.execute(statement, [{"b_cell": cell} for cell in sorted(self._changed)])
            many(self._connection, LATEST, rows)
        self._touched |= self._changed
        self._changed = set()
        self._cells = {}

    def take_touched(self) -> Collection[int]:
        """Cells whose newest changes were written since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    def _of(self, cell: int) -> list[Change]:
        if cell not in self._cells:
            question = sa.select(LATEST).where(LATEST.c.cell == cell).order_by(LATEST.c.at, LATEST.c.event)
            self._cells[cell] = [
                (at, bytes(event), actor_id, actor_name)
                for _, at, event, actor_id, actor_name in self._connection.execute(question)
            ]
        return self._cells[cell]


def _cut(text: str | None) -> str | None:
    """A text as every database, and the search of Atlan, can hold it."""
    return None if text is None else text.replace("\0", "")[:_LONGEST]
