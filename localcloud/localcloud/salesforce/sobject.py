"""What an sObject is made of: fields, types, relationships, and the set of them that an org has."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DECIMAL_TYPES = frozenset({"currency", "double", "percent"})
"""Kept as the token that was given, never as a float."""
NUMBER_TYPES = DECIMAL_TYPES | {"int"}
ID_TYPES = frozenset({"id", "reference"})


class Field(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field as describe shows it, and how parents and children see it.

    `type` is the describe type (`string`, `picklist`, `anyType`, ...). `reference_to` names the objects a
    look-up can point at, `relationship` the name of the way up, `child_relationship` the name of the way
    down. `since` is the first API version that shows the field.
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

    @property
    def custom(self) -> bool:
        """Whether it belongs to an object that an administrator added."""
        return self.name.endswith(("__c", "__History"))

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Fields by lower-case name."""
        return {field.name.lower(): field for field in self.fields}

    @cached_property
    def by_relationship(self) -> dict[str, Field]:
        """Look-up fields by the lower-case name of the relationship."""
        return {field.relationship.lower(): field for field in self.fields if field.relationship}

    @cached_property
    def name_field(self) -> Field | None:
        """The field that shows a record to people."""
        return next((field for field in self.fields if field.name_field), None)


class ChildRelationship(msgspec.Struct, frozen=True):
    """The way from a parent down to the records that point at it."""

    name: str
    child: str
    field: str


class Schema:
    """The objects of an org, as one user sees them.

    Args:
        objects: All that the user may see.
    """

    def __init__(self, objects: Iterable[SObject]) -> None:
        self._objects = {sobject.name.lower(): sobject for sobject in objects}
        self._children: dict[str, dict[str, ChildRelationship]] = {}
        for sobject in self._objects.values():
            for field in sobject.fields:
                if field.child_relationship is None:
                    continue
                for parent in field.reference_to:
                    relation = ChildRelationship(field.child_relationship, sobject.name, field.name)
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
        """The same org for a user who may not see some objects and some fields (`Object.Field`)."""
        no_objects = {name.lower() for name in objects}
        no_fields = {name.lower() for name in fields}
        kept = []
        for sobject in self:
            if sobject.name.lower() in no_objects:
                continue
            prefix = sobject.name.lower() + "."
            left = tuple(field for field in sobject.fields if prefix + field.name.lower() not in no_fields)
            kept.append(sobject if len(left) == len(sobject.fields) else msgspec.structs.replace(sobject, fields=left))
        return Schema(kept)
