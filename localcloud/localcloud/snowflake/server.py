"""The process: `python -m localcloud.snowflake.server` serves an embedded Snowflake on 127.0.0.1."""

from __future__ import annotations

import argparse
import errno
import logging
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import uvicorn

from localcloud.loopback import HOST, Address
from localcloud.snowflake import repairs
from localcloud.snowflake.application import create_application
from localcloud.snowflake.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        0 after a clean stop, 1 if the port, the folder or a database file cannot be had.
    """
    options = _parse(arguments)
    _quieten(options.log_level)
    try:
        listener = socket.create_server((HOST, options.port))
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        return _fail(f"port {options.port} on {HOST} is " + ("already in use" if taken else f"not to be had: {error}"))
    try:
        warehouse = open_warehouse(options.dir, options.database, options.idle_transaction_seconds)
    except (duckdb.Error, OSError) as error:
        listener.close()
        return _fail(_why_not_open(options.dir, error))
    _serve(warehouse, listener, options)
    return 0


def open_warehouse(folder: Path, databases: Sequence[str], idle_limit: float) -> Warehouse:
    """Open the databases found in `folder` and those named, which are created if they are new.

    Args:
        folder: The warehouse.
        databases: Names, in any case.
        idle_limit: Seconds a transaction may idle while another session waits for its tables.

    Raises:
        duckdb.Error: A database file cannot be opened.
        OSError: The folder cannot be written.
    """
    repairs.apply()
    warehouse = Warehouse(folder, idle_limit=idle_limit)
    for name in databases:
        warehouse.open_database(name.upper())
    return warehouse


def _serve(warehouse: Warehouse, listener: socket.socket, options: argparse.Namespace) -> None:
    config = uvicorn.Config(
        create_application(warehouse), log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    # uvicorn raises the signal that ended it once more, for the handler it found: that one is ours.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _already_stopping)
    try:
        _AnnouncingServer(config, options.ready_file, options.dir).run(sockets=[listener])
    finally:
        warehouse.close()
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)


class _AnnouncingServer(uvicorn.Server):  # type: ignore[misc]  # untyped base
    """Says where it listens once it accepts connections."""

    def __init__(self, config: Any, ready_file: Path | None, folder: Path) -> None:
        super().__init__(config)
        self._ready_file = ready_file
        self._folder = folder

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if not self.started or not sockets:
            return
        address = Address(sockets[0].getsockname()[1])
        where = f"{HOST}:{address.port}, data in {self._folder}"
        print(f"Embedded stand-in for Snowflake on {where}. This is not Snowflake.", flush=True)  # noqa: T201
        if self._ready_file:
            address.announce(self._ready_file)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localcloud.snowflake.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the database files")
    parser.add_argument("--database", action="append", default=[], help="created if it is not there; repeatable")
    parser.add_argument("--ready-file", type=Path, help="receives host:port once connections are accepted")
    parser.add_argument(
        "--idle-transaction-seconds", type=float, default=5.0, metavar="N",
        help="a transaction that idles for so long gives way to a session that waits for its tables (default 5)",
    )  # fmt: skip
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return parser.parse_args(arguments)


def _quieten(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("fakesnow.server").setLevel(level.upper())
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # warns of each REMOVE, which sqlglot does not parse
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")


def _why_not_open(folder: Path, error: Exception) -> str:
    if "Could not set lock on file" in str(error):
        return f"the warehouse in {folder} is in use by another process"
    return f"the warehouse in {folder} cannot be opened: {str(error).splitlines()[0]}"


def _already_stopping(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: uvicorn has stopped, and the clean-up goes on."""


def _fail(sentence: str) -> int:
    print(f"embedded Snowflake: {sentence}.", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
