"""The bounded hand-over between the threads that read topics and the one that writes."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

__all__ = ["Handover"]

ItemT = TypeVar("ItemT")


class Handover(Generic[ItemT]):
    """A queue that is bounded by the weight of what is in it: memory stays flat whatever an item holds.

    An item that is heavier than all of the room is let in when the queue is empty. Whoever takes is woken for a page's
    worth rather than for each item: threads that take turns item by item cost more than the items.

    Args:
        room: The weight that may wait at one time.
        enough: The weight that is worth taking at once.
        linger_seconds: How long to wait for that much, once something is there.
    """

    def __init__(self, room: int, *, enough: int = 1, linger_seconds: float = 0.0) -> None:
        self._room = room
        self._enough = enough
        self._linger = linger_seconds
        self._items: deque[tuple[ItemT, int]] = deque()
        self._weight = 0
        self._closed = False
        self._changed = Condition()

    def put(self, item: ItemT, weight: int = 1) -> bool:
        """Add an item, after waiting for room; False when nobody takes items any more.

        Args:
            item: What is handed over.
            weight: How much room it takes.
        """
        with self._changed:
            while self._items and self._weight + weight > self._room and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._items.append((item, weight))
            self._weight += weight
            if len(self._items) == 1 or self._weight >= self._enough:
                self._changed.notify_all()
            return True

    def take(self, timeout: float) -> list[ItemT]:
        """Everything that waits, oldest first; empty when nothing came within so many seconds."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout)
            if self._items and self._weight < self._enough:
                self._changed.wait(self._linger)
            items = [item for item, _ in self._items]
            self._items.clear()
            self._weight = 0
            self._changed.notify_all()
            return items

    def close(self) -> None:
        """Take no more: threads that wait for room go on, and what they bring is left."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._weight = 0
            self._changed.notify_all()
