"""Days that are read again behind what is remembered: which events a late row may have made void."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from microdecisions.event import MicroDecisionEvent

__all__ = ["WrittenBefore"]


class WrittenBefore:
    """Which events were written before; when days are read again that are behind what is remembered, all may have been.

    Args:
        remembered: Ids of events near the bookmark.
    """

    def __init__(self, remembered: Container[str]) -> None:
        self._remembered = remembered
        self._days: frozenset[str] = frozenset()
        self._touched: set[str | None] = set()

    def __contains__(self, event_id: object) -> bool:
        return bool(self._days) or event_id in self._remembered

    @contextmanager
    def of(self, days: Iterable[str]) -> Iterator[None]:
        """While days are read again that have new rows."""
        self._days = frozenset(days)
        try:
            yield
        finally:
            self._days = frozenset()

    def corrected(self, events: list[MicroDecisionEvent]) -> list[MicroDecisionEvent]:
        """Leave out corrections of records that have no row in those days: nothing can have come between theirs."""
        self._touched.update(event.record_id for event in events if event.timestamp_recorded[:10] in self._days)
        return [event for event in events if event.record_id in self._touched or not _is_correction(event)]


def _is_correction(event: MicroDecisionEvent) -> bool:
    return "superseded" in event.context.metadata
