"""SQLite files of an older collector: which tables hold deletes, and their rows, read and never written.

The columns are read from each file. A table holds deletes if it has what tells of one: `record_id` and `event_id`, and
one of `deleted_date`, `ingested_at` and `payload`; letter case and underscores do not count.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path  # noqa: TC003  # evaluated by what makes structs of annotations
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions.errors import ConfigurationError, MicroDecisionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["COLUMNS", "OldRow", "OldTable", "rows_of", "tables_of"]

COLUMNS: Final = (
    "event_id",
    "topic",
    "object_name",
    "record_id",
    "deleted_by",
    "deleted_date",
    "owner_id",
    "payload",
    "ingested_at",
)
"""Columns of `delete_tracker`."""

_NEEDED: Final = ("event_id", "record_id")
_DATED: Final = ("deleted_date", "ingested_at", "payload")
_BUSY_SECONDS: Final = 5.0
_MOST_LISTED: Final = 30

Cell = str | int | float | bytes | None


class OldTable(msgspec.Struct, frozen=True):
    """A table of deletes.

    Attributes:
        file: The file.
        name: The table's.
        columns: Its columns by the names of `COLUMNS`; the others under their own.
    """

    file: Path
    name: str
    columns: Mapping[str, str]


class OldRow(msgspec.Struct, frozen=True):
    """A row: its number from 1, and its cells by the names of `OldTable.columns`."""

    number: int
    cells: Mapping[str, Cell]


def tables_of(file: Path) -> list[OldTable]:
    """Find the tables of deletes in a file.

    Raises:
        ConfigurationError: the file is not there, is no SQLite file, or has no such table; the sentence says what it
            has.
    """
    with _opened(file) as database:
        names = [
            str(row[0])
            for row in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            )
        ]
        columns = {name: _columns_of(database, name) for name in names}
    tables = [OldTable(file, name, known) for name, known in columns.items() if _holds_deletes(known)]
    if not tables:
        raise ConfigurationError(
            f"The file {file} has no table of deletes: one needs the columns {', '.join(_NEEDED)} and one of "
            f"{', '.join(_DATED)}; it has {_listed(columns) or 'no tables'}."
        )
    return tables


def rows_of(table: OldTable) -> Iterator[OldRow]:
    """The rows of a table, one after the other, in the order in which they were written.

    Raises:
        MicroDecisionError: the file is damaged or in use.
    """
    listed = ", ".join(_quoted(column) for column in table.columns.values())
    with _opened(table.file) as database:
        for number, cells in enumerate(database.execute(f"SELECT {listed} FROM {_quoted(table.name)}"), 1):  # noqa: S608 - quoted names of the file itself
            yield OldRow(number, dict(zip(table.columns, cells, strict=True)))


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    """A file, opened for reading alone."""
    if not file.is_file():
        raise ConfigurationError(f"The file {file} does not exist: give the SQLite files of the old collector.")
    try:
        with closing(
            sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
        ) as database:
            database.text_factory = _text
            yield database
    except sqlite3.OperationalError as error:
        raise MicroDecisionError(
            f"The file {file} cannot be read ({_said(error)}): stop what writes into it, and copy files that end with "
            "-wal or -shm along with it into a directory where they may be opened."
        ) from None
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(f"The file {file} is not a sound SQLite file: {_said(error)}.") from None


def _said(error: sqlite3.Error) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _text(stored: bytes) -> str:
    """Text as it is; a byte that is no UTF-8 costs one character, not the row."""
    return stored.decode("utf-8", "replace")


def _columns_of(database: sqlite3.Connection, table: str) -> dict[str, str]:
    """Columns by the names of `COLUMNS`; the others under their own."""
    known = {_plain(name): name for name in COLUMNS}
    columns: dict[str, str] = {}
    for row in database.execute(f"PRAGMA table_info({_quoted(table)})"):
        column = str(row[1])
        name = known.get(_plain(column), column)
        columns[column if name in columns else name] = column
    return columns


def _holds_deletes(columns: Mapping[str, str]) -> bool:
    return all(name in columns for name in _NEEDED) and any(name in columns for name in _DATED)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _listed(tables: Mapping[str, Mapping[str, str]]) -> str:
    return "; ".join(
        f"{name} ({', '.join(list(columns.values())[:_MOST_LISTED])})" for name, columns in list(tables.items())[:5]
    )
