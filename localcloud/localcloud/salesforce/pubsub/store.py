"""The event table in the org's file: appended by any process, read in blocks by positions that only this file knows."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from localcloud.salesforce.pubsub.wire import replay_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BLOCK_ROWS = 2_000
BLOCK_BYTES = 4 * 2**20
"""What one read takes at most: that many rows, or as many as have that many bytes."""
_LAG_MS = 24 * 3_600_000
"""Rows are removed that long after they cannot be read any more."""

TABLES = (
    """CREATE TABLE IF NOT EXISTS "_pubsub_event" (
        position INTEGER PRIMARY KEY AUTOINCREMENT, entity TEXT NOT NULL, at INTEGER NOT NULL,
        replay_id BLOB NOT NULL UNIQUE, change_type TEXT, change_origin TEXT, transaction_key TEXT,
        sequence_number INTEGER, commit_number INTEGER, commit_user TEXT, wire BLOB NOT NULL)""",
    'CREATE INDEX IF NOT EXISTS "_pubsub_event_entity" ON "_pubsub_event" (entity)',
    """CREATE TABLE IF NOT EXISTS "_pubsub_enriched" (
        position INTEGER, channel TEXT, wire BLOB NOT NULL, PRIMARY KEY (position, channel)) WITHOUT ROWID""",
    'CREATE TABLE IF NOT EXISTS "_pubsub_schema" (id TEXT PRIMARY KEY, entity TEXT NOT NULL, json TEXT NOT NULL)',
    """CREATE TABLE IF NOT EXISTS "_pubsub_tip" (
        replay_id BLOB PRIMARY KEY, position INTEGER NOT NULL, at INTEGER NOT NULL)""",
    'CREATE TABLE IF NOT EXISTS "_pubsub_state" (key TEXT PRIMARY KEY, value TEXT NOT NULL)',
)

Row = tuple[str, int, bytes, str | None, str | None, str | None, int | None, int | None, str | None, bytes]
"""entity, at, replay id, change type, origin, transaction key, sequence, commit number, commit user, wire."""


class Numbers(msgspec.Struct):
    """Where the stream's numbers stand.

    `replay` is the last number behind a replay id, `commit` the last commit's, `salt` (hex) makes the gaps
    and the ids without a number.
    """

    replay: int
    commit: int
    salt: str

    def next_replay(self, form: Literal["numeric", "opaque"]) -> bytes:
        """A replay id behind all others: not contiguous, and unrelated to a row's number.

        A number is 8 bytes and two zeros, as seen on the wire (pozil/pub-sub-api-node-client, issue 27).
        """
        digest = hashlib.blake2b(self.replay.to_bytes(8, "big"), key=bytes.fromhex(self.salt), digest_size=12).digest()
        self.replay += 1 + digest[0] % 23
        return self.replay.to_bytes(8, "big") + b"\0\0" if form == "numeric" else digest

    def next_commit(self, at_ms: int) -> int:
        """The number of a commit: later ones are larger; beyond 2**53, as seen on the wire."""
        self.commit = max(self.commit + 1, at_ms * 1_000_000 + 388)
        return self.commit


class Selection(NamedTuple):
    """Which events a topic shows: a condition on the table, its parameters, and a channel that adds fields."""

    where: str
    parameters: tuple[str | int, ...]
    enriched: str | None = None


class Block(NamedTuple):
    """Events in order, as bytes, and the position after which to read on."""

    events: list[bytes]
    position: int


def create(db: sqlite3.Connection) -> None:
    """Make the tables where they are missing."""
    for statement in TABLES:
        db.execute(statement)


def connect(path: Path) -> sqlite3.Connection:
    """A connection of a reader's own, with a small cache; each statement is a transaction."""
    db = sqlite3.connect(path / "org.sqlite", check_same_thread=False, timeout=120.0, isolation_level=None)
    db.execute("PRAGMA cache_size = -2048")
    return db


def lock(db: sqlite3.Connection) -> None:
    """Take the right to write before anything is read, so that what is read stays true."""
    db.execute("""UPDATE "_pubsub_state" SET value = value WHERE key = 'numbers'""")


def numbers(db: sqlite3.Connection) -> Numbers:
    """The numbers of the stream; new ones where there are none."""
    row = db.execute("""SELECT value FROM "_pubsub_state" WHERE key = 'numbers'""").fetchone()
    if row:
        return msgspec.json.decode(row[0], type=Numbers)
    return fresh_numbers()


def fresh_numbers() -> Numbers:
    """Numbers of a stream that has nothing to do with any other."""
    return Numbers(100_000 + secrets.randbelow(5_000_000), 0, secrets.token_hex(16))


def keep_numbers(db: sqlite3.Connection, kept: Numbers) -> None:
    """Write the numbers; no commit."""
    text = msgspec.json.encode(kept).decode()
    db.execute("""INSERT OR REPLACE INTO "_pubsub_state" VALUES ('numbers', ?)""", (text,))


def append(db: sqlite3.Connection, row: Row) -> int:
    """Put an event at the end; returns its position. No commit."""
    marks = ", ".join("?" * len(row))
    cursor = db.execute(
        """INSERT INTO "_pubsub_event" (entity, at, replay_id, change_type, change_origin, transaction_key,
        sequence_number, commit_number, commit_user, wire) VALUES """
        f"({marks})",
        row,
    )
    return int(cursor.lastrowid or 0)


def append_enriched(db: sqlite3.Connection, position: int, channel: str, wire: bytes) -> None:
    """Keep what a channel shows instead of an event. No commit."""
    db.execute('INSERT INTO "_pubsub_enriched" VALUES (?, ?, ?)', (position, channel, wire))


def tip(db: sqlite3.Connection) -> int:
    """The position of the newest event; 0 where there never was one."""
    row = db.execute("""SELECT seq FROM sqlite_sequence WHERE name = '_pubsub_event'""").fetchone()
    return int(row[0]) if row else 0


def read(db: sqlite3.Connection, selection: Selection, after: int, oldest_ms: int, rows: int = BLOCK_ROWS) -> Block:
    """The next events of a topic after a position, none older than an instant."""
    end = tip(db)  # before the rows: an event that comes in between is read the next time
    wire, parameters = "wire", selection.parameters
    if selection.enriched is not None:
        wire = """coalesce((SELECT x.wire FROM "_pubsub_enriched" x
            WHERE x.position = "_pubsub_event".position AND x.channel = ?), wire)"""
        parameters = (selection.enriched, *parameters)
    cursor = db.execute(
        f'SELECT {wire} FROM "_pubsub_event" WHERE ({selection.where}) '
        "AND position > ? AND position <= ? AND at >= ? ORDER BY position LIMIT ?",
        (*parameters, after, end, oldest_ms, rows),
    )
    events: list[bytes] = []
    size = 0
    while size < BLOCK_BYTES and (some := [wire for (wire,) in cursor.fetchmany(200)]):
        events += some
        size += sum(map(len, some))
    cursor.close()
    if len(events) < rows and size < BLOCK_BYTES:
        return Block(events, max(end, after))
    return Block(events, position_of(db, replay_id(events[-1])))


def position_of(db: sqlite3.Connection, replay_id: bytes) -> int:
    """Where an event stands that is there."""
    found = db.execute('SELECT position FROM "_pubsub_event" WHERE replay_id = ?', (replay_id,)).fetchone()
    return int(found[0])


def place(db: sqlite3.Connection, replay_id: bytes, oldest_ms: int) -> int | None:
    """The position that a replay id stands for; None where it is unknown or too old."""
    for table in ("_pubsub_event", "_pubsub_tip"):
        row = db.execute(f'SELECT position, at FROM "{table}" WHERE replay_id = ?', (replay_id,)).fetchone()
        if row is not None:
            return int(row[0]) if row[1] >= oldest_ms else None
    return None


def tip_at(db: sqlite3.Connection, position: int, since_ms: int) -> bytes | None:
    """A replay id given out for a position no earlier than an instant, if there is one."""
    row = db.execute(
        'SELECT replay_id FROM "_pubsub_tip" WHERE position = ? AND at >= ? ORDER BY at DESC LIMIT 1',
        (position, since_ms),
    ).fetchone()
    return bytes(row[0]) if row else None


def keep_tip(db: sqlite3.Connection, replay_id: bytes, position: int, at_ms: int) -> None:
    """Remember that a replay id was given out for a position. No commit."""
    db.execute('INSERT OR REPLACE INTO "_pubsub_tip" VALUES (?, ?, ?)', (replay_id, position, at_ms))


def remove(db: sqlite3.Connection, before_ms: int | None = None) -> None:
    """Remove the events that are out of retention for a day, or all of them. No commit."""
    limit = 2**62 if before_ms is None else before_ms - _LAG_MS
    db.execute('DELETE FROM "_pubsub_event" WHERE at < ?', (limit,))
    db.execute('DELETE FROM "_pubsub_tip" WHERE at < ?', (limit,))
    db.execute('DELETE FROM "_pubsub_enriched" WHERE position NOT IN (SELECT position FROM "_pubsub_event")')


def keep_schema(db: sqlite3.Connection, schema_id: str, entity: str, text: str) -> None:
    """Keep a schema for as long as the org lives. No commit."""
    db.execute('INSERT OR IGNORE INTO "_pubsub_schema" VALUES (?, ?, ?)', (schema_id, entity, text))


def schema(db: sqlite3.Connection, schema_id: str) -> tuple[str, str] | None:
    """The entity and text of a kept schema."""
    row = db.execute('SELECT entity, json FROM "_pubsub_schema" WHERE id = ?', (schema_id,)).fetchone()
    return (str(row[0]), str(row[1])) if row else None


def newest(db: sqlite3.Connection, selection: Selection, count: int, oldest_ms: int) -> Sequence[bytes]:
    """The newest events of a topic, newest first."""
    rows: Iterable[tuple[bytes]] = db.execute(
        f'SELECT wire FROM "_pubsub_event" WHERE ({selection.where}) AND at >= ? ORDER BY position DESC LIMIT ?',
        (*selection.parameters, oldest_ms, count),
    )
    return [wire for (wire,) in rows]


def rows(db: sqlite3.Connection, selection: Selection, count: int) -> list[Row]:
    """The newest rows of a topic, oldest first."""
    found: list[Row] = db.execute(
        f"""SELECT entity, at, replay_id, change_type, change_origin, transaction_key, sequence_number, commit_number,
        commit_user, wire FROM "_pubsub_event" WHERE ({selection.where}) ORDER BY position DESC LIMIT ?""",
        (*selection.parameters, count),
    ).fetchall()
    return found[::-1]


def summary(db: sqlite3.Connection, selection: Selection, oldest_ms: int) -> tuple[int, int | None]:
    """How many events a topic holds, and when the newest came (ms)."""
    row = db.execute(
        f'SELECT count(*), max(at) FROM "_pubsub_event" WHERE ({selection.where}) AND at >= ?',
        (*selection.parameters, oldest_ms),
    ).fetchone()
    return int(row[0]), row[1]
