"""Tables of the ledger, in SQLAlchemy's terms: SQLite and PostgreSQL hold them alike.

meta      one row a fact: version, the ledger's own id, how often it was written
cell      an object of Salesforce (field empty), or one of its fields; `dirty` while Atlan has not been told
seen      every event that was counted: 10 bytes of digest, 63 bits of what it counted as
daily     what happened to a cell on a day
latest    the newest changes of each cell, a few of each
sighting  every delete event, as the shared rules of deletions need it
written   what Atlan was last told of an asset
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from target_atlan_metadata.counting import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "CELL",
    "DAILY",
    "LATEST",
    "LINK",
    "META",
    "SCHEMA_VERSION",
    "SEEN",
    "SIGHTING",
    "TABLES",
    "WRITTEN",
    "Row",
    "add",
    "chunks",
    "many",
    "put",
]

SCHEMA_VERSION: Final = 1

TABLES: Final = sa.MetaData()
META: Final = sa.Table(
    "atlan_ledger_meta",
    TABLES,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.String(400), nullable=False),
)
CELL: Final = sa.Table(
    "atlan_ledger_cell",
    TABLES,
    sa.Column("cell", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("object", sa.String(255), nullable=False),
    sa.Column("field", sa.String(255), nullable=False),
    sa.Column("dirty", sa.Integer, nullable=False),
    sa.UniqueConstraint("object", "field"),
)
SEEN: Final = sa.Table(
    "atlan_ledger_seen",
    TABLES,
    sa.Column("event", sa.LargeBinary(10), primary_key=True),
    sa.Column("mark", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
DAILY: Final = sa.Table(
    "atlan_ledger_daily",
    TABLES,
    sa.Column("cell", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in COLUMNS),
    sqlite_with_rowid=False,
)
LATEST: Final = sa.Table(
    "atlan_ledger_latest",
    TABLES,
    sa.Column("cell", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(27), primary_key=True),
    sa.Column("event", sa.LargeBinary(10), primary_key=True),
    sa.Column("actor_id", sa.String(255)),
    sa.Column("actor_name", sa.String(255)),
    sqlite_with_rowid=False,
)
SIGHTING: Final = sa.Table(
    "atlan_ledger_sighting",
    TABLES,
    sa.Column("event_id", sa.String(400), primary_key=True),
    sa.Column("record_id", sa.String(255), nullable=False, index=True),
    sa.Column("record_type", sa.String(255), nullable=False),
    sa.Column("event_type", sa.String(20), nullable=False),
    sa.Column("at", sa.String(27), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("commit_number", sa.BigInteger, nullable=False),
    sa.Column("quarter", sa.Integer, nullable=False),
    sqlite_with_rowid=False,
)
WRITTEN: Final = sa.Table(
    "atlan_ledger_written",
    TABLES,
    sa.Column("asset", sa.String(64), primary_key=True),
    sa.Column("digest", sa.LargeBinary(8), nullable=False),
    sqlite_with_rowid=False,
)

LINK: Final = sa.Table(
    "atlan_ledger_link",
    TABLES,
    sa.Column("stream", sa.String(255), primary_key=True),
    sa.Column("object", sa.String(255), primary_key=True),
    sqlite_with_rowid=False,
)

Row = tuple[Any, ...]
"""The values of all columns of a table, in order."""


def many(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert new rows."""
    _execute(connection, table.insert(), table, rows)


def put(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Write rows by their key: new ones are inserted, the values of known ones replaced."""
    _merge(connection, table, rows, lambda _, excluded: excluded)


def add(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """Write rows by their key: new ones are inserted, the numbers of known ones added to."""
    _merge(connection, table, rows, lambda column, excluded: column + excluded)


def _merge(connection: sa.Connection, table: sa.Table, rows: Sequence[Row], combine: Callable[[Any, Any], Any]) -> None:
    keys = [column.name for column in table.primary_key]
    values = [column.name for column in table.columns if column.name not in keys]
    insert = _INSERTS[connection.dialect.name](table)
    changes = {name: combine(table.c[name], insert.excluded[name]) for name in values}
    _execute(connection, insert.on_conflict_do_update(index_elements=keys, set_=changes), table, rows)


def _execute(connection: sa.Connection, statement: Any, table: sa.Table, rows: Sequence[Row]) -> None:
    """Run an insert for rows, past SQLAlchemy's dictionaries where the driver takes tuples: half the time."""
    if not rows:
        return
    compiled = statement.compile(dialect=connection.dialect)
    if compiled.positional:
        connection.exec_driver_sql(str(compiled), list(rows))
    else:
        connection.execute(statement, _named(table, rows))


def _named(table: sa.Table, rows: Sequence[Row]) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


_INSERTS: Final[Mapping[str, Callable[[sa.Table], Any]]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Cut items into lists of at most `size`."""
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
