"""The warehouse: one DuckDB file per database in a folder, and the sessions that work in it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
from fakesnow import info_schema, macros
from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow
from sqlglot import exp

from localcloud.snowflake.errors import as_sql_error, sql_error
from localcloud.snowflake.locks import TableLocks, TableName
from localcloud.snowflake.repairs import RecentResults
from localcloud.snowflake.stages import StagePlace, prepare_stage_folder, register_user_stage
from localcloud.snowflake.statements import EmbeddedCursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEFAULT_SCHEMA = "PUBLIC"


class Warehouse(FakeSnow):  # type: ignore[misc]  # untyped base
    """All databases in one folder, attached at start.

    Args:
        folder: Holds `NAME.db` per database and the stages; created if it is not there.
        idle_limit: Seconds a transaction may idle while another session waits for its tables.
        clock: Monotonic seconds, for the table locks.

    Raises:
        duckdb.IOException: A database file cannot be opened, for instance because another server has it.
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: Path, *, idle_limit: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(create_database_on_connect=False, create_schema_on_connect=False, db_path=folder)
        self.results_cache = RecentResults()
        self.locks = TableLocks(clock, idle_limit=idle_limit)
        self.clock = clock
        self._folder = folder
        for file in sorted(folder.glob("*.db")):
            self.open_database(file.stem)
        # Only now: a second server on the folder has failed above, and must not empty the first one's stages.
        prepare_stage_folder(folder / "stages")
        register_user_stage(self.duck_conn)

    def open_database(self, name: str) -> None:
        """Attach the database, creating its file, its PUBLIC schema and fakesnow's own views as needed."""
        quoted = str(self._folder / f"{name}.db").replace("'", "''")
        self.duck_conn.execute(f"ATTACH IF NOT EXISTS '{quoted}' AS \"{name}\"")
        self.duck_conn.execute(info_schema.per_db_creation_sql(name))
        self.duck_conn.execute(macros.creation_sql(name))
        self.duck_conn.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}".{DEFAULT_SCHEMA}')

    def connect(
        self,
        database: str | None = None,
        schema: str | None = None,
        nop_regexes: list[str] | None = None,
        **kwargs: Any,
    ) -> EmbeddedConnection:
        """Open a session. As in Snowflake it stands in PUBLIC if it names a database and no schema."""
        return EmbeddedConnection(
            self.duck_conn.cursor(),
            self.results_cache,
            database,
            schema or (DEFAULT_SCHEMA if database else None),
            create_database=False,
            create_schema=False,
            db_path=self.db_path,
            nop_regexes=nop_regexes,
            warehouse=self,
            **kwargs,
        )

    def close(self) -> None:
        """Fold each database's log into its file and let go of the files."""
        names = [row[0] for row in self.duck_conn.execute("SELECT database_name FROM duckdb_databases()").fetchall()]
        for name in names:
            if (self._folder / f"{name}.db").exists():
                try:
                    self.duck_conn.execute(f'CHECKPOINT "{name}"')
                except duckdb.Error:  # the log stays beside the file and is read at the next start
                    continue
        self.duck_conn.close()


class EmbeddedConnection(FakeSnowflakeConnection):  # type: ignore[misc]  # untyped base
    """A session: one DuckDB connection, its transaction, and the tables it has locked."""

    def __init__(self, *args: Any, warehouse: Warehouse, **kwargs: Any) -> None:
        self.warehouse = warehouse
        self._locks = warehouse.locks
        self._clock = warehouse.clock
        self._turn = threading.RLock()
        self._last_used = warehouse.clock()
        self._explicit_transaction = False
        self._lost_transaction = False
        super().__init__(*args, **kwargs)

    @property
    def place(self) -> StagePlace:
        """What unqualified names are completed with."""
        return StagePlace(self.database, self.schema)

    def cursor(self, *_args: Any, **_kwargs: Any) -> EmbeddedCursor:
        """Return a cursor of this session."""
        return EmbeddedCursor(conn=self, duck_conn=self._duck_conn)

    @contextmanager
    def statement(self, command: str) -> Iterator[None]:
        """The time of one statement: nobody else uses the session, and locks end with the transaction.

        Raises:
            ProgrammingError: The session lost its transaction to a waiting one and goes on as if not.
        """
        with self._turn:
            lost, self._lost_transaction = self._lost_transaction, False
            if lost and not command.lstrip().upper().startswith("ROLLBACK"):
                raise sql_error(
                    "This session's transaction was rolled back: it was idle while another session waited "
                    "for a table that it had changed.",
                    625,
                    "57014",
                )
            try:
                yield
            finally:
                self._last_used = self._clock()
                if not self.in_transaction:
                    self._locks.release(self)

    @property
    def in_transaction(self) -> bool:
        """Whether changes of this session wait for COMMIT or ROLLBACK."""
        return bool(self._in_transaction) or self._explicit_transaction

    def note_transaction(self, expression: Any) -> None:
        """Follow BEGIN, COMMIT and ROLLBACK, which fakesnow follows only with autocommit off."""
        if isinstance(expression, exp.Transaction):
            self._explicit_transaction = True
        elif isinstance(expression, (exp.Commit, exp.Rollback)):
            self._explicit_transaction = False

    def begin_implicitly(self) -> None:
        """Open the transaction that a change opens when autocommit is off."""
        if not self._autocommit and not self.in_transaction:
            self._duck_conn.begin()
            self._in_transaction = True

    def open_database(self, name: str) -> None:
        """Attach a database of the warehouse, making it as needed."""
        self.warehouse.open_database(name)

    def lock(self, table: TableName) -> None:
        """Wait until this session may write the table."""
        self._locks.acquire(table, self)

    def idle_seconds(self) -> float:
        """Seconds since the last statement ended; 0 while one runs."""
        if not self._turn.acquire(blocking=False):
            return 0.0
        try:
            return self._clock() - self._last_used
        finally:
            self._turn.release()

    def end(self) -> None:
        """End the session: what was not committed is gone, its locks are free."""
        with self._turn:
            self.close()
            self._locks.release(self)

    def give_up_transaction(self) -> bool:
        """Roll the open transaction back for a waiting session; False if this one has become busy."""
        if not self._turn.acquire(blocking=False):
            return False
        try:
            self._duck_conn.rollback()
        except duckdb.Error as error:
            raise as_sql_error(error) from error
        else:
            self._in_transaction = self._explicit_transaction = False
            self._lost_transaction = True
            return True
        finally:
            self._turn.release()
