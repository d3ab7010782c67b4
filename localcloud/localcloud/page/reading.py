"""What the page shows of an org's rows, read through a connection of its own that cannot write."""

from __future__ import annotations

import sqlite3
import time
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from localcloud.salesforce.storage import HIDDEN_DELETED

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import SObject

SHOWN = 50
"""Records of a list."""
_SLOW_S = 0.1


class ObjectCount(msgspec.Struct, frozen=True):
    """An object and how many rows it has; `history`: its rows are what happened to other records."""

    name: str
    live: int
    deleted: int
    history: bool = False


class Line(msgspec.Struct, frozen=True):
    """A record in a list; `at` is when it was changed or deleted."""

    sobject: str
    id: str
    name: str
    at: str
    deleted: bool


class Entry(msgspec.Struct, frozen=True):
    """A row of a record's history."""

    sobject: str
    at: str
    who: str
    field: str
    old: str | None
    new: str | None


class Record(msgspec.Struct, frozen=True):
    """A record with its values in stored form, in the order of the object's fields."""

    sobject: str
    id: str
    name: str
    deleted: bool
    values: dict[str, str | int | None]
    history: list[Entry]


class Reader:
    """Reads an org that is being served.

    Args:
        org: The org; its file is opened once more, read-only.
        monotonic: Seconds; counting a large org anew waits until ten times as long has passed as it took.
    """

    def __init__(self, org: Org, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._org = org
        self._monotonic = monotonic
        file = f"file:{quote(str((org.path / 'org.sqlite').resolve()))}?mode=ro"
        self._db = sqlite3.connect(file, uri=True, check_same_thread=False, timeout=120.0)
        self._lock = Lock()
        self._counted: tuple[int, list[ObjectCount]] = (-1, [])
        self._rest_until = 0.0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def counts(self) -> list[ObjectCount]:
        """All objects with their rows; counted anew only when something has been written."""
        with self._lock:
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            began = self._monotonic()
            if version != self._counted[0] and began >= self._rest_until:
                self._counted = version, [self._count(sobject) for sobject in self._org.schema]
                took = self._monotonic() - began
                self._rest_until = began + 10 * took if took > _SLOW_S else 0.0
            return self._counted[1]

    def newest(self, sobject: SObject, *, deleted: bool) -> list[Line]:
        """The first 50 records of an object that are deleted or not, the last changed first."""
        order = _stamp(sobject)
        by = f'"{order}" DESC, ' if order else ""
        return self._lines(
            sobject, f'WHERE "{HIDDEN_DELETED}" = ? ORDER BY {by}"Id" DESC LIMIT {SHOWN}', (int(deleted),)
        )

    def bin(self) -> list[Line]:
        """The first 50 records of the recycle bin that were deleted themselves, the last deleted first."""
        with self._lock:
            rows = self._db.execute(
                f"SELECT object, id, deleted FROM recycle_bin WHERE id = root ORDER BY deleted DESC, id LIMIT {SHOWN}"
            ).fetchall()
        found = []
        for name, key, at in rows:
            sobject = self._org.schema.get(name)
            lines = self._lines(sobject, 'WHERE "Id" = ?', (key,)) if sobject else []
            found += [msgspec.structs.replace(line, at=at) for line in lines]
        return found

    def record(self, sobject: SObject, key: str) -> Record | None:
        """A record with its history, or None."""
        names = [field.name for field in sobject.stored_fields]
        columns = ", ".join(f'"{name}"' for name in (*names, HIDDEN_DELETED))
        with self._lock:
            row = self._db.execute(f'SELECT {columns} FROM "{sobject.name}" WHERE "Id" = ?', (key,)).fetchone()
        if row is None:
            return None
        values = dict(zip(names, row, strict=False))
        name = str(values.get(_name(sobject)) or key)
        return Record(sobject.name, key, name, bool(row[-1]), values, self._history(sobject, key))

    def _history(self, sobject: SObject, key: str) -> list[Entry]:
        found: list[Entry] = []
        for other in self._org.schema:
            parent = next((field.name for field in other.fields if sobject.name in field.reference_to), None)
            if other.associate_parent != sobject.name or parent is None or "newvalue" not in other.by_name:
                continue
            with self._lock:
                rows = self._db.execute(
                    f'SELECT h."CreatedDate", coalesce(u."Name", h."CreatedById"), h."Field", h."OldValue", '
                    f'h."NewValue" FROM "{other.name}" h LEFT JOIN "User" u ON u."Id" = h."CreatedById" '
                    f'WHERE h."{parent}" = ? ORDER BY h."CreatedDate" DESC, h."Id" DESC LIMIT {SHOWN}',
                    (key,),
                ).fetchall()
            found += [
                Entry(other.name, at, who or "", field, *(None if value is None else _plain(value) for value in pair))
                for at, who, field, *pair in rows
            ]
        return found

    def _lines(self, sobject: SObject, rest: str, values: tuple[str | int, ...]) -> list[Line]:
        name, stamp = _name(sobject), _stamp(sobject) or "Id"
        with self._lock:
            rows = self._db.execute(
                f'SELECT "Id", "{name}", "{stamp}", "{HIDDEN_DELETED}" FROM "{sobject.name}" {rest}', values
            ).fetchall()
        return [Line(sobject.name, key, str(title or key), at or "", bool(deleted)) for key, title, at, deleted in rows]

    def _count(self, sobject: SObject) -> ObjectCount:
        total, deleted = self._db.execute(
            f'SELECT count(*), total("{HIDDEN_DELETED}") FROM "{sobject.name}"'
        ).fetchone()
        history = sobject.associate_type == "History" or sobject.name.endswith("History")
        return ObjectCount(sobject.name, total - int(deleted), int(deleted), history)


def _name(sobject: SObject) -> str:
    return sobject.name_field.name if sobject.name_field else "Id"


def _plain(value: str) -> str:
    """The text of a value whose column takes any type, and so holds JSON."""
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, TypeError):
        return str(value)
    return found if isinstance(found, str) else str(value)


def _stamp(sobject: SObject) -> str | None:
    names = ("SystemModstamp", "LastModifiedDate", "CreatedDate", "LoginTime")
    return next((sobject.by_name[name.lower()].name for name in names if name.lower() in sobject.by_name), None)
