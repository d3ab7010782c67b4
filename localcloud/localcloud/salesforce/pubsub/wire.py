"""Events as they travel: bytes of a `ConsumerEvent`, made once and joined into responses.

A response is the join of its events' bytes and a short tail, so serving costs no encoding.
"""

from __future__ import annotations

from typing import Any

from localcloud.salesforce.pubsub.contract import CLASSES

_ConsumerEvent = CLASSES["ConsumerEvent"]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes_field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message; nothing where it is empty, as proto3 has it."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content if content else b""


def entry(event_id: str, schema_id: str, payload: bytes, replay_id: bytes) -> bytes:
    """One event as an entry of `FetchResponse.events`: tag, length and the bytes of a `ConsumerEvent`."""
    message: Any = _ConsumerEvent(replay_id=replay_id)
    event = message.event
    event.id, event.schema_id, event.payload = event_id, schema_id, payload
    return _bytes_field(1, message.SerializeToString())


def tail(latest_replay_id: bytes, rpc_id: str, pending: int) -> bytes:
    """The rest of a `FetchResponse`."""
    count = _varint(4 << 3) + _varint(pending) if pending else b""
    return _bytes_field(2, latest_replay_id) + _bytes_field(3, rpc_id.encode()) + count


def replay_id(entry_: bytes) -> bytes:
    """The replay id of an event, taken from its bytes."""
    return Opened(entry_).replay_id


def padding(size: int) -> bytes:
    """That many bytes in a field that no reader knows, to make a response large."""
    return _bytes_field(15, bytes(size)) if size else b""


class Opened:
    """An entry taken apart.

    Attributes:
        id: The event's id.
        schema_id: The id of its schema.
        payload: Its Avro bytes.
        replay_id: Its position.
    """

    def __init__(self, wire: bytes) -> None:
        start = 1
        while wire[start] & 0x80:
            start += 1
        message: Any = _ConsumerEvent.FromString(wire[start + 1 :])
        event = message.event
        self.id: str = event.id
        self.schema_id: str = event.schema_id
        self.payload: bytes = event.payload
        self.replay_id: bytes = message.replay_id
