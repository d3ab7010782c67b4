"""The org's books beside its rows: the delete log, the recycle bin, cleared look-ups, numbers given out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

_STATEMENTS = (
    # What getDeleted answers from; `deleted` is an instant in stored form.
    """CREATE TABLE IF NOT EXISTS delete_log (
        object TEXT NOT NULL, id TEXT NOT NULL, deleted TEXT NOT NULL, PRIMARY KEY (object, id)
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS delete_log_deleted ON delete_log (object, deleted)",
    # `root` is the record whose deletion took this one along; its own id where it was deleted itself.
    """CREATE TABLE IF NOT EXISTS recycle_bin (
        id TEXT PRIMARY KEY, object TEXT NOT NULL, root TEXT NOT NULL, deleted TEXT NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS recycle_bin_root ON recycle_bin (root)",
    # Look-ups that lost their record and get it back with it.
    """CREATE TABLE IF NOT EXISTS cleared_lookups (
        parent TEXT NOT NULL, object TEXT NOT NULL, field TEXT NOT NULL, id TEXT NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS cleared_lookups_parent ON cleared_lookups (parent)",
    # Per object, the newest deletion that the delete log no longer knows.
    "CREATE TABLE IF NOT EXISTS forgotten_deletes (object TEXT PRIMARY KEY, until TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
)


def create(db: sqlite3.Connection) -> None:
    """Make the books that are not there yet."""
    for statement in _STATEMENTS:
        db.execute(statement)


def take_numbers(db: sqlite3.Connection, name: str, count: int, first: int = 1) -> int:
    """Take `count` consecutive numbers that nobody gets again; returns the first.

    Args:
        db: The org's connection; the numbers are given back when its transaction is.
        name: What they number.
        count: How many.
        first: Where the numbers of that name begin.
    """
    row = db.execute(
        "INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET last = last + ? RETURNING last",
        (name, first + count - 1, count),
    ).fetchone()
    return int(row[0]) - count + 1


def forget_deleted(db: sqlite3.Connection, chosen: str, values: tuple[object, ...] = ()) -> int:
    """Drop entries of the delete log, and remember that there were some; returns how many.

    Args:
        db: The org's connection; nothing is committed.
        chosen: SQL that gives object and id of the entries.
        values: What it is given.
    """
    db.execute(
        "INSERT INTO forgotten_deletes SELECT object, max(deleted) FROM delete_log "
        f"WHERE (object, id) IN ({chosen}) GROUP BY object "
        "ON CONFLICT (object) DO UPDATE SET until = max(until, excluded.until)",
        values,
    )
    return db.execute(f"DELETE FROM delete_log WHERE (object, id) IN ({chosen})", values).rowcount


def note_deleted(db: sqlite3.Connection, entries: Iterable[tuple[str, str, str]]) -> None:
    """Put deletions into the delete log and the recycle bin.

    Args:
        db: The org's connection; nothing is committed.
        entries: Object, id, and the instant in stored form, of records that were deleted themselves.
    """
    listed = list(entries)
    db.executemany("INSERT OR REPLACE INTO delete_log VALUES (?, ?, ?)", listed)
    db.executemany(
        "INSERT OR REPLACE INTO recycle_bin VALUES (?, ?, ?, ?)", [(key, name, key, at) for name, key, at in listed]
    )
