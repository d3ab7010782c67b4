"""Change events become decisions: merged ones are fanned out, gaps flagged, and what names no record asks for more.

Source: Change Data Capture guide, "Change Event Header Fields", "Merged Change Events", "Gap Events" and "Overflow
Events".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import is_id, to_18
from microdecisions.timestamps import from_epoch_ms
from tap_salesforce_deletes.normalise.parts import Dirty, Normalised, Stamps, is_name, not_understood

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microdecisions.event import EventType
    from tap_salesforce_deletes.pubsub.avro import ChangeEventHeader, EventSchema
    from tap_salesforce_deletes.pubsub.subscription import Event

__all__ = ["ChangeEvents"]

_KINDS: Final[Mapping[str, EventType | None]] = {
    "DELETE": "record_delete",
    "GAP_DELETE": "record_delete",
    "UNDELETE": "record_undelete",
    "GAP_UNDELETE": "record_undelete",
    "CREATE": None,
    "UPDATE": None,
    "GAP_CREATE": None,
    "GAP_UPDATE": None,
}
"""Kinds of change, and what becomes of them; None where no record comes or goes. Any other makes the object dirty."""

_NO_RECORD: Final = "000000000000000"
_ID_LENGTH: Final = 18
_MOST_ACTORS: Final = 10_000


class _Head(msgspec.Struct, rename="camel", gc=False):
    """The header in the payload's text. A commit number is beyond what readers of JSON keep exact, so it is text."""

    entity_name: str
    record_ids: Sequence[str]
    change_type: str
    change_origin: str | None
    transaction_key: str
    sequence_number: int
    commit_timestamp: int
    commit_number: str
    commit_user: str | None
    nulled_fields: Sequence[str]
    diff_fields: Sequence[str]
    changed_fields: Sequence[str]


class _HeadAlone(msgspec.Struct, gc=False):
    head: _Head = msgspec.field(name="ChangeEventHeader")


_encode = msgspec.json.Encoder(enc_hook=str).encode


class ChangeEvents:
    """Normalises the change events of one topic.

    Args:
        topic: Its name.
        org_id: 18 characters.
        extractor_version: Package and version.
    """

    def __init__(self, topic: str, org_id: str, extractor_version: str) -> None:
        self._topic = topic
        self._org_id = org_id
        self._version = extractor_version
        self._stamps = Stamps(topic)
        self._entities: set[str] = set()
        self._actors: dict[str, str | None] = {}

    def decisions(self, event: Event, schema: EventSchema, extracted_at: str) -> Normalised:
        """What one event holds; see `Normaliser.decisions`."""
        plain = schema.plain(event.payload)
        if plain is not None and plain.change_type == "DELETE" and plain.entity_name in self._entities:
            (record_id,) = plain.record_ids
            if len(record_id) == _ID_LENGTH and not record_id.startswith(_NO_RECORD):
                return self._plain_delete(event, plain, record_id, extracted_at)
        decoded = schema.read(event.payload)
        header = decoded.header
        if header is None:
            raise not_understood(self._topic, event, "has no ChangeEventHeader")
        entity, change_type, at = header.entity_name, header.change_type, header.commit_timestamp
        if entity not in self._entities:
            if not is_name(entity):
                raise not_understood(self._topic, event, "has an entityName that is not an API name")
            self._entities.add(entity)
        stamp = self._stamps.text(event, "commitTimestamp", at)
        if change_type not in _KINDS:
            return Normalised(at, (), [Dirty(entity, from_epoch_ms(at), _unnamed(entity, change_type))])
        kind = _KINDS[change_type]
        if kind is None:
            return Normalised(at)
        ids, dirty = self._records(event, header)
        body = {} if decoded.fields is None else _not_null(decoded.fields)
        return Normalised(at, self._events(event, header, body, kind, ids, stamp, extracted_at), dirty)

    def _plain_delete(self, event: Event, header: ChangeEventHeader, record_id: str, extracted_at: str) -> Normalised:
        """The delete of one record without anything special, as `_events` makes it in twice the time.

        Nearly all events of a topic are such, and they decide how many it can take in a second.
        """
        entity, key, user, at = header.entity_name, header.transaction_key, header.commit_user, header.commit_timestamp
        sequence, number = header.sequence_number, f"{header.commit_number}"
        stamp = self._stamps.text(event, "commitTimestamp", at)
        context = EventContext(entity, record_id, "change_event")
        context.metadata = {
            "topic": self._topic,
            "replay_id": event.replay_id.hex(),
            "change_type": "DELETE",
            "commit_number": number,
            "payload": (
                f'{{"ChangeEventHeader":{{"entityName":"{entity}","recordIds":["{record_id}"],"changeType":"DELETE",'
                f'"changeOrigin":"{header.change_origin}","transactionKey":"{key}","sequenceNumber":{sequence},'
                f'"commitTimestamp":{at},"commitNumber":"{number}","commitUser":"{user}",'
                '"nulledFields":[],"diffFields":[],"changedFields":[]}}'
            ),
        }
        decision = MicroDecisionEvent(
            f"{self._org_id}:{entity}:{record_id}:cdc:{key}:{sequence}",
            "record_delete",
            stamp,
            stamp,
            self._actor(user),
            None,
            None,
            entity,
            record_id,
            None,
            None,
            None,
            True,
            context,
            extracted_at,
            self._version,
        )
        return Normalised(at, (decision,))

    def _actor(self, user: str) -> str | None:
        """The id of a user; None for a text that is none."""
        try:
            return self._actors[user]
        except KeyError:
            if len(self._actors) >= _MOST_ACTORS:
                self._actors.clear()
            return self._actors.setdefault(user, to_18(user) if is_id(user) else None)

    def _records(self, event: Event, header: ChangeEventHeader) -> tuple[Sequence[str], list[Dirty]]:
        """The records of a delete or undelete; wildcards, which are documented of other changes alone, make it dirty.

        Raises:
            PayloadError: it names no record, or what names one is neither an id nor a wildcard.
        """
        ids: dict[str, None] = {}
        wild = False
        for record_id in header.record_ids:
            if record_id[:15] == _NO_RECORD or (record_id.endswith("*") and record_id[:-1].isalnum()):
                wild = True
            elif is_id(record_id):
                ids[to_18(record_id)] = None
            else:
                raise not_understood(self._topic, event, "has among its recordIds one that is not an id")
        if not ids and not wild:
            raise not_understood(self._topic, event, "has no recordIds")
        why = f"told of deletes of {header.entity_name} by a wildcard instead of ids"
        return list(ids), [Dirty(header.entity_name, from_epoch_ms(header.commit_timestamp), why)] if wild else []

    def _events(
        self,
        event: Event,
        header: ChangeEventHeader,
        body: Mapping[str, Any],
        kind: EventType,
        ids: Sequence[str],
        stamp: str,
        extracted_at: str,
    ) -> list[MicroDecisionEvent]:
        entity, version = header.entity_name, self._version
        prefix, suffix = f"{self._org_id}:{entity}:", f":cdc:{header.transaction_key}:{header.sequence_number}"
        number = str(header.commit_number)
        actor = self._actor(header.commit_user)
        shared = {
            "topic": self._topic,
            "replay_id": event.replay_id.hex(),
            "change_type": header.change_type,
            "commit_number": number,
            **_further(header, body, len(ids)),
        }
        before, after = _payload_around(header, number, body, ids)
        events = []
        for record_id in ids:
            context = EventContext(entity, record_id, "change_event")
            context.metadata = {**shared, "payload": f"{before}{record_id}{after}"}
            events.append(
                MicroDecisionEvent(
                    f"{prefix}{record_id}{suffix}",
                    kind,
                    stamp,
                    stamp,
                    actor,
                    None,
                    None,
                    entity,
                    record_id,
                    None,
                    None,
                    None,
                    True,
                    context,
                    extracted_at,
                    version,
                )
            )
        return events


def _not_null(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _further(header: ChangeEventHeader, body: Mapping[str, Any], records: int) -> dict[str, str]:
    """Facts that few events have."""
    facts = {}
    if header.change_type.startswith("GAP_"):
        facts["gap"] = "true"
    if records > 1:
        facts["merged_records"] = str(records)
    owner = body.get("OwnerId")
    if isinstance(owner, str) and is_id(owner):
        facts["owner_id"] = to_18(owner)
    return facts


def _payload_around(
    header: ChangeEventHeader, number: str, body: Mapping[str, Any], ids: Sequence[str]
) -> tuple[str, str]:
    """The payload's text before and after the id of a record.

    In a merged event each record's payload names that record alone: with all of them in each, 10,000 deletes would be
    2 GB.
    """
    head = _Head(
        header.entity_name,
        ids[:1],
        header.change_type,
        header.change_origin,
        header.transaction_key,
        header.sequence_number,
        header.commit_timestamp,
        number,
        header.commit_user,
        header.nulled_fields,
        header.diff_fields,
        header.changed_fields,
    )
    text = _encode({"ChangeEventHeader": head, **body} if body else _HeadAlone(head)).decode()
    first = ids[0] if ids else ""
    before, _, after = text.partition(f'"recordIds":["{first}"')
    return f'{before}"recordIds":["', f'"{after}'


def _unnamed(entity: str, change_type: str) -> str:
    if change_type == "GAP_OVERFLOW":
        return f"told of a transaction that changed more records of {entity} than it has events for (GAP_OVERFLOW)"
    return f"told of a kind of change of {entity} that this version does not know"
