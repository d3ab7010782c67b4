"""The environments beside the workspace that tests drive as processes: the embedded Snowflake and its target."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from localcloud.snowflake.address import TARGET_ENVIRONMENT, target_account

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 300.0  # seconds that a process may take where a healthy one takes two, and a busy machine a minute

Json = dict[str, Any]
Row = list[Any]


def snowflake_python() -> Path:
    """The interpreter of `.envs/snowflake`, which is made if it is not there."""
    return _environment("snowflake", "snowflake-server", "--no-deps", "-e", str(ROOT / "localcloud"))


def target_snowflake() -> Path:
    """The `target-snowflake` executable of `.envs/target-snowflake`, which is made if it is not there."""
    return _environment("target-snowflake", "target-snowflake").with_name("target-snowflake")


def tap_snowflake() -> Path:
    """The `tap-snowflake` executable of `.envs/tap-snowflake`, which is made if it is not there."""
    return _environment("tap-snowflake", "tap-snowflake").with_name("tap-snowflake")


def _environment(name: str, constraints: str, *more: str) -> Path:
    folder = ROOT / ".envs" / name
    python = folder / "bin" / "python"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pins = ROOT / "constraints" / f"{constraints}.txt"
        made = [mark for mark in (folder / ".stamp", folder / ".tested") if mark.exists()]
        if not any(mark.stat().st_mtime >= pins.stat().st_mtime for mark in made):
            uv = str(ROOT / ".tools/bin/uv") if (ROOT / ".tools/bin/uv").exists() else shutil.which("uv")
            assert uv, "uv is needed to make the environments of the tests: run `make setup` first"
            install = [uv, "pip", "install", "-q", "--python", str(python)]
            _run(uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder))
            _run(*install, "-r", str(pins))
            if more:
                _run(*install, *more)
            (folder / ".tested").touch()
    return python


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=300, cwd=ROOT)


class EmbeddedSnowflake:
    """A server process over a warehouse folder; a context manager that ends it.

    Args:
        work: Gets the warehouse, the ready file and the log.
        arguments: More arguments for the server.
        limit_files_to: Largest file it may write, in bytes: a disk that is full.
    """

    def __init__(self, work: Path, *arguments: str, limit_files_to: int | None = None) -> None:
        self.work = work
        self.warehouse = work / "warehouse"
        self.ready_file = work / "snowflake.ready"
        self.log = work / "snowflake.log"
        self._arguments = arguments
        self._limit = limit_files_to
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again on its port if it had one, and wait until it accepts connections."""
        prefix = [] if self._limit is None else ["sh", "-c", f'ulimit -f {self._limit // 512}; exec "$@"', "sh"]
        arguments = ["--port", str(self.port), *self._arguments]
        self.ready_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *server_command(self.warehouse, self.ready_file, *arguments)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self.ready_file.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, "the embedded Snowflake does not start"
            time.sleep(0.02)
        self.port = int(self.ready_file.read_text().rpartition(":")[2])

    def stop(self) -> int:
        """End it as an operator would; returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=PATIENCE)

    def client(self) -> SnowflakeClient:
        """A client process, for statements from several sessions."""
        return SnowflakeClient(self.port)

    def target_config(self, schema: str = "CRM", **more: object) -> Json:
        """Settings that lead an unmodified target-snowflake here."""
        return {
            "account": target_account(self.port, "RAW", schema),
            "user": "localcloud",
            "password": "localcloud",
            "database": "RAW",
            "schema": schema,
            "validate_records": False,
            **more,
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


def server_command(warehouse: Path, ready_file: Path, *arguments: str) -> list[str]:
    """The command line of a server with the database RAW on any free port."""
    command = [str(snowflake_python()), "-m", "localcloud.snowflake.server", "--dir", str(warehouse)]
    return [*command, "--database", "RAW", "--ready-file", str(ready_file), *arguments]


_CLIENT = """
import json, os, sys
os.environ["SNOWFLAKE_DISABLE_PLATFORM_DETECTION"] = "true"
import snowflake.connector
from localcloud.snowflake.table import as_text
sessions = {}
for line in sys.stdin:
    asked = json.loads(line)
    name = asked["session"]
    try:
        if name not in sessions:
            sessions[name] = snowflake.connector.connect(
                user="any", password="any", account="localcloud", host="127.0.0.1", port=int(sys.argv[1]),
                protocol="http", login_timeout=10, network_timeout=5, socket_timeout=50,
                **{"database": "RAW", **asked["options"]})
        cursor = sessions[name].cursor().execute(asked["sql"])
        answer = {"columns": [c.name for c in cursor.description or ()], "rows": cursor.fetchall()}
    except snowflake.connector.errors.Error as error:
        answer = {"error": str(error.msg), "number": error.errno}
    print(json.dumps(answer, default=as_text), flush=True)
"""


class SqlError(Exception):
    """A statement failed: the server's number and message."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


class SnowflakeClient:
    """The real connector in a process of its own; sessions by name."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [str(snowflake_python()), "-c", _CLIENT, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, sql: str, session: str = "main", **options: object) -> None:
        """Send a statement without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"session": session, "sql": sql, "options": options}) + "\n")
        self._process.stdin.flush()

    def receive(self) -> tuple[list[str], list[Row]]:
        """The columns and rows of the next answer.

        Raises:
            SqlError: It is an error.
        """
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise SqlError(answer["number"], answer["error"])
        return answer["columns"], answer["rows"]

    def rows(self, sql: str, session: str = "main", **options: object) -> list[Row]:
        """Run a statement.

        Raises:
            SqlError: It failed.
        """
        self.send(sql, session, **options)
        return self.receive()[1]

    def close(self) -> None:
        """End the process, and with it all sessions."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class TargetRun:
    """One run of target-snowflake: exit code, STATE lines, log."""

    code: int
    states: list[Json]
    log: str


def start_target(work: Path, config: Json, messages: Path, **env: str) -> subprocess.Popen[str]:
    """Start target-snowflake on a file of Singer messages."""
    path = work / f"target-{time.monotonic_ns()}.json"
    path.write_text(json.dumps(config))
    with messages.open() as source:
        return subprocess.Popen(
            [str(target_snowflake()), "--config", str(path)],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **TARGET_ENVIRONMENT, **env},
        )


def finish_target(process: subprocess.Popen[str], *, patience: float = PATIENCE) -> TargetRun:
    """Wait for a started target to end."""
    try:
        out, log = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return TargetRun(process.returncode, [json.loads(line) for line in out.splitlines()], log)


def run_target(work: Path, config: Json, messages: Path, **env: str) -> TargetRun:
    """Run target-snowflake on a file of Singer messages to its end."""
    return finish_target(start_target(work, config, messages, **env))


def write_messages(path: Path, stream: str, properties: Mapping[str, Json], records: Iterable[Json]) -> Path:
    """Write a file of SCHEMA, RECORDs keyed by `event_id`, and a STATE with their count."""
    schema = {"type": "object", "properties": properties}
    count = 0
    with path.open("w", encoding="utf-8") as file:
        head = {"type": "SCHEMA", "stream": stream, "schema": schema, "key_properties": ["event_id"]}
        file.write(json.dumps(head) + "\n")
        for count, record in enumerate(records, start=1):  # noqa: B007 - the count is written below
            file.write(json.dumps({"type": "RECORD", "stream": stream, "record": record}, ensure_ascii=False) + "\n")
        file.write(json.dumps({"type": "STATE", "value": {"written": count}}) + "\n")
    return path
