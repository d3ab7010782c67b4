"""Switches that make the org misbehave: all off until a test turns one on."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.fewer import first_rows
from localcloud.salesforce.limits import API_REQUESTS, MAXIMA, LimitControl, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_struck: ContextVar[list[str]] = ContextVar("_struck")
Struck = TypeVar("Struck", bound="Trap")


@contextmanager
def noting() -> Iterator[list[str]]:
    """Collects the names of the faults that strike meanwhile, also in threads that are awaited."""
    names: list[str] = []
    token = _struck.set(names)
    try:
        yield names
    finally:
        _struck.reset(token)


def note(fault: str) -> None:
    """Say that a fault strikes the request that is being answered."""
    names = _struck.get(None)
    if names is not None:
        names.append(fault)


class Trap(msgspec.Struct, forbid_unknown_fields=True):
    """Strikes the requests that match.

    `pattern` is searched in `METHOD path?decoded query`; of the matches, `skip` pass first, then `times`
    are struck (None: all).
    """

    pattern: str = ""
    times: int | None = 1
    skip: int = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r}: {error}") from error

    def strikes(self, text: str) -> bool:
        """Whether it strikes a request; counts down."""
        if self.times == 0 or not re.search(self.pattern, text):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Failure(Trap, forbid_unknown_fields=True):
    """Answers with an error status; `retry_after` in seconds becomes a header.

    `code` and `message` replace the usual ones of the status.
    """

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    retry_after: int | None = None
    code: str | None = None
    message: str | None = None

    def error(self) -> ApiError:
        """The answer."""
        code, message = {
            429: ("TOO_MANY_REQUESTS", "Too many requests"),
            500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact us"),
            502: ("BAD_GATEWAY", "Bad Gateway"),
        }.get(self.status, ("SERVER_UNAVAILABLE", "We are temporarily unable to process your request"))
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return ApiError(self.status, self.code or code, self.message or message, headers)


class Delay(Trap, forbid_unknown_fields=True, kw_only=True):
    """Keeps a request waiting for `seconds` before anything else happens to it."""

    seconds: Annotated[float, msgspec.Meta(ge=0)]


class Cut(Trap, forbid_unknown_fields=True):
    """Spoils the connection, by default before any answer.

    `drop` closes it, `reset` ends it with a TCP reset, `hang` never answers and holds it until the client goes
    or the server stops; all three may let `after_bytes` bytes of the body through first. `truncate` promises
    the whole body and closes after a part of it; `shorten` sends a part and says that this is all: both send
    `after_bytes`, or else half of it. `shorten` may also send `after_rows` rows of a query's answer or a set of
    results, whose counts still say that there are more.
    """

    mode: Literal["drop", "truncate", "reset", "hang", "shorten"] = "drop"
    after_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    after_rows: Annotated[int, msgspec.Meta(ge=0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.after_rows is not None and self.mode != "shorten":
            raise ValueError("`after_rows` goes with the mode `shorten`")

    @property
    def before_answer(self) -> bool:
        """Whether the request is never carried out."""
        return self.after_bytes is None and self.mode in {"drop", "reset", "hang"}

    def part(self, body: bytes) -> bytes:
        """What of the body is sent."""
        if self.after_rows is not None:
            return first_rows(body, self.after_rows)
        return body[: len(body) // 2 if self.after_bytes is None else self.after_bytes]


class Pad(Trap, forbid_unknown_fields=True):
    """Makes a JSON answer at least `bytes` long, with blanks at its end; the data stays what it is."""

    bytes: Annotated[int, msgspec.Meta(ge=0, le=512 * 2**20)] = 5 * 2**20


class Switches:
    """The state of all switches, and the quota of API calls.

    Attributes:
        latency_ms: Added to each data request.
        spent: API calls that were made since the start.
        forbidden_objects: Objects that the user may not see.
        forbidden_fields: Fields that the user may not see, as `Object.Field`.
    """

    def __init__(self, usage: Usage | None = None) -> None:
        self._usage = usage or Usage()
        self.spent = 0
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Turn all switches off; what was spent stays spent."""
        self.latency_ms = 0.0
        self.failures: list[Failure] = []
        self.delays: list[Delay] = []
        self.cuts: list[Cut] = []
        self.pads: list[Pad] = []
        self.timeouts: list[Trap] = []
        self.expiries: list[Trap] = []
        self._expired: set[str] = set()
        self.forbidden_objects: set[str] = set()
        self.forbidden_fields: set[str] = set()
        self.quota_max = MAXIMA[API_REQUESTS]

    @property
    def quota_max(self) -> int:
        """API calls that the org may make in 24 hours."""
        return self._usage.maximum(API_REQUESTS)

    @quota_max.setter
    def quota_max(self, calls: int) -> None:
        self._usage.apply({API_REQUESTS: LimitControl(max=calls)})

    @property
    def quota_used(self) -> int:
        """API calls of the last 24 hours of the org's clock."""
        return int(self._usage.used(API_REQUESTS))

    @quota_used.setter
    def quota_used(self, calls: int) -> None:
        self._usage.apply({API_REQUESTS: LimitControl(used=calls)})

    def delay(self, text: str, *, data: bool = False) -> float:
        """How long a request is to wait, in seconds; `data` requests also meet the general latency."""
        seconds = sum(one.seconds for one in self._all(self.delays, text))
        if data:
            seconds += self.latency_ms / 1000
        if seconds:
            note(f"delay {seconds:g} s")
        return seconds

    def check_failure(self, text: str) -> None:
        """Raise the failure that a request meets, if any.

        Raises:
            ApiError: The failure.
        """
        failure = self._first(self.failures, text)
        if failure is not None:
            note(f"fail {failure.status}")
            raise failure.error()

    def cut(self, text: str) -> Cut | None:
        """How the connection of a request is to be spoilt, if it is."""
        cut = self._first(self.cuts, text)
        if cut is not None:
            note(cut.mode)
        return cut

    def pad(self, text: str, body: bytes) -> bytes:
        """The body of a JSON answer, made longer where that is asked for."""
        pad = self._first(self.pads, text)
        if pad is None:
            return body
        note(f"pad {pad.bytes}")
        return body.ljust(pad.bytes)

    def check_locator(self, text: str, locator: str) -> None:
        """Raise when the cursor behind a locator is to have expired; it stays so.

        Args:
            text: The request.
            locator: The last part of its path, `<cursor>-<row>`.

        Raises:
            ApiError: 400 INVALID_QUERY_LOCATOR.
        """
        cursor = locator.partition("-")[0]
        if self._first(self.expiries, text) is not None:
            self._expired.add(cursor)
        if cursor in self._expired:
            note("expire_locator")
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")

    def check_timeout(self, statement: str) -> None:
        """Raise when a query is to run too long.

        Raises:
            ApiError: 400 QUERY_TIMEOUT.
        """
        if self._first(self.timeouts, statement) is not None:
            note("query_timeout")
            raise ApiError(400, "QUERY_TIMEOUT", "Your query request was running for too long.")

    def spend(self) -> None:
        """Count one API call.

        Raises:
            ApiError: 403 REQUEST_LIMIT_EXCEEDED, there is none left.
        """
        if not self._usage.take(API_REQUESTS):
            note("quota")
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.spent += 1

    def _first(self, traps: Sequence[Struck], text: str) -> Struck | None:
        with self._lock:
            return next((trap for trap in traps if trap.strikes(text)), None)

    def _all(self, traps: Sequence[Struck], text: str) -> list[Struck]:
        with self._lock:
            return [trap for trap in traps if trap.strikes(text)]
