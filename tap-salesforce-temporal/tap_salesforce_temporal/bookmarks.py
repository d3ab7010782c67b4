"""A stream's bookmark: how far it is complete, and what of the overlap was written before.

    {"replication_key": "timestamp_recorded", "replication_key_value": "2026-01-03T10:00:00.000000Z",
     "version": 1, "emitted": {"0175e00000abcdeAAA": "9f86d081884c7d65"}}

`emitted` holds, for the newest events behind the bookmark, the end of the event id and the digest of the content. What
is not in it is written again with the same id, so it may be cut short, edited or left out.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from microdecisions.event import MicroDecisionEvent

__all__ = ["Bookmark", "Emitted", "check_state"]

VERSION: Final = 1
MOST_EMITTED: Final = 5_000
REPLICATION_KEY: Final = "timestamp_recorded"
_ENTRIES: Final = frozenset({"replication_key", "replication_key_value", "version", "emitted"})


class Bookmark(msgspec.Struct, frozen=True):
    """What a stream remembers between runs.

    Attributes:
        complete_to: Everything recorded before this instant was written; None before the first complete window.
        emitted: End of event id -> digest, of events near that instant.
    """

    complete_to: datetime | None
    emitted: dict[str, str]


def read(stream: str, state: Mapping[str, Any]) -> Bookmark:
    """Read a stream's bookmark.

    Raises:
        ConfigurationError: the stored state is not a bookmark of ours.
    """
    version, value = state.get("version", VERSION), state.get("replication_key_value")
    if not isinstance(version, int) or version > VERSION:
        raise ConfigurationError(
            f"The state of stream `{stream}` was written by a newer version of this tap (state version above "
            f"{VERSION}). Upgrade the tap, or restore an older state."
        )
    emitted = state.get("emitted", {})
    if not isinstance(emitted, dict) or not all(isinstance(digest, str) for digest in emitted.values()):
        raise _corrupt(stream, "emitted")
    if value is None:
        return Bookmark(None, {})
    try:
        return Bookmark(timestamps.parse(value), emitted)
    except (TypeError, ValueError):
        raise _corrupt(stream, "replication_key_value") from None


def write(complete_to: datetime, emitted: Mapping[str, str]) -> dict[str, Any]:
    """Write the entries of a bookmark."""
    return {
        "replication_key": REPLICATION_KEY,
        "replication_key_value": timestamps.to_text(complete_to),
        "version": VERSION,
        "emitted": dict(emitted),
    }


def check_state(state: object) -> dict[str, Any]:
    """Check that a state is one: `{"bookmarks": {"stream": {...}}}`.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(state, dict) and not _is_wrapped(state):
        bookmarks = state.get("bookmarks", {})
        if isinstance(bookmarks, dict) and all(isinstance(entry, dict) for entry in bookmarks.values()):
            for stream, entry in bookmarks.items():
                if entry.keys() <= _ENTRIES:  # another tap's entries are carried on as they are
                    read(stream, entry)
            return state
    raise ConfigurationError(
        'The state is not of the form {"bookmarks": {"<stream>": {...}}}. Restore it with `meltano state set`, '
        "or clear it with `meltano state clear` to read everything again."
    )


def _is_wrapped(state: Mapping[str, Any]) -> bool:
    """Whether it is a whole STATE message, or what a runner stores around a state: taken as it is, it would be lost."""
    inner = (value for value in state.values() if isinstance(value, dict))
    return "bookmarks" not in state and any("bookmarks" in value for value in inner)


def _corrupt(stream: str, key: str) -> ConfigurationError:
    return ConfigurationError(
        f"The state of stream `{stream}` is damaged at `{key}`. Restore it with `meltano state set`, or remove the "
        "stream's entry to read it again from the start; no event is doubled by that."
    )


class Emitted:
    """What was written near the bookmark, by event id and digest of the content.

    Args:
        prefix: Beginning that all event ids of the stream share; it is left out of the state.
        before: From the last run.
    """

    def __init__(self, prefix: str, before: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._before = before
        self._kept: dict[str, tuple[str, str]] = {}

    def __contains__(self, event_id: object) -> bool:
        """Whether an event of this id was written before this run."""
        return bool(self._before) and isinstance(event_id, str) and event_id.removeprefix(self._prefix) in self._before

    def news(self, events: list[MicroDecisionEvent]) -> list[MicroDecisionEvent]:
        """Leave out events that were written before with the same content."""
        if not self._before:
            return events
        return [event for event in events if self._before.get(self._tail(event)) != event.digest()]

    def remember(self, events: list[MicroDecisionEvent], since: str) -> None:
        """Keep the events recorded at or after `since` (canonical text)."""
        for event in events:
            if event.timestamp_recorded >= since:
                self._kept[self._tail(event)] = (event.timestamp_recorded, event.digest())

    def near(self, since: str) -> dict[str, str]:
        """Forget what is older than `since`, and all but the newest 5,000; return what is left."""
        recent = [item for item in self._kept.items() if item[1][0] >= since]
        self._kept = dict(heapq.nlargest(MOST_EMITTED, recent, key=lambda item: item[1]))
        return {tail: digest for tail, (_, digest) in sorted(self._kept.items())}

    def _tail(self, event: MicroDecisionEvent) -> str:
        return event.event_id.removeprefix(self._prefix)
