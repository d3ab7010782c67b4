"""Reading and writing whole rows of an object within an open transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localcloud.salesforce.storage import HIDDEN_DELETED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from localcloud.salesforce.sobject import Schema, SObject
    from localcloud.salesforce.storage import Stored

    Row = dict[str, Stored]


def columns(sobject: SObject) -> list[str]:
    """The columns of an object's table that hold values."""
    names = [field.name for field in sobject.stored_fields]
    return names if HIDDEN_DELETED in names else [*names, HIDDEN_DELETED]


def read(db: sqlite3.Connection, sobject: SObject, ids: Sequence[str]) -> dict[str, Row]:
    """The rows of some records by id, deleted ones too; what is not there is left out."""
    names = columns(sobject)
    chosen = ", ".join(f'"{name}"' for name in names)
    found = db.execute(
        f'SELECT {chosen} FROM "{sobject.name}" WHERE "Id" IN (SELECT value FROM json_each(?))', (json.dumps(ids),)
    )
    at = names.index("Id")
    return {row[at]: dict(zip(names, row, strict=True)) for row in found}


def insert(db: sqlite3.Connection, sobject: SObject, rows: Iterable[Mapping[str, Stored]]) -> None:
    """Add rows; a column that a row does not name is empty, and nothing is deleted."""
    names = columns(sobject)
    listed = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join("?" * len(names))
    values = ([row.get(name, 0 if name == HIDDEN_DELETED else None) for name in names] for row in rows)
    db.executemany(f'INSERT INTO "{sobject.name}" ({listed}) VALUES ({marks})', values)


def update(db: sqlite3.Connection, sobject: SObject, rows: Iterable[Mapping[str, Stored]]) -> None:
    """Write whole rows over those of the same ids."""
    names = columns(sobject)
    assigned = ", ".join(f'"{name}" = ?' for name in names)
    values = ([*(row[name] for name in names), row["Id"]] for row in rows)
    db.executemany(f'UPDATE "{sobject.name}" SET {assigned} WHERE "Id" = ?', values)


def names_of(db: sqlite3.Connection, schema: Schema, ids: Iterable[str]) -> dict[str, str]:
    """What records are called, by id; those that are not there or have no name are left out."""
    wanted = json.dumps(sorted(set(ids)))
    prefixes = {key[:3] for key in json.loads(wanted)}
    names: dict[str, str] = {}
    for sobject in schema:
        if sobject.key_prefix in prefixes and sobject.name_field is not None:
            names.update(
                (key, str(name))
                for key, name in db.execute(
                    f'SELECT "Id", "{sobject.name_field.name}" FROM "{sobject.name}" '
                    'WHERE "Id" IN (SELECT value FROM json_each(?))',
                    (wanted,),
                )
                if name is not None
            )
    return names


def deleted_flags(db: sqlite3.Connection, sobject: SObject, ids: Iterable[str]) -> dict[str, bool]:
    """Whether records are deleted, by id; those that are not there are left out."""
    return {
        key: bool(deleted)
        for key, deleted in db.execute(
            f'SELECT "Id", "{HIDDEN_DELETED}" FROM "{sobject.name}" WHERE "Id" IN (SELECT value FROM json_each(?))',
            (json.dumps(list(ids)),),
        )
    }
