"""Fetch ahead: run an iterator in a thread of its own, a bounded number of items before they are needed."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microdecisions.pages import StopFlag

__all__ = ["fetched_ahead"]

T = TypeVar("T")
_LOOK_UP_SECONDS: Final = 0.1  # how soon either side notices that the other has left
_END: Final = object()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Ahead(Generic[T]):
    """The thread's side: items go into a bounded queue until the consumer has left."""

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._items = items
        self.ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
        self.left = threading.Event()

    def run(self) -> None:
        try:
            for item in self._items:
                if not self._hand_over(item):
                    return
        except BaseException as error:  # noqa: BLE001  # raised again on the consumer's side
            self._hand_over(_Failure(error))
        else:
            self._hand_over(_END)

    def _hand_over(self, item: object) -> bool:
        while not self.left.is_set():
            try:
                self.ready.put(item, timeout=_LOOK_UP_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def fetched_ahead(items: Iterator[T], stop: StopFlag, *, depth: int = 2) -> Iterator[T]:
    """Yield the items of an iterator that runs ahead by at most `depth` items.

    What the iterator raises is raised here, after the items before it. When the consumer leaves early the thread ends
    after the item it is working on.

    Raises:
        InterruptedRunError: the stop flag is set while an item is waited for.
    """
    ahead = _Ahead(items, depth)
    threading.Thread(target=ahead.run, name="fetch-ahead", daemon=True).start()
    try:
        while True:
            try:
                item = ahead.ready.get(timeout=_LOOK_UP_SECONDS)
            except queue.Empty:
                stop.check()
                continue
            if item is _END:
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        ahead.left.set()
