"""A small campaign of the target, and that its verdict finds what is lost, doubled, made up or not as it was."""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import msgspec
import pytest

from chaos import atlan as chaos_atlan
from chaos.atlan_catalog import Catalog
from chaos.atlan_plan import STEPS, AtlanStory, End, Feed, Meanwhile, draw
from chaos.atlan_target import Launch, launched, left_by
from chaos.atlan_truth import Decided, Message, Truth
from chaos.atlan_verdict import Counted, Shown, compare, counted, figures
from chaos.plan import Fault
from localcloud.atlan.running import serve_in_thread
from tests.conftest import DAY

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


# The campaign as it is run.


def test_a_short_story_ends_with_the_right_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    steps = (
        Feed(news=40),
        Meanwhile(days=8),
        Feed(news=30, overlap=9, end=End("ledger.clean")),
        Feed(source=1, news=5, again=10, settings={"on_unresolved": "ignore"}),
        Feed(news=5, other_ledger=True),
        Feed(source=1, faults=(Fault("bad_asset", {"refuse": ["Case"]}),), news=40),
    )
    story = AtlanStory(1, 1, {"lineage": "never", "batch_size": 3}, 1.0, tells_time=True, steps=steps)
    monkeypatch.setattr(chaos_atlan, "draw", lambda *_: story)
    outcome = chaos_atlan.play(1, 1, tmp_path, tmp_path)
    assert outcome.wrong == []
    assert (outcome.lost, outcome.doubled, outcome.false_success) == (0, 0, 0)
    assert outcome.exit_codes == {0: 2, -9: 1, 2: 1, 1: 1}
    assert outcome.killed == 1
    met = {"overlap": 1, "sigkill": 1, "replayed": 1, "another_writer": 1, "bad_asset": 1}
    assert outcome.faults == {**met, "client_clock_off": 5}


class Liar:
    """A process that gave its last STATE back and was ended, before anything was in Atlan."""

    pid, exitcode = 1, -9

    def __init__(self, launch: Launch) -> None:
        folder = Path(launch.folder)
        *_, last = (folder / "input").read_text(encoding="utf-8").splitlines()
        (folder / "output").write_text(f"{json.dumps(json.loads(last)['value'])}\n", encoding="utf-8")
        (folder / "log").write_text("", encoding="utf-8")

    def is_alive(self) -> bool:
        return False

    def join(self, _seconds: float) -> None:
        """It has ended."""


class Still:
    """A context whose processes are ended before they have opened a file."""

    exitcode = -15

    def set_forkserver_preload(self, _names: list[str]) -> None:
        """Nothing to load."""

    def Process(self, **_parts: object) -> Still:  # noqa: N802 - its name in multiprocessing
        return self

    def start(self) -> None:
        """It has ended."""


def test_a_process_that_ended_at_once_is_not_judged_by_what_the_one_before_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("output", "log"):
        (tmp_path / name).write_text('{"position": 99}\n', encoding="utf-8")
    monkeypatch.setattr(multiprocessing, "get_context", lambda _kind: Still())
    run = left_by(launched(Launch({}, str(tmp_path))), tmp_path)
    assert (run.code, run.states, run.log) == (-15, [], "")


def test_a_state_that_came_back_too_soon_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    story = AtlanStory(1, 1, {}, 0.0, tells_time=True, steps=(Feed(news=40, end=End("state")),))
    monkeypatch.setattr(chaos_atlan, "draw", lambda *_: story)
    monkeypatch.setattr(chaos_atlan, "launched", Liar)
    outcome = chaos_atlan.play(1, 1, tmp_path, tmp_path)
    assert outcome.lost
    assert re.match(r"step 0: its STATE came back, \w+: Changes is None, and should be \d+", outcome.wrong[0])


# Plans.


def test_a_plan_is_the_same_for_a_seed_and_a_number() -> None:
    assert draw(7, 3) == draw(7, 3)
    assert len({msgspec.json.encode(draw(seed, number)) for seed in range(5) for number in range(5)}) == 25
    assert msgspec.json.decode(msgspec.json.encode(draw(7, 3)), type=AtlanStory) == draw(7, 3)


def test_plans_hold_every_fault_and_every_step_to_be_killed_at() -> None:
    steps = [step for number in range(1, 400) for step in draw(1, number).steps]
    runs = [step for step in steps if isinstance(step, Feed)]
    assert {run.end.step for run in runs if run.end is not None} == {*STEPS, ""}
    assert {step.kind for step in steps if isinstance(step, Meanwhile)} == {
        "", "changed_by_hand", "crawled_anew", "ledger_lost", "ledger_older",
    }  # fmt: skip
    assert {fault.kind for run in runs for fault in run.faults} == {
        "http_503", "http_500", "http_429", "503_after_commit", "drop", "drop_after_commit", "truncation",
        "http_503_exhausted", "http_429_exhausted", "commits_but_fails", "drops_exhausted", "hang_after_commit",
        "bad_asset", "rate_limit", "permission_lost", "token_revoked", "crawled_midway", "archived_midway",
        "purged_midway", "appeared_midway", "other_writer_midway", "changed_by_hand_midway",
    }  # fmt: skip
    assert 0.2 < sum(run.end is not None for run in runs) / len(runs) < 0.5


# The verdict.


def change(number: int, at: datetime, **more: str | None) -> Decided:
    given = {"actor": "005", "old": "New", "new": "Working", **more}
    return Decided(number, "change", "Case", "Status", at, **given)  # type: ignore[arg-type]


def test_figures_are_counted_by_the_documented_rules() -> None:
    decisions = [
        Counted(one, one.at)
        for one in (
            change(1, NOW - 6 * DAY),
            change(2, NOW - 7 * DAY, new=None),
            change(3, NOW - 29 * DAY, old="Closed"),
            change(4, NOW - 30 * DAY),
            Decided(5, "approval", "Case", None, NOW, new="Rejected"),
            Decided(6, "deletion", "Case", None, NOW),
        )
    ]
    of = {name: next(iter(right)) for name, right in figures(decisions, NOW.date())["Case", None].items()}
    assert (of["Changes"], of["Changes in 7 days"], of["Changes in 30 days"], of["Deletes"]) == (4, 1, 3, 1)
    assert (of["Approval decisions"], of["Approvals rejected"], of["Stage changes"]) == (1, 1, None)
    # freshness 100, 3 of 4 not emptied, all by people, 1 decision less 2 bad ones, 4 of 5 no deletes
    assert of["Quality score"] == round((30 * 100 + 25 * 75 + 10 * 100 + 20 * 0 + 15 * 80) / 100)
    assert figures(decisions, date(2026, 6, 30))["Case", None]["Quality score"] == {25}


def test_what_comes_twice_counts_once_and_what_is_taken_back_does_not() -> None:
    truth = Truth({number: change(number, NOW) for number in (1, 2)})
    messages = [Message(1, "s", {}), Message(1, "s", {}), Message(2, "s", {}), Message(2, "s", {}, void=True)]
    assert [one.decided.number for one in counted(truth, messages)] == [1]


@pytest.mark.parametrize(("shown", "lost", "doubled"), [(1, 1, 0), (2, 0, 0), (3, 0, 1), (None, 2, 0)])
def test_the_verdict_sees_what_is_lost_and_doubled(shown: int | None, lost: int, doubled: int) -> None:
    wanted: dict[tuple[str, str | None], dict[str, set[int]]] = {("Case", None): {"Changes": {2}}}
    found = compare(wanted, [Shown("Case", None, {"Changes": shown} if shown else {})])
    assert (found.lost, found.doubled, bool(found.wrong)) == (lost, doubled, bool(lost or doubled))


def test_the_verdict_sees_figures_on_an_asset_of_which_nothing_is_known() -> None:
    assert compare({}, [Shown("Case", "Status", {"Changes": 1})]).doubled == 1
    assert compare({("Case", "Owner"): {"Changes": {1}}}, [Shown("Case", "OwnerId", {"Changes": 1})]).wrong == []


def test_a_truth_log_grows_by_decisions_that_messages_tell_of() -> None:
    truth = Truth()
    for _ in range(5):
        truth.grow(Random(3), NOW, 60)
    told = {message.decision for source in truth.sources for message in source}
    assert told <= truth.decisions.keys()
    assert {one.kind for one in truth.decisions.values()} == {"change", "stage", "approval", "deletion", "other"}


# What no run may change.


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with serve_in_thread(tmp_path, requests_per_minute=None) as served:
        yield Catalog(served)


def test_a_ghost_is_found(catalog: Catalog) -> None:
    catalog.arm(())
    catalog.do({"add": [{"type_name": "SalesforceObject", "attributes": {"qualifiedName": "x", "name": "x"}}]})
    catalog.disarm()
    assert catalog.strange == ["a ghost: SalesforceObject x"]


def test_an_asset_that_a_run_changed_is_found(catalog: Catalog) -> None:
    catalog.arm(())
    case = next(one for one in catalog.served.assets("SalesforceObject") if one.attributes["apiName"] == "Case")
    catalog.served.control(archive=[case.guid])
    catalog.disarm()
    assert catalog.strange == [f"asset {case.guid} is not as it was"]
