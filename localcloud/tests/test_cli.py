"""The command `localcloud`: what it makes, what it says, and how it refuses."""

from __future__ import annotations

import io
import json
import urllib.request
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from localcloud import cli, lifecycle
from localcloud.lifecycle import Running
from localcloud.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str | int | Path) -> int:
    return cli.main([str(argument) for argument in arguments])


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1, "one sentence, one line"
    return error


def test_seed_makes_an_org_with_its_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    org = tmp_path / "org"
    assert run("seed", "--org", org, "--events", 200) == 0
    said = capsys.readouterr()
    assert "decisions" in said.out
    assert said.err == "", "a short task says nothing about its progress"
    assert {"org.sqlite", "truth.jsonl", "meta.json", "jwt.key"} <= {path.name for path in org.iterdir()}


def test_the_same_seed_makes_the_same_decisions(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run("seed", "--org", tmp_path / name, "--events", 200, "--seed", 5)
    assert (tmp_path / "one" / "truth.jsonl").read_bytes() == (tmp_path / "two" / "truth.jsonl").read_bytes()


def test_advance_adds_decisions_behind_the_old_ones(tmp_path: Path) -> None:
    run("seed", "--org", tmp_path / "org", "--events", 2_000)
    truth = tmp_path / "org" / "truth.jsonl"
    before = truth.read_text(encoding="utf-8")
    assert run("advance", "--org", tmp_path / "org", "--days", 30) == 0
    after = truth.read_text(encoding="utf-8")
    assert after.startswith(before)
    new = [json.loads(line)["at"] for line in after[len(before) :].splitlines()]
    assert new
    assert min(new) > json.loads(before.splitlines()[-1])["at"]


def test_an_event_log_becomes_an_org(tmp_path: Path) -> None:
    log = tmp_path / "tickets.csv"
    log.write_text(
        "case,activity,timestamp,resource,amount\n"
        "t1,Open,2024-01-01T10:00:00+00:00,ann,\nt1,Closed,2024-01-02T10:00:00+00:00,bob,\n",
        encoding="utf-8",
    )
    assert run("seed", "--org", tmp_path / "org", "--event-log", log, "--as", "case") == 0
    lines = (tmp_path / "org" / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["object"] for line in lines] == ["Case"] * len(lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("advance",), "there is no org in"),
        (("up",), "there is no org in"),
        (("down",), "there is no org in"),
        (("status",), "there is no org in"),
        (("sql",), "there is no org in"),
        (("seed", "--as", "case"), "go together"),
        (("seed", "--event-log", "x.xes"), "go together"),
        (("seed", "--event-log", "no-such-file.xes", "--as", "case"), "there is no event log no-such-file.xes"),
        (("seed", "--event-log", "x.xes", "--as", "case", "--events", "5"), "an event log has its own"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_command_that_cannot_be_done_says_why_in_one_sentence(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments[0], "--org", tmp_path / "org", *arguments[1:]) == 1
    assert words in complaint(capsys)


def test_seeding_over_an_org_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("seed", "--org", tmp_path / "org", "--events", 200)
    capsys.readouterr()
    assert run("seed", "--org", tmp_path / "org") == 1
    assert "already" in complaint(capsys)


def test_a_broken_event_log_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.xes"
    log.write_text("<log><trace>", encoding="utf-8")
    assert run("seed", "--org", tmp_path / "org", "--event-log", log, "--as", "case") == 1
    assert "log.xes" in complaint(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["log.xes"]


@pytest.mark.parametrize("arguments", [("advance", "--days", "0"), ("up", "--salesforce-port", "99999"), ("fly",)])
def test_a_wrong_command_line_ends_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(arguments[0], "--org", tmp_path, *arguments[1:])
    assert stopped.value.code == 2


def test_up_serves_both_until_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    org = tmp_path / "org"
    run("seed", "--org", org, "--events", 200)
    capsys.readouterr()
    try:
        assert run("up", "--org", org, "--salesforce-port", 0, "--snowflake-port", 0) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith("Mock org on 127.0.0.1")
        assert any(line.startswith("export TAP_SALESFORCE_TEMPORAL_LOGIN_URL=http://127.0.0.1:") for line in said)
        assert run("up", "--org", org) == 0, "a second time finds them running"
        assert "runs already" in capsys.readouterr().out
        assert run("status", "--org", org) == 0
        (org / lifecycle.WAREHOUSE).mkdir(exist_ok=True)
    finally:
        assert run("down", "--org", org) == 0
    capsys.readouterr()
    assert run("status", "--org", org) == 1
    assert capsys.readouterr().out.count("not running") == 2


def test_advance_also_moves_the_clock_of_a_running_server(tmp_path: Path) -> None:
    org = tmp_path / "org"
    run("seed", "--org", org, "--events", 200)
    server = lifecycle.start(lifecycle.salesforce(org), org)
    try:
        before = server_time(server)
        assert run("advance", "--org", org, "--days", 3) == 0
        assert timedelta(days=3) <= server_time(server) - before < timedelta(days=3, minutes=5)
    finally:
        lifecycle.stop(server.name, org)


def server_time(server: Running) -> datetime:
    with urllib.request.urlopen(f"{server.url}/services/data", timeout=10) as answer:  # noqa: S310 - loopback
        return parsedate_to_datetime(answer.headers["Date"])


def test_sql_without_a_warehouse_points_to_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("seed", "--org", tmp_path / "org", "--events", 200)
    capsys.readouterr()
    assert run("sql", "--org", tmp_path / "org", "-q", "select 1") == 1
    assert "make demo" in complaint(capsys)


def test_the_variables_for_meltano_name_key_servers_and_schema(tmp_path: Path) -> None:
    variables = cli.meltano_environment(tmp_path, "S", Running("salesforce", 1, 11), Running("snowflake", 2, 22))
    assert variables["TAP_SALESFORCE_TEMPORAL_LOGIN_URL"] == "http://127.0.0.1:11"
    assert variables["TAP_SALESFORCE_TEMPORAL_PRIVATE_KEY_PATH"] == str(tmp_path / "jwt.key")
    assert variables["TARGET_SNOWFLAKE_ACCOUNT"].startswith("127.0.0.1:22/RAW/S?")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_silent_at_first_then_rare_in_a_file() -> None:
    now = [0.0]
    out = io.StringIO()
    with Progress("seeding", stream=out, clock=lambda: now[0]) as progress:
        for now[0] in (0.5, 1.0, 5.0, 6.0, 11.0):
            progress(int(now[0] * 10), 200)
    assert out.getvalue() == "  seeding: 50 of 200 (25%), 5 s\n  seeding: 110 of 200 (55%), 11 s\n"


def test_progress_on_a_terminal_is_one_line_that_goes_away() -> None:
    now = [0.0]
    out = Terminal()
    with Progress("seeding", stream=out, clock=lambda: now[0]) as progress:
        for now[0] in (3.0, 4.0):
            progress(1_000)
    assert "\n" not in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[2K")
