"""Scenarios: what is read from YAML, what is refused and how, and that each step happens in its time."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from localcloud.clock import OrgClock
from localcloud.salesforce.control import Control
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.control import PubSubControl
from localcloud.salesforce.server import Running, serve_in_thread
from localcloud.scenario import Scenario, ScenarioError, load_scenario, parse_scenario

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[1] / "SCENARIOS.md"


def stopped() -> float:
    return 1_700_000_000.0


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "org"
    Org.create(path, clock=OrgClock(NOW, real=stopped)).close()
    return path


@pytest.fixture
def org(empty: Path, tmp_path: Path) -> Iterator[Org]:
    """An empty org whose clock stands still until it is moved."""
    with Org.open(shutil.copytree(empty, tmp_path / "org"), clock=OrgClock(NOW, real=stopped)) as opened:
        yield opened


Play = Callable[[str], Running]


@pytest.fixture
def play(org: Org) -> Iterator[Play]:
    """Serves the org with a scenario."""
    with ExitStack() as stack:
        yield lambda text: stack.enter_context(serve_in_thread(org, scenario=parse_scenario(text)))


def get(server: Running, path: str = "/services/data") -> int:
    """The status of a GET that needs no session."""
    try:
        with urllib.request.urlopen(server.url + path, timeout=20) as answer:  # noqa: S310 - loopback
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def post(server: Running, path: str, body: str) -> bytes:
    with urllib.request.urlopen(server.url + path, body.encode(), timeout=20) as answer:  # noqa: S310
        content: bytes = answer.read()
        return content


def shown(server: Running) -> list[tuple[str, str, int]]:
    return [(step.name, step.status, step.done) for step in server.scenario().steps]


def test_a_step_without_a_trigger_happens_at_the_start(play: Play) -> None:
    server = play("{clock: 2027-01-01T00:00:00Z, steps: [{name: slow, do: {fail: [{times: 2}]}}]}")
    state = server.control()
    assert state.now == "2027-01-01T00:00:00.000+0000"
    assert [get(server) for _ in range(3)] == [503, 503, 200]
    assert shown(server) == [("slow", "done", 1)]


def test_a_step_follows_the_nth_request_that_matches(play: Play) -> None:
    server = play("""
        steps:
          - after: {requests: 2, matching: "GET /services/data$"}
            do: {fail: [{status: 500, times: null}]}
    """)
    assert [get(server), get(server, "/services/data?other"), get(server), get(server)] == [200, 200, 200, 500]


def test_a_struck_request_counts_and_a_step_can_happen_again(play: Play) -> None:
    server = play("""
        steps:
          - {name: often, after: {requests: 2}, times: null, do: {fail: [{status: 500}]}}
          - {name: twice, after: {requests: 3}, times: 2, do: {clock: {advance_seconds: 1}}}
    """)
    assert [get(server) for _ in range(8)] == [200, 200, 500, 200, 500, 200, 500, 200]
    assert shown(server) == [("often", "waiting", 4), ("twice", "done", 2)]
    assert server.control().now == "2026-03-02T09:00:02.000+0000"


def test_steps_follow_the_clock_of_the_org(play: Play, org: Org) -> None:
    server = play("""
        steps:
          - {name: later, in_seconds: 60, do: {quota: {max: 1}}}
          - {name: tomorrow, at: "2026-03-03T10:00:00+01:00", do: {quota: {max: 2}}}
    """)
    org.clock.advance(timedelta(seconds=59))
    get(server)
    assert shown(server) == [("later", "waiting", 0), ("tomorrow", "waiting", 0)]
    org.clock.advance(timedelta(seconds=1))
    get(server)
    assert server.control().quota_max == 1
    org.clock.set(datetime(2026, 3, 3, 9, 0, tzinfo=UTC))
    get(server)
    assert shown(server) == [("later", "done", 1), ("tomorrow", "done", 1)]
    assert server.control().quota_max == 2


def test_steps_that_a_leap_of_the_clock_made_due_happen_in_their_order(play: Play) -> None:
    server = play("""
        steps:
          - {in_seconds: 20, do: {quota: {max: 20}}}
          - {in_seconds: 10, times: 3, do: {quota: {used: 0, left: 10}}}
    """)
    server.control(clock={"advance_seconds": 25})
    get(server)
    assert [step.done for step in server.scenario().steps] == [1, 2]
    assert server.control().quota_max == 10, "the second happening of the later step came last"


def test_a_step_happens_in_its_time_when_nobody_asks_anything(empty: Path, tmp_path: Path) -> None:
    with Org.open(shutil.copytree(empty, tmp_path / "org"), clock=OrgClock(NOW)) as org:
        script = parse_scenario("steps: [{in_seconds: 0.1, do: {fail: [{status: 500}]}}]")
        with serve_in_thread(org, scenario=script) as server:
            page = post(server, "/__localcloud__/control", "{}")
            deadline = time.monotonic() + 20
            while b'"status":500' not in page:  # the control endpoint counts as no request of a client
                assert time.monotonic() < deadline
                page = post(server, "/__localcloud__/control", "{}")
            assert get(server) == 500


def test_what_cannot_be_done_is_said_and_the_rest_goes_on(play: Play) -> None:
    server = play("""
        steps:
          - {name: wrong, do: {insert: [{object: Nothing, rows: [{}]}]}}
          - {name: right, do: {quota: {max: 5}}}
    """)
    wrong, right = server.scenario().steps
    assert (wrong.status, wrong.error) == ("failed", "no such object: Nothing")
    assert (right.status, right.error) == ("done", None)


def test_a_running_server_takes_a_scenario_in_place_of_the_first(play: Play) -> None:
    server = play("{name: first, steps: [{after: {requests: 1}, do: {quota: {max: 1}}}]}")
    answer = post(server, "/__localcloud__/scenario", "name: second\nsteps: [{do: {quota: {max: 2}}}]")
    assert msgspec.json.decode(answer)["name"] == "second"
    get(server)
    assert server.control().quota_max == 2
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(server, "/__localcloud__/scenario", "steps: [{}]")
    assert refused.value.code == 400
    assert b"line 1" in refused.value.read()
    refused.value.close()
    assert server.scenario().name == "second"


def test_numbers_keep_their_digits_and_instants_their_text(play: Play) -> None:
    server = play("""
        steps:
          - do:
              insert:
                - object: Opportunity
                  rows: [{Name: 007, StageName: "New", CloseDate: 2026-04-01, Amount: 1234567890.10}]
    """)
    assert server.scenario().steps[0].error is not None, "007 is not a text"
    server.play(
        parse_scenario("""
        steps:
          - do:
              insert:
                - {object: Opportunity, rows: [{Name: "007", CloseDate: 2026-04-01, Amount: 1234567890.10}]}
    """)
    )
    assert server.scenario().steps[0].error is None
    with Org.open(server.org_path) as read:
        rows = read.db.execute('SELECT "Name", "CloseDate", "Amount" FROM "Opportunity"').fetchall()
    assert [tuple(map(str, row)) for row in rows] == [("007", "2026-04-01", "1234567890.10")]


def test_one_step_acts_on_records_and_on_the_topic(play: Play) -> None:
    server = play("""
        steps:
          - after: {requests: 1}
            do:
              act:
                - action: create
                  object: Account
                  count: 2
                  values: {Name: "A {n}", AnnualRevenue: 12345678901234567.0}
                - {action: delete, object: Account, where: "Name = 'A 2'"}
          - after: {requests: 1}
            do: {pubsub: {duplicate: [{topic: /data/ChangeEvents}]}}
          - after: {requests: 1}
            do: {act: [{action: delete, object: Account, where: nonsense}]}
    """)
    get(server)
    *done, failed = server.scenario().steps
    assert [step.error for step in done] == [None, None]
    assert "nonsense" in str(failed.error)
    kinds = [(event.change_type, len(event.record_ids)) for event in server.events("/data/ChangeEvents")]
    assert kinds == [("DELETE", 1), ("DELETE", 1), ("CREATE", 1), ("CREATE", 1)]
    with Org.open(server.org_path) as read:
        revenue = read.db.execute('SELECT "AnnualRevenue" FROM "Account" ORDER BY "Id"').fetchall()
    assert revenue == [("12345678901234567.0",)] * 2, "no float came near it"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps:\n  - do: {latency: 5}", "s.yml, line 2 (steps[0].do): Object contains unknown field `latency`"),
        ("steps:\n  - {}", "s.yml, line 2 (steps[0]): Object missing required field `do`"),
        ("steps:\n- at: 2026-01-01T00:00:00\n  do: {}", "line 2 (steps[0].at): Expected `datetime` with a timezone"),
        ("steps:\n- do: {}\n  at: 2026-01-01T00:00:00Z\n  in_seconds: 5", "not more"),
        ("steps:\n- do: {}\n  times: 3", "`times` needs `after`"),
        ("steps:\n- do:\n    drop:\n    - mode: melt", "line 4 (steps[0].do.drop[0].mode): Invalid enum value 'melt'"),
        ("steps:\n- do: {fail: [{pattern: '('}]}", "line 2 (steps[0].do.fail[0]): pattern '('"),
        ("steps:\n- after: {matching: '['}\n  do: {}", "line 2 (steps[0].after): pattern '['"),
        ("steps:\n- do: {}\n  do: {}", "line 3: `do` stands there twice"),
        ("steps: [", "line 1"),
        ("- 1", "line 1: Expected `object`, got `array`"),
        ("name: .inf\nsteps: []", "line 1: .inf is not a plain number"),
        ("steps:\n- do: {latency_ms: 1_000}", "line 2: 1_000 is not a plain number"),
        ("? [a]\n: 1", "line 1: a key must be a plain word"),
        ("name: !!python/name:os.system x", "line 1"),
    ],
)
def test_a_wrong_scenario_is_one_sentence_that_names_the_line(text: str, said: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse_scenario(text, "s.yml")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_not_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yml cannot be read: No such file"):
        load_scenario(tmp_path / "none.yml")
    (tmp_path / "odd.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match=r"odd\.yml cannot be read: it is not UTF-8"):
        load_scenario(tmp_path / "odd.yml")


def test_an_empty_file_is_an_empty_scenario() -> None:
    assert parse_scenario("# nothing yet\n") == Scenario()


def test_the_server_refuses_a_wrong_scenario_before_it_listens(org: Org, tmp_path: Path) -> None:
    (tmp_path / "s.yml").write_text("steps: [{do: {fly: true}}]")
    command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(org.path), "--scenario"]
    done = subprocess.run([*command, str(tmp_path / "s.yml")], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "s.yml, line 1" in done.stderr


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL))
def test_each_example_of_the_documentation_is_a_scenario(text: str) -> None:
    assert parse_scenario(text).steps


@pytest.mark.parametrize(
    ("heading", "kind"), [("What can happen", Control), ("What can happen to the Pub/Sub API", PubSubControl)]
)
def test_the_documentation_names_each_thing_that_can_happen(heading: str, kind: type[msgspec.Struct]) -> None:
    table = DOCUMENT.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n|---|---|\n")[1].split("\n\n")[0]
    documented = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines()))
    assert sorted(documented) == sorted(field.encode_name for field in msgspec.structs.fields(kind))
