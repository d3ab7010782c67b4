"""Waiting with a clock that can be another one: what a stream waits for, and how long."""

from __future__ import annotations

import time
from collections import deque
from threading import Condition
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")


class Patience(Protocol):
    """Seconds that pass, and waiting for them."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def wait(self, condition: Condition, seconds: float | None) -> None:
        """Wait on a condition that is held, until it is notified or so many seconds passed (None: for ever)."""


class RealPatience:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def wait(self, condition: Condition, seconds: float | None) -> None:
        """Wait."""
        condition.wait(seconds)


class Mailbox(Generic[Item]):
    """What reaches a stream from other threads: requests of the client, its end, and news.

    Args:
        patience: The time it lives in.
        most: More than so many requests that wait make it overflow.
    """

    def __init__(self, patience: Patience, most: int = 1_000) -> None:
        self._patience = patience
        self._condition = Condition()
        self._items: deque[Item] = deque()
        self._most = most
        self._news = 0
        self._seen = 0
        self.overflowed = False
        self.finished = False
        self.cancelled = False

    def put(self, item: Item) -> None:
        """Add a request."""
        with self._condition:
            if len(self._items) >= self._most:
                self.overflowed = True
            else:
                self._items.append(item)
            self._condition.notify_all()

    def ring(self) -> None:
        """Say that there may be news."""
        with self._condition:
            self._news += 1
            self._condition.notify_all()

    def finish(self) -> None:
        """Say that the client sends no more."""
        with self._condition:
            self.finished = True
            self._condition.notify_all()

    def cancel(self) -> None:
        """Say that nobody listens any more."""
        with self._condition:
            self.cancelled = True
            self._condition.notify_all()

    @property
    def waiting(self) -> bool:
        """Whether requests wait."""
        return bool(self._items)

    def first(self) -> Item | None:
        """The request that waits longest, if there is one."""
        with self._condition:
            return self._items.popleft() if self._items else None

    def take(self) -> list[Item]:
        """The requests that wait."""
        with self._condition:
            items = list(self._items)
            self._items.clear()
            return items

    def wait(self, until: float) -> None:
        """Wait for a request, news or the end, but no longer than to that instant."""
        self._wait(until, lambda: self._ends or bool(self._items) or self.finished or self._news != self._seen)
        self._seen = self._news

    def sleep(self, seconds: float) -> None:
        """Wait for the end alone, or for too many requests."""
        self._wait(self._patience.now() + seconds, lambda: self._ends)

    def wait_for_cancel(self) -> None:
        """Wait until nobody listens any more."""
        self._wait(None, lambda: self.cancelled)

    @property
    def _ends(self) -> bool:
        return self.cancelled or self.overflowed

    def _wait(self, until: float | None, ready: Callable[[], bool]) -> None:
        patience = self._patience
        with self._condition:
            while not ready():
                left = None if until is None else until - patience.now()
                if left is not None and left <= 0:
                    break
                patience.wait(self._condition, left)

    def reading(self, requests: Callable[[], Item]) -> None:
        """Pump requests in until there are no more; for a thread of its own."""
        try:
            while True:
                self.put(requests())
        except StopIteration:
            self.finish()
        except Exception:  # noqa: BLE001 - whatever gRPC raises, the call is over
            self.cancel()
