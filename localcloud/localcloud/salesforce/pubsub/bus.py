"""The event bus of an org: what transactions publish, and what topics hold. Kept in the org's file."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from localcloud.salesforce.limits import DELIVERED_EVENTS
from localcloud.salesforce.pubsub import settings as kept_settings
from localcloud.salesforce.pubsub import store, topics, wire
from localcloud.salesforce.pubsub.avro import EventSchema, change_event_schema, parse, platform_event_schema
from localcloud.salesforce.pubsub.changes import Definitions, Enrichment, Limits, avro_value, compose
from localcloud.salesforce.pubsub.hub import hub_of
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from localcloud.salesforce.changes import Change, Transaction
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.pubsub.changes import ChangeEvent
    from localcloud.salesforce.pubsub.settings import DeleteTrigger, PubSubSettings
    from localcloud.salesforce.pubsub.store import Numbers, Row
    from localcloud.salesforce.pubsub.topics import Topic

_PURGE_EVERY = 10_000
"""Transactions between two removals of what nobody can read any more."""


class TopicSummary(msgspec.Struct, frozen=True):
    """A topic as people see it: the entities it shows, the events it holds, when the newest came."""

    name: str
    entities: tuple[str, ...]
    events: int
    newest: str | None


class ShownEvent(msgspec.Struct, frozen=True):
    """An event as people see it.

    `replay_id` is hexadecimal; `change_type` and `record_ids` are of change events only; `at` is the commit
    (fixed-width UTC text); `payload` the decoded Avro record.
    """

    replay_id: str
    entity: str
    change_type: str | None
    record_ids: tuple[str, ...]
    at: str
    payload: dict[str, Any]


class Bus:
    """The events of an org.

    Several may be open on one org, in one process or many; each publishes through the connection of its own
    org, in the transaction that is open there.

    Args:
        org: The org; tables that its file lacks are made.
        new_id: Makes the id of an event (EventUuid).
    """

    def __init__(self, org: Org, *, new_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self._org = org
        self._new_id = new_id
        self._schemas: dict[str, tuple[object, EventSchema]] = {}
        self._published = 0
        self.hub = hub_of(org.path)
        store.create(org.db)
        if org.db.execute("""SELECT 1 FROM "_pubsub_state" WHERE key = 'numbers'""").fetchone() is None:
            with org.db:
                store.keep_numbers(org.db, store.fresh_numbers())

    @property
    def settings(self) -> PubSubSettings:
        """What is set up for it now, whoever changed it."""
        return kept_settings.load(self._org.db)

    def configure(self, **changes: object) -> PubSubSettings:
        """Change settings, and keep them.

        Raises:
            ValueError: A channel's filter expression is outside the subset.
        """
        changed = msgspec.structs.replace(self.settings, **changes)
        for name in topics.names(changed):
            topics.find(name, changed, self._org.schema)
        with self._org.db:
            kept_settings.save(self._org.db, changed)
        return changed

    def publish(self, transaction: Transaction) -> None:
        """Put the events of a transaction on the bus, in the SQLite transaction that is open; no commit.

        Change events of the selected objects first, merged as Salesforce merges them, then what the delete
        triggers publish after commit.
        """
        db = self._org.db
        store.lock(db)
        settings = self.settings
        numbers = store.numbers(db)
        at = int(transaction.at.timestamp() * 1000)
        limits = Limits(settings.overflow_ceiling, settings.event_bytes, settings.gap_next)
        definitions = Definitions(
            cache(lambda entity: self._schema(entity, settings)),
            cache(lambda entity: _enrichment(entity, settings)),
            self._current,
        )
        number = numbers.next_commit(at)
        named: dict[str, str] = {}
        for event in compose(transaction, settings.captured, number, limits, definitions):
            self._append(event, at, numbers, settings)
            named[event.header.entity_name] = event.schema_id
        for entity in named:  # before the first event that names a schema is committed, the schema is there
            self._keep(self._schema(entity, settings))
        for trigger in settings.delete_triggers:
            self._fire(trigger, transaction, numbers, settings)
        store.keep_numbers(db, numbers)
        if settings.gap_next:
            left = max(0, settings.gap_next - sum(c.sobject in settings.captured for c in transaction.changes))
            kept_settings.save(db, msgspec.structs.replace(settings, gap_next=left))
        self._purge(settings)

    def publish_platform_events(self, entity: str, payloads: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Put platform events on the bus that a client made; no commit.

        Args:
            entity: The platform event.
            payloads: The id of the schema and the Avro bytes of each.

        Returns:
            Of each: its new id, its replay id.
        """
        db = self._org.db
        store.lock(db)
        settings, numbers, done = self.settings, store.numbers(db), []
        for schema_id, payload in payloads:
            event_id = self._new_id()
            done.append((event_id, self._append_platform(entity, schema_id, payload, event_id, numbers, settings)))
        store.keep_numbers(db, numbers)
        return done

    def wake(self) -> None:
        """Tell subscribers in this process that something was committed; those of others notice by themselves."""
        self.hub.ring()

    def topic(self, name: str) -> Topic | None:
        """The topic of a name, or None."""
        return topics.find(name, self.settings, self._org.schema)

    def schema_of(self, entity: str) -> EventSchema:
        """The schema that events of an entity have now.

        Raises:
            KeyError: The org has no such entity.
        """
        return self._schema(entity, self.settings)

    def schema(self, schema_id: str) -> EventSchema | None:
        """The schema of an id that was ever given out, or None."""
        kept = store.schema(self._org.db, schema_id)
        if kept is not None:
            return parse(kept[0], schema_id, kept[1])
        settings = self.settings
        entities = [sobject.name for sobject in self._org.schema if sobject.writable]
        entities += [event.name for event in settings.platform_events]
        return next((one for one in (self._schema(name, settings) for name in entities) if one.id == schema_id), None)

    def topics(self) -> list[TopicSummary]:
        """The topics that events are on, with how many each holds."""
        settings, oldest, found = self.settings, self.oldest_ms(), []
        for name in topics.names(settings):
            topic = topics.find(name, settings, self._org.schema)
            if topic is None:
                continue
            events, newest = store.summary(self._org.db, topic.selection(), oldest)
            at = None if newest is None else _text(newest)
            found.append(TopicSummary(name, tuple(part.entity for part in topic.parts), events, at))
        return found

    def last_events(self, topic: str, n: int = 20) -> list[ShownEvent]:
        """The newest events of a topic, newest first; none where there is no such topic."""
        found = self.topic(topic)
        if found is None:
            return []
        return [self._shown(raw) for raw in store.newest(self._org.db, found.selection(), n, self.oldest_ms())]

    @property
    def delivered_today(self) -> int:
        """Events delivered to subscribers in the last 24 hours of the org's clock, as far as this process knows."""
        return int(self.hub.usage.used(DELIVERED_EVENTS)) if self.hub.usage else 0

    def oldest_ms(self) -> int:
        """What happened before this instant (ms) can no longer be replayed."""
        return self._org.clock.now_ms() - int(self.settings.retention_hours * 3_600_000)

    def duplicate(self, topic: str, count: int = 1) -> int:
        """Put the newest events of a topic on the bus once more: same id, same content, new replay id.

        Returns how many. Source: Platform Events guide, considerations on duplicates.
        """
        found = self.topic(topic)
        if found is None:
            return 0
        db = self._org.db
        with db:
            store.lock(db)
            numbers, form = store.numbers(db), self.settings.replay_ids
            rows = store.rows(db, found.selection(), count)
            for row in rows:
                opened = wire.Opened(row[-1])
                replay_id = numbers.next_replay(form)
                raw = wire.entry(opened.id, opened.schema_id, opened.payload, replay_id)
                store.append(db, (*row[:2], replay_id, *row[3:-1], raw))
            store.keep_numbers(db, numbers)
        self.wake()
        return len(rows)

    def expire(self) -> None:
        """Let all events be as if they were out of retention, and all replay ids with them."""
        with self._org.db:
            store.remove(self._org.db)

    def reset_stream(self) -> None:
        """Begin a new stream, as when an org is moved: nothing of the old one can be replayed."""
        db = self._org.db
        with db:
            store.remove(db)
            store.keep_numbers(db, store.fresh_numbers())

    def _append(self, event: ChangeEvent, at: int, numbers: Numbers, settings: PubSubSettings) -> None:
        header, replay_id = event.header, numbers.next_replay(settings.replay_ids)
        event_id = self._new_id() if settings.change_event_ids else ""
        raw = wire.entry(event_id, event.schema_id, event.payload, replay_id)
        row: Row = (
            header.entity_name, at, replay_id, header.change_type, header.change_origin,
            header.transaction_key, header.sequence_number, header.commit_number, header.commit_user, raw,
        )  # fmt: skip
        position = store.append(self._org.db, row)
        for channel, payload in event.enriched.items():
            enriched = wire.entry(event_id, event.schema_id, payload, replay_id)
            store.append_enriched(self._org.db, position, channel, enriched)

    def _append_platform(
        self, entity: str, schema_id: str, payload: bytes, event_id: str, numbers: Numbers, settings: PubSubSettings
    ) -> bytes:
        replay_id = numbers.next_replay(settings.replay_ids)
        raw = wire.entry(event_id, schema_id, payload, replay_id)
        now = self._org.clock.now_ms()
        store.append(self._org.db, (entity, now, replay_id, None, None, None, None, None, None, raw))
        schema = self._schema(entity, settings)
        if schema.id == schema_id:
            self._keep(schema)
        return replay_id

    def _fire(
        self, trigger: DeleteTrigger, transaction: Transaction, numbers: Numbers, settings: PubSubSettings
    ) -> None:
        schema = None
        for change in transaction.changes:
            if change.kind != "DELETE" or change.cascade or change.sobject not in trigger.objects:
                continue
            schema = schema or self._schema(trigger.event, settings)
            own = {
                name: avro_value(schema.types[name], self._trigger_value(kind, change, transaction))
                for name, kind in trigger.values.items()
            }
            created = {"CreatedDate": int(transaction.at.timestamp() * 1000), "CreatedById": transaction.actor}
            payload = schema.encode({**created, **own})
            self._append_platform(trigger.event, schema.id, payload, self._new_id(), numbers, settings)

    def _trigger_value(self, kind: str, change: Change, transaction: Transaction) -> object:
        if kind == "owner":
            return self._current(change.sobject, change.record_id, ["OwnerId"]).get("OwnerId")
        values = {
            "object": change.sobject,
            "id": change.record_id,
            "actor": transaction.actor,
            "at": transaction.at,
        }
        return values[kind]

    def _current(self, entity: str, record_id: str, names: Iterable[str]) -> Mapping[str, object]:
        sobject = self._org.schema.get(entity)
        if sobject is None:
            return {}
        columns = [sobject.by_name[name.lower()].name for name in names if name.lower() in sobject.by_name]
        if not columns:
            return {}
        quoted = ", ".join(f'"{column}"' for column in columns)
        row = self._org.db.execute(f'SELECT {quoted} FROM "{sobject.name}" WHERE "Id" = ?', (record_id,)).fetchone()
        return dict(zip(columns, row, strict=True)) if row else {}

    def _schema(self, entity: str, settings: PubSubSettings) -> EventSchema:
        more = settings.more_fields.get(entity, ())
        event = settings.platform_event(entity)
        sobject = None if event else self._org.schema.get(entity)
        definition = (event or sobject, more)
        known = self._schemas.get(entity)
        if known is not None and known[0] == definition:  # the same objects are equal at once
            return known[1]
        if event is not None:
            schema = platform_event_schema(entity, (*event.fields, *more))
        elif sobject is not None:
            schema = change_event_schema(sobject, more)
        else:
            raise KeyError(entity)
        self._schemas[entity] = (definition, schema)
        return schema

    def _keep(self, schema: EventSchema) -> None:
        """Keep a schema in the file."""
        store.keep_schema(self._org.db, schema.id, schema.entity, schema.json)

    def _purge(self, settings: PubSubSettings) -> None:
        self._published += 1
        if self._published % _PURGE_EVERY == 0:
            now = self._org.clock.now_ms()
            store.remove(self._org.db, now - int(settings.retention_hours * 3_600_000))

    def _shown(self, raw: bytes) -> ShownEvent:
        event = wire.Opened(raw)
        schema = self.schema(event.schema_id)
        payload = schema.decode(event.payload) if schema else {}
        header = payload.get("ChangeEventHeader", {})
        at = header.get("commitTimestamp", payload.get("CreatedDate", 0))
        entity = schema.entity if schema else ""
        ids = tuple(header.get("recordIds", ()))
        return ShownEvent(event.replay_id.hex(), entity, header.get("changeType"), ids, _text(at), payload)


def _enrichment(entity: str, settings: PubSubSettings) -> Enrichment:
    return {
        channel.name: member.enrich
        for channel in settings.channels
        for member in channel.members
        if member.entity == entity and member.enrich
    }


def _text(milliseconds: int) -> str:
    return instant_text(datetime.fromtimestamp(milliseconds / 1000, UTC))
