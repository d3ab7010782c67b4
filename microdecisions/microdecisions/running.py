"""How a run of a tap ends: its time limit, what failed, which gaps were written, and the exit code of all that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from singer_sdk import metrics

from microdecisions.errors import GapError, TimeCeilingError
from microdecisions.limits import Usage
from microdecisions.pages import StopFlag
from microdecisions.telemetry import job_point, run_line, spending

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from microdecisions.errors import MicroDecisionError

__all__ = ["Deadline", "Outcome"]


class Deadline(StopFlag):
    """The run's stop flag, and `max_run_seconds`: looked at between parts of the work and while waiting.

    A run that has moved no bookmark yet goes on: runs that are too short for one part would repeat it for ever.

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


class Outcome:
    """What a run could not read, and which gaps it wrote; its end says so.

    Args:
        on_gap: What a written `gap` event does to the exit code: `fail` makes it 4.
        part: What the run reads several of, in the plural, such as `selected streams`; the others are told complete.
        log: For an operator.
        monotonic: Seconds that only go up.
    """

    def __init__(
        self,
        on_gap: Literal["fail", "warn"],
        part: str,
        log: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.failures: list[MicroDecisionError] = []
        self.gaps: list[str] = []
        self._on_gap = on_gap
        self._part = part
        self._log = log
        self._now = monotonic
        self._began = monotonic()

    def failed(self, error: MicroDecisionError) -> None:
        """Note that a part could not be read; the run goes on with the others and fails at its end."""
        self._log.error("%s", error)
        self.failures.append(error)

    def gap(self, sentence: str) -> None:
        """Note that a `gap` event was written; the run goes on, and ends by `on_gap`."""
        self._log.warning("%s", sentence)
        self.gaps.append(sentence)

    def tell_gaps(self, error: MicroDecisionError) -> MicroDecisionError:
        """Let the sentence of an error name the gaps too: the next run is green, so none would say it again.

        Args:
            error: What ends the run, by its own exit code.
        """
        if self.gaps and self._on_gap == "fail" and not isinstance(error, GapError):
            error.args = (f"{error} Besides, no later run says this again: {self._gaps()}",)
        return error

    def end(self, usage: Usage, ceiling: MicroDecisionError | None = None) -> None:
        """End the run after its last stream: one line and one metric of what it cost, then its errors.

        Args:
            usage: What the session spent.
            ceiling: What stopped the run before everything was read; None when nothing did.

        Raises:
            MicroDecisionError: a part could not be read, or the run was stopped; the sentence names the gaps too.
            GapError: a `gap` event was written, and `on_gap` is `fail`.
        """
        spent = spending(Usage(), usage, self._now() - self._began)
        self._log.info("%s", run_line(spent))
        metrics.log(metrics.get_metrics_logger(), job_point(spent, failed=bool(self.failures)))
        if self.failures:
            others = self._part.rpartition(" ")[2]
            failure = type(self.failures[0])(
                f"{len(self.failures)} of the {self._part} could not be read; the other {others} are complete. "
                f"First: {self.failures[0]}"
            )
            raise self.tell_gaps(failure)
        if ceiling is not None:
            raise self.tell_gaps(ceiling)
        if self.gaps and self._on_gap == "fail":
            raise GapError(f"{self._gaps()} Everything else is complete, and the next run goes on from there.")

    def _gaps(self) -> str:
        more = f" ({len(self.gaps) - 1:,} more are among the warnings.)" if len(self.gaps) > 1 else ""
        return f"{self.gaps[0]}{more}"
