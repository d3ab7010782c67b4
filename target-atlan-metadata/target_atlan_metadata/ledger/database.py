"""The database of the ledger: opened for one writer, its tables made, its errors said as sentences."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import event, exc

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.errors import LedgerError
from target_atlan_metadata.ledger.tables import META, SCHEMA_VERSION, TABLES, put

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Absent", "Database", "is_file_of"]

Absent = Literal["make", "refuse", "scratch"]
"""What to do where there is no ledger: make it, refuse to go on, or use one that is gone with the process."""

_CACHE_KIB: Final = 48 * 1024
_LOCK_NUMBER: Final = int.from_bytes(b"atlanldg", "big") >> 1  # of PostgreSQL's advisory lock; any fixed number
_LOCK_NOT_AVAILABLE: Final = "55P03"  # PostgreSQL, appendix A: error codes
_KINDS: Final = frozenset({"sqlite", "postgresql"})
_NO_URL: Final = "write it as sqlite:////var/lib/atlan/ledger.db or postgresql+psycopg://user@host/database."
_IN_USE: Final = (
    "The ledger of setting `ledger_url` is in use by another run: wait until it has ended, or give this pipeline a "
    "ledger and a `custom_metadata_name` of its own."
)


class Database:
    """One connection to the ledger, which no second run can have at the same time.

    The lock ends with the connection, also when the process is killed: a file is locked by SQLite itself, PostgreSQL
    by an advisory lock.

    Args:
        url: SQLAlchemy URL.
        wait_seconds: How long to wait for another run to end.
        absent: What to do where there is no ledger.

    Raises:
        ConfigurationError: the URL cannot be used, or there is no ledger.
        LedgerError: the database cannot be opened, or another run has it.
    """

    def __init__(self, url: str, *, wait_seconds: int = 10, absent: Absent = "make") -> None:
        self._open(_engine(url, wait_seconds, absent), wait_seconds)
        try:
            with said():
                if absent != "make" and not sa.inspect(self.connection).has_table(META.name):
                    self._do_without(absent)
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _open(self, engine: sa.Engine, wait_seconds: int) -> None:
        self._engine = engine
        try:
            with said():
                self.connection = engine.connect()
                self._lock(wait_seconds)
        except BaseException:
            self.close()
            raise

    def _do_without(self, absent: Absent) -> None:
        """Go on where the database holds no ledger, and is to hold none.

        Raises:
            ConfigurationError: there must be one.
        """
        if absent == "refuse":
            raise ConfigurationError("There is no ledger in the database of setting `ledger_url` yet.")
        self.close()
        self._open(_scratch(), 0)

    def close(self) -> None:
        """Give the ledger free; what is not committed is lost."""
        connection = getattr(self, "connection", None)
        with contextlib.suppress(exc.SQLAlchemyError):
            if connection is not None:
                connection.close()
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

    def _prepare(self) -> None:
        TABLES.create_all(self.connection)
        facts = self.meta()
        if not facts:
            self.remember(version=str(SCHEMA_VERSION), ledger_id=uuid.uuid4().hex, generation="0")
        elif facts.get("version") != str(SCHEMA_VERSION):
            raise ConfigurationError(
                "The ledger of setting `ledger_url` was made by another version of the target: install that version, "
                "or make a new ledger with `target-atlan-metadata rebuild`."
            )
        self.connection.commit()


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


def is_file_of(url: str, path: str) -> bool:
    """Whether a path leads to the file of a ledger, or to one that SQLite keeps beside it.

    Args:
        url: SQLAlchemy URL of the ledger; one that cannot be used has no file.
        path: Of a file that need not be there.
    """
    try:
        parsed = _parsed(url)
        file = os.path.realpath(parsed.database or "")
        if parsed.get_backend_name() != "sqlite" or not parsed.database:
            return False
        is_same = Path(path).exists() and Path(file).exists() and Path(path).samefile(file)  # a hard link
        return is_same or os.path.realpath(path) in {f"{file}{end}" for end in ("", "-wal", "-shm", "-journal")}
    except (ConfigurationError, OSError, ValueError):
        return False  # opening the one or the other says what is wrong


def _parsed(url: str) -> sa.URL:
    if "\0" not in url:
        with contextlib.suppress(exc.ArgumentError, ValueError):  # the latter of a port that is no number
            return sa.make_url(url)
    raise ConfigurationError(f"Setting `ledger_url` is no SQLAlchemy URL: {_NO_URL}")


def _engine(url: str, wait_seconds: int, absent: Absent) -> sa.Engine:
    parsed = _parsed(url)
    if parsed.get_backend_name() not in _KINDS:
        raise ConfigurationError(f"Setting `ledger_url` names a database of a kind that can hold no ledger: {_NO_URL}")
    options: dict[str, Any] = {}
    is_sqlite = parsed.get_backend_name() == "sqlite"
    if is_sqlite:
        if not _is_there(parsed, absent):
            return _scratch()
        options["connect_args"] = {"timeout": wait_seconds}
        options["poolclass"] = sa.StaticPool
    try:
        engine = sa.create_engine(parsed, **options)
    except (exc.NoSuchModuleError, ImportError):
        raise ConfigurationError(
            f"Setting `ledger_url` needs a database driver that is not installed ({parsed.drivername}): install it "
            "beside the target; for PostgreSQL that is psycopg, with a URL that begins postgresql+psycopg://."
        ) from None
    except (exc.SQLAlchemyError, ValueError, TypeError):
        raise ConfigurationError(
            "Setting `ledger_url` has an option behind its `?` with a value that the database's driver does not take: "
            "leave the option out, or mend it."
        ) from None
    if engine.dialect.is_async:
        raise ConfigurationError(
            f"Setting `ledger_url` names a driver for asynchronous programs ({parsed.drivername}): {_NO_URL}"
        )
    return _of_one_writer(engine) if is_sqlite else engine


def _scratch() -> sa.Engine:
    """A database that is gone when it is closed: SQLite keeps it in a file without a name, not in memory."""
    return _of_one_writer(sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(""), poolclass=sa.StaticPool))


def _of_one_writer(engine: sa.Engine) -> sa.Engine:
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "begin", _begin)
    return engine


def _is_there(url: sa.URL, absent: Absent) -> bool:
    """Whether there is a file of a ledger, or may be made.

    Raises:
        ConfigurationError: the URL names none, or there must be one.
    """
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError(
            "Setting `ledger_url` must name a file that lasts: three slashes, and behind them its whole path."
        )
    path = Path(url.database)
    if absent == "make":
        if not path.parent.is_dir():
            raise ConfigurationError(
                f"Setting `ledger_url` names a file in a folder that is not there: make the folder {path.parent}, or "
                "correct the path."
            )
        return True
    if absent == "refuse" and not path.is_file():
        raise ConfigurationError(f"There is no ledger at {path}: see setting `ledger_url`.")
    return path.is_file()


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
