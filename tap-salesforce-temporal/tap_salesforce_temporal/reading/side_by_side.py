"""Lanes: iterators that run side by side in threads of their own, and whose items come out in order, lane by lane.

A lane reads one window. The next lane begins as soon as the one before has given its first item, which tells how dense
the rows are; what runs ahead is bounded in lanes and in bytes, and the lane whose turn it is never waits for room.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from microdecisions.pages import StopFlag

__all__ = ["MOST_BYTES", "THREAD_NAME", "in_order"]

MOST_BYTES: Final = 12 * 1024 * 1024
"""Bytes of answers that may wait for their turn, about 16 pages; as rows they take about twice as much.

Lanes that find no room wait, so this is what bounds both memory and how much of the network's latency is hidden.
"""

THREAD_NAME: Final = "lane"
_AHEAD_IN_TURN: Final = 3  # items of the lane whose turn it is that may wait when others have taken all room
_LOOK_UP_SECONDS: Final = 0.1  # how soon a stop is noticed

_FAREWELL_SECONDS: Final = 3.0
"""How long lanes are waited for that are left: what each has to put away, such as a job of Bulk, goes with it."""

_OWN_BYTES: Final = 512  # of an item that does not tell its size

T = TypeVar("T")


def _bytes_of(item: object) -> int:
    size: int = getattr(item, "size", 0)
    return _OWN_BYTES + size


class _Lane:
    """One iterator's items that wait for their turn."""

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self.began = False
        self.ended = False
        self.error: BaseException | None = None


class _Road:
    """What the lanes and their consumer share, all under one lock.

    Args:
        most_bytes: Bytes of items that may wait.
    """

    def __init__(self, most_bytes: int) -> None:
        self.changed = threading.Condition()
        self.lanes: deque[_Lane] = deque()
        self.left = False
        self._threads: list[threading.Thread] = []
        self._most_bytes = most_bytes
        self._bytes = 0

    def start(self, items: Iterator[Any]) -> None:
        """Begin a lane."""
        lane = _Lane()
        self.lanes.append(lane)
        thread = threading.Thread(target=self._run, args=(lane, items), name=THREAD_NAME, daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def leave(self) -> None:
        """End the lanes, each after the item it is working on."""
        with self.changed:
            self.left = True
            self.changed.notify_all()
        until = time.monotonic() + _FAREWELL_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, lane: _Lane, items: Iterator[Any]) -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not self._hand_over(lane, item):
                    return
        except BaseException as caught:  # noqa: BLE001  # raised again on the consumer's side
            error = caught
        with self.changed:
            lane.error, lane.ended, lane.began = error, True, True
            self.changed.notify_all()

    def _hand_over(self, lane: _Lane, item: Any) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.left or self._has_room(lane))
            if self.left:
                return False
            self._bytes += _bytes_of(item)
            lane.waiting.append(item)
            lane.began = True
            self.changed.notify_all()
            return True

    def _has_room(self, lane: _Lane) -> bool:
        in_turn = self.lanes[0] is lane and len(lane.waiting) < _AHEAD_IN_TURN
        return in_turn or self._bytes < self._most_bytes

    def take(self) -> Any:
        """The next item of the lane whose turn it is; the lock is held and there is one."""
        item = self.lanes[0].waiting.popleft()
        self._bytes -= _bytes_of(item)
        self.changed.notify_all()
        return item


def in_order(
    lanes: Iterator[Iterator[T]],
    stop: StopFlag,
    *,
    side_by_side: Callable[[], int] = lambda: 1,
    most_bytes: int = MOST_BYTES,
) -> Generator[T]:
    """Yield the items of all lanes in order: all of the first, then all of the second, while the next ones run.

    What a lane raises is raised here, after the items before it. When the consumer leaves early, each thread ends after
    the item it is working on; they are waited for, three seconds at most. Lanes are asked for in the consumer's thread.

    Args:
        lanes: The iterators; the next one is asked for when the last one has given its first item.
        stop: Ends waits.
        side_by_side: Tells how many lanes may run at once, each time that another could begin.
        most_bytes: Bytes (items' `size`) that may wait for their turn.

    Raises:
        InterruptedRunError: the stop flag is set while an item is waited for.
    """
    road = _Road(most_bytes)
    more = True
    try:
        while True:
            with road.changed:
                may_start = more and len(road.lanes) < side_by_side() and all(lane.began for lane in road.lanes)
            if may_start:
                items = next(lanes, None)
                more = items is not None
                if items is not None:
                    with road.changed:
                        road.start(items)
                continue
            if not road.lanes:
                return
            with road.changed:
                lane = road.lanes[0]
                if not lane.waiting:
                    if lane.ended:
                        road.lanes.popleft()
                        road.changed.notify_all()
                        if lane.error is not None:
                            raise lane.error
                        continue
                    if not road.changed.wait(_LOOK_UP_SECONDS):
                        stop.check()
                    continue
                item = road.take()
            yield item
    finally:
        road.leave()
