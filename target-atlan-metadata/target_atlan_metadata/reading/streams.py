"""Which streams are events, and how their records are decoded: decoding into the typed struct is the validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_atlan_metadata.decision import NEEDED, Decision
from target_atlan_metadata.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["UNREADABLE", "EventStream", "event_stream", "is_event", "missing_fields", "stream_of_rows"]

_FIELDS: Final = frozenset(field.name for field in msgspec.structs.fields(Decision))
_SOURCE, _METADATA = "context__source", "context__metadata"  # as loaders name the parts of a context
_KNOWN: Final = _FIELDS | {_SOURCE, _METADATA}
_NEVER_NULL: Final = frozenset({"event_id", "event_type", "timestamp_occurred", "timestamp_recorded", "is_primary"})
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding JSON may end in."""


class EventStream:
    """One stream of events.

    Args:
        name: As its messages say.
        renamed: The event's name of each property that is spelled otherwise, such as in capitals.
        is_plain: Whether its records are as a tap writes them: nothing is renamed, and the context is in one piece.
    """

    def __init__(self, name: str, renamed: Mapping[str, str], *, is_plain: bool) -> None:
        self.name = name
        self._renamed = dict(renamed)
        self._decoder = msgspec.json.Decoder(list[Decision])
        self._plain = is_plain

    def decode(self, records: Sequence[msgspec.Raw]) -> list[Decision]:
        """Decode, and so check, the records of a run of RECORD messages.

        Raises:
            InputError: a record is no event; the sentence names the field and never its value.
        """
        if self._plain:
            try:
                return self._decoder.decode(b"[%s]" % b",".join(map(bytes, records)))
            except UNREADABLE:
                pass  # perhaps a context that is text: a warehouse's way
        return [self.convert(self._decoded(record)) for record in records]

    def convert(self, record: Any) -> Decision:
        """Convert one record, as it may come from a warehouse: names in capitals, the context as text.

        Raises:
            InputError: it is no event.
        """
        if not isinstance(record, dict):
            raise InputError(f"A record of stream `{self.name}` is no JSON object: the tap must write objects.")
        renamed = self._renamed
        row = {name if (ours := renamed.get(name, name)) in record else ours: value for name, value in record.items()}
        try:
            if "context" not in row and _SOURCE in row:
                row["context"] = {"source": row[_SOURCE], "metadata": _whole(row.get(_METADATA))}
            row["context"] = _whole(row.get("context"))
            return msgspec.convert(row, Decision)
        except UNREADABLE as error:
            place = _place(error)
        raise self._refusal(place)

    def _decoded(self, record: msgspec.Raw) -> Any:
        try:
            return msgspec.json.decode(record)
        except UNREADABLE:
            pass
        raise self._refusal("")

    def _refusal(self, place: str) -> InputError:
        return InputError(
            f"A record of stream `{self.name}` is no event{place}: the target reads MicroDecisionEvents, see "
            "docs/event.md."
        )


def _whole(value: Any) -> Any:
    """An object that may come as text."""
    return msgspec.json.decode(value) if isinstance(value, str) else value


def _place(error: Exception) -> str:
    """The field that is wrong, from the decoder's path; its other words may hold a value."""
    words = str(error)
    for name in sorted(_FIELDS, key=len, reverse=True):
        if f"$.{name}`" in words or f"$.{name}." in words or f"field `{name}`" in words:
            return f" (field `{name}`)"
    return ""


def event_stream(name: str, schema: Mapping[str, Any]) -> EventStream | None:
    """The stream of a SCHEMA message, or None where its schema is not that of events."""
    properties = schema.get("properties", {})
    if not isinstance(properties, dict) or missing_fields(properties):
        return None
    names = {given.lower() for given in properties}
    is_flat = _SOURCE in names and "context" not in names  # a loader has taken the context apart
    renamed = {given: ours for given, ours in _renamed(properties).items() if ours not in properties}
    return EventStream(name, renamed, is_plain=not renamed and not is_flat)


def _renamed(names: Iterable[str]) -> dict[str, str]:
    """The event's name of each that is spelled otherwise."""
    return {given: given.lower() for given in names if given not in _KNOWN and given.lower() in _KNOWN}


def stream_of_rows(name: str, first: Collection[str]) -> EventStream:
    """The stream of rows that come without a schema.

    Args:
        name: Its name.
        first: Names that the first row has; others may have more, where what is null is left out.
    """
    renamed = _renamed(first)
    capitals = {ours.upper(): ours for ours in _KNOWN}
    return EventStream(name, {**capitals, **renamed}, is_plain=not renamed and "context" in first)


def is_event(names: Collection[str]) -> bool:
    """Whether a row without a schema is meant to be an event: it has, in whatever capitals, what is null in none."""
    return {name.lower() for name in names} >= _NEVER_NULL


def missing_fields(properties: Mapping[str, Any]) -> list[str]:
    """Fields of an event that a stream does not have, in whatever capitals."""
    given = {name.lower() for name in properties}
    return [name for name in NEEDED if name not in given]
