"""The client of `make sql`: asks the embedded Snowflake through the real connector; it starts nothing itself."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from localcloud.loopback import HOST
from localcloud.snowflake.address import DEFAULT_PORT
from localcloud.snowflake.script import Splitter
from localcloud.snowflake.table import as_text, render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# The connector looks around for a cloud that it may run in; here every connection but loopback is a mistake.
os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")


@dataclass(frozen=True)
class Answer:
    """What one statement returned.

    Attributes:
        columns: The columns' names.
        rows: Their values, as the connector gives them.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


class Session:
    """One connection to the embedded Snowflake.

    Args:
        port: Where it listens on 127.0.0.1.
        database: The session's database.
        schema: The session's schema; None is PUBLIC.

    Raises:
        ConnectionError: Nothing listens there.
    """

    def __init__(self, port: int, database: str, schema: str | None = None) -> None:
        with socket.create_connection((HOST, port), timeout=5):
            pass  # the connector would try for a minute before it says so
        import snowflake.connector  # noqa: PLC0415 - slow to import, and not needed to say that nothing listens

        self._error = snowflake.connector.errors.Error
        self._connection = snowflake.connector.connect(
            user="localcloud",
            password="any",  # noqa: S106 - the stand-in takes every password
            account="localcloud",
            host=HOST,
            port=port,
            protocol="http",
            database=database,
            schema=schema,
            login_timeout=10,
            network_timeout=5,
            socket_timeout=600,
        )

    def ask(self, statement: str) -> Answer:
        """Run one statement.

        Raises:
            SqlError: It failed.
        """
        try:
            cursor = self._connection.cursor().execute(statement)
            rows = tuple(tuple(row) for row in cursor.fetchall())
        except self._error as error:
            raise SqlError(str(error.msg or error).strip()) from error
        return Answer(tuple(column.name for column in cursor.description), rows)

    def close(self) -> None:
        """End the session."""
        self._connection.close()


class SqlError(Exception):
    """A statement failed; the text is the server's."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run statements from `-c`, from standard input, or from a prompt.

    Returns:
        0, or 1 if a statement failed or the server is not up. A script stops at its first failure.
    """
    options = _parse(arguments)
    try:
        session = Session(_port(options), options.database, options.schema)
    except (OSError, ValueError):
        return _complain("the embedded Snowflake is not running: start it first, for instance with `make demo`")
    try:
        if options.command:
            return _run_all(session, _statements(options.command), as_json=options.json)
        if sys.stdin.isatty():
            return _prompt(session, as_json=options.json)
        return _run_all(session, _statements_of(sys.stdin), as_json=options.json)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = None  # nothing is left to flush to
        return 0
    finally:
        session.close()


def _run_all(session: Session, statements: Iterable[str], *, as_json: bool) -> int:
    for statement in statements:
        try:
            answer = session.ask(statement)
        except SqlError as error:
            return _complain(str(error))
        _show(answer, as_json=as_json)
    return 0


def _prompt(session: Session, *, as_json: bool) -> int:
    _load_line_editing()
    print('End a statement with ";". \\q leaves.')  # noqa: T201
    splitter = Splitter()
    while True:
        try:
            line = input("... " if splitter.pending else "sql> ")
        except EOFError:
            print()  # noqa: T201
            return 0
        except KeyboardInterrupt:
            print()  # noqa: T201
            splitter = Splitter()
            continue
        if not splitter.pending and line.strip().lower() in {"\\q", "quit", "exit"}:
            return 0
        for statement in splitter.feed(line + "\n"):
            _run_all(session, [statement], as_json=as_json)


def _show(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        for row in answer.rows:
            print(json.dumps(dict(zip(answer.columns, row, strict=True)), default=as_text, ensure_ascii=False))  # noqa: T201
        return
    print(render(answer.columns, answer.rows))  # noqa: T201


def _statements(text: str) -> Iterator[str]:
    splitter = Splitter()
    yield from splitter.feed(text)
    if rest := splitter.rest():
        yield rest


def _statements_of(lines: TextIO) -> Iterator[str]:
    splitter = Splitter()
    for line in lines:
        yield from splitter.feed(line)
    if rest := splitter.rest():
        yield rest


def _load_line_editing() -> None:
    with suppress(ImportError):  # absent on some systems: then without history
        import readline  # noqa: F401, PLC0415


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localcloud.snowflake.sql", description=__doc__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"port on {HOST} (default {DEFAULT_PORT})")
    where.add_argument("--ready-file", type=Path, help="the server's ready file, which names the port")
    parser.add_argument("--database", default="RAW")
    parser.add_argument("--schema")
    parser.add_argument("-c", "--command", help="run these statements and leave")
    parser.add_argument("--json", action="store_true", help="print rows as JSON objects, one a line")
    return parser.parse_args(arguments)


def _port(options: argparse.Namespace) -> int:
    if options.ready_file is None:
        return int(options.port)
    return int(options.ready_file.read_text(encoding="ascii").strip().rpartition(":")[2])


def _complain(sentence: str) -> int:
    sys.stdout.flush()
    print(sentence.rstrip(".") + ".", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
