"""What a stand-in service was asked: a ring of requests and counts that never roll over."""

from __future__ import annotations

from collections import Counter, deque
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Request(msgspec.Struct, frozen=True):
    """One request that was answered.

    `number` counts from 1; `kind` names the sort of request (`query`, `describe`, ...); `at` is the service's
    own clock (fixed-width UTC text); `query` is the decoded statement of a query request; `rows` the records
    in the answer; `client` what the caller says it is; `bytes` the size of the body before compression;
    `api_calls` what it cost of the quota; `parts` the queries inside a composite request; `fault` the faults
    that struck it (`fail 503`, `drop`, ...; status 0: nothing was answered).
    """

    number: int
    kind: str
    at: str
    method: str
    path: str
    status: int
    query: str | None = None
    rows: int = 0
    client: str | None = None
    bytes: int = 0
    api_calls: int = 0
    duration_ms: float = 0.0
    parts: tuple[str, ...] = ()
    fault: str | None = None


class JournalPage(msgspec.Struct, frozen=True):
    """The newest requests and the totals since the start."""

    total: int
    api_calls: int
    rows: int
    by_status: dict[str, int]
    by_kind: dict[str, int]
    requests: list[Request]


class Journal:
    """Keeps the newest requests; totals cover all of them.

    Args:
        capacity: How many requests the ring holds.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self._ring: deque[Request] = deque(maxlen=capacity)
        self._lock = Lock()
        self._status: Counter[str] = Counter()
        self._kind: Counter[str] = Counter()
        self.total = 0
        self.api_calls = 0
        self.rows = 0
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call the listener after each request, in whichever thread; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def add(self, request: Request) -> None:
        """Note a request; its number is given here."""
        with self._lock:
            self.total += 1
            self.api_calls += request.api_calls
            self.rows += request.rows
            self._status[str(request.status)] += 1
            self._kind[request.kind] += 1
            self._ring.append(msgspec.structs.replace(request, number=self.total))
        for listener in tuple(self._listeners):
            listener()

    def requests(self, after: int = 0) -> list[Request]:
        """The kept requests with a number above `after`, oldest first."""
        with self._lock:
            first = self.total - len(self._ring)
            return list(islice(self._ring, max(after - first, 0), None))

    def page(self, after: int = 0) -> JournalPage:
        """The kept requests above `after`, with the totals."""
        requests = self.requests(after)
        return JournalPage(self.total, self.api_calls, self.rows, dict(self._status), dict(self._kind), requests)

    def newest(self, count: int) -> JournalPage:
        """The newest requests, the last one first, with the totals."""
        requests = self.requests(max(self.total - count, 0))[::-1]
        return JournalPage(self.total, self.api_calls, self.rows, dict(self._status), dict(self._kind), requests)

    def clear(self) -> None:
        """Forget the requests and the totals."""
        with self._lock:
            self._ring.clear()
            self._status.clear()
            self._kind.clear()
            self.total = self.api_calls = self.rows = 0
