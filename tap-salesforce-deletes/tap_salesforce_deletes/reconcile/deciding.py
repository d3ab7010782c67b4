"""What to do when a topic cannot go on as if nothing had happened: the decision tables. Pure.

| trouble | position | subscribe | ask the delete log | gap |
|---|---|---|---|---|
| replay id expired or corrupted | written up to less than 72 h ago | EARLIEST | no | no |
| the same | older | EARLIEST | from then on to now | to the hour in which what is kept begins |
| the same | never written anything | EARLIEST | no | no |
| org migrated, sandbox refreshed | any | EARLIEST | from then on to now | up to this hour |
| overflow of one transaction | any | goes on | around the transaction | no |
| an object of a channel is hidden | any | goes on | once it is visible, from then on | up to this hour |

A topic that may not be read, or whose deliveries are used up, keeps its position and is told by `pubsub.errors`; what
ages out meanwhile is told when it is read again.

Source: Pub/Sub API guide, "Event Message Durability" and "Handle Errors"; Change Data Capture guide, "Overflow Events"
and "Required Permissions"; REST API Developer Guide, "sObject Get Deleted". Events are kept for 72 hours; that they go
to the minute is not promised, so a quarter of an hour is taken off. A gap ends with an hour, so that a run that is
killed behind it and runs again gives it the same name.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps

if TYPE_CHECKING:
    from tap_salesforce_deletes.position import TopicPosition

__all__ = ["Decision", "Interval", "Trouble", "ceil_hour", "decide", "floor_hour", "is_of_past", "oldest_kept"]

RETENTION: Final = timedelta(hours=72)
"""How long events stay on the bus."""
MARGIN: Final = timedelta(minutes=15)
CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far ahead of Salesforce's time, as it is known here, a stamp may be and still be believed."""
DELETE_LOG: Final = timedelta(days=15)
"""How far back getDeleted goes at most."""
AROUND_OVERFLOW: Final = timedelta(hours=1)
"""A transaction's rows are stamped when they are written, its events when it ends."""
BEHIND_OVERFLOW: Final = timedelta(minutes=1)
"""An event is stamped no finer than to the second."""
_AN_HOUR: Final = timedelta(hours=1)


class Trouble(StrEnum):
    """What happened to a topic."""

    REPLAY_ID_EXPIRED = "replay_id_expired"
    """`replayid.corrupted` or `replayid.validation.failed`: aged out, or the stream was reset; one code for both."""
    ORG_CHANGED = "org_changed"
    """The org was migrated or refreshed: its id or instance is another one, and old replay ids mean nothing."""
    OVERFLOW = "overflow"
    """GAP_OVERFLOW, or another event that names no records: at the instant `at`."""
    NO_PERMISSION = "no_permission"
    """On an object of a channel: its events are left out without a word."""


class Interval(msgspec.Struct, frozen=True):
    """From an instant to another, which is not part of it."""

    start: datetime
    end: datetime


class Decision(msgspec.Struct, frozen=True):
    """What to do.

    Attributes:
        reconcile: Ask the delete log for the topic's objects over this interval, after the topic is drained.
        gap: What even that cannot bring: to be written as a `gap`.
        unasked: What is missing where the delete log is not asked: to be written as a `gap` then.
        sentence: For an operator.
    """

    reconcile: Interval | None
    gap: Interval | None
    sentence: str
    unasked: Interval | None = None


def floor_hour(instant: datetime) -> datetime:
    """The full hour before, or the instant itself when it is one."""
    return instant.replace(minute=0, second=0, microsecond=0)


def ceil_hour(instant: datetime) -> datetime:
    """The next full hour, or the instant itself when it is one."""
    floor = floor_hour(instant)
    return floor if floor == instant else floor + _AN_HOUR


def oldest_kept(now: datetime) -> datetime:
    """The hour from which on the bus keeps what was published."""
    return ceil_hour(now - RETENTION + MARGIN)


def is_of_past(instant: datetime, now: datetime) -> bool:
    """Whether a stored instant can be true: what was read, or told to be missing, ends with this hour at the latest.

    Publishers of platform events stamp them by their own clocks, and states are edited by hand.
    """
    return instant <= now + _AN_HOUR + CLOCK_SKEW


def decide(
    topic: str, position: TopicPosition | None, trouble: Trouble, now: datetime, *, at: datetime | None = None
) -> Decision:
    """Decide by the tables of this module.

    Args:
        topic: Name of the topic, or for an object of a channel `<object> on <topic>`.
        position: Where the topic stood; None when it was never read.
        trouble: What happened.
        now: Salesforce's time.
        at: Of an overflow, when Salesforce stamped it; `now` when it does not say.
    """
    written_to = _written_to(position, now)
    if trouble is Trouble.REPLAY_ID_EXPIRED:
        return _expired(topic, written_to, now)
    if trouble is Trouble.ORG_CHANGED:
        return _moved(topic, written_to, now)
    if trouble is Trouble.OVERFLOW:
        return _overflow(topic, at or now, now)
    return _hidden(topic, written_to, now)


def _written_to(position: TopicPosition | None, now: datetime) -> datetime | None:
    """The instant up to which every event of a topic was written; None when none was."""
    known = () if position is None else (position.drained_at, position.replay_id_at)
    credible = [instant for instant in known if instant is not None and is_of_past(instant, now)]
    return min(max(credible), now) if credible else None


def _expired(topic: str, written_to: datetime | None, now: datetime) -> Decision:
    if written_to is None:
        return Decision(
            None,
            None,
            f"{topic}: the stored replay id is not known any more; all that is kept is read.",
        )
    if written_to >= now - RETENTION + MARGIN:
        return Decision(
            None,
            None,
            f"{topic}: the stored replay id has expired on a quiet topic; the topic was written up to "
            f"{timestamps.to_text(written_to)}, so reading all that is kept loses nothing.",
        )
    end = oldest_kept(now)
    return Decision(
        Interval(written_to, now),
        Interval(written_to, end),
        f"{topic}: events from {timestamps.to_text(written_to)} to {timestamps.to_text(end)} may have gone from the "
        "bus, which keeps them for 72 hours: the delete log is asked for the deletes among them; undeletes, and who "
        "deleted, are in a `gap` event. Run at least once a day.",
    )


def _moved(topic: str, written_to: datetime | None, now: datetime) -> Decision:
    if written_to is None or written_to >= now:
        return Decision(None, None, f"{topic}: the org has moved; all that is kept is read.")
    return Decision(
        Interval(written_to, now),
        Interval(written_to, ceil_hour(now)),
        f"{topic}: the org has moved since {timestamps.to_text(written_to)}, and events that were kept before may be "
        "gone: the delete log is asked, and a `gap` event is written.",
    )


def _overflow(topic: str, at: datetime, now: datetime) -> Decision:
    around = Interval(at - AROUND_OVERFLOW, at + BEHIND_OVERFLOW)
    if at < now - DELETE_LOG:
        return Decision(
            None,
            around,
            f"{topic}: a transaction at {timestamps.to_text(at)} had more changes than events, and the delete log goes "
            "back 15 days only: a `gap` event is written.",
            around,
        )
    return Decision(
        Interval(at - AROUND_OVERFLOW, max(at + AROUND_OVERFLOW, now)),
        None,
        f"{topic}: a transaction at {timestamps.to_text(at)} had more changes than events: the delete log is asked for "
        "its deletes.",
        around,
    )


def _hidden(topic: str, written_to: datetime | None, now: datetime) -> Decision:
    if written_to is None or written_to >= now:
        return Decision(
            None,
            None,
            f"{topic} is hidden from the login user, so its deletes are left out of the channel without a word: grant "
            "View All Records on it.",
        )
    return Decision(
        Interval(written_to, now),
        Interval(written_to, ceil_hour(now)),
        f"{topic} is hidden from the login user since some time after {timestamps.to_text(written_to)}: its deletes "
        "are left out of the channel without a word. Grant View All Records on it; a `gap` event is written, and the "
        "delete log is asked as soon as the object is visible.",
    )
