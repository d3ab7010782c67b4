"""Creating and updating records, with the history rows that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.actions import rows
from localcloud.salesforce.actions.documents import RecordOutcome
from localcloud.salesforce.actions.history import Historian
from localcloud.salesforce.actions.truth import TruthChange
from localcloud.salesforce.actions.validation import AUDIT_FIELDS, DEFAULTS, checked, dangling
from localcloud.salesforce.actions.values import RefusedError, canonical, same, shown
from localcloud.salesforce.derived import derive
from localcloud.salesforce.ids import to_18
from localcloud.salesforce.ledger import take_numbers
from localcloud.salesforce.tracking import history_name, is_long, truth_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from localcloud.salesforce.actions.rows import Row
    from localcloud.salesforce.actions.unit import Unit
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Field, Schema, SObject
    from localcloud.salesforce.storage import Stored

FIRST_NUMBER = 2 * 10**12
"""Ids that actions give out count from here, far from those of a seeded org and of loaded rows."""
_FIRST_AUTO_NUMBER = 10_000_001


class Saved(msgspec.Struct, frozen=True):
    """One record before and after a save, in stored form, and what the caller gave."""

    before: Row
    after: Row
    given: Mapping[str, Stored]


def create(
    org: Org, unit: Unit, schema: Schema, sobject: SObject, values: Sequence[Mapping[str, object]]
) -> list[RecordOutcome]:
    """Make records; those that are refused are left out.

    Args:
        org: The org, in an open transaction.
        unit: Receives what was done.
        schema: The objects and fields that the user may see.
        sobject: The object.
        values: Field values by name, of each record.
    """
    visible = schema.get(sobject.name) or sobject
    faults, given = _checked(org, visible, values, creating=True)
    number = take_numbers(org.db, sobject.name, max(len(given), 1), FIRST_NUMBER)
    saved = []
    for place, fields in given.items():
        row = _new_row(org, unit, sobject, org.new_id(sobject.name, number), fields)
        number += 1
        saved.append((place, Saved({}, row, fields)))
    rows.insert(org.db, sobject, [one.after for _, one in saved])
    names = rows.names_of(org.db, org.schema, _looked_up(sobject, [one for _, one in saved]))
    historian = Historian(org, unit, sobject, names)
    for _, one in saved:
        key = str(one.after["Id"])
        unit.tell("create", sobject.name, key, _truth(sobject, one, names))
        unit.change(sobject.name, key, "CREATE", all_values(sobject, one.after))
        historian.created(one.after)
    historian.write()
    ids = {place: str(one.after["Id"]) for place, one in saved}
    return [
        RecordOutcome(None, (faults[place].fault,)) if place in faults else RecordOutcome(ids[place])
        for place in range(len(values))
    ]


def update(
    org: Org, unit: Unit, schema: Schema, sobject: SObject, values: Sequence[tuple[str, Mapping[str, object]]]
) -> list[RecordOutcome]:
    """Change records; those that are refused are left as they are.

    Args:
        org: The org, in an open transaction.
        unit: Receives what was done.
        schema: The objects and fields that the user may see.
        sobject: The object.
        values: Id and field values by name, of each record.
    """
    visible = schema.get(sobject.name) or sobject
    ids = [to_18(key) or key for key, _ in values]
    current = rows.read(org.db, sobject, ids)
    faults, given = _checked(org, visible, [fields for _, fields in values], creating=False)
    seen: set[str] = set()
    saved = []
    for place, key in enumerate(ids):
        fault = _unreachable(sobject, key, current, seen)
        if fault is not None:
            faults[place] = fault
        elif place in given:
            before = current[key]
            after = before | given[place]
            derive(sobject, after, given[place], unit.second)
            saved.append(Saved(before, _stamped(sobject, after, unit), given[place]))
        seen.add(key)
    rows.update(org.db, sobject, [one.after for one in saved])
    tell_updates(org, unit, sobject, saved)
    return [
        RecordOutcome(key, (faults[place].fault,)) if place in faults else RecordOutcome(key)
        for place, key in enumerate(ids)
    ]


def tell_updates(org: Org, unit: Unit, sobject: SObject, saved: Sequence[Saved]) -> None:
    """Write what updates make beside the rows: truth, changes, history."""
    names = rows.names_of(org.db, org.schema, _looked_up(sobject, saved))
    historian = Historian(org, unit, sobject, names)
    for one in saved:
        key = str(one.after["Id"])
        unit.tell("update", sobject.name, key, _truth(sobject, one, names))
        changed = [f for f in sobject.stored_fields if not same(f, one.before.get(f.name), one.after.get(f.name))]
        unit.change(
            sobject.name,
            key,
            "UPDATE",
            {field.name: shown(field, one.after.get(field.name)) for field in changed},
            {field.name: shown(field, one.before.get(field.name)) for field in changed},
        )
        historian.updated(one.before, one.after)
    historian.write()


def all_values(sobject: SObject, row: Row) -> dict[str, object]:
    """All fields of a record as a change event's maker takes them."""
    return {field.name: shown(field, row.get(field.name)) for field in sobject.stored_fields}


def _checked(
    org: Org, visible: SObject, values: Sequence[Mapping[str, object]], *, creating: bool
) -> tuple[dict[int, RefusedError], dict[int, dict[str, Stored]]]:
    faults: dict[int, RefusedError] = {}
    given: dict[int, dict[str, Stored]] = {}
    for place, fields in enumerate(values):
        try:
            given[place] = checked(visible, fields, creating=creating)
        except RefusedError as refused:
            faults[place] = refused
    places = list(given)
    for at, fault in dangling(org.db, org.schema, visible, list(given.values())).items():
        faults[places[at]] = fault
        del given[places[at]]
    return faults, given


def _unreachable(sobject: SObject, key: str, current: Mapping[str, Row], seen: set[str]) -> RefusedError | None:
    if to_18(key) is None or not key.startswith(sobject.key_prefix):
        return RefusedError("MALFORMED_ID", f"{sobject.label} ID: id value of incorrect type: {key}", "Id")
    if key not in current:
        return RefusedError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if current[key]["IsDeleted"]:
        return RefusedError("ENTITY_IS_DELETED", "entity is deleted")
    if key in seen:
        return RefusedError("DUPLICATE_VALUE", f"duplicate id specified: {key}", "Id")
    return None


def _new_row(org: Org, unit: Unit, sobject: SObject, key: str, given: Mapping[str, Stored]) -> Row:
    row: Row = {field.name: 0 if field.type == "boolean" else None for field in sobject.stored_fields}
    row |= DEFAULTS.get(sobject.name, {})
    row |= given
    row["Id"], row["IsDeleted"] = key, 0
    if "ownerid" in sobject.by_name and row["OwnerId"] is None:
        row["OwnerId"] = unit.actor
    for field in sobject.stored_fields:
        if field.auto_number:
            row[field.name] = f"{take_numbers(org.db, f'{sobject.name}.{field.name}', 1, _FIRST_AUTO_NUMBER):08}"
    if sobject.custom and row.get("Name") is None:
        row["Name"] = key
    derive(sobject, row, given, unit.second)
    for name in ("CreatedDate", "CreatedById"):
        if name.lower() in sobject.by_name:
            row[name] = unit.second if name == "CreatedDate" else unit.actor
    return _stamped(sobject, row, unit)


def _stamped(sobject: SObject, row: Row, unit: Unit) -> Row:
    stamps: Row = {
        "LastModifiedDate": unit.second,
        "LastModifiedById": unit.actor,
        "SystemModstamp": unit.stamp,
    }
    return row | {name: value for name, value in stamps.items() if name.lower() in sobject.by_name}


def _looked_up(sobject: SObject, saved: Iterable[Saved]) -> set[str]:
    lookups = [field for field in sobject.fields if field.type == "reference" and field.name not in AUDIT_FIELDS]
    return {
        str(key)
        for one in saved
        for field in lookups
        for key in (one.before.get(field.name), one.after.get(field.name))
        if key is not None and one.before.get(field.name) != one.after.get(field.name)
    }


def _truth(sobject: SObject, saved: Saved, names: Mapping[str, str]) -> tuple[TruthChange, ...]:
    """What a save changed, as the truth log says it; a flag that nobody gave is false without a word."""
    changes = []
    for field in sobject.stored_fields:
        if field.name in AUDIT_FIELDS:
            continue
        old, new = saved.before.get(field.name), saved.after.get(field.name)
        if same(field, old, new) or (not saved.before and new == 0 and field.name not in saved.given):
            continue
        changes.append(_truth_change(field, old, new, names))
    return tuple(changes)


def _truth_change(field: Field, old: Stored, new: Stored, names: Mapping[str, str]) -> TruthChange:
    name, kind = history_name(field), truth_type(field)
    if is_long(field):
        return TruthChange(name, kind, None, None)
    if field.type == "reference":
        return TruthChange(
            name, kind, canonical(field, old), canonical(field, new), names.get(str(old)), names.get(str(new))
        )
    return TruthChange(name, kind, canonical(field, old), canonical(field, new))
