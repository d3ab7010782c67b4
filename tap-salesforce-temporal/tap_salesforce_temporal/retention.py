"""What Salesforce may have dropped before it was read: the window of a `gap` event, and the sentence about it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from tap_salesforce_temporal.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tap_salesforce_temporal.sources import Source

__all__ = ["Dropped", "dropped"]

_DAY: Final = timedelta(days=1)


class Dropped(msgspec.Struct, frozen=True):
    """What may be missing.

    Attributes:
        window: From the bookmark to the end of a day, so that it has one name.
        sentence: For an operator.
    """

    window: Window
    sentence: str


def dropped(
    source: Source, since: datetime | None, now: datetime, limit: datetime, oldest: Callable[[], datetime | None]
) -> Dropped | None:
    """Tell what Salesforce may have dropped behind a bookmark; None when that is nothing.

    Where an org may keep rows for longer than promised, the oldest one tells: older ones are dropped first. Such rows
    come once a day at least, so that none can have been dropped between a bookmark and a row a day later.

    Args:
        source: What is read, and how long it is kept.
        since: The bookmark.
        now: Salesforce's time.
        limit: Up to where the run reads.
        oldest: Asks for the time of the oldest row.
    """
    if source.keeps_days is None or since is None or since >= (edge := now - _DAY * source.keeps_days):
        return None
    last, why = edge, f"keeps {source.keeps_days} days"
    if source.may_keep_more:
        first = oldest() or edge
        if first - since <= _DAY:
            return None
        last, why = min(first, edge), f"is kept for a day without Event Monitoring, the oldest is of {first:%F}"
    end = min(timestamps.floor_second(last).replace(hour=0, minute=0, second=0) + _DAY, limit)
    if end <= since:
        return None
    return Dropped(
        Window(since, end),
        f"Stream `{source.stream}`: {source.sobject} {why}, and the last run was complete to {since:%F}: events up to "
        f"{end:%F} may be missing, which a `gap` event says.",
    )
