"""Event deliveries: how many the org has in 24 hours, and where a run has to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from microdecisions.errors import QuotaCeilingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from microdecisions.describe import Limit

__all__ = ["Allowance"]

_ASK_AFTER: Final = 60.0  # seconds between two looks at /limits; each is an API call


class Allowance:
    """Counts what is delivered to this run, and says when a ceiling is reached. Safe to use from many threads.

    The allocation is shared by all subscribers of the org, so it is asked for again during a run; between two answers
    the run's own deliveries are added.

    Args:
        most: Ceiling for the events of this run; None for any number.
        percent: Ceiling for the org's allocation, in percent; None for none.
        limit: Asks the org for its allocation: one API call; None where the org does not tell.
        monotonic: Seconds that only go up.
    """

    def __init__(
        self,
        most: int | None,
        percent: int | None,
        limit: Callable[[], Limit | None],
        monotonic: Callable[[], float],
    ) -> None:
        self._most = most
        self._percent = percent
        self._ask = limit
        self._now = monotonic
        self._lock = threading.Lock()
        self._limit: Limit | None = None
        self._asked_at: float | None = None
        self._since = 0
        self._delivered = 0

    @property
    def delivered(self) -> int:
        """Events that were delivered to this run."""
        return self._delivered

    def took(self, events: int) -> None:
        """Count events that were delivered."""
        with self._lock:
            self._delivered += events
            self._since += events

    def spent(self) -> bool:
        """Whether a ceiling is reached, as far as is known; asks nobody."""
        return self._most_reached or self._percent_reached

    def look(self) -> None:
        """Ask the org how much is used, unless that was done a minute ago; without a ceiling nothing is asked."""
        if self._percent is None:
            return
        now = self._now()
        if self._asked_at is not None and now - self._asked_at < _ASK_AFTER:
            return
        self._asked_at = now
        before = self._since
        limit = self._ask()
        with self._lock:
            self._limit = limit
            self._since -= before  # what came while it was asked may not be in the answer: counted twice, never missed

    def error(self) -> QuotaCeilingError | None:
        """What to end the run with; None when no ceiling is reached."""
        kept = "what was read is written and the state is kept; the events wait on the bus for 72 hours"
        if self._percent_reached and self._limit is not None:
            used = self._limit.max - self._limit.remaining + self._since
            return QuotaCeilingError(
                f"The org has used {used:,} of its {self._limit.max:,} event deliveries in 24 hours, and "
                f"`delivery_percent_total` allows {self._percent} %: {kept}. Run again when deliveries are free, or "
                "raise the setting."
            )
        if self._most_reached:
            return QuotaCeilingError(
                f"The {self._most:,} events of `max_events_per_run` are read, and more may wait: {kept}. Run again to "
                "go on from there."
            )
        return None

    @property
    def _most_reached(self) -> bool:
        return self._most is not None and self._delivered >= self._most

    @property
    def _percent_reached(self) -> bool:
        limit = self._limit
        if self._percent is None or limit is None or not limit.max:
            return False
        return (limit.max - limit.remaining + self._since) * 100 >= self._percent * limit.max
