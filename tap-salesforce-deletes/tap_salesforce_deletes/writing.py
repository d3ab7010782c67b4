"""Events on their way to a page: the names of those who decided, and pages of a bounded size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_deletes.run import Run

__all__ = ["pages_of"]

_PAGE: Final = 1_000


def pages_of(run: Run, events: list[MicroDecisionEvent]) -> Iterator[list[MicroDecisionEvent]]:
    """Pages of events whose actors are filled in."""
    for place in range(0, len(events), _PAGE):
        page = events if len(events) <= _PAGE else events[place : place + _PAGE]
        known = run.actors.known({event.actor_id for event in page})
        for event in page:
            if event.actor_id is not None:
                actor = known[event.actor_id]
                event.actor_type, event.actor_name = actor.type, actor.name
        yield page
