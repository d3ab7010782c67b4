"""Background servers: started once, found again, stopped, and honest about why one did not start."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from localcloud import lifecycle
from localcloud.lifecycle import LifecycleError, Service

SERVER = """
import argparse, pathlib, signal, socket, sys
parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--ready-file")
options = parser.parse_args()
listener = socket.create_server(("127.0.0.1", options.port))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(options.ready_file).write_text("127.0.0.1:%d\\n" % listener.getsockname()[1])
while True:
    listener.accept()[0].close()
"""
BROKEN = "import sys; sys.exit('the database is on fire')"
SILENT = "import time; time.sleep(600)"


def service(program: str) -> Service:
    return Service("salesforce", (sys.executable, "-c", program))


def test_a_started_server_is_found_and_stopped(tmp_path: Path) -> None:
    started = lifecycle.start(service(SERVER), tmp_path)
    try:
        assert started.started_here
        found = lifecycle.find("salesforce", tmp_path)
        assert found is not None
        assert (found.pid, found.port) == (started.pid, started.port)
        with socket.create_connection((lifecycle.HOST, started.port), timeout=5):
            pass
    finally:
        assert lifecycle.stop("salesforce", tmp_path)
    assert lifecycle.find("salesforce", tmp_path) is None
    assert not lifecycle.stop("salesforce", tmp_path)


def test_starting_twice_finds_the_first_one(tmp_path: Path) -> None:
    first = lifecycle.start(service(SERVER), tmp_path)
    try:
        second = lifecycle.start(service(SERVER), tmp_path)
        assert (second.pid, second.port, second.started_here) == (first.pid, first.port, False)
    finally:
        lifecycle.stop("salesforce", tmp_path)


def test_a_killed_server_does_not_stand_in_the_way(tmp_path: Path) -> None:
    first = lifecycle.start(service(SERVER), tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    assert lifecycle.find("salesforce", tmp_path) is None
    second = lifecycle.start(service(SERVER), tmp_path)
    assert second.started_here
    assert lifecycle.stop("salesforce", tmp_path)


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(LifecycleError, match="the database is on fire"):
        lifecycle.start(service(BROKEN), tmp_path)
    assert lifecycle.find("salesforce", tmp_path) is None


def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    now = iter(range(0, 10_000, 10))
    with pytest.raises(LifecycleError, match="did not answer in time"):
        lifecycle.start(service(SILENT), tmp_path, clock=lambda: float(next(now)), sleep=lambda _s: None)
    assert lifecycle.find("salesforce", tmp_path) is None


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server((lifecycle.HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(LifecycleError, match=f"port {port} .* is taken .* --salesforce-port"):
            lifecycle.start(service(SERVER), tmp_path, port=port)


def test_nothing_was_ever_started_in_a_new_folder(tmp_path: Path) -> None:
    assert lifecycle.find("snowflake", tmp_path) is None
    assert not lifecycle.stop("snowflake", tmp_path)


def test_a_missing_snowflake_environment_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCALCLOUD_SNOWFLAKE_PYTHON", raising=False)
    monkeypatch.setattr(lifecycle, "SNOWFLAKE_ENVIRONMENT", Path("no/such/environment"))
    with pytest.raises(LifecycleError, match="make setup"):
        lifecycle.snowflake(tmp_path)
