"""Which of the ids that somebody names can be deleted, or come back from the recycle bin."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

from localcloud.salesforce.actions import rows
from localcloud.salesforce.actions.documents import Fault, RecordOutcome
from localcloud.salesforce.actions.values import RefusedError
from localcloud.salesforce.ids import to_18

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from localcloud.salesforce.sobject import Schema, SObject

Found = dict[str, "tuple[SObject, bool]"]
"""Records by id: the object, and whether it is deleted."""


def reachable(
    db: sqlite3.Connection, sobject: SObject | None, ids: Sequence[str], schema: Schema, *, dead_too: bool = False
) -> tuple[list[RecordOutcome], Found]:
    """Sort ids into records that can be deleted and refusals.

    Args:
        db: The org's connection.
        sobject: What the records are; None takes any.
        ids: Their ids.
        schema: The objects that the user may see.
        dead_too: Whether records in the recycle bin can be chosen.
    """
    own = None if sobject is None else sobject.name
    by_prefix = {one.key_prefix: one for one in schema if one.can_delete or one.name == own}
    keys = [to_18(key) for key in ids]
    by_object: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        if key is not None and key[:3] in by_prefix:
            by_object[key[:3]].append(key)
    flags: dict[str, bool] = {}
    for prefix, some in by_object.items():
        flags |= rows.deleted_flags(db, by_prefix[prefix], some)
    outcomes, found = [], Found()
    for given, key in zip(ids, keys, strict=True):
        refused = _refusal(given, key, flags, found, dead_too=dead_too)
        if refused is None and key is not None:
            target = by_prefix[key[:3]]
            if sobject is not None and target.name != own:
                refused = RefusedError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            elif not target.can_delete:
                message = f"entity type cannot be deleted: {target.label}"
                refused = RefusedError("INVALID_TYPE_FOR_OPERATION", message)
            else:
                found[key] = (target, flags[key])
        outcomes.append(RecordOutcome(key or given, (refused.fault,) if refused else ()))
    return outcomes, found


def in_bin(db: sqlite3.Connection, ids: Sequence[str], schema: Schema) -> tuple[list[RecordOutcome], Found]:
    """Sort ids into records that were put into the recycle bin themselves, and refusals."""
    keys = [to_18(key) or key for key in ids]
    binned = dict(
        db.execute(
            "SELECT id, object FROM recycle_bin WHERE id = root AND id IN (SELECT value FROM json_each(?))",
            (json.dumps(keys),),
        )
    )
    outcomes, found = [], Found()
    for key in keys:
        sobject = schema.get(binned[key]) if key in binned else None
        if sobject is None:
            outcomes.append(not_in_bin(key))
        else:
            outcomes.append(RecordOutcome(key))
            found[key] = (sobject, True)
    return outcomes, found


def _refusal(
    given: str, key: str | None, flags: Mapping[str, bool], found: Iterable[str], *, dead_too: bool
) -> RefusedError | None:
    if key is None:
        return RefusedError("MALFORMED_ID", f"malformed id {given}")
    if key not in flags:
        return RefusedError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
    if flags[key] and not dead_too:
        return RefusedError("ENTITY_IS_DELETED", "entity is deleted")
    if key in found:
        return RefusedError("DUPLICATE_VALUE", f"duplicate id specified: {key}", "Id")
    return None


def not_in_bin(key: str | None) -> RecordOutcome:
    """What comes of an id that is not in the recycle bin."""
    return RecordOutcome(key, (Fault("UNDELETE_FAILED", "Entity is not in the recycle bin"),))
