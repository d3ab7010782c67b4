"""Merging records: one wins, up to two are deleted, and what pointed at them points at the winner."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from localcloud.salesforce.actions import rows
from localcloud.salesforce.actions.documents import Fault, RecordOutcome
from localcloud.salesforce.actions.relations import relations
from localcloud.salesforce.actions.saving import update
from localcloud.salesforce.ids import to_18
from localcloud.salesforce.ledger import note_deleted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.salesforce.actions.unit import Unit
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema, SObject

MOST_LOSERS = 2


def merge(
    org: Org,
    unit: Unit,
    schema: Schema,
    sobject: SObject,
    master: str,
    losers: Sequence[str],
    values: Mapping[str, object],
) -> RecordOutcome:
    """Merge up to two records into a winner, all or nothing.

    Args:
        org: The org, in an open transaction.
        unit: Receives what was done.
        schema: The objects and fields that the user may see.
        sobject: The object of them all.
        master: The winner.
        losers: Those that are deleted.
        values: What the winner is saved with.
    """
    winner, gone = to_18(master) or master, [to_18(key) or key for key in losers]
    fault = _fault(org, sobject, winner, gone)
    if fault is not None:
        return RecordOutcome(winner, (fault,))
    outcome = update(org, unit, schema, sobject, [(winner, values)])[0]
    if not outcome.success:
        return outcome
    reparented = _reparent(org, unit, sobject, winner, gone)
    stamps = {"LastModifiedDate": unit.second, "LastModifiedById": unit.actor, "SystemModstamp": unit.stamp}
    current = rows.read(org.db, sobject, gone)
    link = {"MasterRecordId": winner} if "masterrecordid" in sobject.by_name else {}
    rows.update(org.db, sobject, [{**current[key], **stamps, **link, "IsDeleted": 1} for key in gone])
    for one in relations(org.schema, sobject.name):
        if one.fate == "companion":
            org.db.executemany(
                f'UPDATE "{one.child}" SET "IsDeleted" = 1 WHERE "{one.field}" = ?', [(key,) for key in gone]
            )
    note_deleted(org.db, [(sobject.name, key, unit.second) for key in gone])
    unit.tell("merge", sobject.name, winner, losers=tuple(gone), reparented=tuple(reparented))
    for key in gone:
        unit.change(sobject.name, key, "DELETE")
    return outcome


def _fault(org: Org, sobject: SObject, winner: str, gone: Sequence[str]) -> Fault | None:
    if not sobject.mergeable:
        return Fault("INVALID_TYPE", f"entity type cannot be merged: {sobject.label}")
    if not 1 <= len(gone) <= MOST_LOSERS:
        return Fault("NUMBER_OUTSIDE_VALID_RANGE", f"1 to {MOST_LOSERS} records can be merged into another one")
    if len({winner, *gone}) <= len(gone):
        return Fault("DUPLICATE_VALUE", "a record cannot be merged with itself")
    return _lost(rows.deleted_flags(org.db, sobject, [winner, *gone]), [winner, *gone])


def _lost(flags: Mapping[str, bool], keys: Sequence[str]) -> Fault | None:
    """Why one of the records cannot take part, if one cannot."""
    for key in keys:
        if to_18(key) is None:
            return Fault("MALFORMED_ID", f"malformed id {key}")
        if key not in flags:
            return Fault("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if flags[key]:
            return Fault("ENTITY_IS_DELETED", "entity is deleted")
    return None


def _reparent(org: Org, unit: Unit, sobject: SObject, winner: str, gone: Sequence[str]) -> list[tuple[str, str, str]]:
    """Turn look-ups from the losers to the winner; no history and no event tells of it."""
    moved: list[tuple[str, str, str]] = []
    fields: dict[str, list[str]] = defaultdict(list)
    for one in relations(org.schema, sobject.name):
        if one.fate in {"cascade", "clear"}:
            fields[one.child].append(one.field)
    for child, names in fields.items():
        found = org.schema.get(child)
        stamp = ', "SystemModstamp" = ?' if found is not None and "systemmodstamp" in found.by_name else ""
        for field in names:
            for loser in gone:
                keys = [
                    key
                    for (key,) in org.db.execute(
                        f'SELECT "Id" FROM "{child}" WHERE "{field}" = ? AND "IsDeleted" = 0 AND "Id" NOT IN (?, ?, ?)',
                        (loser, winner, gone[0], gone[-1]),
                    )
                ]
                org.db.executemany(
                    f'UPDATE "{child}" SET "{field}" = ?{stamp} WHERE "Id" = ?',
                    [(winner, *([unit.stamp] if stamp else []), key) for key in keys],
                )
                moved += [(child, field, key) for key in keys]
    return moved
