"""The truth log as actions write it: a line is on disk before any row can be seen, or it is taken back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_SIZE = "truth_size"
MARK = b'"transaction":"'
"""What only the line of an action holds: the seeder's decisions name no transaction."""


class TruthChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field of one save in canonical text; of a look-up the ids, and the names beside."""

    field: str
    type: str
    old: str | None
    new: str | None
    old_name: str | None = None
    new_name: str | None = None


class TruthLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line; localcloud's README says what each part means."""

    at: str
    actor: str
    action: str
    object: str
    record: str
    changes: tuple[TruthChange, ...]
    transaction: str
    cascade: tuple[tuple[str, str], ...] = ()
    cleared: tuple[tuple[str, str, str], ...] = ()
    losers: tuple[str, ...] = ()
    reparented: tuple[tuple[str, str, str], ...] = ()
    restored: tuple[tuple[str, str, str], ...] = ()


class TruthLog:
    """A truth log that grows by transactions.

    Args:
        path: The file; made when the first line comes. None writes nothing down.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()

    def append(self, db: sqlite3.Connection, lines: list[TruthLine]) -> int:
        """Add the lines of a transaction that is open; returns the size to go back to.

        Lines that a killed process left without their rows are taken back first.
        """
        if self._path is None:
            return 0
        heal(db, self._path)
        with self._path.open("ab") as out:
            size = out.tell()
            out.write(self._encoder.encode_lines(lines))
            out.flush()
            os.fsync(out.fileno())
            end = out.tell()
        remember_size(db, end)
        return size

    def cut(self, size: int) -> None:
        """Take back what was added after that size."""
        if self._path is not None:
            os.truncate(self._path, size)


def remember_size(db: sqlite3.Connection, size: int) -> None:
    """Note how long the truth log is now that its rows are there; nothing is committed."""
    db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_SIZE, json.dumps(size)))


def heal(db: sqlite3.Connection, path: Path) -> None:
    """Take back lines of a transaction that wrote them and was killed before it committed its rows."""
    row = db.execute("SELECT value FROM settings WHERE key = ?", (_SIZE,)).fetchone()
    if not path.exists():
        return
    known = int(json.loads(row[0])) if row else None
    with path.open("r+b") as lines:
        if known is None:  # no action was ever committed: the first line of one is where to cut
            known = _first_marked(lines.read())
        lines.seek(0, os.SEEK_END)
        if known is None or lines.tell() <= known:
            return
        lines.seek(known)
        if MARK in lines.readline():
            lines.truncate(known)


def _first_marked(content: bytes) -> int | None:
    found = content.find(MARK)
    return None if found < 0 else content.rfind(b"\n", 0, found) + 1
