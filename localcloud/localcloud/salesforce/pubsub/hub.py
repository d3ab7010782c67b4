"""What all openings of one org in a process share: the bell that says "something was committed", and its limits."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localcloud.salesforce.limits import Usage


class Hub:
    """One per org and process.

    Attributes:
        usage: Where deliveries are counted, once a server serves the org.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._listeners: list[Callable[[], None]] = []
        self._lock = Lock()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener whenever there may be news, in whichever thread; returns what ends that."""
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._forget(listener)

    def ring(self) -> None:
        """Tell all listeners."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def _forget(self, listener: Callable[[], None]) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)


_hubs: WeakValueDictionary[Path, Hub] = WeakValueDictionary()
_lock = Lock()


def hub_of(path: Path) -> Hub:
    """The hub of the org in a folder, the same for all openings of it in this process."""
    with _lock:
        return _hubs.setdefault(path.resolve(), Hub())
