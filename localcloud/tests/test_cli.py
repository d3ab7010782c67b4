"""The command `localcloud`: what it makes, what it says, and how it refuses."""

from __future__ import annotations

import io
import json
import re
import socket
import sqlite3
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

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
    assert "decisions" in capsys.readouterr().out
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
        (("act", "purge"), "there is no org in"),
        (("journal",), "there is no org in"),
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


@pytest.mark.parametrize(
    "arguments",
    [
        ("advance", "--days", "0"),
        ("up", "--salesforce-port", "99999"),
        ("fly",),
        ("act", "fly"),
        ("act", "purge", "--fast"),
    ],
)
def test_a_wrong_command_line_ends_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        run(arguments[0], "--org", tmp_path, *arguments[1:])
    assert stopped.value.code == 2


def test_up_serves_all_until_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    org = tmp_path / "org"
    run("seed", "--org", org, "--events", 200)
    capsys.readouterr()
    try:
        ports = ("--salesforce-port", 0, "--snowflake-port", 0, "--pubsub-port", 0, "--atlan-port", 0)
        assert run("up", "--org", org, *ports) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith("Mock org on 127.0.0.1")
        assert any(line.startswith("export TAP_SALESFORCE_TEMPORAL_LOGIN_URL=http://127.0.0.1:") for line in said)
        assert any(line.startswith("export TARGET_ATLAN_METADATA_BASE_URL=http://127.0.0.1:") for line in said)
        ledger = f"sqlite:///{(org / lifecycle.LEDGER).resolve()}"
        assert f"export TARGET_ATLAN_METADATA_LEDGER_URL={ledger}" in said
        address = next(line.split()[1] for line in said if line.startswith("pubsub"))
        socket.create_connection((lifecycle.HOST, int(address.rpartition(":")[2])), timeout=10).close()
        script = tmp_path / "script.yml"
        script.write_text("name: later\nsteps: [{do: {quota: {max: 5}}}]")
        assert run("up", "--org", org, "--scenario", script) == 0, "a second time finds them running"
        assert "runs already" in capsys.readouterr().out
        assert run("status", "--org", org) == 0
        said = capsys.readouterr().out.splitlines()
        assert any(re.fullmatch(r"spent +0 of 5 API calls; 0 requests since the start", line) for line in said)
        assert run("up", "--org", org, "--tls") == 1
        assert "runs already, without TLS" in capsys.readouterr().err
        (org / lifecycle.WAREHOUSE).mkdir(exist_ok=True)
    finally:
        assert run("down", "--org", org) == 0
    capsys.readouterr()
    assert run("status", "--org", org) == 1
    assert capsys.readouterr().out.count("not running") == len(cli.SERVERS)


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


def scalar(org: Path, query: str) -> Any:
    with sqlite3.connect(org / "org.sqlite") as db:
        (found,) = db.execute(query).fetchone()
    db.close()
    return found


@pytest.fixture
def small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A small made-up org that nobody serves."""
    run("seed", "--org", tmp_path / "org", "--events", 200)
    capsys.readouterr()
    return tmp_path / "org"


def test_act_works_on_the_folder_and_is_in_the_truth_log(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = ("create", "Account", "Name=New {n}", "--count", 3, "Industry=Energy")
    assert run("act", "--org", small, *made) == 0
    assert capsys.readouterr().out.startswith("3 records created: 001")
    assert run("act", "--org", small, "delete", "Account", "--where", "Name LIKE 'New%'", "--count", 2) == 0
    assert capsys.readouterr().out.startswith("2 records deleted: 001")
    assert run("act", "--org", small, "update", "Account", "--where", "Name = 'New 3'", "Industry=", "--json") == 0
    assert json.loads(capsys.readouterr().out)["succeeded"] == 1
    assert scalar(small, """SELECT count(*) FROM "Account" WHERE "Name" LIKE 'New%' AND "IsDeleted" = 1""") == 2
    assert scalar(small, """SELECT "Industry" FROM "Account" WHERE "Name" = 'New 3'""") is None
    told = [json.loads(line)["action"] for line in (small / "truth.jsonl").read_text(encoding="utf-8").splitlines()]
    assert told[-6:] == ["create"] * 3 + ["delete"] * 2 + ["update"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("delete", "Account"), "needs either ids or a where"),
        (("delete", "Account", "Contact", "--where", "Name != null"), "'Contact' is neither the object nor"),
        (("delete", "Account", "--where", "nonsense"), "condition 'nonsense'"),
        (("create", "Nothing", "Name=x"), "Nothing"),
        (("create", "Account", "Name=x", "--user", "Nobody"), "Nobody"),
        (("create", "Account", "Name=x", "--count", "0"), ">= 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_action_that_cannot_be_tried_is_one_sentence(
    arguments: tuple[str, ...], said: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("act", "--org", small, *arguments) == 1
    assert said in complaint(capsys)


def test_a_refused_record_ends_with_1_and_its_reason(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("act", "--org", small, "create", "Account", "Industry=Energy") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("localcloud: 1 record refused.\n")
    assert "REQUIRED_FIELD_MISSING" in said.err


def test_a_server_with_tls_and_a_scenario_is_asked_like_any_other(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.yml"
    script.write_text("steps: [{do: {fail: [{pattern: broken}]}}]")
    server = lifecycle.start(lifecycle.salesforce(small, tls=True, proxy_port=0, scenario=script), small)
    try:
        assert server.url.startswith("https://")
        assert server.proxy is not None
        assert lifecycle.find("salesforce", small) == Running(
            "salesforce", server.pid, server.port, False, "https", server.pubsub, server.proxy
        )
        follower = subprocess.Popen(
            [sys.executable, "-m", "localcloud.cli", "journal", "--org", str(small), "--follow"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert run("act", "--org", small, "create", "Account", "Name=Served") == 0
        assert run("status", "--org", small) == 1, "the warehouse does not run"
        said = capsys.readouterr().out
        assert "1 record created" in said
        assert re.search(r"^holds +\d+ objects, [\d,]+ rows: [\d,]+ live records, \d+ deleted$", said, re.MULTILINE)
        assert (touch(server, small, "services/data"), touch(server, small, "broken?path")) == (200, 503)
        assert run("journal", "--org", small, "-n", 1) == 0
        line, totals = capsys.readouterr().out.splitlines()
        assert re.fullmatch(r" +2  [\d:]{8}   503 +\d+ ms +0 rows  GET /broken  \[fail 503\]", line)
        assert totals == "2 requests, 0 API calls, 0 rows (1 x 200, 1 x 503)"
        assert run("journal", "--org", small, "--json") == 0
        first, second, last = map(json.loads, capsys.readouterr().out.splitlines())
        assert (first["number"], second["fault"], last["total"]) == (1, "fail 503", 2)
        assert follower.stdout is not None
        assert [follower.stdout.readline().split()[0] for _ in range(2)] == ["1", "2"]
        touch(server, small, "services/data")
        assert follower.stdout.readline().split()[0] == "3", "it came while it was waited for"
    finally:
        lifecycle.stop(server.name, small)
    out, err = follower.communicate(timeout=60)
    assert (follower.returncode, out, err) == (0, "", "The server has stopped.\n")


def touch(server: Running, org: Path, path: str) -> int:
    """The status of a GET over TLS."""
    context = ssl.create_default_context(cafile=org / "tls" / "ca.pem")
    try:
        with urllib.request.urlopen(f"{server.url}/{path}", context=context) as answer:  # noqa: S310 - loopback
            status: int = answer.status
            return status
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def test_the_journal_is_that_of_a_running_server(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("journal", "--org", small) == 1
    assert "is not running" in complaint(capsys)


def test_a_wrong_scenario_is_refused_before_anything_starts(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.yml"
    script.write_text("steps:\n  - do: {fly: true}")
    assert run("up", "--org", small, "--scenario", script) == 1
    assert "script.yml, line 2 (steps[0].do): Object contains unknown field `fly`" in complaint(capsys)
    assert lifecycle.find("salesforce", small) is None


@pytest.mark.parametrize("name", ["salesforce", "atlan"])
def test_the_journal_of_a_server_that_does_not_run_is_one_sentence(
    name: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("journal", "--org", small, "--server", name) == 1
    assert f"the {name.capitalize()} server of {small} is not running" in complaint(capsys)


@pytest.mark.parametrize("name", ["salesforce", "pubsub", "snowflake", "atlan"])
def test_a_taken_port_is_named_and_nothing_is_left_running(
    name: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((lifecycle.HOST, 0)) as other:
        taken = other.getsockname()[1]
        ports = {f"--{one}-port": 0 for one in ("salesforce", "pubsub", "snowflake", "atlan")}
        ports |= {f"--{name}-port": taken}
        assert run("up", "--org", small, *(word for pair in ports.items() for word in pair)) == 1
    assert re.search(rf"port {taken} on 127.0.0.1 is taken .* choose a free one with --{name}-port", complaint(capsys))
    assert [lifecycle.find(one, small) for one in cli.SERVERS] == [None] * len(cli.SERVERS)
