"""What may be saved: names, values, required fields, look-ups that lead somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.actions.rows import deleted_flags
from localcloud.salesforce.actions.values import RefusedError, stored

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from localcloud.salesforce.sobject import Field, Schema, SObject
    from localcloud.salesforce.storage import Stored

AUDIT_FIELDS = frozenset(
    {
        "Id", "IsDeleted", "CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp",
        "MasterRecordId", "LastViewedDate", "LastReferencedDate", "LastActivityDate", "IsArchived",
    }
)  # fmt: skip
DEFAULTS: dict[str, dict[str, Stored]] = {
    "Case": {"Status": "New", "Priority": "Medium"},
    "Contract": {"Status": "Draft"},
    "Lead": {"Status": "Open - Not Contacted"},
    "Task": {"Status": "Not Started", "Priority": "Normal"},
    "User": {"IsActive": 1},
}
"""What Salesforce saves in a new record where nothing is given."""

_DEFAULTED = frozenset({"OwnerId", "ForecastCategory", "ForecastCategoryName"})
"""Fields that cannot be empty but are filled in."""


def writable(sobject: SObject, field: Field) -> bool:
    """Whether a caller may set a field."""
    return field.name not in AUDIT_FIELDS and not field.read_only and field in sobject.stored_fields


def checked(sobject: SObject, values: Mapping[str, object], *, creating: bool) -> dict[str, Stored]:
    """The given values in stored form, by field name as the org spells it.

    Raises:
        RefusedError: A field is not there, cannot be set, cannot hold its value, or is required and missing.
    """
    known: dict[str, tuple[Field, object]] = {}
    for name, value in values.items():
        if name == "attributes":
            continue
        field = sobject.by_name.get(name.lower())
        if field is None:
            raise RefusedError("INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}")
        known[field.name] = (field, value)
    if creating and "Id" in known:
        raise RefusedError("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", "Id")
    closed = [field.name for field, _ in known.values() if not writable(sobject, field)]
    if closed:
        raise RefusedError(
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {', '.join(closed)}. Please check the security settings of this field "
            "and verify that it is read/write for your profile or permission set.",
            *closed,
        )
    given = {name: stored(field, value) for name, (field, value) in known.items()}
    missing = [
        field.name
        for field in sobject.fields
        if _required(sobject, field) and (creating or field.name in given) and given.get(field.name) is None
    ]
    if missing:
        raise RefusedError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(missing)}]", *missing)
    if "OwnerId" in given and given["OwnerId"] is None:
        raise RefusedError("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", "OwnerId")
    return given


def _required(sobject: SObject, field: Field) -> bool:
    if field.nillable or field.type == "boolean" or not writable(sobject, field) or field.name in _DEFAULTED:
        return False
    if field.name in DEFAULTS.get(sobject.name, {}):
        return False
    return not (sobject.custom and field.name == "Name")


def dangling(
    db: sqlite3.Connection, schema: Schema, sobject: SObject, given: Sequence[Mapping[str, Stored]]
) -> dict[int, RefusedError]:
    """The records whose look-ups lead nowhere, by their place in `given`, with the reason.

    Args:
        db: The org's connection.
        schema: The objects to look in.
        sobject: The object of the records.
        given: Their values in stored form.
    """
    lookups = [field for field in sobject.fields if field.type == "reference"]
    wanted: dict[str, set[str]] = {}
    for key in {values.get(field.name) for values in given for field in lookups} - {None}:
        wanted.setdefault(str(key)[:3], set()).add(str(key))
    deleted: dict[str, bool] = {}
    objects: dict[str, set[str]] = {}
    for target in schema:
        if target.key_prefix in wanted:
            objects.setdefault(target.key_prefix, set()).add(target.name)
            deleted.update(deleted_flags(db, target, wanted[target.key_prefix]))
    refused: dict[int, RefusedError] = {}
    for place, values in enumerate(given):
        faults = (
            _lookup_fault(field, str(values[field.name]), objects, deleted)
            for field in lookups
            if values.get(field.name) is not None
        )
        first = next((fault for fault in faults if fault is not None), None)
        if first is not None:
            refused[place] = first
    return refused


def _lookup_fault(
    field: Field, key: str, objects: Mapping[str, set[str]], deleted: Mapping[str, bool]
) -> RefusedError | None:
    if objects.get(key[:3], set()).isdisjoint(field.reference_to):
        label = field.label or field.name
        return RefusedError("FIELD_INTEGRITY_EXCEPTION", f"{label}: id value of incorrect type: {key}", field.name)
    if key not in deleted:
        return RefusedError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if deleted[key]:
        return RefusedError("ENTITY_IS_DELETED", "entity is deleted")
    return None
