"""A stream's bookmark: how far it is complete, what of the overlap was written before, how many rows were read a day.

    {"replication_key": "timestamp_recorded", "replication_key_value": "2026-01-03T10:00:00.000000Z",
     "version": 2, "org_id": "00D5g000004AbcDEAS",
     "written_to": "2026-01-03T10:00:00.000000Z", "written": ["0175e00000abcdeAAA 9f86d081884c7d65"],
     "counted_from": "2025-12-27T00:00:00.000000Z", "counted": ["2026-01-03 71"],
     "overlap_from": "2026-01-03T09:45:00.000000Z", "overlap": ["2026-01-03 2"], "verified": "2026-01-03",
     "sobject": "CaseHistory", "parts": ["Case.Status"], "widening": [], "widened_to": null}

`written` holds, for the newest events behind the bookmark, the end of the event id and the digest of the content. What
is not in it is written again with the same id, so it may be cut short, edited or left out. `counted` and what follows
are the daily verification's: how many rows of each day were read. All of them are of the instant `written_to`: who
moves `replication_key_value` by hand wants to read again, so they count for nothing then. `sobject` and what follows
say what of the org the bookmark speaks of; bookmarks of earlier versions do not.

Runners merge states key by key and maps entry by entry: so all that grows is a list, which is replaced as it is, and
each bookmark has all keys. The org's id stands in each bookmark, because bookmarks are also copied one by one.
"""

from __future__ import annotations

import heapq
from datetime import datetime  # noqa: TC003  # evaluated by what makes structs of annotations
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from microdecisions.state import check_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from microdecisions.event import MicroDecisionEvent

__all__ = ["Bookmark", "DayCounts", "Emitted", "Scope", "adopt", "check_state", "migrate", "others", "streams_of"]

VERSION: Final = 2
MOST_EMITTED: Final = 5_000
_KEPT_AT_ONCE: Final = 4 * MOST_EMITTED
REPLICATION_KEY: Final = "timestamp_recorded"
_SCOPE: Final = ("sobject", "parts", "widening", "widened_to")
_COUNTS: Final = ("counted_from", "counted", "overlap_from", "overlap", "verified")
_KEYS: Final = frozenset(
    {"replication_key", "replication_key_value", "version", "org_id", "written_to", "written", *_COUNTS, *_SCOPE}
)
_OLDER: Final = frozenset({"emitted"})


class DayCounts(msgspec.Struct, frozen=True):
    """How many rows of each UTC day were read: what the daily verification compares with.

    Attributes:
        since: All rows read and recorded from this instant on are counted; None when nothing is.
        rows: Rows by day.
        overlap_since: Rows from this instant on are read again by the next run.
        overlap: How many of `rows` they are.
        verified: Day of the last verification; empty before the first.
    """

    since: datetime | None = None
    rows: dict[str, int] = {}
    overlap_since: datetime | None = None
    overlap: dict[str, int] = {}
    verified: str = ""


class Scope(msgspec.Struct, frozen=True):
    """What of the org a bookmark speaks of.

    Attributes:
        sobject: API name of the object that was read; None where an earlier version wrote the bookmark.
        parts: What of it: `Case` whole, or fields such as `Case.Status`; None likewise.
        widening: Parts that are to take the place of `parts`: what these leave out is being read from the beginning.
        widened_to: Up to when that was read.
    """

    sobject: str | None = None
    parts: tuple[str, ...] | None = None
    widening: tuple[str, ...] = ()
    widened_to: datetime | None = None


class Bookmark(msgspec.Struct, frozen=True):
    """What a stream remembers between runs.

    Attributes:
        complete_to: Everything recorded before this instant was written; None before the first complete window.
        emitted: End of event id -> digest, of events near that instant.
        counts: Rows read of the last days.
        scope: What it speaks of.
    """

    complete_to: datetime | None
    emitted: dict[str, str]
    counts: DayCounts = DayCounts()
    scope: Scope = Scope()


def read(stream: str, state: Mapping[str, Any]) -> Bookmark:
    """Read a stream's bookmark, of this version or an older one.

    Raises:
        ConfigurationError: the stored state is not a bookmark of ours.
    """
    version, value = state.get("version", VERSION), state.get("replication_key_value")
    if not isinstance(version, int) or version > VERSION:
        raise ConfigurationError(
            f"The state of stream `{stream}` was written by a newer version of this tap (state version above "
            f"{VERSION}). Upgrade the tap, or restore an older state."
        )
    if not isinstance(state.get("org_id", ""), str | None):
        raise _corrupt(stream, "org_id")
    if version == 1 or ("emitted" in state and "written" not in state):
        # Version 1 kept the events in a map, and counted nothing: counting begins with the next run. What another
        # version left beside it, as merged states have it, does not belong to this instant.
        emitted, counts = _emitted_of_version_1(stream, state), DayCounts()
    else:
        emitted, counts = _written(stream, state.get("written")), _counts(stream, state)
    scope = _scope(stream, state)
    if value is None:
        return Bookmark(None, {})
    complete_to = _instant(stream, "replication_key_value", value)
    if version > 1 and "written_to" in state and _instant(stream, "written_to", state["written_to"]) != complete_to:
        return Bookmark(complete_to, {}, scope=scope)
    return Bookmark(complete_to, emitted, counts, scope)


def write(
    complete_to: datetime,
    emitted: Mapping[str, str],
    org_id: str | None,
    counts: DayCounts,
    scope: Scope = Scope(),  # noqa: B008  # frozen
) -> dict[str, Any]:
    """Write the entries of a bookmark: always all of them."""
    return {
        "replication_key": REPLICATION_KEY,
        "replication_key_value": timestamps.to_text(complete_to),
        "version": VERSION,
        "org_id": org_id,
        "written_to": timestamps.to_text(complete_to),
        "written": [f"{tail} {digest}" for tail, digest in emitted.items()],
        "counted_from": None if counts.since is None else timestamps.to_text(counts.since),
        "counted": _by_day(counts.rows),
        "overlap_from": None if counts.overlap_since is None else timestamps.to_text(counts.overlap_since),
        "overlap": _by_day(counts.overlap),
        "verified": counts.verified,
        "sobject": scope.sobject,
        "parts": None if scope.parts is None else list(scope.parts),
        "widening": list(scope.widening),
        "widened_to": None if scope.widened_to is None else timestamps.to_text(scope.widened_to),
    }


def _by_day(rows: Mapping[str, int]) -> list[str]:
    return [f"{day} {number}" for day, number in sorted(rows.items()) if number > 0]


def _instant(stream: str, key: str, value: object) -> datetime:
    try:
        return timestamps.parse(value)  # type: ignore[arg-type]  # what is no text is the error that is meant
    except (TypeError, ValueError):
        raise _corrupt(stream, key) from None


def _emitted_of_version_1(stream: str, state: Mapping[str, Any]) -> dict[str, str]:
    emitted = state.get("emitted", {})
    if not isinstance(emitted, dict) or not all(isinstance(digest, str) for digest in emitted.values()):
        raise _corrupt(stream, "emitted")
    return emitted


def _written(stream: str, written: object) -> dict[str, str]:
    return dict(_pairs(stream, "written", written))


def _counts(stream: str, state: Mapping[str, Any]) -> DayCounts:
    instants = {}
    for key in ("counted_from", "overlap_from"):
        value = state.get(key)
        instants[key] = None if value is None else _instant(stream, key, value)
    numbers: dict[str, dict[str, int]] = {"counted": {}, "overlap": {}}
    for key, found in numbers.items():
        for day, number in _pairs(stream, key, state.get(key)):
            if not number.isdecimal() or len(number) > 18:
                raise _corrupt(stream, key)
            found[day] = int(number)
    verified = state.get("verified", "")
    if not isinstance(verified, str | None):
        raise _corrupt(stream, "verified")
    return DayCounts(
        instants["counted_from"], numbers["counted"], instants["overlap_from"], numbers["overlap"], verified or ""
    )


def _scope(stream: str, state: Mapping[str, Any]) -> Scope:
    sobject, widened_to = state.get("sobject"), state.get("widened_to")
    if not isinstance(sobject, str | None):
        raise _corrupt(stream, "sobject")
    lists = {}
    for key in ("parts", "widening"):
        value = state.get(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(part, str) for part in value)):
            raise _corrupt(stream, key)
        lists[key] = None if value is None else tuple(value)
    until = None if widened_to is None else _instant(stream, "widened_to", widened_to)
    return Scope(sobject, lists["parts"], lists["widening"] or (), until)


def _pairs(stream: str, key: str, values: object) -> Iterable[tuple[str, str]]:
    if values is None:
        return
    if not isinstance(values, list):
        raise _corrupt(stream, key)
    for value in values:
        left, blank, right = value.rpartition(" ") if isinstance(value, str) else ("", "", "")
        if not (left and blank and right):
            raise _corrupt(stream, key)
        yield left, right


def check_state(state: object) -> dict[str, Any]:
    """Check that a state is one: `{"bookmarks": {"stream": {...}}}`, and its entries of this tap.

    Raises:
        ConfigurationError: it is not, or one of them is damaged.
    """
    checked = check_form(state)
    for stream, entry in checked.get("bookmarks", {}).items():
        if entry.keys() <= _KEYS | _OLDER or _is_ours(entry):  # another tap's entries are carried on as they are
            read(stream, entry)
    return checked


def streams_of(state: Mapping[str, Any]) -> set[str]:
    """Names of the streams that this tap has read to an instant."""
    return {
        stream
        for stream, entry in state.get("bookmarks", {}).items()
        if _is_ours(entry) and entry.get("replication_key_value")
    }


def _is_ours(entry: Mapping[str, Any]) -> bool:
    """Whether a stream of this tap would go on from an entry, whatever else somebody has written into it."""
    key = entry.get("replication_key")
    if key is None:
        return "replication_key_value" in entry and not entry.keys().isdisjoint({"version", "org_id"})
    return key == REPLICATION_KEY  # type: ignore[no-any-return]  # of Any


def migrate(state: Mapping[str, Any]) -> None:
    """Write the bookmarks of older versions as this one does; what they say stays.

    Raises:
        ConfigurationError: the stored state is not a bookmark of ours.
    """
    for stream in streams_of(state):
        entry = state["bookmarks"][stream]
        bookmark = read(stream, entry)
        older = entry.get("version", VERSION) < VERSION or not _OLDER.isdisjoint(entry)
        if bookmark.complete_to is not None and older:
            entry.update(
                write(bookmark.complete_to, bookmark.emitted, entry.get("org_id"), bookmark.counts, bookmark.scope)
            )
            for key in _OLDER:
                entry.pop(key, None)


def others(state: Mapping[str, Any], org_id: str) -> dict[str, str]:
    """The org of each stream's bookmark that belongs to another org; a bookmark without an org belongs to any."""
    bookmarks = state.get("bookmarks", {})
    return {
        stream: str(bookmarks[stream]["org_id"])
        for stream in sorted(streams_of(state))
        if (bookmarks[stream].get("org_id") or org_id)[:15] != org_id[:15]
    }


def adopt(state: Mapping[str, Any], org_id: str) -> None:
    """Make the bookmarks of another org this org's: their instants stay, what was read of the other org goes."""
    for stream in others(state, org_id):
        state["bookmarks"][stream].update(
            {"org_id": org_id, "written": [], "overlap": [], "counted": [], "verified": ""}
            | {"counted_from": None, "overlap_from": None}
        )


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
        if len(self._kept) > _KEPT_AT_ONCE:  # the lines of a log file are all of one instant
            self._forget(since)

    def near(self, since: str) -> dict[str, str]:
        """Forget what is older than `since`, and all but the newest 5,000; return what is left."""
        self._forget(since)
        return {tail: digest for tail, (_, digest) in sorted(self._kept.items())}

    def _forget(self, since: str) -> None:
        recent = [item for item in self._kept.items() if item[1][0] >= since]
        self._kept = dict(heapq.nlargest(MOST_EMITTED, recent, key=lambda item: item[1]))

    def _tail(self, event: MicroDecisionEvent) -> str:
        return event.event_id.removeprefix(self._prefix)
