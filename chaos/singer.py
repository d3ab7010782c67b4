"""What a run of a Singer tap gave: exit code, messages in their order, log; and the tap in this very process."""

from __future__ import annotations

import io
import json
import signal
from collections import defaultdict
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from microdecisions.errors import MicroDecisionError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TapRun", "catalog_of", "run_here", "take"]

Json = dict[str, Any]


@dataclass
class TapRun:
    """One run of a tap: exit code, Singer messages by kind and in their order, the log.

    Attributes:
        code: Exit code; negative: the signal that ended it.
        log: What it logged, or the sentence that it ended with.
        error: What only a defect raises; None of a run as a process.
    """

    code: int
    log: str
    records: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    schemas: dict[str, Json] = field(default_factory=dict)
    states: list[Json] = field(default_factory=list)
    messages: list[Json] = field(default_factory=list)
    error: Exception | None = None

    @property
    def state(self) -> Json:
        """The last STATE."""
        return self.states[-1]

    @property
    def sentence(self) -> str:
        """The last line of the log, without its prefix."""
        return self.log.rstrip().rsplit("\n", 1)[-1].split(" | ")[-1].strip()

    def by_id(self, stream: str) -> dict[str, Json]:
        """Records of a stream by event id, the last of each id."""
        return {record["event_id"]: record for record in self.records[stream]}


def take(run: TapRun, line: str | bytes) -> None:
    """Add one line of Singer output."""
    message = json.loads(line)
    run.messages.append(message)
    if message["type"] == "RECORD":
        run.records[message["stream"]].append(message["record"])
    elif message["type"] == "SCHEMA":
        run.schemas[message["stream"]] = message
    elif message["type"] == "STATE":
        run.states.append(message["value"])


def catalog_of(*streams: str) -> Json:
    """A catalog as a person would write it by hand."""
    return {
        "streams": [
            {
                "tap_stream_id": stream,
                "stream": stream,
                "schema": {"type": "object", "properties": {}},
                "key_properties": ["event_id"],
                "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
            }
            for stream in streams
        ]
    }


class Tap(Protocol):
    """What a tap of ours does."""

    def sync_all(self) -> None:
        """Read all streams."""

    def finish(self) -> None:
        """End the run."""


class _Watched(io.BytesIO):
    """Standard output that calls back when the first record of a run is written."""

    def __init__(self, on_first_record: Callable[[], object]) -> None:
        super().__init__()
        self._waiting: list[Callable[[], object]] = [on_first_record]

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        if self._waiting and b'"type":"RECORD"' in bytes(data):
            self._waiting.pop()()
        return super().write(data)


def run_here(make: Callable[[], Tap], *, on_first_record: Callable[[], object] = lambda: None) -> TapRun:
    """Run a tap in this process: as fast as it gets, and faults can be timed by what it writes.

    Args:
        make: Makes the tap, with its settings, catalog and state.
        on_first_record: Called when the first record is written.

    Raises:
        ValueError: A line of its output is torn.
    """
    output = _Watched(on_first_record)
    run = TapRun(0, "")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with redirect_stdout(io.TextIOWrapper(output, write_through=True)):
        try:
            tap = make()
            tap.sync_all()
            tap.finish()
        except MicroDecisionError as error:
            run.code, run.log = error.exit_code, str(error)
        except Exception as error:  # noqa: BLE001 - who asked for the run judges it
            run.code, run.log, run.error = 1, f"Internal error: {error!r}", error
        finally:
            # What the SDK's buffer holds back is not judged: a STATE is always behind its records.
            lines = output.getvalue().decode().split("\n")
            for number, handler in handlers.items():  # the SDK sets its own when a tap is made
                signal.signal(number, handler)
    if lines[-1]:
        raise ValueError("a line is torn")
    for line in lines[:-1]:
        take(run, line)
    return run
