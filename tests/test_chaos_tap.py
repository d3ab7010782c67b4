"""A small campaign of the tap, and that campaigns find what is wrong, count it, and can be repeated."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from chaos import tap as chaos_tap
from chaos.campaign import Outcome, campaign
from chaos.loader import Loader
from chaos.plan import Decide, Fault, Kill, Run, Save, Story
from chaos.process import run_process
from chaos.singer import TapRun, take
from chaos.tap_plan import ORG_EVENTS, draw
from chaos.verdict import Late, compare, missing
from localcloud.salesforce.server import serve_in_thread
from localcloud.seed import seed_org
from tap_salesforce_temporal.run import Run as RunOfTap
from tests.conftest import DAY, SECOND
from tests.harness import Json, config_for
from tests.in_process import run_here

CLOCK = datetime(2026, 3, 2, 8, tzinfo=UTC)
Tables = dict[str, dict[str, Json]]


# The campaign as it is run.


def test_a_small_campaign_loses_doubles_and_hides_nothing() -> None:
    said: list[str] = []
    sizes = [120] * len(ORG_EVENTS)
    totals = campaign(chaos_tap.play, seed=4, runs=8, sizes=sizes, workers=0, say=said.append, repeat="--only {number}")
    assert totals.wrong == []
    assert said == []
    assert (totals.lost, totals.doubled, totals.false_success, totals.failed) == (0, 0, 0, 0)
    assert totals.runs >= 8
    assert totals.killed == totals.exit_codes[-9] >= 1
    assert len(totals.faults) >= 4
    figures = json.loads(totals.result(4).removeprefix("RESULT "))
    assert figures.keys() >= {"seed", "runs", "killed", "lost", "doubled", "false_success", "faults"}


def test_a_tap_that_forgets_its_failures_is_found_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fault = Fault(
        "http_400", {"fail": [{"pattern": "FROM CaseHistory", "status": 400, "code": "MALFORMED_QUERY", "times": None}]}
    )
    story = Story(1, 1, 0, {"api_type": "rest"}, every_stream=False, steps=(Run((fault,)),))
    monkeypatch.setattr(chaos_tap, "draw", lambda *_: story)
    seed_org(tmp_path / "0", events=120, seed=1)

    honest = played(tmp_path)
    assert honest.exit_codes == {1: 1}
    assert honest.well

    monkeypatch.setattr(RunOfTap, "failed", lambda *_: None)
    forgetful = played(tmp_path)
    assert forgetful.exit_codes == {0: 1}
    assert (forgetful.false_success, forgetful.lost) == (1, 0)
    assert "case_history" in forgetful.wrong[0]


def played(orgs: Path) -> Outcome:
    shutil.rmtree(orgs / "work", ignore_errors=True)
    (orgs / "work").mkdir()
    return chaos_tap.play(1, 1, orgs, orgs / "work")


# Plans.


def test_a_plan_is_the_same_for_a_seed_and_a_number_and_for_no_other() -> None:
    assert draw(7, 3) == draw(7, 3)
    assert len({msgspec.json.encode(draw(seed, number)) for seed in range(5) for number in range(5)}) == 25
    assert msgspec.json.decode(msgspec.json.encode(draw(7, 3)), type=Story) == draw(7, 3)


def test_plans_hold_every_fault_and_end_within_the_days_that_are_verified() -> None:
    stories = [draw(1, number) for number in range(1, 91)]
    runs = [step for story in stories for step in story.steps if isinstance(step, Run)]
    decided = [step for story in stories for step in story.steps if isinstance(step, Decide)]
    kinds = {fault.kind for run in runs for fault in run.faults} | {hide.kind for one in decided for hide in one.hides}
    assert kinds == {
        "http_503", "http_429", "http_500", "reset", "truncation", "short_page", "short_page_overwritten",
        "expired_session", "expired_locator", "query_timeout", "bulk_job_failed", "bulk_job_aborted",
        "permission_lost", "field_lost", "quota_ended", "own_quota_ceiling", "time_ceiling", "decisions_midway",
        "late_within_overlap", "out_of_order_within_overlap", "late_two_days", "out_of_order_two_days",
    }  # fmt: skip
    assert {run.clock_off_seconds for run in runs} == {0, 3_600, -3_600}
    assert 0.2 < sum(run.kill is not None for run in runs) / len(runs) < 0.5
    for story in stories:
        steps = [step for step in story.steps if isinstance(step, Decide)]
        assert sum(seconds(step) for step in steps) <= 3.1 * 86_400


def seconds(step: Decide) -> float:
    return step.days * 86_400 + step.rest_seconds + sum(save.seconds for save in step.saves)


# The verdict.


@pytest.fixture(scope="module")
def read_org(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    """An org and what a clean run reads of it."""
    org = tmp_path_factory.mktemp("read") / "org"
    seed_org(org, events=150, seed=5)
    loader = Loader()
    with serve_in_thread(org) as server:
        assert loader.load(run_here(config_for(server.url, org))).code == 0
    return org, loader.tables


def without_newest(tables: Tables, stream: str) -> tuple[Tables, datetime]:
    """The tables without the newest event of a stream, and when it was recorded."""
    newest = max(tables[stream].values(), key=lambda record: str(record["timestamp_recorded"]))
    rest = {name: dict(table) for name, table in tables.items()}
    del rest[stream][newest["event_id"]]
    return rest, datetime.fromisoformat(newest["timestamp_recorded"])


@pytest.mark.parametrize("stream", ["case_history", "opportunity_history", "task", "process_instance_step"])
def test_the_verdict_sees_what_is_lost_doubled_and_made_up(stream: str, read_org: tuple[Path, Tables]) -> None:
    org, tables = read_org
    whole = compare(org, CLOCK, tables, tables, {})
    assert (whole.lost, whole.doubled, whole.wrong) == (0, 0, [])

    short, _ = without_newest(tables, stream)
    assert compare(org, CLOCK, tables, short, {}).lost == 1

    one = next(iter(tables[stream].values()))
    twice = {**tables, stream: {**tables[stream], "another id": {**one, "event_id": "another id"}}}
    assert compare(org, CLOCK, tables, twice, {}).doubled == 1

    made_up = {**tables, stream: {**tables[stream], one["event_id"]: {**one, "new_value": "nobody said so"}}}
    found = compare(org, CLOCK, tables, made_up, {})
    assert found.doubled == 1
    assert stream in found.wrong[0]
    assert compare(org, CLOCK, tables, tables, {stream: [one["event_id"]]}).doubled == 1


def test_a_success_owes_what_could_be_seen_and_no_more(read_org: tuple[Path, Tables]) -> None:
    org, tables = read_org
    short, at = without_newest(tables, "case_history")

    def owed(began: datetime, *late: Late) -> int:
        return missing(org, (began, began + SECOND), tables, short, late).lost

    assert owed(CLOCK) == 1
    assert owed(at + 60 * SECOND) == 0  # within the lag
    assert owed(at + 63 * SECOND) == 1

    begin, end = at.replace(microsecond=0), at + 10 * SECOND
    soon = Late("CaseHistory", begin, end, 600 * SECOND)
    assert owed(end + 599 * SECOND, soon) == 0
    assert owed(end + 600 * SECOND, soon) == 1
    assert owed(end + 599 * SECOND, Late("AccountHistory", begin, end, 600 * SECOND)) == 1

    much_later = Late("CaseHistory", begin, end, 2 * DAY)
    seen = end + 2 * DAY
    assert owed(seen + SECOND, much_later) == 0  # of the day on which it came: found by the next day's verification
    assert owed(datetime(seen.year, seen.month, seen.day, tzinfo=UTC) + DAY, much_later) == 1


# Kills.

LINES = [
    {"type": "RECORD", "stream": "s", "record": {"event_id": str(n), "context": {}}} if n % 3 else
    {"type": "STATE", "value": {"n": n}} for n in range(1, 400)
]  # fmt: skip
PROGRAM = f"""
import json, time
for line in json.loads({json.dumps(LINES)!r}):
    print(json.dumps(line), flush=True)
time.sleep(60)
"""


def killed(kill: Kill, work: Path, answered: Callable[[int], bool] = lambda _: True) -> TapRun:
    return run_process([sys.executable, "-c", PROGRAM], kill, work, answered)


@pytest.mark.parametrize("target", ["reads on", "writes"])
def test_a_process_is_ended_at_a_byte_and_a_torn_line_is_nobodys(target: str, tmp_path: Path) -> None:
    kill = msgspec.convert({"at_bytes": 5_000, "target": target}, Kill)
    run = killed(kill, tmp_path)
    assert run.code == -9
    assert run.messages == LINES[: len(run.messages)]
    text = "".join(f"{json.dumps(line)}\n" for line in LINES)
    if target == "writes":
        assert len(run.messages) == text[:5_000].count("\n")
    else:
        assert len(run.messages) >= text[:5_000].count("\n")


def test_a_process_is_ended_at_a_request_or_a_moment(tmp_path: Path) -> None:
    asked: list[int] = []

    def answered(requests: int) -> bool:
        asked.append(requests)
        return len(asked) == 5

    assert killed(Kill(at_request=3), tmp_path, answered).code == -9
    assert asked == [3] * 5
    assert killed(Kill(at_seconds=0.05), tmp_path).code == -9
    assert killed(Kill(at_seconds=0.05, gently=True), tmp_path).code == -15


def test_a_target_that_dies_keeps_the_last_state_and_what_is_before_it() -> None:
    run = TapRun(-9, "")
    for line in LINES[:8]:  # states after two, five and eight messages
        take(run, json.dumps(line))
    fates = {}
    for name, kill in {
        "reads on": Kill(at_bytes=1),
        "loses": Kill(at_bytes=1, target="loses"),
        "an older state": Kill(at_bytes=1, states_lost=1),
        "no state": Kill(at_bytes=1, states_lost=9),
    }.items():
        loader = Loader(state={"n": 0})
        loader.load(run, kill)
        fates[name] = (loader.state, sorted(loader.tables["s"]))
    assert fates == {
        "reads on": ({"n": 6}, ["1", "2", "4", "5", "7", "8"]),
        "loses": ({"n": 6}, ["1", "2", "4", "5"]),
        "an older state": ({"n": 3}, ["1", "2", "4", "5", "7", "8"]),
        "no state": ({"n": 0}, ["1", "2", "4", "5", "7", "8"]),
    }


# Counting.


def two_of_three(seed: int, number: int, orgs: Path, work: Path) -> Outcome:
    assert (orgs / "0" / "truth.jsonl").exists()
    assert list(work.iterdir()) == []
    if number == 2:
        raise RuntimeError("out of luck")
    return Outcome(number, runs=2, killed=1, lost=int(number == 3), wrong=["a is missing"] if number == 3 else [])


def test_a_story_that_goes_wrong_says_how_to_repeat_it_and_fails_the_campaign() -> None:
    said: list[str] = []
    repeat = "python -m chaos.x --seed 9 --only {number}"
    totals = campaign(two_of_three, seed=9, runs=5, sizes=[50], workers=0, say=said.append, repeat=repeat)
    assert (totals.stories, totals.failed, totals.runs, totals.killed, totals.lost) == (4, 2, 6, 3, 1)
    assert said == [
        "story 2: RuntimeError: out of luck; repeat with: python -m chaos.x --seed 9 --only 2",
        "story 3: a is missing; repeat with: python -m chaos.x --seed 9 --only 3",
    ]


def test_a_save_is_an_action_of_the_mock_org() -> None:
    """Plans are data that the mock org takes as it is."""
    from localcloud.salesforce.control import Control  # noqa: PLC0415 - only here

    for number in range(1, 40):
        for step in draw(2, number).steps:
            does = [save.action for save in step.saves] if isinstance(step, Decide) else []
            faults = [fault.do for fault in step.faults] if isinstance(step, Run) else []
            for control in (*faults, {"act": does}):
                msgspec.json.decode(msgspec.json.encode(control), type=Control)
    assert Save(1.0, {}).seconds == 1.0
