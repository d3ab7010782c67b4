"""What all streams of one run share: the settings, the org, and what could not be read."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from microdecisions.running import Deadline, Outcome
from tap_salesforce_temporal.org import Org
from tap_salesforce_temporal.reading.together import MOST_QUERIES

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from microdecisions.pages import StopFlag
    from tap_salesforce_temporal.settings import TapSettings

__all__ = ["Run"]


class Increment(Protocol):
    """A stream that knows before its turn what it will ask."""

    name: str

    def statements(self, now: datetime) -> Sequence[str]:
        """What the stream asks for in its turn, as far as it is known at an instant; the same at each call."""
        ...


class Run(Outcome):
    """One run of the tap.

    Args:
        settings: Checked settings.
        stop: Set by SIGINT and SIGTERM.
        log: For an operator.
    """

    def __init__(self, settings: TapSettings, stop: StopFlag, log: logging.Logger) -> None:
        super().__init__(settings.on_gap, "selected streams", log)
        self.settings = settings
        self.streams: Callable[[], Sequence[Increment]] = tuple
        self.deadline = Deadline(stop, settings.max_run_seconds)
        self._asked: set[str] = set()
        self._stop = stop

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

    def finish(self) -> None:
        """End the run after its last stream.

        Raises:
            MicroDecisionError: a selected stream could not be read.
            GapError: a `gap` event was written, and `on_gap` is `fail`.
        """
        self.end(self.org.session.usage)
