"""Avro schemas of change events and platform events, made from the org's own definitions.

Sources: Change Data Capture guide, "Change Event Header Fields" and "Change Event Body Fields"; Platform
Events guide, "Platform Event Fields"; order and types of the header as in a real payload quoted in public
(pozil/pub-sub-api-node-client, issue 27).
"""

from __future__ import annotations

import base64
import hashlib
import io
from typing import TYPE_CHECKING, Any

import fastavro
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from localcloud.salesforce.sobject import Field, SObject

NAMESPACE = "com.sforce.eventbus"
CHANGE_TYPES = (
    "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW",
)  # fmt: skip
"""In the order of the enum; that CREATE is 0 and UPDATE 1 is seen on the wire, the rest follows a public fake."""
NOT_IN_EVENTS = frozenset({"Id", "IsDeleted", "SystemModstamp"})
"""System fields that a change event does not carry."""
_STRINGS = {"type": "array", "items": "string"}
HEADER_FIELDS: tuple[tuple[str, object], ...] = (
    ("entityName", "string"),
    ("recordIds", _STRINGS),
    ("changeType", {"type": "enum", "name": "ChangeType", "namespace": NAMESPACE, "symbols": list(CHANGE_TYPES)}),
    ("changeOrigin", "string"),
    ("transactionKey", "string"),
    ("sequenceNumber", "int"),
    ("commitTimestamp", "long"),
    ("commitNumber", "long"),
    ("commitUser", "string"),
    ("nulledFields", _STRINGS),
    ("diffFields", _STRINGS),
    ("changedFields", _STRINGS),
)
"""The header of a change event, which is the first field of its schema."""


class EventSchema(msgspec.Struct, frozen=True):
    """The schema of one kind of event.

    `entity` is the object or platform event, `id` the fingerprint of the definition (22 characters, as in
    Salesforce), `json` the schema's text, `names` its fields in order, `types` their describe types, `parsed`
    what fastavro made of it.
    """

    entity: str
    id: str
    json: str
    names: tuple[str, ...]
    types: Mapping[str, str]
    parsed: Any

    def encode(self, record: Mapping[str, object]) -> bytes:
        """A payload: schemaless binary Avro."""
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, self.parsed, record)
        return buffer.getvalue()

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The record of a payload.

        Raises:
            ValueError: It is not one record of this schema.
        """
        buffer = io.BytesIO(payload)
        try:
            record = fastavro.schemaless_reader(buffer, self.parsed, None)
        except (EOFError, IndexError, UnicodeDecodeError, StopIteration) as error:
            raise ValueError(f"not a {self.entity}: {error}") from error
        if buffer.tell() != len(payload):
            raise ValueError(f"not a {self.entity}: {len(payload) - buffer.tell()} bytes are left over")
        if not isinstance(record, dict):
            raise ValueError(f"not a {self.entity}")  # noqa: TRY004 - one kind of error for a wrong payload
        return record


def change_event_name(sobject: str) -> str:
    """`AccountChangeEvent`, `Invoice__ChangeEvent`."""
    return f"{sobject.removesuffix('c')}ChangeEvent" if sobject.endswith("__c") else f"{sobject}ChangeEvent"


def change_event_schema(sobject: SObject, more: Iterable[Field] = ()) -> EventSchema:
    """The schema of an object's change events: the header, then each record field as a union with null.

    Args:
        sobject: The object; its compound fields, if any, are left out as their parts stand for themselves.
        more: Fields that were added to its events since the org was made.
    """
    fields = [field for field in (*sobject.fields, *more) if field.name not in NOT_IN_EVENTS and _carried(field)]
    header: dict[str, object] = {
        "name": "ChangeEventHeader",
        "type": {
            "type": "record",
            "name": "ChangeEventHeader",
            "namespace": NAMESPACE,
            "fields": [{"name": name, "type": type_} for name, type_ in HEADER_FIELDS],
        },
    }
    return _schema(sobject.name, change_event_name(sobject.name), [header, *map(_nullable, fields)], fields)


def platform_event_schema(name: str, fields: Iterable[Field]) -> EventSchema:
    """The schema of a platform event: when and by whom it was made, then its own fields as unions with null."""
    own = list(fields)
    system: list[dict[str, object]] = [
        {"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"},
        {"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"},
    ]
    return _schema(name, name, [*system, *map(_nullable, own)], own)


def parse(entity: str, schema_id: str, text: str) -> EventSchema:
    """A schema from its text, for reading payloads."""
    raw = msgspec.json.decode(text)
    names = tuple(field["name"] for field in raw["fields"])
    return EventSchema(entity, schema_id, text, names, {}, fastavro.parse_schema(raw))


def _carried(field: Field) -> bool:
    return field.type not in {"address", "location", "base64"}


def _schema(entity: str, name: str, fields: list[dict[str, object]], own: list[Field]) -> EventSchema:
    raw = {"name": name, "namespace": NAMESPACE, "type": "record", "fields": fields}
    text = msgspec.json.encode(raw).decode()
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    fingerprint = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    types = {field.name: field.type for field in own}
    names = tuple(str(field["name"]) for field in fields)
    return EventSchema(entity, fingerprint, text, names, types, fastavro.parse_schema(raw))


_AVRO = {
    "boolean": "boolean", "int": "int", "currency": "double", "double": "double", "percent": "double",
    "date": "long", "datetime": "long",
}  # fmt: skip
"""What a describe type is in Avro; the others are text. Days and instants are milliseconds since the epoch."""
_DOC = {
    "id": "EntityId",
    "reference": "EntityId",
    "picklist": "DynamicEnum",
    "datetime": "DateTime",
    "date": "DateOnly",
}


def _nullable(field: Field) -> dict[str, object]:
    kind = _DOC.get(field.type, field.type.capitalize())
    return {
        "name": field.name,
        "type": ["null", _AVRO.get(field.type, "string")],
        "default": None,
        "doc": f"Data:{kind}",
    }
