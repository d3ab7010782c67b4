"""The database of the ledger: opened for one writer, its tables made, its errors said as sentences."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.errors import LedgerError
from target_atlan_metadata.ledger.tables import META, SCHEMA_VERSION, TABLES, put

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Database"]

_CACHE_KIB: Final = 48 * 1024
_LOCK_NUMBER: Final = int.from_bytes(b"atlanldg", "big") >> 1  # of PostgreSQL's advisory lock; any fixed number
_LOCK_NOT_AVAILABLE: Final = "55P03"  # PostgreSQL, appendix A: error codes
_IN_USE: Final = (
    "The ledger of setting `ledger_url` is in use by another run: wait until it has ended, or give this pipeline a "
    "ledger and a `custom_metadata_name` of its own."
)


class Database:
    """One connection to the ledger, which no second run can have at the same time.

    The lock ends with the connection, also when the process is killed: a file is locked by SQLite itself, PostgreSQL
    by an advisory lock, any other database by a row that is kept for update.

    Args:
        url: SQLAlchemy URL.
        wait_seconds: How long to wait for another run to end.
        create: Whether to make the ledger where there is none.

    Raises:
        ConfigurationError: the URL cannot be used, or there is no ledger.
        LedgerError: the database cannot be opened, or another run has it.
    """

    def __init__(self, url: str, *, wait_seconds: int = 10, create: bool = True) -> None:
        self._engine = _engine(url, wait_seconds, create=create)
        self.is_new = False
        try:
            with said():
                self.connection = self._engine.connect()
                self._lock(wait_seconds)
                self._prepare(create=create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the ledger free; what is not committed is lost."""
        connection = getattr(self, "connection", None)
        with contextlib.suppress(exc.SQLAlchemyError):
            if connection is not None:
                connection.close()
            if (keeper := getattr(self, "_keeper", None)) is not None:
                keeper.close()
        self._engine.dispose()

    def meta(self) -> dict[str, str]:
        """Everything in the table of facts."""
        return {row.name: row.value for row in self.connection.execute(sa.select(META))}

    def remember(self, **facts: str) -> None:
        """Write facts."""
        put(self.connection, META, list(facts.items()))

    def _lock(self, wait_seconds: int) -> None:
        kind = self._engine.dialect.name
        if kind == "sqlite":
            self.connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")  # takes the lock of the file
        elif kind == "postgresql":
            # 0 would be no limit at all.
            self.connection.exec_driver_sql(f"SET lock_timeout = {max(1, wait_seconds * 1000)}")
            self.connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK_NUMBER)))
            self.connection.exec_driver_sql("SET lock_timeout = 0")
            self.connection.commit()

    def _prepare(self, *, create: bool) -> None:
        if not create and not sa.inspect(self.connection).has_table(META.name):
            raise ConfigurationError("There is no ledger in the database of setting `ledger_url` yet.")
        TABLES.create_all(self.connection)
        facts = self.meta()
        if not facts:
            self.is_new = True
            self.remember(version=str(SCHEMA_VERSION), ledger_id=uuid.uuid4().hex, generation="0")
        elif facts.get("version") != str(SCHEMA_VERSION):
            raise ConfigurationError(
                "The ledger of setting `ledger_url` was made by another version of the target: install that version, "
                "or make a new ledger with `target-atlan-metadata rebuild`."
            )
        self.connection.commit()
        if self._engine.dialect.name not in {"sqlite", "postgresql"}:
            self._keeper = self._engine.connect()
            row = sa.select(META.c.value).where(META.c.name == "version").with_for_update(nowait=True)
            try:
                self._keeper.execute(row)
            except exc.DBAPIError:
                raise LedgerError(_IN_USE) from None


@contextlib.contextmanager
def said() -> Iterator[None]:
    """Say a database's error as a sentence: its own text may hold values or a password.

    Raises:
        LedgerError: the database refused.
    """
    try:
        yield
    except exc.DBAPIError as error:
        raise LedgerError(_sentence(error)) from None
    except exc.SQLAlchemyError as error:
        raise LedgerError(f"The ledger of setting `ledger_url` cannot be used ({type(error).__name__}).") from None


def _sentence(error: exc.DBAPIError) -> str:
    name = getattr(error.orig, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _IN_USE
    for code, reason in _REASONS.items():
        if name.startswith(code):
            return f"The ledger of setting `ledger_url` {reason}."
    if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
        return _IN_USE
    state = getattr(error.orig, "sqlstate", None) or name or type(error.orig).__name__
    return f"The database of setting `ledger_url` refused ({state}): see that it can be reached, read and written."


_REASONS: Final = {
    "SQLITE_NOTADB": "is not a database: give another file, or remove this one and run `target-atlan-metadata rebuild`",
    "SQLITE_CORRUPT": "is damaged: restore a copy, or remove it and run `target-atlan-metadata rebuild`",
    "SQLITE_FULL": "cannot grow, because the disk is full: make room and run again",
    "SQLITE_IOERR": "cannot be read or written, because the disk fails: see to it and run again",
    "SQLITE_READONLY": "cannot be written: give the user of this process the right to write the file and its folder",
    "SQLITE_CANTOPEN": "cannot be opened: its folder must exist, and be open to the user of this process",
}


def _engine(url: str, wait_seconds: int, *, create: bool) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError:
        raise ConfigurationError(
            "Setting `ledger_url` is no SQLAlchemy URL: write it as sqlite:////var/lib/atlan/ledger.db or "
            "postgresql+psycopg://user@host/database."
        ) from None
    options: dict[str, Any] = {}
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite:
        _check_file(parsed, create=create)
        options["connect_args"] = {"timeout": wait_seconds}
        options["poolclass"] = sa.StaticPool
    try:
        engine = sa.create_engine(parsed, **options)
    except (exc.SQLAlchemyError, ImportError):
        raise ConfigurationError(
            f"Setting `ledger_url` needs a database driver that is not installed ({parsed.drivername}): install it "
            "beside the target; for PostgreSQL that is psycopg, with a URL that begins postgresql+psycopg://."
        ) from None
    if is_sqlite:
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    return engine


def _check_file(url: sa.URL, *, create: bool) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError(
            "Setting `ledger_url` must name a file that lasts, such as sqlite:////var/lib/ledger.db."
        )
    path = Path(url.database)
    if not create and not path.is_file():
        raise ConfigurationError(f"There is no ledger at {path}: see setting `ledger_url`.")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)


def _set_up(connection: Any, record: object) -> None:
    """One writer, nothing lost when the power fails, pages kept in memory until they are committed."""
    del record
    connection.isolation_level = None  # SQLAlchemy begins and ends transactions itself
    cursor = connection.cursor()
    for pragma in (
        "locking_mode = EXCLUSIVE",
        "page_size = 8192",
        "journal_mode = WAL",
        "synchronous = FULL",
        f"cache_size = -{_CACHE_KIB}",
        "temp_store = MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
