"""Custom platform events become decisions, by the mapping of their fields.

An event that does not say which record was deleted is written all the same, without a record, and its object is asked;
where it does not name that either, a gap tells of it. A mistake in a trigger must neither stop a topic for ever nor go
unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from microdecisions import timestamps
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import platform_event_id
from tap_salesforce_deletes.normalise.parts import (
    MIDNIGHT,
    MILLISECONDS_FROM,
    USER,
    Dirty,
    Normalised,
    Stamps,
    id_or_fact,
    is_name,
    not_understood,
)
from tap_salesforce_deletes.topics import bind_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_salesforce_deletes.pubsub.avro import EventSchema
    from tap_salesforce_deletes.pubsub.subscription import Event
    from tap_salesforce_deletes.topics import BoundFields, Topic

__all__ = ["PlatformEvents"]

_encode = msgspec.json.Encoder(enc_hook=str).encode


class PlatformEvents:
    """Normalises the platform events of one topic.

    Args:
        topic: The topic.
        org_id: 18 characters.
        extractor_version: Package and version.
        objects_by_prefix: API names by the first three characters of ids.
    """

    def __init__(self, topic: Topic, org_id: str, extractor_version: str, objects_by_prefix: Mapping[str, str]) -> None:
        self._topic = topic
        self._org_id = org_id
        self._version = extractor_version
        self._objects_by_prefix = objects_by_prefix
        self._bound: dict[str, BoundFields] = {}
        self._stamps = Stamps(topic.name)

    def decisions(self, event: Event, schema: EventSchema, extracted_at: str) -> Normalised:
        """What one event holds; see `Normaliser.decisions`."""
        fields = self._bound.get(schema.schema_id)
        if fields is None:
            fields = self._bound[schema.schema_id] = bind_fields(self._topic, schema.fields)
        values = schema.decode(event.payload)
        uuid = event.id or values.get("EventUuid")
        if not isinstance(uuid, str) or not uuid:
            raise not_understood(self._topic.name, event, "has no EventUuid, by which one that comes again is known")
        created = values.get("CreatedDate")
        if isinstance(created, bool) or not isinstance(created, int):
            raise not_understood(self._topic.name, event, "has no CreatedDate")
        if abs(created) < MILLISECONDS_FROM:
            created *= 1000
        stamp = self._stamps.text(event, "CreatedDate", created)
        facts = {"topic": self._topic.name, "replay_id": event.replay_id.hex(), "payload": _payload(values)}
        record_id = _id_of(values, fields.record_id, "record_id", facts)
        actor = self._actor(values, fields, facts)
        owner = _id_of(values, fields.owner_id, "owner_id", facts)
        if owner is not None:
            facts["owner_id"] = owner
        named = _object_of(values, fields, facts)
        # The mapping and what describe says may change, so neither is part of the event's id.
        source = schema.name
        sobject = named or self._topic.sobject or self._objects_by_prefix.get((record_id or "")[:3])
        context = EventContext(source, record_id or "", "platform_event")
        context.metadata = facts
        decision = MicroDecisionEvent(
            platform_event_id(self._org_id, source, record_id or "", uuid),
            "record_delete",
            _deleted_date(values, fields.deleted_date, stamp, facts),
            stamp,
            actor,
            None,
            None,
            sobject,
            record_id,
            None,
            None,
            None,
            True,
            context,
            extracted_at,
            self._version,
        )
        dirty = []
        if record_id is None:
            what = "" if sobject is None else f" of {sobject}"
            why = f"told of a delete{what} without the record's id"
            dirty.append(Dirty(sobject, timestamps.from_epoch_ms(created), why))
        return Normalised(created, [decision], dirty)

    @staticmethod
    def _actor(values: Mapping[str, Any], fields: BoundFields, facts: dict[str, str]) -> str | None:
        """Who deleted it: what the mapped field says, else who published the event."""
        actor = _id_of(values, fields.deleted_by, "deleted_by", facts, prefix=USER)
        if actor is None and "deleted_by" not in facts:
            actor = _id_of(values, "CreatedById", "deleted_by", facts, prefix=USER)
        return actor


def _payload(values: Mapping[str, Any]) -> str:
    return _encode({name: value for name, value in values.items() if value is not None}).decode()


def _said(values: Mapping[str, Any], field: str | None) -> str | None:
    """A value as text without blanks around it; None for none."""
    value = None if field is None else values.get(field)
    if value is None:
        return None
    return (value if isinstance(value, str) else _encode(value).decode()).strip() or None


def _id_of(
    values: Mapping[str, Any], field: str | None, fact: str, facts: dict[str, str], *, prefix: str = ""
) -> str | None:
    return id_or_fact(_said(values, field), fact, facts, prefix=prefix)


def _object_of(values: Mapping[str, Any], fields: BoundFields, facts: dict[str, str]) -> str | None:
    said = _said(values, fields.object_name)
    if said is None or is_name(said):
        return said
    facts["object_name"] = said
    return None


def _deleted_date(values: Mapping[str, Any], field: str | None, created: str, facts: dict[str, str]) -> str:
    """When the record was deleted: by the mapped field, if that is an instant and not after the event itself."""
    value = None if field is None else values.get(field)
    if value is None or value == "":
        return created
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            text = timestamps.to_text(timestamps.from_epoch_ms(value))
        else:
            text = timestamps.canonical(str(value))
    except (ValueError, OverflowError, IndexError):
        facts["deleted_date"] = str(value)
        return created
    facts["deleted_date"] = text
    return created if text.endswith(MIDNIGHT) or text > created else text
