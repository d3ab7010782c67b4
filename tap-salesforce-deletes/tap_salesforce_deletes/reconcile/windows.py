"""Windows of the delete log: whole minutes, longer than one, at most 15 days back. Pure.

Source: REST API Developer Guide, "sObject Get Deleted"; SOAP API Developer Guide, "getDeleted()": seconds are ignored,
the start must be more than a minute before the end, and the log goes back 15 days.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from tap_salesforce_deletes.reconcile.deciding import DELETE_LOG, Interval, ceil_hour

__all__ = ["SHORTEST", "floor_minute", "halves", "window"]

SHORTEST: Final = timedelta(minutes=2)
"""The shortest window that may be asked for."""
_SAFELY: Final = timedelta(minutes=15)


def window(since: datetime | None, now: datetime) -> Interval | None:
    """The window to ask for, or None when there is no whole minute since.

    Args:
        since: Up to where the log was read; None when never.
        now: Salesforce's time.

    Returns:
        Whole minutes; it may begin before `since`, as a window has a shortest length.
    """
    end = floor_minute(now)
    oldest = ceil_hour(now - DELETE_LOG + _SAFELY)  # a full hour: the gap before it has one name
    start = oldest if since is None else max(floor_minute(since), oldest)
    if start >= end:
        return None
    return Interval(min(start, end - SHORTEST), end)


def halves(whole: Interval) -> tuple[Interval, Interval] | None:
    """Two windows that together are one; None when it is too short."""
    minutes = (whole.end - whole.start) // timedelta(minutes=1)
    if minutes < 2 * (SHORTEST // timedelta(minutes=1)):
        return None
    middle = whole.start + timedelta(minutes=minutes // 2)
    return Interval(whole.start, middle), Interval(middle, whole.end)


def floor_minute(instant: datetime) -> datetime:
    """Drop what is below the minute."""
    return instant.replace(second=0, microsecond=0)
