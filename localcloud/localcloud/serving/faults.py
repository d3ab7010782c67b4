"""Faults that any service can be told to show: waits, and connections that end badly; all off until a test asks."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from localcloud.serving.fewer import first_rows

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


class CommonSwitches:
    """The switches that every service has: waits, and connections that end badly.

    Attributes:
        latency_ms: Added to each request.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Turn all switches off."""
        self.latency_ms = 0.0
        self.delays: list[Delay] = []
        self.cuts: list[Cut] = []

    def delay(self, text: str, *, latency: bool = True) -> float:
        """How long a request is to wait, in seconds; `latency`: whether the general one is added."""
        with self._lock:
            seconds = sum(one.seconds for one in self.delays if one.strikes(text))
        if latency:
            seconds += self.latency_ms / 1_000
        if seconds:
            note(f"delay {seconds:g} s")
        return seconds

    def cut(self, text: str) -> Cut | None:
        """How the connection of a request is to be spoilt, if it is."""
        cut = self._first(self.cuts, text)
        if cut is not None:
            note(cut.mode)
        return cut

    def _first(self, traps: Sequence[Struck], text: str) -> Struck | None:
        with self._lock:
            return next((trap for trap in traps if trap.strikes(text)), None)
