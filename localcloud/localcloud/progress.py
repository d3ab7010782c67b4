"""Says on the error stream how far a long task is; a short one stays silent."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SILENT_S = 2.0  # a task shorter than this says nothing
TERMINAL_EVERY_S = 0.2
FILE_EVERY_S = 5.0


class Progress:
    """A line that is rewritten on a terminal, and repeated every few seconds elsewhere.

    Call it with how much is done and, where it is known, of how much: `progress(1200, 20000)`.
    """

    def __init__(
        self,
        task: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task = task
        self._stream = stream or sys.stderr
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._started = self._said = clock()
        self._on_screen = False

    def __call__(self, done: int, total: int | None = None) -> None:
        """Say how far it is, unless that was said a moment ago."""
        self.say(f"{done:,} of {total:,} ({done * 100 // total}%)" if total else f"{done:,}")

    def say(self, how_far: str) -> None:
        """Say it in words of your own, unless something was said a moment ago."""
        now = self._clock()
        every = TERMINAL_EVERY_S if self._terminal else FILE_EVERY_S
        if now - self._started < SILENT_S or now - self._said < every:
            return
        self._said = now
        line = f"  {self.task}: {how_far}, {now - self._started:.0f} s"
        self._on_screen = True
        self._stream.write(f"\r\x1b[2K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        """Nothing is said yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the line away again: what follows says how it ended."""
        if self._terminal and self._on_screen:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
