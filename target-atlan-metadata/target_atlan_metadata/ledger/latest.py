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
        self._events: set[bytes] = set()  # of the changes in memory
        self._changed: set[int] = set()
        self._touched: set[int] = set()

    def add(self, cell: int, change: Change) -> None:
        """Take a change that is not there yet."""
        newest = self._of(cell)
        if len(newest) == _KEPT:
            if change < newest[0]:
                return
            self._events.discard(newest[0][1])
            del newest[0]
        insort(newest, _cut(change))
        self._events.add(change[1])
        self._changed.add(cell)

    def replace(self, cell: int, change: Change) -> None:
        """Take another version of a change, if it is among the newest."""
        newest = self._of(cell)
        if change[1] not in self._events:
            return
        change = _cut(change)
        if change not in newest:
            self.remove(cell, change[1])
            self.add(cell, change)

    def remove(self, cell: int, event: bytes) -> None:
        """Take a change back."""
        newest = self._of(cell)
        for place, change in enumerate(newest):
            if change[1] == event:
                del newest[place]
                self._events.discard(event)
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
                rows += [(cell, *change) for change in self._cells[cell]]
            statement = LATEST.delete().where(LATEST.c.cell == sa.bindparam("b_cell"))
            self._connection.execute(statement, [{"b_cell": cell} for cell in sorted(self._changed)])
            many(self._connection, LATEST, rows)
        self._touched |= self._changed
        self._changed = set()
        self._cells = {}
        self._events = set()

    def take_touched(self) -> Collection[int]:
        """Cells whose newest changes were written since the last call."""
        touched, self._touched = self._touched, set()
        return touched

    def _of(self, cell: int) -> list[Change]:
        newest = self._cells.get(cell)
        if newest is None:
            question = sa.select(LATEST).where(LATEST.c.cell == cell).order_by(LATEST.c.at, LATEST.c.event)
            newest = self._cells[cell] = [
                (at, bytes(event), actor_id, actor_name)
                for _, at, event, actor_id, actor_name in self._connection.execute(question)
            ]
            self._events.update(change[1] for change in newest)
        return newest


def _cut(change: Change) -> Change:
    """A change whose texts are such as every database, and the search of Atlan, can hold."""
    at, event, actor_id, actor_name = change
    if _is_short(actor_id) and _is_short(actor_name):
        return change
    return at, event, _shorter(actor_id), _shorter(actor_name)


def _is_short(text: str | None) -> bool:
    return text is None or (len(text) <= _LONGEST and "\0" not in text)


def _shorter(text: str | None) -> str | None:
    return None if text is None else text.replace("\0", "")[:_LONGEST]
