"""What all streams of one run share: the settings, the org, and what could not be read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from tap_salesforce_temporal.org import Org

if TYPE_CHECKING:
    import logging

    from microdecisions.errors import MicroDecisionError
    from microdecisions.pages import StopFlag
    from tap_salesforce_temporal.settings import TapSettings

__all__ = ["Run"]


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
        self._stop = stop
        self._log = log

    @cached_property
    def org(self) -> Org:
        """The org, logged in at first use."""
        return Org(self.settings, self._stop, self._log)

    def failed(self, error: MicroDecisionError) -> None:
        """Note that a stream could not be read; the run goes on with the others and fails at its end."""
        self._log.error("%s", error)
        self.failures.append(error)

    def finish(self) -> None:
        """End the run after its last stream.

        Raises:
            MicroDecisionError: a selected stream could not be read.
        """
        usage = self.org.session.usage
        limits = usage.limits
        spent = f"of {limits.maximum} a day the org has used {limits.used}" if limits else "no limit told"
        self._log.info("Run: %s API calls (%s), %s retries.", usage.calls, spent, usage.retries)
        if self.failures:
            raise type(self.failures[0])(
                f"{len(self.failures)} of the selected streams could not be read; the other streams are complete. "
                f"First: {self.failures[0]}"
            )
