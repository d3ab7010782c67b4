"""Keeps the assets and definitions: in memory, written through to one SQLite file, and the index that lags behind."""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan.assets import Asset
from localcloud.atlan.definitions import Definitions, SetDef
from localcloud.atlan.types import PROCESSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from localcloud.clock import OrgClock

_SCHEMA = """
CREATE TABLE IF NOT EXISTS asset (guid TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS definition (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_EVER = "attributes_ever_defined"
_ASSET = msgspec.json.Decoder(Asset)
_SET = msgspec.json.Decoder(SetDef)


class Change(msgspec.Struct, frozen=True):
    """What a transaction does: assets as they are from now on, and the GUIDs of those that are gone for good."""

    kept: list[Asset] = []
    purged: list[str] = []


class Store:
    """The catalog's memory.

    Args:
        path: The SQLite file; made if it is not there.
        clock: The catalog's clock, by which the index lags.

    Attributes:
        definitions: The definitions of custom metadata; `save_definitions` after a change.
        lag_seconds: How long the index shows what was before a change.
        version: Counts what the index has seen; a result that was computed at one version holds while it stays.
    """

    def __init__(self, path: Path, clock: OrgClock) -> None:
        self.clock = clock
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")  # a stand-in outlives a killed process, not a power cut
        self._database.executescript(_SCHEMA)
        self._assets: dict[str, Asset] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._processes: dict[str, None] = {}
        self._index: dict[str, Asset] = {}
        self._waiting: deque[tuple[int, Change]] = deque()
        self.lag_seconds = 0.0
        self.version = 0
        self._load()
        sets = [_SET.decode(body) for (body,) in self._database.execute("SELECT body FROM definition")]
        self.definitions = Definitions(sets, int(self.setting(_EVER) or 0))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __len__(self) -> int:
        return len(self._assets)

    def get(self, guid: str) -> Asset | None:
        """An asset by its GUID, as it is now, archived or not."""
        return self._assets.get(guid)

    def named(self, type_name: str, qualified_name: str) -> Asset | None:
        """An asset by its type and qualified name, archived or not."""
        guid = self._names.get((type_name, qualified_name))
        return None if guid is None else self._assets[guid]

    def assets(self, type_name: str | None = None) -> Iterator[Asset]:
        """All assets as they are now, of one type or of any."""
        return (one for one in self._assets.values() if type_name in {None, one.type_name})

    def processes(self) -> Iterator[Asset]:
        """The assets that connect others in lineage."""
        return (self._assets[guid] for guid in self._processes)

    def commit(self, change: Change) -> None:
        """Carry out a transaction: all of it or, where the file refuses, nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            rows = [(one.guid, msgspec.json.encode(one)) for one in change.kept]
            self._database.executemany("INSERT OR REPLACE INTO asset VALUES (?, ?)", rows)
            self._database.executemany("DELETE FROM asset WHERE guid = ?", [(guid,) for guid in change.purged])
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        for guid in change.purged:
            self._forget(guid)
        for one in change.kept:
            self._remember(one)
        self._waiting.append((self.clock.now_ms(), change))

    def save_definitions(self) -> None:
        """Write the definitions."""
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute("DELETE FROM definition")
        rows = [(one.name, msgspec.json.encode(one)) for one in self.definitions]
        self._database.executemany("INSERT INTO definition VALUES (?, ?)", rows)
        self._database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (_EVER, str(self.definitions.ever)))
        self._database.execute("COMMIT")

    def indexed(self) -> dict[str, Asset]:
        """The assets as search shows them now, by GUID."""
        due = self.clock.now_ms() - self.lag_seconds * 1_000
        while self._waiting and (self._waiting[0][0] <= due or not self.lag_seconds):
            _, change = self._waiting.popleft()
            for guid in change.purged:
                self._index.pop(guid, None)
            self._index.update((one.guid, one) for one in change.kept)
            self.version += 1
        return self._index

    def setting(self, name: str) -> str | None:
        """What was kept under a name."""
        row = self._database.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def keep(self, name: str, value: str) -> None:
        """Keep something under a name."""
        self._database.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    def _load(self) -> None:
        bodies: Iterable[tuple[bytes]] = self._database.execute("SELECT body FROM asset")
        for (body,) in bodies:
            self._remember(_ASSET.decode(body))
        self._index = dict(self._assets)

    def _remember(self, asset: Asset) -> None:
        self._forget(asset.guid)
        self._assets[asset.guid] = asset
        self._names[asset.type_name, asset.qualified_name] = asset.guid
        if asset.type_name in PROCESSES:
            self._processes[asset.guid] = None

    def _forget(self, guid: str) -> None:
        old = self._assets.pop(guid, None)
        if old is None:
            return
        self._processes.pop(guid, None)
        if self._names.get((old.type_name, old.qualified_name)) == guid:
            del self._names[old.type_name, old.qualified_name]
