"""Each event once, and figures instead of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from microdecisions.event import MicroDecisionEvent

__all__ = ["Tally", "once"]


class Tally:
    """What is kept of many events: figures, not the events."""

    def __init__(self) -> None:
        self.primary = self.others = self.not_recorded = 0
        self.first = self.last = ""
        self.people: set[str] = set()

    def add(self, event: MicroDecisionEvent) -> None:
        """Count an event."""
        at = event.timestamp_occurred
        self.first, self.last = min(self.first or at, at), max(self.last, at)
        if not event.is_primary:
            self.others += 1
            return
        self.primary += 1
        self.not_recorded += "values_not_recorded" in event.context.metadata
        if event.actor_id is not None:
            self.people.add(event.actor_id)


def once(events: Iterable[MicroDecisionEvent]) -> Iterator[MicroDecisionEvent]:
    """Leave out events whose id came before."""
    seen: set[str] = set()
    for event in events:
        if event.event_id not in seen:
            seen.add(event.event_id)
            yield event
