"""Whatever a user gets wrong: one clear sentence, the right exit code, no secret, nothing lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from localcloud.salesforce.server import Running
from localcloud.tls import Certificates
from tests.harness import Json, TapRun, config_for, discover, run_tap, select, take, tap_command
from tests.output import OUTPUT

Serve = Callable[..., Running]


def assert_one_sentence(run: TapRun, code: int, *words: str) -> None:
    """The run failed as it should and said so for a person."""
    OUTPUT.keep(run.log)
    assert run.code == code, run.log
    told = [record for record in re.split(r"\n(?=\d{4}-\d\d-\d\d )", run.log) if "| DEBUG " not in record]
    assert not any("Traceback" in record for record in told), run.log
    for word in words:
        assert word in run.sentence, run.log
    assert run.sentence.endswith((".", "?")), run.sentence


def other_key(folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "other.key"
    path.write_bytes(pem)
    return path


def test_a_key_that_the_app_does_not_know_is_a_login_error(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    config = config_for(serve(small_org).url, small_org) | {"private_key_path": str(other_key(tmp_path))}
    assert_one_sentence(run_tap(tmp_path, config), 2, "private key", "username")


def test_a_key_that_is_not_one_is_named_and_not_shown(small_org: Path, tmp_path: Path) -> None:
    config = config_for("http://127.0.0.1:1", small_org, private_key="c2VjcmV0LWtleS1ib2R5") | {"private_key_path": ""}
    run = run_tap(tmp_path, config)
    assert_one_sentence(run, 2, "private_key")
    assert "c2VjcmV0" not in run.log


@pytest.mark.parametrize(
    "state",
    [
        [],
        {"bookmarks": []},
        {"bookmarks": {"case_history": "2026"}},
        {"bookmarks": {"case_history": {"replication_key_value": "soon"}}},
        {"bookmarks": {"case_history": {"replication_key_value": 5}}},
        {"bookmarks": {"case_history": {"replication_key_value": "2026-01-01T00:00:00.000000Z", "emitted": [1]}}},
        {"bookmarks": {"case_history": {"version": 99}}},
    ],
    ids=json.dumps,
)
def test_a_damaged_state_is_refused_before_anything_is_written(state: Json, small_org: Path, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for("http://127.0.0.1:1", small_org), state=state)
    assert_one_sentence(run, 2, "state")
    assert not run.states


def test_a_state_file_that_is_not_json_is_named(small_org: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("{")
    run = run_tap(tmp_path, config_for("http://127.0.0.1:1", small_org), "--state", str(tmp_path / "broken"))
    assert_one_sentence(run, 2, "--state", "JSON")


def test_an_unreachable_host_is_named(small_org: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        run = run_tap(tmp_path, config_for(f"http://127.0.0.1:{taken.getsockname()[1]}", small_org))
    assert_one_sentence(run, 1, "127.0.0.1", "login_url")


def test_a_login_url_that_is_no_salesforce_is_a_login_error(small_org: Path, tmp_path: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as website:
        threading.Thread(target=website.serve_forever, daemon=True).start()
        run = run_tap(tmp_path, config_for(f"http://127.0.0.1:{website.server_port}", small_org))
        website.shutdown()
    assert_one_sentence(run, 2, "login_url")


def test_a_certificate_that_is_not_trusted_is_named(
    serve: Serve, small_org: Path, private_ca: Certificates, tmp_path: Path
) -> None:
    server = serve(small_org, tls_cert=private_ca.certificate, tls_key=private_ca.key)
    config = config_for(server.url, small_org)
    assert_one_sentence(run_tap(tmp_path, config), 2, "certificate", "ca_bundle")
    trusting = run_tap(tmp_path, config | {"ca_bundle": str(private_ca.authority)})
    assert trusting.code == 0, trusting.log


def test_an_object_without_permission_fails_its_stream_and_no_other(
    serve: Serve, copy_of_small_org: Path, tmp_path: Path
) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    catalog = select(discover(tmp_path, config), "account_history", "case_history", "opportunity_history")
    server.control(forbid={"objects": ["CaseHistory"]})
    run = run_tap(tmp_path, config, catalog=catalog)
    assert_one_sentence(run, 2, "case_history")
    assert run.records["opportunity_history"]
    assert run.records["account_history"]
    assert "case_history" not in run.state["bookmarks"]

    server.control(forbid={})
    again = run_tap(tmp_path, config, catalog=catalog, state=run.state)
    assert again.code == 0, again.log
    assert again.records["case_history"]
    assert not again.records["opportunity_history"]


@pytest.mark.parametrize("option", [(), ("--discover",)])
def test_standard_output_on_a_full_disk_is_one_sentence(
    option: tuple[str, ...], serve: Serve, small_org: Path, tmp_path: Path
) -> None:
    command = tap_command(tmp_path, config_for(serve(small_org).url, small_org), *option)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert_one_sentence(TapRun(done.returncode, done.stderr), 1, "No space left")


def test_a_loader_that_goes_away_is_one_sentence(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    command = tap_command(tmp_path, config_for(serve(small_org).url, small_org))
    tap = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert tap.stdout is not None
    assert tap.stderr is not None
    tap.stdout.readline()
    tap.stdout.close()
    log = tap.stderr.read()
    tap.stderr.close()
    assert_one_sentence(TapRun(tap.wait(30), log), 1, "loader closed the pipe")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_run_keeps_whole_lines_and_a_valid_state(
    number: signal.Signals, unbuffered: str, serve: Serve, small_org: Path, tmp_path: Path
) -> None:
    server = serve(small_org)
    config = config_for(server.url, small_org)
    catalog = select(discover(tmp_path, config), "account_history", "opportunity_field_history")
    tap = subprocess.Popen(
        tap_command(tmp_path, config, catalog=catalog),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        text=True,
    )
    assert tap.stdout is not None
    assert tap.stderr is not None
    run = TapRun(0, "")
    for line in tap.stdout:
        take(run, line)
        if run.records["account_history"]:
            server.control(latency_ms=20_000)  # it will be waiting for Salesforce when the signal comes
            tap.send_signal(number)
            break
    for line in tap.stdout:
        take(run, line)
    run.log = tap.stderr.read()
    run.code = tap.wait(30)
    tap.stdout.close()
    tap.stderr.close()
    server.control(latency_ms=0)
    assert_one_sentence(run, 1, "Interrupted", "run again")

    rest = run_tap(tmp_path, config, catalog=catalog, state=run.state if run.states else None)
    assert rest.code == 0, rest.log
    whole = run_tap(tmp_path, config, catalog=catalog)
    for stream in ("account_history", "opportunity_field_history"):
        assert run.by_id(stream).keys() | rest.by_id(stream).keys() == whole.by_id(stream).keys()


def test_no_secret_is_printed_at_any_log_level(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for(serve(small_org).url, small_org), LOGLEVEL="DEBUG")
    assert run.code == 0, run.log
    assert "DEBUG" in run.log
    key_line = (small_org / "jwt.key").read_text().splitlines()[1]
    assert key_line not in run.log
    assert not re.search(r"00D\w{12,15}!", run.log)
    assert not re.search(r"eyJ[\w-]{20,}\.", run.log)
    assert not re.search(r"(?i)bearer [\w!.]{10,}", run.log)
