"""Where topics and objects stand between runs: the tap's state.

    {"bookmarks": {"delete_events": {"version": 1, "org_id": "00D5g000004AbcDEAS",
      "topics": {"/data/ChangeEvents": {"replay_id": "0000000000076f5b0000",
        "replay_id_at": "2026-01-03T10:00:00.000000Z", "drained_at": "2026-01-03T10:00:05.000000Z",
        "org_id": "00D5g000004AbcDEAS", "instance": "USA502"}},
      "objects": {"Account": "2026-01-03T10:00:00.000000Z"},
      "pending": ["Account 2026-01-03T09:58:00.000000Z"]}}}

A replay id is opaque bytes, here in hexadecimal; nothing is ever computed from it. `objects` says up to when the delete
log of an object was read, `pending` since when an object must be asked for deletes that a topic did not name. Runners
merge states map by map: an entry of `topics` always has all of its keys, and `pending`, from which entries go, is a
list, which is replaced as it is. Topics and objects that are no longer configured keep their entries.
"""

from __future__ import annotations

import re
from datetime import datetime  # noqa: TC003  # evaluated by what makes structs of annotations
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from microdecisions.state import check_form
from tap_salesforce_deletes.reconcile.deciding import AROUND_OVERFLOW

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["STREAM", "VERSION", "Positions", "TopicPosition", "check_state", "read", "write"]

STREAM: Final = "delete_events"
VERSION: Final = 1
_TOPIC_KEYS: Final = ("replay_id", "replay_id_at", "drained_at", "org_id", "instance")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){1,256}")
_MOST_LISTED: Final = 100


class TopicPosition(msgspec.Struct, frozen=True):
    """Where a topic stands.

    Attributes:
        replay_id: Of the last event that was written, or of a keepalive after it; None before the first.
        replay_id_at: When Salesforce stamped that event, or its time at the keepalive.
        drained_at: Every event up to this instant was written, or told to be missing; known from a keepalive, and from
            the stamps of events, which come in order. None when it never was.
        org_id: 18-character id of the org; empty when not known.
        instance: Name of the instance that held the org then, such as `USA502`; empty when not known.
    """

    replay_id: bytes | None = None
    replay_id_at: datetime | None = None
    drained_at: datetime | None = None
    org_id: str = ""
    instance: str = ""


class Positions(msgspec.Struct, frozen=True):
    """All that the stream remembers.

    Attributes:
        org_id: 18-character id of the org that it is of; empty when not known.
        topics: By name.
        objects: By API name, the instant up to which the object's delete log was read and written.
        pending: By API name, since when the object must still be asked.
    """

    org_id: str = ""
    topics: dict[str, TopicPosition] = {}
    objects: dict[str, datetime] = {}
    pending: dict[str, datetime] = {}

    def with_topic(self, name: str, position: TopicPosition) -> Positions:
        """These positions with one topic's replaced."""
        return msgspec.structs.replace(self, topics={**self.topics, name: position})

    def with_object(self, sobject: str, complete_to: datetime) -> Positions:
        """These positions with one object's instant moved; it never moves back."""
        known = self.objects.get(sobject)
        moved = complete_to if known is None else max(known, complete_to)
        return msgspec.structs.replace(self, objects={**self.objects, sobject: moved})

    def with_pending(self, sobject: str, since: datetime) -> Positions:
        """These positions with an object to be asked since an instant, or since an earlier one that was known."""
        known = self.pending.get(sobject)
        return msgspec.structs.replace(
            self, pending={**self.pending, sobject: since if known is None else min(known, since)}
        )

    def after_gap(self, sobject: str, until: datetime) -> Positions:
        """These positions after a gap of an object was written: nothing before its end is to be asked again."""
        since = self.pending.get(sobject)
        if since is None or since >= until:
            return self
        return msgspec.structs.replace(self, pending={**self.pending, sobject: until})

    def without_pending(self, sobject: str, complete_to: datetime) -> Positions:
        """These positions after an object was asked, with nothing left to be asked of it.

        The delete log answers by whole minutes: what happened in the minute in which it was asked comes with the next
        time, so the object stays where the log does not reach beyond it.

        Args:
            sobject: API name.
            complete_to: Up to where its delete log was read.
        """
        left = {
            name: since
            for name, since in self.pending.items()
            if name != sobject or complete_to <= since + AROUND_OVERFLOW
        }
        return msgspec.structs.replace(self, pending=left)


def check_state(state: object) -> dict[str, Any]:
    """Check that a state is one: `{"bookmarks": {"<stream>": {...}}}`, and that the part of this tap can be read.

    Raises:
        ConfigurationError: it is not, or cannot.
    """
    checked = check_form(state)
    read(checked)
    return checked


def read(state: Mapping[str, Any]) -> Positions:
    """Read the positions out of a whole Singer state.

    Raises:
        ConfigurationError: they are damaged, or a newer version of the tap wrote them.
    """
    entry = state.get("bookmarks", {}).get(STREAM, {})
    version = entry.get("version", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _damaged("version")
    if version > VERSION:
        raise ConfigurationError(
            f"The state of stream `{STREAM}` was written by a newer version of this tap (state version above "
            f"{VERSION}). Upgrade the tap, or restore an older state."
        )
    topics = {name: _topic(name, values) for name, values in _map("topics", entry.get("topics")).items()}
    objects = {
        name: _instant(f"objects.{name}", value) for name, value in _map("objects", entry.get("objects")).items()
    }
    org_id = entry.get("org_id") or ""
    if not isinstance(org_id, str):
        raise _damaged("org_id")
    return Positions(org_id, topics, objects, _pending(entry.get("pending")))


def write(positions: Positions) -> dict[str, Any]:
    """The stream's bookmark: always all keys, strings and integers only."""
    return {
        "version": VERSION,
        "org_id": positions.org_id,
        "topics": {
            name: {
                "replay_id": "" if position.replay_id is None else position.replay_id.hex(),
                "replay_id_at": _text(position.replay_id_at),
                "drained_at": _text(position.drained_at),
                "org_id": position.org_id,
                "instance": position.instance,
            }
            for name, position in sorted(positions.topics.items())
        },
        "objects": {name: timestamps.to_text(at) for name, at in sorted(positions.objects.items())},
        "pending": [f"{name} {timestamps.to_text(since)}" for name, since in sorted(positions.pending.items())],
    }


def _text(instant: datetime | None) -> str:
    return "" if instant is None else timestamps.to_text(instant)


def _topic(name: str, values: object) -> TopicPosition:
    where = f"topics.{name[:_MOST_LISTED]}"
    if not isinstance(values, dict) or not all(isinstance(values.get(key, ""), str | None) for key in _TOPIC_KEYS):
        raise _damaged(where)
    texts = {key: values.get(key) or "" for key in _TOPIC_KEYS}
    replay_id = texts["replay_id"].lower()
    if replay_id and _HEX.fullmatch(replay_id) is None:
        raise _damaged(f"{where}.replay_id")
    instants = {
        key: _instant(f"{where}.{key}", texts[key]) if texts[key] else None for key in ("replay_id_at", "drained_at")
    }
    return TopicPosition(
        bytes.fromhex(replay_id) if replay_id else None,
        instants["replay_id_at"],
        instants["drained_at"],
        texts["org_id"],
        texts["instance"],
    )


def _map(key: str, values: object) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise _damaged(key)
    return values


def _pending(values: object) -> dict[str, datetime]:
    if values is None:
        return {}
    if not isinstance(values, list):
        raise _damaged("pending")
    pending: dict[str, datetime] = {}
    for value in values:
        sobject, blank, since = value.partition(" ") if isinstance(value, str) else ("", "", "")
        if not (sobject and blank):
            raise _damaged("pending")
        at = _instant("pending", since)
        pending[sobject] = min(at, pending.get(sobject, at))
    return pending


def _instant(key: str, value: object) -> datetime:
    try:
        return timestamps.parse(value)  # type: ignore[arg-type]  # what is no text is the error that is meant
    except (TypeError, ValueError):
        raise _damaged(key) from None


def _damaged(key: str) -> ConfigurationError:
    return ConfigurationError(
        f"The state of stream `{STREAM}` is damaged at `{key}`. Restore it with `meltano state set`, or remove the "
        "stream's entry to begin anew with what Salesforce still keeps; no event is doubled by that."
    )
