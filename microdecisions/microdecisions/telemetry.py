"""What a stream cost: one line for operators, and Singer metrics for machines."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec
from singer_sdk.metrics import Metric, Point, Status, Tag

from microdecisions import timestamps

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from microdecisions.limits import LimitInfo, Usage

__all__ = ["Meter", "Spending", "job_point", "points", "run_line", "spending", "stream_line"]


_UNITS: Final = (("kB", 10**3), ("MB", 10**6), ("GB", 10**9))


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent between two moments of a run.

    Attributes:
        calls: API calls, repeated ones included.
        retries: Of them, those that were repeats.
        logins: Tokens asked for.
        received: Bytes of bodies as they came over the wire.
        seconds: On the clock.
        limits: What Salesforce last said of its limit; None when it never did.
    """

    calls: int = 0
    retries: int = 0
    logins: int = 0
    received: int = 0
    seconds: float = 0.0
    limits: LimitInfo | None = None


def spending(before: Usage, after: Usage, seconds: float) -> Spending:
    """Tell what was spent between two moments.

    Args:
        before: Usage of the session at the first.
        after: At the second.
        seconds: What passed between them.
    """
    return Spending(
        calls=after.calls - before.calls,
        retries=after.retries - before.retries,
        logins=after.logins - before.logins,
        received=after.bytes_received - before.bytes_received,
        seconds=seconds,
        limits=after.limits,
    )


class Meter:
    """What one stream does and costs, from its first request on.

    Calls that are shared with other streams count where they are made.

    Args:
        stream: Its name.
        usage: Tells what the session has spent so far.
        monotonic: Seconds that only go up.
    """

    def __init__(
        self, stream: str, usage: Callable[[], Usage], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._usage = usage
        self._now = monotonic
        self._before = usage()
        self._began = monotonic()
        self._window: tuple[datetime | None, datetime] | None = None
        self._events = 0

    def reads(self, start: datetime | None, end: datetime) -> None:
        """Note what is read: from `start` on (None: nothing is there to be read) and before `end`."""
        self._window = start, end

    def wrote(self, events: int) -> None:
        """Note events that were written."""
        self._events += events

    @property
    def spent(self) -> Spending:
        """What was spent up to now."""
        return spending(self._before, self._usage(), self._now() - self._began)

    def line(self, *, complete: bool) -> str:
        """Say in one line what the stream did.

        Args:
            complete: Whether everything was read.
        """
        return stream_line(self._stream, self._events, self._window, self.spent, complete=complete)

    def points(self) -> list[Point[int] | Point[float]]:
        """The Singer metrics of the stream."""
        return points(self._stream, self.spent)


def stream_line(
    stream: str, events: int, window: tuple[datetime | None, datetime] | None, spent: Spending, *, complete: bool
) -> str:
    """Say in one line what a stream did.

    Args:
        stream: Its name.
        events: Written ones.
        window: From when on it was read (None where nothing is there) and before when; None when it was not planned.
        spent: On it.
        complete: Whether everything was read.
    """
    done = "" if complete else "not complete, "
    what = _counted(events, "event")
    if window is not None:
        start, end = window
        what = f"nothing before {_second(end)}" if start is None else f"{what} from {_second(start)} to {_second(end)}"
    return f"Stream `{stream}`: {done}{what}; {_spent(spent)}."


def run_line(spent: Spending) -> str:
    """Say in one line what a run cost."""
    return f"Run: {_spent(spent)}."


def points(stream: str, spent: Spending) -> list[Point[int] | Point[float]]:
    """The Singer metrics of a stream that the SDK does not know of itself: how many requests, and how long they took.

    The SDK counts records and times the sync. Requests of several threads overlap, so the time is that of the stream.
    """
    tags = {Tag.STREAM.value: stream, Tag.ENDPOINT.value: "salesforce"}
    return [
        Point("counter", Metric.HTTP_REQUEST_COUNT, spent.calls, dict(tags)),
        Point("timer", Metric.HTTP_REQUEST_DURATION, round(spent.seconds, 3), dict(tags)),
    ]


def job_point(spent: Spending, *, failed: bool) -> Point[float]:
    """The Singer metric of a whole run."""
    status = Status.FAILED if failed else Status.SUCCEEDED
    tags = {Tag.JOB_TYPE.value: "sync", Tag.STATUS.value: status.value}
    return Point("timer", Metric.JOB_DURATION, round(spent.seconds, 3), tags)


def _second(instant: datetime) -> str:
    return f"{timestamps.to_text(instant)[:19]}Z"


def _spent(spent: Spending) -> str:
    parts = [
        f"{spent.calls} API call{'' if spent.calls == 1 else 's'}",  # plain digits: programs look for them
        _size(spent.received),
        f"{spent.seconds:.1f} s",
        "no retries" if not spent.retries else _counted(spent.retries, "retry", "retries"),
        _left(spent.limits),
    ]
    return ", ".join(parts)


def _left(limits: LimitInfo | None) -> str:
    if limits is None or not limits.maximum:
        return "quota left not told"
    left = max(0, limits.maximum - limits.used)
    return f"{left:,} of {limits.maximum:,} calls left"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _size(received: int) -> str:
    if received < 1_000:
        return _counted(received, "byte")
    unit, size = next((unit, size) for unit, size in _UNITS if received < size * 1_000 or unit == _UNITS[-1][0])
    return f"{received / size:,.1f} {unit}"
