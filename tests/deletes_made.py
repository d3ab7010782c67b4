"""Events as the Pub/Sub API delivers them, made with an Avro library from what they should say."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro

from tap_salesforce_deletes.pubsub.avro import EventSchema
from tap_salesforce_deletes.pubsub.subscription import Event

_STRINGS = {"type": "array", "items": "string"}
CHANGE_TYPES = [
    "CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW",
    "ARCHIVE",
]  # fmt: skip
HEADER = {
    "type": "record",
    "name": "ChangeEventHeader",
    "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": _STRINGS},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": CHANGE_TYPES}},
        {"name": "changeOrigin", "type": "string"},
        {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"},
        {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"},
        {"name": "commitUser", "type": "string"},
        {"name": "nulledFields", "type": _STRINGS},
        {"name": "diffFields", "type": _STRINGS},
        {"name": "changedFields", "type": _STRINGS},
    ],
}
CHANGES = {
    "type": "record",
    "name": "AccountChangeEvent",
    "fields": [
        {"name": "ChangeEventHeader", "type": HEADER},
        {"name": "Name", "type": ["null", "string"]},
        {"name": "OwnerId", "type": ["null", "string"]},
        {"name": "AnnualRevenue", "type": ["null", "double"]},
    ],
}
HEAD: dict[str, Any] = {
    "entityName": "Account",
    "recordIds": ["0015g00000XyZaBAAV"],
    "changeType": "DELETE",
    "changeOrigin": "com/salesforce/api/rest/60.0",
    "transactionKey": "0004ae5c-c92e-ab12-0d63-b0bd5b4ef07f",
    "sequenceNumber": 1,
    "commitTimestamp": 1767434401000,
    "commitNumber": 1709303151782928388,
    "commitUser": "0055g000007UserAAC",
    "nulledFields": [],
    "diffFields": [],
    "changedFields": [],
}
REPLAY_ID = bytes.fromhex("0000000000076f5b0000")


def platform_event(name: str = "Record_Deleted__e", **fields: Any) -> dict[str, Any]:
    """The Avro schema of a platform event whose own fields have these types."""
    own = [
        {"name": field, "type": type_ if isinstance(type_, list) else ["null", type_]}
        for field, type_ in fields.items()
    ]
    system = [{"name": "CreatedDate", "type": "long"}, {"name": "CreatedById", "type": "string"}]
    return {"type": "record", "name": name, "fields": [*system, *own]}


def schema_of(avro: dict[str, Any], schema_id: str = "s1") -> EventSchema:
    """The tap's reader of a schema."""
    return EventSchema.parse(schema_id, json.dumps(avro))


def delivered(avro: dict[str, Any], record: dict[str, Any], *, uuid: str = "", schema_id: str = "s1") -> Event:
    """An event that holds a record."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(avro), record)
    return Event(uuid, schema_id, buffer.getvalue(), REPLAY_ID)


def change(body: dict[str, Any] | None = None, **header: Any) -> Event:
    """A change event of Account; the header's values may be replaced."""
    return delivered(CHANGES, {"ChangeEventHeader": {**HEAD, **header}, **(body or {})})
