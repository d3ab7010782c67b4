"""What time it is: as Atlan tells it, so that a machine whose clock is wrong does no harm to figures."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from microdecisions.retries import parse_http_date

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """The latest `Date` that Atlan's answers told, and what has passed since; else the clock of the machine.

    It is the one clock of a run's figures and of the note on the connection. Between two runs it may go back; nothing
    that is kept depends on its order: events are known by id, runs by the ledger's generation. What a run forgets for
    good goes by `past`.

    Args:
        machine: Tells the instant by the machine.
        monotonic: Seconds that only go up.
    """

    def __init__(
        self,
        machine: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._machine = machine
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._heard: tuple[datetime, float] | None = None

    def hear(self, date: str | None) -> None:
        """Take the `Date` header of an answer (RFC 9110, 6.6.1); what is none, or is behind an earlier one, is left.

        Args:
            date: Its value; None where there is none.
        """
        said = parse_http_date(date)
        if said is None:
            return
        with self._lock:
            at = self._monotonic()
            if self._heard is None or said > self._since(self._heard, at):
                self._heard = said, at

    def now(self) -> datetime:
        """The instant, aware UTC; from the first `Date` on it only goes up."""
        heard = self._heard
        return self._machine() if heard is None else self._since(heard, self._monotonic())

    def past(self) -> datetime:
        """An instant that is over by both clocks, Atlan's and the machine's: one of them may be far ahead."""
        return min(self.now(), self._machine())

    def ahead(self) -> timedelta | None:
        """How far Atlan's clock is ahead of the machine's; None where Atlan told no `Date`."""
        return None if self._heard is None else self.now() - self._machine()

    @staticmethod
    def _since(heard: tuple[datetime, float], monotonic: float) -> datetime:
        said, at = heard
        return said + timedelta(seconds=max(0.0, monotonic - at))
