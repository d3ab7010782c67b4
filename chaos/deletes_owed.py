"""The holes that a run of tap-salesforce-deletes begins with: those that may be, and those that it owes a gap of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chaos.deletes_plan import COVERED

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from tap_salesforce_deletes.position import Positions, TopicPosition

__all__ = ["may_have_gone", "owed_gaps"]

_KEPT: Final = timedelta(hours=72)
_SURELY: Final = timedelta(hours=1)
_NEARLY: Final = timedelta(minutes=30)
_DELETE_LOG: Final = timedelta(days=14)
_A_MINUTE: Final = timedelta(minutes=1)


def may_have_gone(stored: Positions, topics: Collection[str], now: datetime) -> bool:
    """Whether a topic or an object was read up to an instant that is nearly out of reach."""
    known = (at for name in topics if (place := stored.topics.get(name)) and (at := _read_to(place)))
    return any(now - at > _KEPT - _NEARLY for at in known) or any(
        now - at > _DELETE_LOG for at in stored.objects.values()
    )


def owed_gaps(
    stored: Positions, topics: Collection[str], hidden: Collection[str], instance: str, now: datetime, *, asked: bool
) -> frozenset[str]:
    """The topics and objects that a run must write a gap of if it ends well.

    Args:
        stored: What the run begins with.
        topics: That it reads.
        hidden: Objects that the login user does not see while it lasts.
        instance: Where the org is now; empty: where it always was.
        now: The org's time.
        asked: Whether the delete log is.

    Returns:
        Topics whose bus is another one, or that were read for the last time so long ago that events have gone. Without
        any, hidden objects of topics that were read before, unless they are known to be hidden. Objects that can be
        seen again, where no log is asked for what they missed.
    """
    pending = frozenset(name for name, since in stored.pending.items() if since < now)
    back = frozenset[str]() if asked else pending - frozenset(hidden)
    known = {name: (place, at) for name in topics if (place := stored.topics.get(name)) and (at := _read_to(place))}
    gone = frozenset(
        name
        for name, (place, at) in known.items()
        if now - at > _KEPT + _SURELY or (_is_elsewhere(place, instance) and now - at > _A_MINUTE)
    )
    if gone:
        return gone | back
    seen = frozenset[str]().union(*(COVERED[name] for name, (_, at) in known.items() if now - at > _A_MINUTE))
    return (frozenset(hidden) & seen - stored.pending.keys()) | back


def _read_to(place: TopicPosition) -> datetime | None:
    return max((at for at in (place.replay_id_at, place.drained_at) if at is not None), default=None)


def _is_elsewhere(place: TopicPosition, instance: str) -> bool:
    return bool(instance and place.instance) and place.instance != instance
