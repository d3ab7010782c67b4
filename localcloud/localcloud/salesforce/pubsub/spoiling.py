"""Events changed on their way: by faults that are switched on, and by fields that the user may not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.pubsub import wire
from localcloud.salesforce.pubsub.bitmaps import decode, encode

if TYPE_CHECKING:
    from localcloud.salesforce.pubsub.avro import EventSchema
    from localcloud.salesforce.pubsub.room import Room, Rpc


class Spoiler:
    """Changes the events of one stream where that is asked for; elsewhere they pass as the bytes they are.

    Args:
        room: Where the switches are.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._schemas: dict[str, EventSchema | None] = {}

    @property
    def spoils(self) -> bool:
        """Whether events do not pass as they are."""
        return self._room.switches.spoils_events or bool(self._room.forbids.forbidden_fields)

    def events(self, entries: list[bytes], rpc: Rpc) -> list[bytes]:
        """The entries of a response as they are to be sent."""
        if not self.spoils:
            return entries
        return [self._event(entry, f"{rpc.name} {rpc.subject}") for entry in entries]

    def padding(self, rpc: Rpc) -> bytes:
        """What is to be added to a response."""
        large = self._room.switches.large
        found = self._room.switches.strikes(large, f"{rpc.name} {rpc.subject}") if large else None
        return wire.padding(found.bytes) if found else b""

    def _event(self, entry: bytes, text: str) -> bytes:
        switches = self._room.switches
        event = wire.Opened(entry)
        schema_id = "" if switches.strikes(switches.blank_schema_ids, text) else event.schema_id
        payload = self._without_hidden_fields(event.schema_id, event.payload)
        if switches.strikes(switches.corrupted, text):
            payload = payload[: len(payload) // 2] + b"\xff"
        return wire.entry(event.id, schema_id, payload, event.replay_id)

    def _without_hidden_fields(self, schema_id: str, payload: bytes) -> bytes:
        """The payload without the fields that field-level security hides."""
        hidden = self._room.forbids.forbidden_fields
        if not hidden:
            return payload
        if schema_id not in self._schemas:
            with self._room.lock:
                self._schemas[schema_id] = self._room.bus.schema(schema_id)
        schema = self._schemas[schema_id]
        names = [] if schema is None else [name for name in schema.names if f"{schema.entity}.{name}" in hidden]
        if schema is None or not names:
            return payload
        record = schema.decode(payload)
        record.update(dict.fromkeys(names))
        places = {schema.names.index(name) for name in names}
        header = record.get("ChangeEventHeader")
        if header is not None:
            for key in ("nulledFields", "diffFields", "changedFields"):
                top, nested = decode(header[key])
                header[key] = encode(set(top) - places, nested)
        return schema.encode(record)
