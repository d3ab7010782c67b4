"""The clock of a stand-in service: it ticks with real time from any instant that was set."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class OrgClock:
    """An org's own clock, apart from the clock of the machine.

    Args:
        start: The instant it shows now (aware); None shows real time.
        real: Seconds since the epoch by the machine; a parameter so that tests hold time still.
    """

    def __init__(self, start: datetime | None = None, *, real: Callable[[], float] = time.time) -> None:
        self._real = real
        self._offset = 0.0
        self._listeners: list[Callable[[], None]] = []
        if start is not None:
            self.set(start)

    @property
    def offset_seconds(self) -> float:
        """How far it is ahead of real time, in seconds; all that has to be kept to restore it."""
        return self._offset

    @offset_seconds.setter
    def offset_seconds(self, seconds: float) -> None:
        self._offset = seconds
        for listener in self._listeners:
            listener()

    def now(self) -> datetime:
        """The instant it shows, aware UTC."""
        return datetime.fromtimestamp(self._real() + self._offset, UTC)

    def now_ms(self) -> int:
        """The instant it shows, in milliseconds since the epoch."""
        return int((self._real() + self._offset) * 1000)

    def set(self, instant: datetime) -> None:
        """Show this instant now and tick on from there.

        Raises:
            ValueError: The instant has no time zone.
        """
        if instant.tzinfo is None:
            raise ValueError("an org clock needs an instant with a time zone")
        self.offset_seconds = instant.timestamp() - self._real()

    def advance(self, step: timedelta) -> None:
        """Move on (or back) by a step."""
        self.offset_seconds = self._offset + step.total_seconds()

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener after each change; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
