"""Payloads of events: their schema, their header, their fields; by the header alone where that is provably all.

Source: Pub/Sub API guide, "Event Deserialization Considerations"; Change Data Capture guide, "Change Event Header
Fields" and "Change Event Body Fields": a DELETE has all fields of the record, and all are null.
"""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import fastavro
import msgspec

from tap_salesforce_deletes.pubsub.bitmaps import positions
from tap_salesforce_deletes.pubsub.errors import PayloadError
from tap_salesforce_deletes.pubsub.headers import HEADER, ChangeEventHeader, Templates
from tap_salesforce_deletes.pubsub.shape import Damaged, checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_salesforce_deletes.pubsub.shape import Shape

__all__ = ["ChangeEventHeader", "Decoded", "EventSchema"]

_LARGEST_PAYLOAD: Final = 8 * 2**20  # bytes; an event has at most 1 MB, a larger change becomes a gap event
_LARGEST_SCHEMA: Final = 8 * 2**20  # bytes


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A payload, decoded.

    Attributes:
        header: Of a change event; None for a platform event.
        fields: All other fields, those that are null included. None: a change event with nothing behind its header,
            proven by its bytes.
    """

    header: ChangeEventHeader | None
    fields: Mapping[str, object] | None


class EventSchema:
    """The schema of one kind of event, made by `EventSchema.parse`; may be used by many threads.

    Values are plain: None, bool, int, float, bytes, str, list and dict. Dates stay numbers, as they were sent.

    Attributes:
        schema_id: Its fingerprint.
        name: Such as `AccountChangeEvent`.
        fields: Names of the top-level fields, in order.
        is_change_event: Whether it has a `ChangeEventHeader`.
        header_first: Whether that is the first field.
    """

    def __init__(self, schema_id: str, shape: Shape) -> None:
        self.schema_id = schema_id
        self.name = shape.name
        self.fields = tuple(field.name for field in shape.fields)
        self.is_change_event = HEADER in self.fields
        self.header_first = self.fields[0] == HEADER
        self._shape = shape
        self._skips = tuple(field.skip for field in shape.fields)
        self._whole = self._readable(shape.schema)
        self._header_only: Any = None
        self._empty: bytes | None = None
        if self.header_first:
            # `empty` is what the rest of a payload must be, byte for byte, for there to be nothing in it.
            nulls = [field.empty for field in shape.fields[1:]]
            if None not in nulls:
                self._empty = b"".join(null for null in nulls if null is not None)
                self._header_only = self._readable(shape.fields[0].schema)
        self._templates = Templates(self._empty, shape.fields[0])

    @classmethod
    def parse(cls, schema_id: str, schema_json: str) -> EventSchema:
        """Read a schema.

        Args:
            schema_id: Its id.
            schema_json: Its text.

        Raises:
            PayloadError: It is no schema of an event.
        """
        if len(schema_json) > _LARGEST_SCHEMA:
            raise PayloadError("The schema of an event is larger than any that Salesforce makes.")
        raw: object = None
        with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
            raw = msgspec.json.decode(schema_json)
        return cls(schema_id, checked(raw))

    def plain(self, payload: bytes) -> ChangeEventHeader | None:
        """The header of a payload of which nothing else has to be known; None: `read` it.

        It has one record id, of letters and digits, printable ASCII texts without quotes and backslashes, no changed
        fields, and nothing stands behind it.
        """
        return self._templates.header(payload)

    def read(self, payload: bytes) -> Decoded:
        """Decode a payload, by its header alone where nothing else is in it.

        Raises:
            PayloadError: It is not of this schema.
        """
        if (header := self._templates.header(payload)) is not None:
            return Decoded(header, None)
        if self._header_only is not None:
            end = self._walk_header(payload)
            if payload[end:] == self._empty:
                header = self._typed(self._decoded(payload[:end], self._header_only))
                self._templates.learn(payload, header)
                return Decoded(header, None)
        record = self.decode(payload)
        if not self.is_change_event:
            return Decoded(None, record)
        return Decoded(self._typed(record.pop(HEADER)), record)

    def header(self, payload: bytes) -> ChangeEventHeader:
        """The header of a change event; the rest of the payload is checked as well.

        Raises:
            PayloadError: It is not of this schema, or the schema has no header.
        """
        header = self.read(payload).header
        if header is None:
            raise PayloadError(f"Events of the type {self._said} have no ChangeEventHeader: it is no change event.")
        return header

    def decode(self, payload: bytes) -> dict[str, Any]:
        """All of a payload, the header as a dict under its own name.

        Raises:
            PayloadError: It is not of this schema.
        """
        self._check_size(payload)
        at = 0
        try:
            for skip in self._skips:
                at = skip(payload, at)
        except Damaged as damage:
            raise self._unreadable(str(damage)) from None
        if at != len(payload):
            raise self._unreadable("goes on behind its last field")
        record: dict[str, Any] = self._decoded(payload, self._whole)
        return record

    def named(self, words: Iterable[str]) -> tuple[str, ...]:
        """The fields that a bitmap of the header names, parts of a compound as `Name.FirstName`.

        Raises:
            PayloadError: It names fields that the schema does not have.
        """
        names = []
        for place in positions(words):
            field = self._shape.fields[place[0]] if place[0] < len(self.fields) else None
            if field is None or (len(place) == 2 and place[1] >= len(field.nested)):
                raise self._unreadable("names changed fields that its schema does not have")
            names.append(field.name if len(place) == 1 else f"{field.name}.{field.nested[place[1]]}")
        return tuple(names)

    @property
    def _said(self) -> str:
        """Its name as it may stand in a message: it came over the network."""
        return self.name if self.name.isidentifier() and len(self.name) <= 80 else "with a name that is none"

    def _walk_header(self, payload: bytes) -> int:
        self._check_size(payload)
        try:
            return self._skips[0](payload, 0)
        except Damaged as damage:
            raise self._unreadable(str(damage)) from None

    def _check_size(self, payload: bytes) -> None:
        if len(payload) > _LARGEST_PAYLOAD:
            raise self._unreadable("is larger than any that Salesforce sends")

    def _decoded(self, data: bytes, schema: Any) -> Any:
        """Decode bytes that were walked, so that only text that is no UTF-8 can fail."""
        try:
            return fastavro.schemaless_reader(io.BytesIO(data), schema, None)
        except UnicodeDecodeError:
            pass
        except Exception:  # noqa: BLE001 - whatever a decoder's release makes of bytes, the topic stops in one way
            raise self._unreadable("cannot be decoded") from None
        raise self._unreadable("holds a text that is not UTF-8")  # outside: the exception holds the bytes

    def _typed(self, header: Any) -> ChangeEventHeader:
        try:
            return msgspec.convert(header, ChangeEventHeader)
        except msgspec.ValidationError:
            raise self._unreadable("has a header that is not that of a change event") from None

    def _readable(self, schema: Any) -> Any:
        try:
            return fastavro.parse_schema(schema)
        except Exception:  # noqa: BLE001 - the library raises several kinds, and their texts repeat the schema
            raise PayloadError("The schema of an event is not one that Avro knows.") from None

    def _unreadable(self, how: str) -> PayloadError:
        return PayloadError(
            f"An event of the type {self._said} cannot be read: it {how}. Nothing behind it is taken, so that none is "
            "lost: please report this with the name of the topic."
        )
