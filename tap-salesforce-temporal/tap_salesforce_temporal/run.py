"""What all streams of one run share: the settings, the org, and what could not be read."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from singer_sdk import metrics

from microdecisions.errors import GapError, TimeCeilingError
from microdecisions.limits import Usage
from microdecisions.pages import StopFlag
from tap_salesforce_temporal.org import Org
from tap_salesforce_temporal.reading.together import MOST_QUERIES
from tap_salesforce_temporal.telemetry import job_point, run_line, spending

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from microdecisions.errors import MicroDecisionError
    from tap_salesforce_temporal.settings import TapSettings

__all__ = ["Deadline", "Run"]


class Increment(Protocol):
    """A stream that knows before its turn what it will ask."""

    name: str

    def statements(self, now: datetime) -> Sequence[str]:
        """What the stream asks for in its turn, as far as it is known at an instant; the same at each call."""
        ...


class Deadline(StopFlag):
    """The run's stop flag, and `max_run_seconds`: looked at between windows, between streams and while waiting.

    A run that has moved no bookmark yet goes on: runs that are too short for one window would repeat it for ever.

    Args:
        stop: Set by SIGINT and SIGTERM.
        seconds: How long the run may take; None for ever.
        monotonic: Seconds that only go up.
    """

    def __init__(self, stop: StopFlag, seconds: int | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(monotonic)
        self._stop = stop
        self._most = seconds
        self._now = monotonic
        self._began = monotonic()
        self._moved = False

    def moved(self) -> None:
        """Note that a bookmark moved."""
        self._moved = True

    def is_set(self) -> bool:
        """Whether the run is to stop."""
        return self._stop.is_set() or self._is_over()

    def check(self) -> None:
        """Leave when asked to, or when the time is over.

        Raises:
            InterruptedRunError: the stop flag is set.
            TimeCeilingError: the time is over.
        """
        self._stop.check()
        if self._is_over():
            raise TimeCeilingError(
                f"The {self._most} s of `max_run_seconds` are over before everything is read: what was read is "
                "written and the state is kept; run again to go on from there."
            )

    def _is_over(self) -> bool:
        return self._moved and self._most is not None and self._now() - self._began >= self._most


class Run:
    """One run of the tap.

    Args:
        settings: Checked settings.
        stop: Set by SIGINT and SIGTERM.
        log: For an operator.
    """

    def __init__(self, settings: TapSettings, stop: StopFlag, log: logging.Logger) -> None:
        self.settings = settings
        self.failures: list[MicroDecisionError] = []
        self.gaps: list[str] = []
        self.streams: Callable[[], Sequence[Increment]] = tuple
        self.deadline = Deadline(stop, settings.max_run_seconds)
        self._asked: set[str] = set()
        self._began = time.monotonic()
        self._stop = stop
        self._log = log

    @cached_property
    def org(self) -> Org:
        """The org, logged in at first use."""
        return Org(self.settings, self._stop, self._log)

    def read_together(self, stream: Increment) -> None:
        """Fetch the first pages of what a stream asks, and of what the next ones will ask, in one API call."""
        streams = self.streams()
        names = [one.name for one in streams]
        place = names.index(stream.name) if stream.name in names else len(names)
        now = self.org.session.server_time()
        statements: list[str] = []
        for one in (stream, *streams[place + 1 :]):
            statements += [statement for statement in one.statements(now) if statement not in self._asked]
            if not statements or len(statements) >= MOST_QUERIES:  # nothing of its own: the next one asks for itself
                break
        statements = statements[:MOST_QUERIES]
        self._asked.update(statements)
        if len(statements) > 1:
            self.org.reader.read_together(statements)

    def failed(self, error: MicroDecisionError) -> None:
        """Note that a stream could not be read; the run goes on with the others and fails at its end."""
        self._log.error("%s", error)
        self.failures.append(error)

    def gap(self, sentence: str) -> None:
        """Note that a `gap` event was written; the run goes on, and ends by `on_gap`."""
        self._log.warning("%s", sentence)
        self.gaps.append(sentence)

    def finish(self) -> None:
        """End the run after its last stream.

        Raises:
            MicroDecisionError: a selected stream could not be read.
            GapError: a `gap` event was written, and `on_gap` is `fail`.
        """
        spent = spending(Usage(), self.org.session.usage, time.monotonic() - self._began)
        self._log.info("%s", run_line(spent))
        metrics.log(metrics.get_metrics_logger(), job_point(spent, failed=bool(self.failures)))
        if self.failures:
            raise type(self.failures[0])(
                f"{len(self.failures)} of the selected streams could not be read; the other streams are complete. "
                f"First: {self.failures[0]}"
            )
        if self.gaps and self.settings.on_gap == "fail":
            raise GapError(f"{self.gaps[0]} Everything else is complete, and the next run goes on from there.")
