"""Trying again: full-jitter delays, Retry-After, the limits of patience, and the loop that obeys them."""

from __future__ import annotations

import logging
import random
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from microdecisions.errors import InterruptedRunError, MicroDecisionError, SalesforceError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clocks", "Patience", "RetryPolicy", "StopFlag", "TryAgainError", "parse_http_date", "parse_retry_after"]

logger = logging.getLogger(__name__)

_PAUSE_STEP = 0.25  # seconds; how soon a pause notices the stop flag
_SLOW_TRIES = 2

T = TypeVar("T")


class StopFlag(Protocol):
    """What says that the run should end: a `threading.Event`, or anything else with `is_set`."""

    def is_set(self) -> bool:
        """Whether to stop."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """Time and chance, as parameters.

    Attributes:
        now: the wall clock, aware UTC.
        monotonic: seconds that only go up.
        sleep: pauses for some seconds; called in steps of a quarter of a second.
        random: uniform in [0, 1).
    """

    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long to try again.

    Attributes:
        tries: requests in all, the first one included.
        first_tries: the same for a host that never answered yet: a wrong name should be said soon.
        base_seconds: the longest delay after the first try; it doubles with each further one.
        longest_delay_seconds: the longest delay by jitter.
        longest_retry_after_seconds: the longest wait that a server may ask for; more ends the run.
        total_seconds: no new try begins later than this after the first one.
    """

    tries: int = 6
    first_tries: int = 3
    base_seconds: float = 0.5
    longest_delay_seconds: float = 30.0
    longest_retry_after_seconds: float = 300.0
    total_seconds: float = 900.0

    def delay(self, tries_made: int, random: Callable[[], float], retry_after: float | None = None) -> float:
        """Seconds to wait before the next try.

        Full jitter (anything between nothing and the doubling limit) keeps many clients from returning together; what
        the server asks for is a lower bound.

        Args:
            tries_made: 1 after the first try.
            random: uniform in [0, 1).
            retry_after: what the server asked for, in seconds.
        """
        limit = min(self.longest_delay_seconds, self.base_seconds * 2.0 ** min(tries_made - 1, 30))
        return max(limit * random(), retry_after or 0.0)


class TryAgainError(Exception):
    """A try failed in a way that may pass.

    Attributes:
        error: what to raise when patience ends.
        retry_after: seconds that the server asked to wait.
        met: the host has answered before in this run.
        final: do not try again: a second arrival would do harm.
        unknown: the request may have done its work all the same.
        slow: the request was sent, and no answer came in time.
    """

    def __init__(
        self,
        error: MicroDecisionError,
        *,
        retry_after: float | None = None,
        met: bool = True,
        final: bool = False,
        unknown: bool = False,
        slow: bool = False,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after
        self.met = met
        self.final = final
        self.unknown = unknown
        self.slow = slow


class Patience:
    """Runs something until it succeeds, fails for good, is stopped, or the policy's limits are reached."""

    def __init__(self, policy: RetryPolicy, clocks: Clocks, stop: StopFlag | None) -> None:
        self._policy = policy
        self._clocks = clocks
        self._stop = stop

    def persist(
        self,
        attempt: Callable[[], T],
        place: str,
        on_retry: Callable[[], None],
        slow: MicroDecisionError | None = None,
    ) -> T:
        """Call `attempt` until it returns.

        Args:
            attempt: raises `TryAgainError` for what may pass; any other exception is final.
            place: what is tried, for the log.
            on_retry: called before each further try.
            slow: what to raise when a second try was not answered in time: it is better asked in another way.

        Raises:
            MicroDecisionError: the `error` of the last `TryAgainError`.
            SalesforceError: the server asks to wait longer than a run waits.
            InterruptedRunError: the stop flag is set.
        """
        started, tries, unanswered = self._clocks.monotonic(), 0, 0
        while True:
            self.check_stop()
            failure: TryAgainError
            try:
                return attempt()
            except TryAgainError as caught:
                failure = caught
            tries += 1
            if failure.slow:
                unanswered += 1
                if slow is not None and unanswered == _SLOW_TRIES:
                    raise slow
            delay = self._next_delay(failure, tries, started)
            logger.warning("%s Trying %s again in %.1f s (try %d).", failure.error, place, delay, tries + 1)
            self._pause(delay)
            on_retry()

    def unstopped(self, tries: int) -> Patience:
        """The same with no more than so many tries, and not ended by the stop flag: for what has to be put away."""
        return Patience(msgspec.structs.replace(self._policy, tries=tries), self._clocks, None)

    def check_stop(self) -> None:
        """Raise `InterruptedRunError` when the run should end."""
        if self._stop is not None and self._stop.is_set():
            raise InterruptedRunError

    def wait(self, seconds: float) -> float:
        """Pause for half of some seconds up to all of them, as chance has it; returns how long.

        Raises:
            InterruptedRunError: the stop flag is set.
        """
        delay = seconds * (1 + self._clocks.random()) / 2
        self._pause(delay)
        return delay

    def _next_delay(self, failure: TryAgainError, tries: int, started: float) -> float:
        policy, error = self._policy, failure.error
        if failure.retry_after is not None and failure.retry_after > policy.longest_retry_after_seconds:
            raise SalesforceError(
                f"Salesforce asks to wait {failure.retry_after:.0f} s, longer than a run waits "
                f"({policy.longest_retry_after_seconds:.0f} s): run again later.",
                status=getattr(error, "status", 0),
                code=getattr(error, "code", ""),
            )
        delay = policy.delay(tries, self._clocks.random, failure.retry_after)
        most = policy.tries if failure.met else min(policy.first_tries, policy.tries)
        waited = self._clocks.monotonic() - started
        if failure.final or tries >= most or waited + delay > policy.total_seconds:
            raise error
        return delay

    def _pause(self, seconds: float) -> None:
        """Sleep in small steps: an Event's own `wait` may deadlock with a signal handler that sets it."""
        while seconds > 0:
            self.check_stop()
            step = min(seconds, _PAUSE_STEP)
            self._clocks.sleep(step)
            seconds -= step


def parse_retry_after(text: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or an HTTP date; None when it says nothing usable.

    Args:
        text: the header's value.
        now: the time the date is relative to, aware UTC; best the server's own, from its `Date` header.
    """
    if text is None:
        return None
    stripped = text.strip()
    if re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", stripped):
        return float(stripped)
    moment = parse_http_date(stripped)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def parse_http_date(text: str | None) -> datetime | None:
    """An HTTP date as aware UTC; None when it is missing or no date."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
