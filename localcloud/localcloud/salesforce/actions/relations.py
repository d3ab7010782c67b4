"""What happens to a record's children when it is deleted: which go along, which lose their look-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import Field, Schema, SObject

Fate = Literal["cascade", "clear", "companion", "attached", "keep"]

_ATTACHED = frozenset({("ProcessInstanceStep", "ProcessInstanceId")})
"""Rows that can still be seen while the record they are about is in the recycle bin."""


class Relation(msgspec.Struct, frozen=True):
    """A look-up of a child and what becomes of the child when the record it points at is deleted.

    `cascade`: it is deleted too. `clear`: it lives on and the look-up is emptied. `companion`: rows about the
    record (histories, approvals) whose IsDeleted follows it without a word anywhere. `attached`: rows that
    only go when the record is removed for good. `keep`: nothing happens.
    """

    child: str
    field: str
    fate: Fate


def relations(schema: Schema, parent: str) -> list[Relation]:
    """The look-ups that point at an object, with what becomes of their rows when it is deleted.

    All follows from the schema, where describe reads it too: a look-up that cascades, and one that a user can
    empty. Of an object that nobody can delete only the rows about it count, which go where it goes.
    """
    found = schema.get(parent)
    deletable = found is not None and found.can_delete
    return [
        Relation(child.name, field.name, _fate(child, field))
        for child in schema
        if deletable or not child.can_delete
        for field in child.fields
        if parent in field.reference_to
    ]


def _fate(child: SObject, field: Field) -> Fate:
    if (child.name, field.name) in _ATTACHED:
        return "attached"
    if field.cascade:
        return "cascade" if child.can_delete else "companion"
    return "clear" if child.writable and field.nillable and not field.read_only else "keep"
