"""Starts, watches and stops the stand-in servers of one org as background processes.

A server inherits a locked file (`DIR/run/<name>.lock`, with its process id in it) and keeps the lock
until it ends, however it ends. So "is it running?" never depends on a process id that another program
may have been given since, and two servers never share one folder.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.loopback import HOST, is_free
from localcloud.runfiles import RunFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.loopback import Address

__all__ = [
    "BANNER",
    "DATABASE",
    "HOST",
    "LEDGER",
    "WAREHOUSE",
    "LifecycleError",
    "Running",
    "Service",
    "Starting",
    "atlan",
    "begin",
    "find",
    "salesforce",
    "snowflake",
    "snowflake_python",
    "start",
    "stop",
]

BANNER = f"Mock org on {HOST} (localcloud): no real Salesforce, Snowflake or Atlan is touched."
LEDGER = "ledger.db"  # of target-atlan-metadata, beside the catalog that its figures are in
WAREHOUSE = "warehouse"  # the folder of database files inside an org's folder
DATABASE = "RAW"
SNOWFLAKE_ENVIRONMENT = Path(".envs/snowflake")

_children: dict[int, subprocess.Popen[bytes]] = {}  # kept, so that an ended child can be collected


class LifecycleError(Exception):
    """A server could not be started or stopped; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Service:
    """One server program.

    Attributes:
        name: `salesforce`, `snowflake` or `atlan`; also the stem of its files under `DIR/run`.
        command: The program and its arguments, without port and ready file.
        ports: Further ports that it wants, by the name of the option that sets them; 0 is any.
    """

    name: str
    command: tuple[str, ...]
    ports: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections.

    Attributes:
        name: Which one.
        pid: Its process id.
        port: The port it listens on, on 127.0.0.1.
        started_here: Whether this call started it (false: it was running already).
        scheme: `http`, or `https` where it speaks TLS.
        pubsub: Where it serves the Pub/Sub API, for example `127.0.0.1:8182`, if it does.
        proxy: Where its proxy for clients that hard-code Salesforce's hosts listens, if it has one.
    """

    name: str
    pid: int
    port: int
    started_here: bool = False
    scheme: str = "http"
    pubsub: str | None = None
    proxy: str | None = None

    @property
    def url(self) -> str:
        """Its address, for example `http://127.0.0.1:8180`."""
        return f"{self.scheme}://{HOST}:{self.port}"


def salesforce(
    org: Path,
    *,
    pubsub_port: int = 0,
    proxy_port: int | None = None,
    tls: bool = False,
    scenario: Path | None = None,
) -> Service:
    """The mock org's server.

    Args:
        org: The org's folder.
        pubsub_port: Where it serves the Pub/Sub API; 0 takes any free port.
        proxy_port: Where its proxy listens; None: it has none.
        tls: Whether it speaks TLS, by the org's own authority.
        scenario: A file that says what happens when.
    """
    command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(org)]
    command += ["--pubsub-port", str(pubsub_port)]
    command += [] if proxy_port is None else ["--proxy-port", str(proxy_port)]
    command += ["--tls"] if tls else []
    command += ["--scenario", str(scenario)] if scenario else []
    return Service("salesforce", tuple(command), (("pubsub", pubsub_port), ("proxy", proxy_port or 0)))


def snowflake(org: Path) -> Service:
    """The embedded Snowflake's server, over the warehouse folder of the org.

    Raises:
        LifecycleError: Its environment has not been set up.
    """
    folder = str(org / WAREHOUSE)
    command = (str(snowflake_python()), "-m", "localcloud.snowflake.server", "--dir", folder)
    return Service("snowflake", (*command, "--database", DATABASE))


def atlan(org: Path, *, tls: bool = False) -> Service:
    """The catalog's server.

    Args:
        org: The org's folder, in which the catalog is kept too.
        tls: Whether it speaks TLS, by the org's own authority.
    """
    command = (sys.executable, "-m", "localcloud.atlan.server", "--org", str(org), *(["--tls"] if tls else []))
    return Service("atlan", command)


def snowflake_python() -> Path:
    """The interpreter of the embedded Snowflake's own environment.

    `LOCALCLOUD_SNOWFLAKE_PYTHON` names it; otherwise it is `.envs/snowflake` of the project that holds the
    current folder or this package.

    Raises:
        LifecycleError: There is none.
    """
    if named := os.environ.get("LOCALCLOUD_SNOWFLAKE_PYTHON"):
        return Path(named)
    for folder in (Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents):
        candidate = folder / SNOWFLAKE_ENVIRONMENT / "bin" / "python"
        if candidate.exists():
            return candidate
    msg = f"the environment {SNOWFLAKE_ENVIRONMENT} is missing: run `make setup` in the project first"
    raise LifecycleError(msg)


def start(
    service: Service,
    org: Path,
    *,
    port: int = 0,
    patience_s: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Running:
    """Start a server in the background, or find the one that runs already.

    Args:
        service: What to start.
        org: The org's folder; `org/run` gets the log, the lock and the ready file.
        port: Where to listen on 127.0.0.1; 0 takes any free port.
        patience_s: How long to wait for it, in seconds.
        clock: Monotonic seconds.
        sleep: Waits for so many seconds.

    Raises:
        LifecycleError: The port is taken, or the server ended or did not answer in time.
    """
    return begin(service, org, port=port).ready(patience_s=patience_s, clock=clock, sleep=sleep)


def begin(service: Service, org: Path, *, port: int = 0) -> Starting:
    """Start a server without waiting for it, or find the one that runs already.

    Args:
        service: What to start.
        org: The org's folder; `org/run` gets the log, the lock and the ready file.
        port: Where to listen on 127.0.0.1; 0 takes any free port.

    Raises:
        LifecycleError: The port is taken.
    """
    files = RunFiles(org, service.name)
    files.folder.mkdir(parents=True, exist_ok=True)
    with files.locked() as lock:
        if lock is None:
            return Starting(files, None)
        _reap()
        for name, wanted in ((service.name, port), *service.ports):
            if wanted and not is_free(wanted):
                msg = (
                    f"port {wanted} on {HOST} is taken by another program (or another org): "
                    f"choose a free one with --{name}-port, 0 for any"
                )
                raise LifecycleError(msg)
        files.ready.unlink(missing_ok=True)
        with files.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs
                [*service.command, "--port", str(port), "--ready-file", str(files.ready)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C in the terminal is the caller's, who then stops it in order
            )
        _children[process.pid] = process
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{process.pid}\n".encode(), 0)
    return Starting(files, process)


@dataclass(frozen=True, slots=True)
class Starting:
    """A server that has been started, here or before."""

    _files: RunFiles
    _process: subprocess.Popen[bytes] | None

    def ready(
        self,
        *,
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Running:
        """Wait until it accepts connections.

        Args:
            patience_s: How long to wait for it, in seconds.
            clock: Monotonic seconds.
            sleep: Waits for so many seconds.

        Raises:
            LifecycleError: It ended, or did not answer in time.
        """
        files, process, deadline = self._files, self._process, clock() + patience_s
        while clock() < deadline:
            address, pid = files.address(), files.pid()
            if address and pid and _accepts(address.port):
                return _running(files.name, pid, address, started_here=process is not None)
            if process is not None and process.poll() is not None:
                _reap()
                raise LifecycleError(f"the {files.name} server ended at once: {files.last_words()} (log: {files.log})")
            sleep(0.02)
        if process is not None:
            process.kill()
            process.wait()
            _reap()
        raise LifecycleError(f"the {files.name} server did not answer in time: {files.last_words()} (log: {files.log})")


def find(name: str, org: Path) -> Running | None:
    """The running server of that name, or None."""
    files = RunFiles(org, name)
    if not files.lock.exists():
        return None
    with files.locked() as lock:
        if lock is not None:
            return None
        pid, address = files.pid(), files.address()
    if not pid or not address:
        return None
    return _running(name, pid, address)


def stop(
    name: str,
    org: Path,
    *,
    patience_s: float = 20.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Ask a server to end, and wait until it has; after `patience_s` seconds it is killed.

    Returns:
        Whether one was running.

    Raises:
        LifecycleError: One is being started, and goes on being so.
    """
    files = RunFiles(org, name)
    if not files.lock.exists():
        return False
    deadline, asked = clock() + patience_s, False
    while True:
        with files.locked() as lock:
            if lock is not None:
                files.ready.unlink(missing_ok=True)
                _reap()
                return asked
            pid = files.pid()
        if not pid and clock() > deadline:
            msg = f"{name} of {org} neither starts nor ends: another localcloud may be waiting for it"
            raise LifecycleError(msg)
        if pid and (not asked or clock() > deadline):
            _signal(pid, signal.SIGKILL if asked else signal.SIGTERM)
            asked = True
        _reap()
        sleep(0.02)


def _running(name: str, pid: int, address: Address, *, started_here: bool = False) -> Running:
    return Running(name, pid, address.port, started_here, address.scheme, address.pubsub, address.proxy)


def _accepts(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1):
            return True
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended between the look and the signal: its lock is gone with it


def _reap() -> None:
    """Collect the exit status of the children of this very process that have ended."""
    for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
        del _children[pid]
