"""Windows of the cursor column: planned by the density just seen, halved when too much, never by the last row read.

A window is half-open and has whole seconds at both ends, because history has second precision. The bookmark moves to
a window's end when the window is read whole, counted and written.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from microdecisions import soql

__all__ = ["Planner", "Window"]

_SECOND: Final = timedelta(seconds=1)
_FIRST_WIDTH: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows whose cursor is at or after `start` and before `end`; aware UTC, whole seconds."""

    start: datetime
    end: datetime

    @property
    def width(self) -> timedelta:
        """Length of the window."""
        return self.end - self.start

    @property
    def divisible(self) -> bool:
        """Whether the window can be cut: a second is the smallest."""
        return self.width > _SECOND

    def conditions(self, cursor: str) -> tuple[str, str]:
        """SOQL conditions that select the window's rows."""
        return (
            f"{soql.identifier(cursor)} >= {soql.datetime_literal(self.start)}",
            f"{soql.identifier(cursor)} < {soql.datetime_literal(self.end)}",
        )

    def parts(self, count: int) -> list[Window]:
        """Cut into at most `count` windows of about equal width that together are this one."""
        seconds = int(self.width / _SECOND)
        count = max(1, min(count, seconds))
        cuts = [self.start + _SECOND * (seconds * part // count) for part in range(count)] + [self.end]
        return [Window(start, end) for start, end in itertools.pairwise(cuts)]


class Planner:
    """Chooses the next window so that it holds about as many rows as is good for the API that reads it.

    One thread plans while others tell what they saw; each of its attributes changes whole.

    Args:
        target_rows: Rows that a window should hold.
        most_rows: Rows above which a window is cut before it is read.
        first_width: Width of the first window, when no density is known yet.
    """

    def __init__(self, *, target_rows: int, most_rows: int, first_width: timedelta = _FIRST_WIDTH) -> None:
        self._target_rows = target_rows
        self._most_rows = most_rows
        self._width = first_width
        self._seen: tuple[float, int] | None = None

    def aim(self, *, target_rows: int, most_rows: int) -> None:
        """Plan for another API from now on."""
        self._target_rows, self._most_rows = target_rows, most_rows
        if self._seen is not None:
            self._width = self._width_for(*self._seen)

    def next(self, start: datetime, limit: datetime) -> Window:
        """Plan the window that begins at `start` and does not pass `limit`."""
        # A width beyond what is left would overflow the calendar for a sparse object.
        return Window(start, start + self._width if self._width < limit - start else limit)

    def saw(self, window: Window, rows: int) -> None:
        """Take the density of a window that was read or counted."""
        self._seen = max(1.0, window.width.total_seconds()), rows
        self._width = self._width_for(*self._seen)

    def _width_for(self, seconds: float, rows: int) -> timedelta:
        wanted = self._target_rows * seconds / rows if rows else seconds * 16
        return timedelta(seconds=min(int(wanted) + 1, 4_000_000_000))

    def cut(self, window: Window, rows: int, most_rows: int | None = None) -> list[Window]:
        """Cut a window of which Salesforce counts `rows` rows; one part when it may be read as it is.

        Args:
            window: The window.
            rows: Its rows.
            most_rows: Rows that a window may have now, where that is less than otherwise.
        """
        most = self._most_rows if most_rows is None else min(most_rows, self._most_rows)
        if rows <= most:
            return [window]
        return window.parts(-(-rows // min(most, self._target_rows)))
