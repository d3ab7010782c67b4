"""The org: its rows and settings in one SQLite file, and the ways to put rows in."""

from __future__ import annotations

import sqlite3
import threading
from itertools import islice
from typing import TYPE_CHECKING, Self

import msgspec

from localcloud.clock import OrgClock
from localcloud.salesforce import ledger
from localcloud.salesforce.columns import Insertion, columnar
from localcloud.salesforce.functions import register
from localcloud.salesforce.ids import make_id
from localcloud.salesforce.keys import write_keys
from localcloud.salesforce.schema import OBJECTS
from localcloud.salesforce.sobject import Schema, SObject
from localcloud.salesforce.storage import HIDDEN_DELETED, converter, create_statements, instant_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path
    from types import TracebackType

    from localcloud.salesforce.sobject import Field
    from localcloud.salesforce.storage import Convert, Stored

CLIENT_ID = "localcloud.demo.app"
USERNAME = "integration@mock.localcloud.invalid"
_FIRST_OWN_ROW = 10**12
"""Rows that come without an id get numbers from here on, far from those of a seeded org."""
_BATCH = 5_000


class OrgSettings(msgspec.Struct, frozen=True):
    """What an org is called and who may log in."""

    name: str
    org_id: str
    client_id: str
    username: str
    user_id: str


class Org:
    """A stand-in org in a folder: `org.sqlite`, and the demo key pair `jwt.key` and `jwt.pub`.

    Made by `create` or `open`. One connection; several orgs may be open on one folder (the file is in
    write-ahead mode), each for a thread of its own.

    Attributes:
        path: The folder.
        clock: The org's own clock; what is set on it is kept in the folder.
        schema: The objects it has.
        settings: Its name, id and log-in.
        db: The connection, for the rooms that compile and run queries.
        lock: Held while something is written through that connection, and while another thread reads through it.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, clock: OrgClock) -> None:
        self.path = path
        self.db = db
        self.lock = threading.RLock()
        self.clock = clock
        register(db)
        ledger.create(db)
        kept = dict(db.execute("SELECT key, value FROM settings"))
        self.settings = msgspec.json.decode(kept["org"], type=OrgSettings)
        self._objects = msgspec.json.decode(kept["schema"], type=list[SObject])
        self.schema = Schema(self._objects)
        self._series: dict[str, tuple[str, int]] = {}
        self._ordinals = {sobject.name: n for n, sobject in enumerate(self._objects)}

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        clock: OrgClock,
        name: str = "Mock org on 127.0.0.1",
        objects: Sequence[SObject] = OBJECTS,
        number: int = 1,
    ) -> Self:
        """Make an empty org.

        Args:
            path: The folder; made if it is not there.
            clock: The org's clock.
            name: What the org is called.
            objects: Its objects.
            number: Tells its org id from that of another org.

        Raises:
            FileExistsError: The folder holds an org already.
        """
        path.mkdir(parents=True, exist_ok=True)
        if (path / "org.sqlite").exists():
            raise FileExistsError(f"{path} holds an org already")
        write_keys(path)
        settings = OrgSettings(name, make_id("00D", 62**8 + number), CLIENT_ID, USERNAME, make_id("005", 0))
        db = _connect(path)
        with db:
            db.execute("CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT)")
            db.execute("INSERT INTO settings VALUES ('org', ?)", (msgspec.json.encode(settings).decode(),))
            db.execute("INSERT INTO settings VALUES ('schema', ?)", (msgspec.json.encode(list(objects)).decode(),))
            for sobject in objects:
                for statement in create_statements(sobject):
                    db.execute(statement)
        org = cls(path, db, clock)
        org._keep_clock()
        return org

    @classmethod
    def open(cls, path: Path, *, clock: OrgClock | None = None) -> Self:
        """Open an org that is there.

        Args:
            path: Its folder.
            clock: A clock to share with another opening of it; by default the kept one ticks on.

        Raises:
            FileNotFoundError: The folder holds no org.
        """
        if not (path / "org.sqlite").exists():
            raise FileNotFoundError(f"{path} holds no org")
        db = _connect(path)
        if clock is None:
            clock = OrgClock()
            row = db.execute("SELECT value FROM settings WHERE key = 'clock_offset'").fetchone()
            clock.offset_seconds = float(row[0]) if row else 0.0
        org = cls(path, db, clock)
        org._keep_clock()
        return org

    def _keep_clock(self) -> None:
        def keep() -> None:
            with self.lock, self.db:
                self.db.execute(
                    "INSERT OR REPLACE INTO settings VALUES ('clock_offset', ?)", (repr(self.clock.offset_seconds),)
                )

        keep()
        self._unsubscribe = self.clock.subscribe(keep)

    @property
    def org_id(self) -> str:
        """The 18-character id of the org."""
        return self.settings.org_id

    @property
    def user_id(self) -> str:
        """The id of the user that logs in; equals `new_id("User", 0)`."""
        return self.settings.user_id

    def new_id(self, sobject: str, n: int) -> str:
        """The n-th id of an object: 18 characters, its key prefix, the same on every call.

        Ids differ between objects also where they share a prefix, as the histories do.

        Raises:
            KeyError: There is no such object.
        """
        prefix, first = self._series.get(sobject) or self._new_series(sobject)
        return make_id(prefix, first + n)

    def series(self) -> dict[str, tuple[str, int]]:
        """Of each object its key prefix and what is added to the n of its n-th id: enough to make ids elsewhere."""
        names = [sobject.name for sobject in self.schema]
        return {name: self._series.get(name) or self._new_series(name) for name in names}

    def _new_series(self, name: str) -> tuple[str, int]:
        """The key prefix of an object, and the number of its first id."""
        found = self._sobject(name)
        shared = found.key_prefix == "017"
        series = self._series[name] = (found.key_prefix, self._ordinals[found.name] * 62**9 if shared else 0)
        return series

    def load(self, sobject: str, rows: Iterable[Mapping[str, object]], *, visible_at: datetime | None = None) -> int:
        """Put rows in, all or none; returns how many.

        Args:
            sobject: The object's API name.
            rows: Values by field name: str, int, Decimal, bool, date, datetime or None. What is missing is
                empty; missing ids, audit fields and stamps are filled in.
            visible_at: No query sees the rows before the org's clock shows this.

        Raises:
            KeyError: The org has no such object.
            ValueError: A row has a field that the object has not, or a value that the field cannot hold.
            sqlite3.IntegrityError: An id is there already.
        """
        found = self._sobject(sobject)
        visible = None if visible_at is None else int(visible_at.timestamp() * 1000)
        insert = Insertion(found.name, [*_columns(found), "_visible_at"])
        convert = columnar(found)
        count = 0
        with self.lock, self.db:
            fill = self._filler(found)
            source = iter(rows)
            while batch := list(islice(source, _BATCH)):
                full = fill.all(batch)
                try:
                    values = convert(full, visible)
                except ValueError:
                    values = self._tuples(found, full, visible)
                insert(self.db, values)
                count += len(batch)
        return count

    def _tuples(
        self, sobject: SObject, rows: Iterable[Mapping[str, object]], visible: int | None
    ) -> Iterator[tuple[Stored, ...]]:
        plan: list[tuple[str, Convert]] = [(field.name, converter(field)) for field in sobject.stored_fields]
        known = {name for name, _ in plan} | {HIDDEN_DELETED}
        hidden = HIDDEN_DELETED not in {name for name, _ in plan}
        for row in rows:
            if not known.issuperset(row):
                raise ValueError(f"{sobject.name} has no field {', '.join(sorted(set(row) - known))}")
            try:
                values = [convert(row.get(name)) for name, convert in plan]
            except (TypeError, ValueError) as error:
                raise ValueError(f"{sobject.name} {row.get('Id')}: {error}") from error
            if hidden:
                values.append(int(bool(row.get(HIDDEN_DELETED))))
            values.append(visible)
            yield tuple(values)

    def _filler(self, sobject: SObject) -> _Filler:
        highest = self.db.execute(f'SELECT coalesce(max(rowid), 0) FROM "{sobject.name}"').fetchone()[0]
        return _Filler(self, sobject, _FIRST_OWN_ROW + highest)

    def delay_visibility(self, sobject: str, start: datetime, end: datetime, delay: timedelta) -> int:
        """Hide the rows created in [start, end) from queries until that long after their creation.

        Returns how many rows there are.

        Raises:
            KeyError: The org has no such object.
        """
        found = self._sobject(sobject)
        cursor = next(name for name in ("CreatedDate", "SystemModstamp", "LoginTime") if name.lower() in found.by_name)
        milliseconds = f'strftime(\'%s\', substr("{cursor}", 1, 19)) * 1000 + substr("{cursor}", 21, 3)'
        with self.lock, self.db:
            return self.db.execute(
                f'UPDATE "{found.name}" SET "_visible_at" = {milliseconds} + ? '
                f'WHERE "{cursor}" >= ? AND "{cursor}" < ?',
                (int(delay.total_seconds() * 1000), instant_text(start), instant_text(end)),
            ).rowcount

    def _sobject(self, name: str) -> SObject:
        found = self.schema.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def close(self) -> None:
        """Close the file."""
        self._unsubscribe()
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Filler:
    """Fills in what a row leaves out: id, audit fields, stamps."""

    def __init__(self, org: Org, sobject: SObject, number: int) -> None:
        self._org = org
        self._sobject = sobject
        self._number = number
        self._audit = [
            field
            for field in sobject.fields
            if field.name in {"CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp"}
            and not field.nillable  # a setup change of Salesforce's own has no user
        ]

    def all(self, rows: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
        """Complete rows; the same ones where nothing is missing."""
        for name in ("Id", *(field.name for field in self._audit)):
            if None in [row.get(name) for row in rows]:
                return [self(row) for row in rows]
        return rows

    def __call__(self, row: Mapping[str, object]) -> Mapping[str, object]:
        missing = [field for field in self._audit if row.get(field.name) is None]
        if not missing and row.get("Id") is not None:
            return row
        full = dict(row)
        if full.get("Id") is None:
            self._number += 1
            full["Id"] = self._org.new_id(self._sobject.name, self._number)
        for field in missing:
            full[field.name] = self._audit_value(field, full)
        return full

    def _audit_value(self, field: Field, row: Mapping[str, object]) -> object:
        if field.name.endswith("ById"):
            return row.get("CreatedById") or self._org.user_id
        latest = row.get("LastModifiedDate") if field.name == "SystemModstamp" else None
        return latest or row.get("CreatedDate") or instant_text(self._org.clock.now().replace(microsecond=0))


def _columns(sobject: SObject) -> list[str]:
    names = [field.name for field in sobject.stored_fields]
    return names if HIDDEN_DELETED in names else [*names, HIDDEN_DELETED]


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path / "org.sqlite", check_same_thread=False, timeout=120.0)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -65536")
    return db
