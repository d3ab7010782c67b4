"""Writes of assets: one request is one transaction, found by GUID or by qualified name, made where neither is known.

What each rule follows is in the published source of the metadata service: `EntityREST.createOrUpdate`,
`AtlasEntityStoreV2.preCreateOrUpdate`, `IDBasedEntityResolver`, `EntityGraphMapper`.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.atlan.assets import Asset, ObjectId
from localcloud.atlan.errors import (
    guid_not_found,
    invalid_entity,
    invalid_parameters,
    name_not_found,
    no_such_type,
    reference_not_found,
    too_many,
)
from localcloud.atlan.store import Change
from localcloud.atlan.types import PROCESSES, TYPES, Relation, Value, invalid, normal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from localcloud.atlan.store import Store

    Guard = Callable[[Asset, Asset | None], None]

MOST_ENTITIES = 10_000
LONGEST_TEXT = 100_000
Custom = dict[str, dict[str, Value]]


class EntityIn(msgspec.Struct, rename="camel"):
    """An asset in a request; `guid` is real, or made up for this request (it begins with `-`)."""

    type_name: str
    guid: str | None = None
    attributes: dict[str, Value] = {}
    business_attributes: dict[str, dict[str, Value] | None] | None = None
    relationship_attributes: dict[str, Value] | None = None
    status: Literal["ACTIVE", "DELETED"] | None = None


class BulkIn(msgspec.Struct, rename="camel"):
    """The body of a bulk write."""

    entities: list[EntityIn] = []


class Flags(msgspec.Struct, frozen=True):
    """What happens to custom metadata of assets that are there already.

    Without `replace` it is ignored; with it, given attributes are merged; with `overwrite` as well, all others go,
    those of other sets too.
    """

    replace: bool = False
    overwrite: bool = False


class Mutation(msgspec.Struct):
    """What a write did; assignments lead from made-up GUIDs to real ones."""

    created: list[Asset] = []
    updated: list[Asset] = []
    deleted: list[Asset] = []
    assignments: dict[str, str] = {}


class Entities:
    """Writes assets.

    Args:
        store: Where they are kept.
        guard: Is shown each asset as it would be, and as it was or None; raises where that may not be.
    """

    def __init__(self, store: Store, guard: Guard = lambda _asset, _old: None) -> None:
        self._store = store
        self._guard = guard

    def save(self, entities: list[EntityIn], flags: Flags, who: str) -> Mutation:
        """Make and change assets, all or none.

        Raises:
            AtlanError: One of them is not right; nothing was written.
        """
        if not entities:
            raise invalid_parameters("no entities to create/update.")
        if len(entities) > MOST_ENTITIES:
            raise too_many(MOST_ENTITIES)
        return self._transact(entities, flags, who)

    def update_named(self, type_name: str, qualified_name: str, entity: EntityIn, who: str) -> Mutation:
        """Change given attributes of one asset; custom metadata is not touched.

        Raises:
            AtlanError: 404, it is not there.
        """
        found = self._store.named(type_name, qualified_name)
        if found is None:
            raise name_not_found(type_name, qualified_name)
        entity.guid = found.guid
        return self._transact([entity], Flags(), who)

    def set_custom_metadata(self, guid: str, set_id: str, values: Mapping[str, Value], who: str) -> Asset:
        """Merge attributes of one set into an asset; null takes one away, what is not given stays.

        Raises:
            AtlanError: 404, the asset is not there or the values are not right.
        """
        found = self._store.get(guid)
        if found is None:
            raise guid_not_found(guid)
        given: dict[str, dict[str, Value] | None] = {set_id: dict(values)}
        said = self._store.definitions.check(found, given)
        if said:
            raise invalid_entity(said)
        merged = self._merged(found.custom_metadata, given)
        if merged != found.custom_metadata:
            stamp = self._store.clock.now_ms()
            changed = msgspec.structs.replace(found, custom_metadata=merged, updated_at=stamp, updated_by=who)
            self._guard(changed, found)
            self._store.commit(Change([changed]))
            return changed
        return found

    def delete(self, guids: Sequence[str], *, purge: bool, who: str) -> Mutation:
        """Archive assets, or forget them for good; a GUID that is not known is passed over.

        Raises:
            AtlanError: 400, no GUID was given.
        """
        found = [one for guid in dict.fromkeys(guids) if (one := self._store.get(guid))]
        if not guids:
            raise invalid_parameters("Guid(s) not specified")
        stamp = self._store.clock.now_ms()
        gone = [
            msgspec.structs.replace(one, status="DELETED", updated_at=stamp, updated_by=who)
            for one in found
            if one.active or purge
        ]
        if gone:
            self._store.commit(Change([], [one.guid for one in gone]) if purge else Change(gone))
        return Mutation(deleted=gone)

    def _transact(self, entities: list[EntityIn], flags: Flags, who: str) -> Mutation:
        work = _Work(self._store, who)
        done = Mutation()
        places = [work.place(entity) for entity in entities]
        for entity, found in places:
            old = work.current(found)
            asset = self._made(entity, old, flags, work)
            if old is not None and _unchanged(old, asset, entity, flags):
                continue
            self._guard(asset, old)
            work.write(asset)
        done.created, done.updated = work.outcome()
        done.assignments = work.assigned
        change = work.change(done)
        if change.kept:
            self._store.commit(change)
        return done

    def _made(self, entity: EntityIn, old: Asset | None, flags: Flags, work: _Work) -> Asset:
        """The asset as it is after the write."""
        kind = TYPES[entity.type_name]
        said = _check(entity, old)
        if said:
            raise invalid_entity(said)
        attributes = dict(old.attributes) if old else {}
        references = dict(old.references) if old else {}
        given: dict[str, Value] = {**entity.attributes, **(entity.relationship_attributes or {})}
        for name, value in given.items():
            if relation := kind.relation.get(name):
                references[name] = work.referred(relation, value)
            elif attribute := kind.by_name.get(name):  # one that is not defined is dropped without a word
                attributes[name] = normal(attribute, value)
        attributes = {name: value for name, value in attributes.items() if value is not None}
        stamp = self._store.clock.now_ms()
        asset = Asset(
            guid=old.guid if old else work.guid(entity),
            type_name=old.type_name if old else entity.type_name,
            attributes=attributes,
            custom_metadata=old.custom_metadata if old else {},
            references=references,
            status="ACTIVE" if old is None or old.active else _restored(entity),
            created_at=old.created_at if old else stamp,
            updated_at=stamp,
            created_by=old.created_by if old else work.who,
            updated_by=work.who,
        )
        return msgspec.structs.replace(asset, custom_metadata=self._custom(asset, entity, flags, new=old is None))

    def _custom(self, asset: Asset, entity: EntityIn, flags: Flags, *, new: bool) -> Custom:
        given = entity.business_attributes
        before = asset.custom_metadata
        if not new and not flags.replace:
            return before
        if not given:
            return {} if flags.overwrite and not new else before
        said = self._store.definitions.check(asset, given)
        if said:
            raise invalid_entity(said)
        return self._merged({} if flags.overwrite else before, given)

    def _merged(self, before: Custom, given: Mapping[str, dict[str, Value] | None]) -> Custom:
        """Custom metadata with given values put in; null takes a value away, a set that is given empty goes."""
        merged = {name: dict(values) for name, values in before.items()}
        for name, values in given.items():
            kept = {**merged.get(name, {}), **self._store.definitions.kept(name, values)} if values else {}
            merged[name] = {key: value for key, value in kept.items() if value is not None}
        return {name: values for name, values in merged.items() if values}


class _Work:
    """One transaction: what it found, what it writes, and the GUIDs that it gave."""

    def __init__(self, store: Store, who: str) -> None:
        self.who = who
        self.assigned: dict[str, str] = {}
        self._store = store
        self._new: dict[str, None] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._written: dict[str, Asset] = {}
        self._lineage: set[str] = set()

    def place(self, entity: EntityIn) -> tuple[EntityIn, Asset | None]:
        """Find the asset that an entity means; where there is none, a new one gets its GUID.

        Raises:
            AtlanError: The type is not defined, or a real GUID is not known and the name neither.
        """
        if entity.type_name not in TYPES:
            raise no_such_type(entity.type_name)
        real = entity.guid is not None and not entity.guid.startswith("-")
        key = entity.type_name, str(entity.attributes.get("qualifiedName") or "")
        old = self._store.get(entity.guid or "") if real else None
        old = old or self._store.named(*key)
        if old is None:
            if real:
                raise reference_not_found(entity.guid or "")
            guid = self._names.setdefault(key, str(uuid.uuid4()))
            self._new[guid] = None
        else:
            guid = old.guid
        if entity.guid is not None and not real:
            self.assigned[entity.guid] = guid
        return entity, old

    def guid(self, entity: EntityIn) -> str:
        """The GUID that a new asset got."""
        return self._names[entity.type_name, str(entity.attributes.get("qualifiedName") or "")]

    def referred(self, relation: Relation, value: Value) -> tuple[str, ...]:
        """The GUIDs of what an entity refers to; in lineage they are remembered.

        Raises:
            AtlanError: 404, one of them is not there.
        """
        listed = value if isinstance(value, list) else [] if value is None else [value]
        found = tuple(self._one(msgspec.convert(one, ObjectId)) for one in listed)
        if relation.name in {"inputs", "outputs"}:
            self._lineage.update(found)
        return found

    def write(self, asset: Asset) -> None:
        """Write an asset at the end of the transaction."""
        self._written[asset.guid] = asset

    def current(self, found: Asset | None) -> Asset | None:
        """An asset as this transaction has left it so far."""
        return None if found is None else self._written.get(found.guid, found)

    def outcome(self) -> tuple[list[Asset], list[Asset]]:
        """The new assets, and the changed ones."""
        new = [one for guid, one in self._written.items() if guid in self._new]
        return new, [one for guid, one in self._written.items() if guid not in self._new]

    def change(self, done: Mutation) -> Change:
        """All that is to be kept: also the mark on those that lineage reaches now."""
        if not any(one.type_name in PROCESSES for one in (*done.created, *done.updated)):
            return Change(list(self._written.values()))
        for guid in self._lineage:
            one = self._written.get(guid) or self._store.get(guid)
            if one is not None and not one.attributes.get("__hasLineage"):
                self._written[guid] = msgspec.structs.replace(one, attributes={**one.attributes, "__hasLineage": True})
        return Change(list(self._written.values()))

    def _one(self, wanted: ObjectId) -> str:
        if wanted.guid and wanted.guid.startswith("-"):
            if wanted.guid in self.assigned:
                return self.assigned[wanted.guid]
        elif wanted.guid and self._store.get(wanted.guid):
            return wanted.guid
        name = str(wanted.unique_attributes.get("qualifiedName") or "")
        type_name = wanted.type_name or ""
        if not wanted.guid and name:
            if found := self._store.named(type_name, name):
                return found.guid
            if (type_name, name) in self._names:
                return self._names[type_name, name]
        raise reference_not_found(wanted.guid or f"{type_name} {{qualifiedName={name}}}")


def _check(entity: EntityIn, old: Asset | None) -> list[str]:
    """What is wrong with an entity's own attributes."""
    kind = TYPES[entity.type_name]
    said = []
    for name, value in entity.attributes.items():
        attribute = kind.by_name.get(name)
        if attribute is None:
            continue
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            said.append(f"Attribute {name} exceeds limit of {LONGEST_TEXT} characters")
        if invalid(attribute, value):
            said.append(f"{entity.type_name}.{name}={value}: invalid value for type {attribute.type}")
    needed = ("qualifiedName", "name") if old is None else ()
    return said + [
        f"{entity.type_name}.{name}: mandatory attribute value missing in type {entity.type_name}"
        for name in needed
        if not entity.attributes.get(name)
    ]


def _restored(entity: EntityIn) -> Literal["ACTIVE", "DELETED"]:
    """What an archived asset is after a write: active again only where that is said."""
    return "ACTIVE" if entity.status == "ACTIVE" else "DELETED"


def _unchanged(old: Asset, new: Asset, entity: EntityIn, flags: Flags) -> bool:
    """Whether a write is passed over.

    Custom metadata is compared as a whole with what is given, so an asset that has other sets too is written even
    where the given values are the old ones.
    """
    same = old.attributes == new.attributes and old.references == new.references and old.status == new.status
    return same and (not flags.replace or (entity.business_attributes or {}) == old.custom_metadata)
