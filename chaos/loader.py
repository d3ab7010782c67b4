"""A target as data: it upserts by event id, keeps the last STATE, and may die with what it has not written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.plan import Kill
    from chaos.singer import TapRun

__all__ = ["Loader"]

Json = dict[str, Any]

RunT = TypeVar("RunT", bound="TapRun")


def _lasting(record: Json) -> Json:
    """What of a record is the same on each day and by each API."""
    lasting = {name: value for name, value in record.items() if name not in {"extracted_at", "extractor_version"}}
    return lasting | {"context": {name: value for name, value in record["context"].items() if name != "source"}}


@dataclass
class Loader:
    """A target that upserts by event id, and keeps the last STATE behind the records it got.

    Attributes:
        state: What the next run is given.
        tables: Records by stream and event id.
        arrivals: How often each event id came.
        changed: Ids that came again with another content, by stream.
        lasting: What of a record must be the same whenever it comes.
    """

    state: Json | None = None
    tables: dict[str, dict[str, Json]] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    changed: dict[str, set[str]] = field(default_factory=dict)
    lasting: Callable[[Json], Json] = field(default=_lasting)

    def load(self, run: RunT, kill: Kill | None = None) -> RunT:
        """Take what a run wrote; of one that was killed, as much as the target's own fate leaves."""
        waiting: list[Json] = []
        for message in run.messages:
            if message["type"] == "RECORD":
                waiting.append(message)
            elif message["type"] == "STATE":
                self._write(waiting)
                waiting = []
        if kill is None or kill.target != "loses" or run.code >= 0:
            self._write(waiting)
        lost = kill.states_lost if kill is not None and run.code < 0 else 0
        states = run.states[: len(run.states) - lost] if lost else run.states
        self.state = states[-1] if states else self.state
        return run

    def _write(self, messages: list[Json]) -> None:
        for message in messages:
            stream, record = message["stream"], message["record"]
            table, event_id = self.tables.setdefault(stream, {}), record["event_id"]
            if event_id in table and self.lasting(table[event_id]) != self.lasting(record):
                self.changed.setdefault(stream, set()).add(event_id)
            table[event_id] = record
            self.arrivals[event_id] += 1

    def content(self) -> dict[str, dict[str, Json]]:
        """What counts: without corrected events, and without when and by which version they were read."""
        return {
            stream: {
                event_id: {name: value for name, value in record.items() if name != "extracted_at"}
                for event_id, record in table.items()
                if not is_void(record)
            }
            for stream, table in self.tables.items()
        }


def is_void(record: Json) -> bool:
    """Whether a later record took the event back."""
    return bool(record["context"].get("metadata", {}).get("superseded") == "true")
