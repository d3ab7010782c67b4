"""The positions of a run while it goes on, and when the next STATE is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microdecisions.pages import Checkpoint
from tap_salesforce_deletes import position

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_salesforce_deletes.position import Positions

__all__ = ["KeptPositions"]

_STATE_SECONDS: Final = 3.0


class KeptPositions:
    """Holds what STATE says next. A position is put here when what it vouches for was written, never before.

    Args:
        positions: As they were stored.
        monotonic: Seconds that only go up.
        on_move: Called when a checkpoint moves what was stored.
    """

    def __init__(self, positions: Positions, monotonic: Callable[[], float], on_move: Callable[[], None]) -> None:
        self._now = positions
        self._stored = positions
        self._monotonic = monotonic
        self._on_move = on_move
        self._written_at = monotonic()

    @property
    def positions(self) -> Positions:
        """As the next STATE says them."""
        return self._now

    def become(self, positions: Positions) -> None:
        """Replace them."""
        self._now = positions

    @property
    def moved(self) -> bool:
        """Whether they differ from the last STATE."""
        return self._now != self._stored

    @property
    def due(self) -> bool:
        """Whether a STATE should be written now."""
        return self.moved and self._monotonic() - self._written_at >= _STATE_SECONDS

    def checkpoint(self) -> Checkpoint:
        """The checkpoint to write."""
        if self.moved:
            self._on_move()
        self._stored = self._now
        self._written_at = self._monotonic()
        return Checkpoint(position.write(self._now))
