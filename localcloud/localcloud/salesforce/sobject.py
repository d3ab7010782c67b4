"""What an sObject is made of: fields, types, relationships, and the set of them that an org has."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

DECIMAL_TYPES = frozenset({"currency", "double", "percent"})
"""Kept as the token that was given, never as a float."""
NUMBER_TYPES = DECIMAL_TYPES | {"int"}
ID_TYPES = frozenset({"id", "reference"})
COMPOUND_TYPES = frozenset({"address"})
"""Made of other fields of the record: an object in REST, refused by the Bulk API."""

Storage = Literal["table", "big_object", "metadata"]


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field as describe shows it, and how parents and children see it.

    `type` is the describe type (`string`, `picklist`, `anyType`, ...). `reference_to` names the objects a
    look-up can point at, `relationship` the name of the way up, `child_relationship` the name of the way
    down. `since` is the first API version that shows the field.

    Attributes:
        cascade: Whether the row is deleted with the record that this look-up points at.
        target: The field of the parent that a look-up holds; the id for all but metadata.
        compound: The compound field that this one is a part of, such as `BillingAddress`.
        read_only: Neither set on create nor changed by a caller, as `IsClosed` and `CaseNumber`.
        auto_number: Salesforce gives the value, one after another.
    """

    name: str
    type: str
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    child_relationship: str | None = None
    values: tuple[str, ...] = ()
    restricted: bool = False
    name_field: bool = False
    since: float = 0.0
    cascade: bool = False
    target: str = "Id"
    compound: str | None = None
    read_only: bool = False
    auto_number: bool = False

    @property
    def custom(self) -> bool:
        """Whether an administrator added it."""
        return self.name.endswith("__c")

    @property
    def polymorphic(self) -> bool:
        """Whether the look-up can point at more than one object."""
        return len(self.reference_to) > 1


class SObject(msgspec.Struct, frozen=True, omit_defaults=True, dict=True):
    """One object of an org.

    `associate_type` and `associate_parent` are what describe says of a companion object, such as `History`
    and `Account`. `replicateable` means that getDeleted and getUpdated work.

    Attributes:
        writable: Whether records can be created and changed through the API.
        updateable: Whether they can be changed; None: as `writable` says.
        deletable: Whether they can be deleted; None: as `writable` says.
        undeletable: Whether they come back from the recycle bin; None: as `deletable` says.
        layoutable: Whether they have page layouts; None: as `writable` says.
        searchable: Whether SOSL finds them; None: as `writable` says.
        mergeable: Whether two of them can be merged.
        storage: Where Salesforce keeps the rows, and so what a query may ask: a `big_object` by its index
            only, `metadata` by equality and in one batch.
        indexes: Of a big object: the composite keys that filters and ORDER BY must follow from the left; a
            `-` before a name says that the key descends.
        aggregates: Whether aggregate functions other than `COUNT()` work.
        required_filters: One of these fields must be filtered, by `=` or `IN` (metadata).
        since: The first API version that shows the object.
        retention: A date and time field and the days that rows are kept by it; older ones are gone.
        shows: The object whose values its rows repeat, so that field-level security of that object counts.
    """

    name: str
    key_prefix: str
    fields: tuple[Field, ...]
    label: str = ""
    plural: str = ""
    associate_type: str | None = None
    associate_parent: str | None = None
    queryable: bool = True
    replicateable: bool = True
    writable: bool = True
    updateable: bool | None = None
    deletable: bool | None = None
    undeletable: bool | None = None
    layoutable: bool | None = None
    searchable: bool | None = None
    mergeable: bool = False
    storage: Storage = "table"
    indexes: tuple[tuple[str, ...], ...] = ()
    aggregates: bool = True
    required_filters: tuple[str, ...] = ()
    since: float = 0.0
    retention: tuple[str, int] | None = None
    shows: str | None = None

    @property
    def custom(self) -> bool:
        """Whether it belongs to an object that an administrator added."""
        return self.name.endswith(("__c", "__History"))

    @property
    def can_update(self) -> bool:
        """Whether records can be changed through the API."""
        return self.writable if self.updateable is None else self.updateable

    @property
    def can_delete(self) -> bool:
        """Whether records can be deleted through the API."""
        return self.writable if self.deletable is None else self.deletable

    @property
    def can_undelete(self) -> bool:
        """Whether records come back from the recycle bin."""
        return self.can_delete if self.undeletable is None else self.undeletable

    @property
    def has_layout(self) -> bool:
        """Whether it has page layouts."""
        return self.writable if self.layoutable is None else self.layoutable

    @property
    def is_searched(self) -> bool:
        """Whether SOSL finds its records."""
        return self.writable if self.searchable is None else self.searchable

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by lower-case name."""
        return {field.name.lower(): field for field in self.fields}

    @cached_property
    def by_relationship(self) -> dict[str, Field]:
        """Look-up fields by the lower-case name of the relationship."""
        return {field.relationship.lower(): field for field in self.fields if field.relationship}

    @cached_property
    def stored_fields(self) -> tuple[Field, ...]:
        """The fields that have a value of their own; a compound one is made of its parts."""
        return tuple(field for field in self.fields if field.type not in COMPOUND_TYPES)

    def parts(self, compound: str) -> tuple[Field, ...]:
        """The fields that a compound field is made of."""
        return tuple(field for field in self.fields if field.compound == compound)

    @cached_property
    def archives(self) -> bool:
        """Whether old rows are archived: then only queryAll finds them."""
        return "isarchived" in self.by_name

    @cached_property
    def name_field(self) -> Field | None:
        """The field that shows a record to people."""
        return next((field for field in self.fields if field.name_field), None)


class ChildRelationship(msgspec.Struct, frozen=True):
    """The way from a parent down to the records that point at it; `cascade`: they are deleted with it."""

    name: str
    child: str
    field: str
    cascade: bool = False


class Schema:
    """The objects of an org, as one user sees them.

    Args:
        objects: All that the user may see.
        hidden: The fields that were taken out, by object.

    Attributes:
        hidden: The fields of these objects that the user may not see, by object.
    """

    def __init__(self, objects: Iterable[SObject], hidden: Mapping[str, tuple[Field, ...]] | None = None) -> None:
        self.hidden = hidden or {}
        self._objects = {sobject.name.lower(): sobject for sobject in objects}
        self._children: dict[str, dict[str, ChildRelationship]] = {}
        for sobject in self._objects.values():
            for field in sobject.fields:
                if field.child_relationship is None:
                    continue
                for parent in field.reference_to:
                    relation = ChildRelationship(field.child_relationship, sobject.name, field.name, field.cascade)
                    self._children.setdefault(parent.lower(), {})[relation.name.lower()] = relation

    def __iter__(self) -> Iterator[SObject]:
        return iter(self._objects.values())

    def get(self, name: str) -> SObject | None:
        """The object of that name in any case, or None."""
        return self._objects.get(name.lower())

    def children(self, name: str) -> dict[str, ChildRelationship]:
        """The ways down from an object, by lower-case relationship name."""
        return self._children.get(name.lower(), {})

    def without(self, objects: Iterable[str], fields: Iterable[str]) -> Schema:
        """The same org for a user who may not see some objects and some fields (`Object.Field`).

        An address and its parts are seen together or not at all: field-level security knows the whole only.
        History is seen with what it is of: neither that of a hidden object, nor a hidden field's values.
        """
        no_objects = {name.lower() for name in objects}
        no_fields = {name.lower() for name in fields}
        kept = []
        hidden: dict[str, tuple[Field, ...]] = {}
        for sobject in self:
            source = sobject.associate_parent or sobject.shows
            if not no_objects.isdisjoint({sobject.name.lower(), (source or "").lower()}):
                continue
            prefixes = [sobject.name.lower(), *([sobject.shows.lower()] if sobject.shows else [])]
            gone = {
                field.name
                for field in sobject.fields
                for prefix in prefixes
                if f"{prefix}.{field.name.removeprefix('Prev').lower()}" in no_fields
                or f"{prefix}.{field.name.lower()}" in no_fields
            }
            gone |= {field.compound for field in sobject.fields if field.name in gone and field.compound}
            left = tuple(field for field in sobject.fields if field.name not in gone and field.compound not in gone)
            if len(left) < len(sobject.fields):
                hidden[sobject.name] = tuple(field for field in sobject.fields if field not in left)
                sobject = msgspec.structs.replace(sobject, fields=left)  # noqa: PLW2901
            kept.append(sobject)
        return Schema(kept, hidden)
