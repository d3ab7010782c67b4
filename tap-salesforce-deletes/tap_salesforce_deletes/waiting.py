"""When a topic has been read far enough for one run. Pure, but for the clock that is given.

The Pub/Sub API has no sign for "you have it all". Stopping early loses nothing, because the position only moves behind
what was written; so this is about how fresh a run is, and about keeping the stored replay id from growing old: a replay
id that is older than the bus keeps events (72 hours) is refused, also when nothing was ever published behind it.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from tap_salesforce_deletes.reconcile.deciding import CLOCK_SKEW

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

__all__ = ["End", "IdleRule", "Watch"]


class End(StrEnum):
    """Why the reading of a topic ended; the value finishes a sentence for an operator."""

    IDLE = "nothing came any more"
    RUN_START = "it is read up to the start of this run"
    NO_KEEPALIVE = "Salesforce sent neither an event nor a keepalive"
    AHEAD = "it was read for some minutes, and its events are stamped with a time to come: the next run goes on"
    CEILING = "the run's limit is reached"
    STOPPED = "the run was stopped"


class IdleRule(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for what may not come; all in seconds.

    Attributes:
        idle_seconds: Silence after which a topic counts as drained.
        fresh_seconds: A stored replay id that is older than this is renewed: the run waits for a keepalive or an event.
        longest_seconds: But no longer than this. Salesforce documents a keepalive within 270 seconds.
    """

    idle_seconds: float
    fresh_seconds: float = 86_400.0
    longest_seconds: float = 300.0


_STEP: Final = 1.0  # seconds; how soon a waiting thread sees that the run is to stop


class Watch:
    """Watches one topic during a run and says when to stop.

    Args:
        rule: How long to wait.
        started: Salesforce's time at the start of the run.
        needs_id: Whether a fresh replay id has to be waited for: the one that is held is old, or there is none.
        monotonic: Seconds that only go up.
    """

    def __init__(self, rule: IdleRule, started: datetime, *, needs_id: bool, monotonic: Callable[[], float]) -> None:
        self._rule = rule
        self._started = started
        self._needs_id = needs_id
        self._now = monotonic
        self._began = monotonic()
        self._silent_since: float | None = None
        self._end: End | None = None

    @classmethod
    def of_position(
        cls, rule: IdleRule, started: datetime, replay_id_at: datetime | None, monotonic: Callable[[], float]
    ) -> Watch:
        """A watch for a topic whose stored replay id is from `replay_id_at`; None where there is none."""
        watch = cls(rule, started, needs_id=True, monotonic=monotonic)
        watch._needs_id = replay_id_at is None or watch._is_old(replay_id_at)
        return watch

    def heard(self, newest: datetime | None) -> None:
        """Note a response.

        A keepalive ends the wait when it comes after silence. One that comes at once, or first of all, ends nothing: it
        is not documented that the service has looked for events before it sends that one. An event that is stamped with
        a time to come, by a publisher whose clock is ahead, says nothing of how far the topic is read.

        Args:
            newest: The latest time stamped on its events; None of a keepalive.
        """
        now = self._now()
        ahead = newest is not None and newest > self._started + timedelta(seconds=now - self._began) + CLOCK_SKEW
        if not ahead:
            # The id of an old event is as old as the event: on a quiet topic it would age out before the next run.
            self._needs_id = newest is not None and self._is_old(newest)
        if newest is not None or self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since >= self._rule.idle_seconds:
            self._end = End.IDLE
        if ahead:
            if now - self._began >= self._rule.longest_seconds:
                self._end = End.AHEAD
        elif newest is not None and newest >= self._started:
            self._end = End.RUN_START

    def end(self, is_idle: Callable[[float], bool]) -> End | None:
        """Why to stop now; None to go on.

        Args:
            is_idle: Whether the topic was silent for so many seconds, on a connection that is alive.
        """
        if self._end is None:
            if self._needs_id:
                since = self._began if self._silent_since is None else self._silent_since
                if self._now() - since >= self._rule.longest_seconds:
                    self._end = End.NO_KEEPALIVE
            elif is_idle(self._rule.idle_seconds):
                self._end = End.IDLE
        return self._end

    @property
    def patience(self) -> float:
        """Seconds to wait for the next response before asking again whether to stop."""
        return min(self._rule.idle_seconds, _STEP)

    def _is_old(self, replay_id_at: datetime) -> bool:
        return (self._started - replay_id_at).total_seconds() > self._rule.fresh_seconds
