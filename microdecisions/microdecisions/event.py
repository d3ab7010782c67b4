"""The MicroDecisionEvent: one decision in a Salesforce org, the same shape in every stream.

The struct is the only declaration; the JSON Schema that Singer needs is generated from it. The meaning of each field
is in `docs/event.md`.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

__all__ = ["SCHEMA_VERSION", "ActorType", "EventContext", "EventType", "MicroDecisionEvent", "Source", "json_schema"]

SCHEMA_VERSION: Final = 1
"""Changes only together with the golden files."""

EventType = Literal[
    "field_change",
    "stage_change",
    "approval_decision",
    "approval_request",
    "activity",
    "setup_change",
    "login",
    "record_delete",
    "record_undelete",
    "gap",
]
ActorType = Literal["user", "system", "automation", "integration"]
Source = Literal["rest", "bulk", "change_event", "platform_event", "get_deleted", "query_all"]

_Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class EventContext(msgspec.Struct, omit_defaults=True, gc=False):
    """What belongs to the type of the event; absent where it does not apply."""

    source_object: Annotated[str, Meta(description="sObject that the event was read from.")]
    source_record_id: Annotated[str, Meta(description="Id of the row that the event was read from.")]
    source: Annotated[str, Meta(description="Way it was read: rest, bulk, change_event, ...")]
    data_type: Annotated[str | None, Meta(description="Salesforce's data type of the values.")] = None
    related_records: Annotated[dict[str, str], Meta(description="Other records, by the name of the reference.")] = {}
    previous_stage: Annotated[str | None, Meta(description="Stage before this one.")] = None
    stage_duration_days: Annotated[float | None, Meta(description="Days spent in the previous stage.")] = None
    approval_process_name: str | None = None
    approval_step_name: str | None = None
    approval_status: Annotated[str | None, Meta(description="Status of the whole approval when read.")] = None
    approval_submitter_id: str | None = None
    approval_original_actor_id: Annotated[str | None, Meta(description="Who was asked first.")] = None
    approval_comments: str | None = None
    approval_elapsed_minutes: int | None = None
    activity_subject: str | None = None
    activity_type: str | None = None
    activity_priority: str | None = None
    activity_due_date: str | None = None
    metadata: Annotated[dict[str, str], Meta(description="Flags and further facts as text.")] = {}


class MicroDecisionEvent(msgspec.Struct, gc=False):
    """One decision. `event_id` is its key; the same version of a row always has the same id.

    Fields may be given in order: naming sixteen of them takes seventeen times as long (msgspec 0.21).
    """

    event_id: Annotated[str, Meta(description="Deterministic key; see docs/event.md.")]
    event_type: Annotated[EventType, Meta(description="Kind of decision.")]
    timestamp_occurred: Annotated[_Timestamp, Meta(description="When it happened in Salesforce, UTC.")]
    timestamp_recorded: Annotated[_Timestamp, Meta(description="When Salesforce recorded it: the replication key.")]
    actor_id: Annotated[str | None, Meta(description="User who decided; null for Salesforce itself.")]
    actor_type: Annotated[ActorType | None, Meta(description="user, system, automation or integration.")]
    actor_name: Annotated[str | None, Meta(description="The user's name.")]
    record_type: Annotated[str | None, Meta(description="API name of the object that the decision is about.")]
    record_id: Annotated[str | None, Meta(description="18-character id of the record that it is about.")]
    field_name: Annotated[str | None, Meta(description="Field that changed.")]
    old_value: Annotated[str | None, Meta(description="Canonical text before; null when empty.")]
    new_value: Annotated[str | None, Meta(description="Canonical text after; null when empty.")]
    is_primary: Annotated[bool, Meta(description="False for a second witness of the same decision.")]
    context: EventContext
    extracted_at: Annotated[_Timestamp, Meta(description="When it was read, by the reader's clock, UTC.")]
    extractor_version: Annotated[str, Meta(description="Package and version that read it.")]

    def to_json(self) -> bytes:
        """Encode as one JSON object."""
        return msgspec.json.encode(self)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain Python types, equal to decoding `to_json()`."""
        converted: dict[str, Any] = msgspec.to_builtins(self)
        return converted

    def digest(self) -> str:
        """Fingerprint the content in 64 bits (16 hex digits): all but when, by what and by which API it was read."""
        content = self.to_dict()
        del content["extracted_at"], content["extractor_version"], content["context"]["source"]
        return blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=8).hexdigest()


def json_schema() -> dict[str, Any]:
    """Generate the event's JSON Schema in the form Singer targets read: no `$ref`, nullable as `["x", "null"]`."""
    (schema,), components = msgspec.json.schema_components([MicroDecisionEvent], ref_template="{name}")
    plain = _inline(schema, components)
    plain.pop("title", None)
    plain["$comment"] = f"MicroDecisionEvent, schema version {SCHEMA_VERSION}"
    return plain


def _inline(node: dict[str, Any], components: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if "$ref" in node:
        described = {key: value for key, value in node.items() if key != "$ref"}
        return {**_inline(components[node["$ref"]], components), **described}
    result = {key: value for key, value in node.items() if key not in {"anyOf", "enum", "default"}}
    if "anyOf" in node:
        variants = [_inline(variant, components) for variant in node["anyOf"]]
        kinds = [variant.pop("type") for variant in variants]
        for variant in variants:
            result.update(variant)
        result["type"] = kinds
    elif "enum" in node:
        # Values are listed in the docs, not in the schema: a type of event more is no new table for a target.
        result["type"] = ["string", "null"] if None in node["enum"] else "string"
    if isinstance(node.get("properties"), dict):
        result["properties"] = {name: _inline(child, components) for name, child in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _inline(node["additionalProperties"], components)
    return result
