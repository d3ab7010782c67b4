"""Which streams are events, and how their records are decoded: decoding into the typed struct is the validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_atlan_metadata.decision import NEEDED, Decision
from target_atlan_metadata.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FIELDS", "UNREADABLE", "EventStream", "event_stream", "missing_fields"]

FIELDS: Final = frozenset(field.name for field in msgspec.structs.fields(Decision))
_SOURCE, _METADATA = "context__source", "context__metadata"  # as loaders name the parts of a context
_KNOWN: Final = FIELDS | {_SOURCE, _METADATA}
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding JSON may end in."""


class EventStream:
    """One stream of events.

    Args:
        name: As its messages say.
        renamed: The event's name of each property that is spelled otherwise, such as in capitals.
        is_flat: Whether its context may stand in columns of its own, as a loader flattens it.
    """

    def __init__(self, name: str, renamed: Mapping[str, str], *, is_flat: bool = False) -> None:
        self.name = name
        self._renamed = dict(renamed)
        self._decoder = msgspec.json.Decoder(list[Decision])
        self._plain = not renamed and not is_flat

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
        row = {self._renamed.get(name, name): value for name, value in record.items()}
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
    for name in sorted(FIELDS, key=len, reverse=True):
        if f"$.{name}`" in words or f"$.{name}." in words or f"field `{name}`" in words:
            return f" (field `{name}`)"
    return ""


def event_stream(name: str, schema: Mapping[str, Any]) -> EventStream | None:
    """The stream of a SCHEMA message, or None where its schema is not that of events."""
    properties = schema.get("properties", {})
    if not isinstance(properties, dict) or missing_fields(properties):
        return None
    renamed = {given: given.lower() for given in properties if given not in _KNOWN and given.lower() in _KNOWN}
    names = {given.lower() for given in properties}
    return EventStream(
        name,
        {given: ours for given, ours in renamed.items() if ours not in properties},
        is_flat=_SOURCE in names and "context" not in names,
    )


def missing_fields(properties: Mapping[str, Any]) -> list[str]:
    """Fields of an event that a stream does not have, in whatever capitals."""
    given = {name.lower() for name in properties}
    return [name for name in NEEDED if name not in given]
