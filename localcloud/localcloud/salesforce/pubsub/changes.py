"""What a transaction becomes on the bus: change events, merged and numbered, with gap and overflow events. Pure.

Sources: Change Data Capture guide, "Merged Change Events", "Change Event Header Fields", "Change Event Body
Fields", "Sending Data Differences for Fields of Updated Records", "Gap Events", "Overflow Events".
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from localcloud.salesforce.pubsub.bitmaps import encode
from localcloud.salesforce.pubsub.differences import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from localcloud.salesforce.changes import Change, Transaction
    from localcloud.salesforce.pubsub.avro import EventSchema

OVERFLOW_ID = "000000000000000AAA"
"""The record id of an overflow event."""
_ID_BYTES = 19
_HEADER_BYTES = 1_000
"""More than the rest of a header takes."""


class Limits(msgspec.Struct, frozen=True):
    """How far a transaction's changes get events of their own.

    `overflow_ceiling` changes per transaction, `event_bytes` per payload; the next `gaps` changes come as gap
    events whatever their size.
    """

    overflow_ceiling: int
    event_bytes: int
    gaps: int = 0


class Header(msgspec.Struct, frozen=True, rename="camel"):
    """The header of a change event, in the order of its schema.

    `commit_timestamp` is in milliseconds, of whole seconds as seen on the wire.
    """

    entity_name: str
    record_ids: Sequence[str]
    change_type: str
    change_origin: str
    transaction_key: str
    sequence_number: int
    commit_timestamp: int
    commit_number: int
    commit_user: str
    nulled_fields: Sequence[str] = ()
    diff_fields: Sequence[str] = ()
    changed_fields: Sequence[str] = ()


class ChangeEvent(msgspec.Struct, frozen=True):
    """One change event: its header, its payload, the id of its schema, and its body by field name.

    `enriched` are payloads for channels that add fields, by the channel's name.
    """

    header: Header
    payload: bytes
    schema_id: str
    enriched: Mapping[str, bytes]


Enrichment = dict[str, tuple[str, ...]]
"""The fields that channels add to an entity's events, by the channel's name."""


class Definitions(NamedTuple):
    """What composing has to know of the org.

    `schema` gives an entity's schema; `enrichment` the fields that channels add to it; `current` the values
    of some fields of a record as the org holds them.
    """

    schema: Callable[[str], EventSchema]
    enrichment: Callable[[str], Enrichment]
    current: Callable[[str, str, Iterable[str]], Mapping[str, object]]


class _Group(msgspec.Struct):
    change: Change
    ids: list[str]
    extra: Mapping[str, object]


def compose(
    transaction: Transaction, captured: frozenset[str], commit_number: int, limits: Limits, org: Definitions
) -> Iterator[ChangeEvent]:
    """The change events of a transaction, in order.

    Args:
        transaction: What happened.
        captured: The objects that are selected for events.
        commit_number: The number of the commit.
        limits: Where overflow and gaps begin.
        org: Schemas and values.
    """
    changes = _coalesced(change for change in transaction.changes if change.sobject in captured)
    kept, over = changes[: limits.overflow_ceiling], changes[limits.overflow_ceiling :]
    gaps = kept[: limits.gaps]
    maker = _Maker(transaction, commit_number, limits, org)
    yield from maker.gaps(gaps)
    for group in _merged(kept[limits.gaps :], org):
        yield from maker.events(group)
    for entity in dict.fromkeys(change.sobject for change in over):
        yield from maker.bare(entity, "GAP_OVERFLOW", [OVERFLOW_ID])


class _Maker:
    def __init__(self, transaction: Transaction, commit_number: int, limits: Limits, org: Definitions) -> None:
        self._transaction = transaction
        self._at = int(transaction.at.timestamp()) * 1000
        self._commit_number = commit_number
        self._limits = limits
        self._org = org
        self._sequence = 0

    def events(self, group: _Group) -> Iterator[ChangeEvent]:
        """The events of one merged change: several where there are too many ids for one."""
        change = group.change
        schema = self._org.schema(change.sobject)
        body, nulled, diffed, changed = self._body(change, schema)
        room = self._ids_per_event(change, schema, body, len(group.ids))
        if not room:
            yield from self.bare(change.sobject, f"GAP_{change.kind}", group.ids)
            return
        for ids in _chunks(group.ids, room):
            self._sequence += 1
            header = self._header(change, ids, nulled, diffed, changed)
            record = {"ChangeEventHeader": msgspec.to_builtins(header), **body}
            enriched = {
                channel: schema.encode({**self._extra(group, names, schema), **record})
                for channel, names in self._org.enrichment(change.sobject).items()
                if change.kind in {"UPDATE", "DELETE"}
            }
            yield ChangeEvent(header, schema.encode(record), schema.id, enriched)

    def gaps(self, changes: Iterable[Change]) -> Iterator[ChangeEvent]:
        """Gap events instead of what happened: one per entity and kind."""
        found: dict[tuple[str, str], list[str]] = {}
        for change in changes:
            found.setdefault((change.sobject, change.kind), []).append(change.record_id)
        for (entity, kind), ids in found.items():
            yield from self.bare(entity, f"GAP_{kind}", ids)

    def bare(self, entity: str, change_type: str, ids: Sequence[str]) -> Iterator[ChangeEvent]:
        """Events without a body, whose sequence number is always 1; as many as the ids need."""
        schema = self._org.schema(entity)
        for some in _chunks(ids, max(1, (self._limits.event_bytes - _HEADER_BYTES) // _ID_BYTES)):
            header = self._head(entity, change_type, some, 1)
            payload = schema.encode({"ChangeEventHeader": msgspec.to_builtins(header)})
            yield ChangeEvent(header, payload, schema.id, {})

    def _ids_per_event(self, change: Change, schema: EventSchema, body: Mapping[str, object], ids: int) -> int:
        """How many record ids an event with that body has room for; 0: it cannot be rendered."""
        most = self._limits.event_bytes - _HEADER_BYTES
        texts = sum(len(value) for value in body.values() if isinstance(value, str))
        if texts * 4 + len(schema.names) * 10 + ids * _ID_BYTES <= most:  # sure without encoding it
            return ids
        record = {"ChangeEventHeader": msgspec.to_builtins(self._header(change, [])), **body}
        return max(0, most - len(schema.encode(record))) // _ID_BYTES

    def _head(self, entity: str, change_type: str, ids: Sequence[str], number: int) -> Header:
        transaction = self._transaction
        return Header(
            entity, ids, change_type, transaction.origin, transaction.key, number, self._at, self._commit_number,
            transaction.actor,
        )  # fmt: skip

    def _header(
        self,
        change: Change,
        ids: Sequence[str],
        nulled: Sequence[str] = (),
        diffed: Sequence[str] = (),
        changed: Sequence[str] = (),
    ) -> Header:
        head = self._head(change.sobject, change.kind, ids, self._sequence)
        return msgspec.structs.replace(head, nulled_fields=nulled, diff_fields=diffed, changed_fields=changed)

    def _body(
        self, change: Change, schema: EventSchema
    ) -> tuple[dict[str, object], Sequence[str], Sequence[str], Sequence[str]]:
        if change.kind == "DELETE":
            return {}, (), (), ()
        values = dict(change.values)
        if change.kind == "UPDATE":
            values.setdefault("LastModifiedDate", self._transaction.at.replace(microsecond=0))
        body = _avro_values(values, schema)
        if change.kind != "UPDATE":
            return body, (), (), ()
        diffed = []
        for name, value in body.items():
            old = change.before.get(name)
            if isinstance(value, str) and isinstance(old, str) and (text := difference(old, value)) is not None:
                body[name] = text
                diffed.append(name)
        position = {name: number for number, name in enumerate(schema.names)}
        nulled = encode(position[name] for name, value in body.items() if value is None)
        return body, nulled, encode(position[name] for name in diffed), encode(position[name] for name in body)

    def _extra(self, group: _Group, names: Iterable[str], schema: EventSchema) -> dict[str, object]:
        return _avro_values({name: group.extra.get(name) for name in names}, schema)


def _coalesced(changes: Iterable[Change]) -> list[Change]:
    """One change per record where a transaction did several things to it: the first kind with the last values."""
    kept: list[Change] = []
    places: dict[str, int] = {}
    for change in changes:
        place = places.get(change.record_id)
        if place is not None and change.kind == "UPDATE" and kept[place].kind != "DELETE":
            known = kept[place]
            kept[place] = msgspec.structs.replace(
                known, values={**known.values, **change.values}, before={**change.before, **known.before}
            )
        else:  # what ends or brings back a record is never lost in an earlier change of it
            places[change.record_id] = len(kept)
            kept.append(change)
    return kept


def _merged(changes: Iterable[Change], org: Definitions) -> Iterable[_Group]:
    groups: dict[object, _Group] = {}
    for change in changes:
        extra: Mapping[str, object] = {}
        enrichment = org.enrichment(change.sobject)
        if enrichment and change.kind in {"UPDATE", "DELETE"}:
            names = {name for fields in enrichment.values() for name in fields}
            extra = org.current(change.sobject, change.record_id, names)
        key = (change.sobject, change.kind, _content(change.values), _texts(change), _content(extra))
        group = groups.get(key)
        if group is None:
            groups[key] = _Group(change, [change.record_id], extra)
        else:
            group.ids.append(change.record_id)
    return groups.values()


def _content(values: Mapping[str, object]) -> tuple[tuple[str, object], ...]:
    return tuple(sorted((name, str(value)) for name, value in values.items() if name != "Id"))


def _texts(change: Change) -> object:
    """What was there before, where the event may say only the difference."""
    if change.kind != "UPDATE":
        return None
    return tuple(old for old in change.before.values() if isinstance(old, str) and len(old) > 255)


def _chunks(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _avro_values(values: Mapping[str, object], schema: EventSchema) -> dict[str, object]:
    types = schema.types
    return {name: avro_value(types[name], value) for name, value in values.items() if name in types}


def avro_value(type_: str, value: object) -> object:
    """A value of a describe type as the payload has it: days and instants in milliseconds, decimals as doubles."""
    if value is None or value == "":
        return None
    return _TO_AVRO.get(type_, str)(value)


def _double(value: object) -> float:
    return float(Decimal(str(value)))


def _day(value: object) -> int:
    day = value if isinstance(value, date) else date.fromisoformat(str(value))
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _instant(value: object) -> int:
    instant = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return int(instant.timestamp() * 1000)


_TO_AVRO: dict[str, Callable[[object], object]] = {
    "boolean": bool,
    "int": lambda value: int(str(value)),
    "currency": _double,
    "double": _double,
    "percent": _double,
    "date": _day,
    "datetime": _instant,
}
