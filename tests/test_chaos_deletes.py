"""A small campaign of tap-salesforce-deletes, and that its verdict finds what is lost, doubled and distorted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from chaos import deletes as chaos_deletes
from chaos.campaign import campaign
from chaos.deletes_owed import owed_gaps
from chaos.deletes_plan import ALL, CHANNEL, draw
from chaos.deletes_verdict import Gap, Terms, Told, Truth, compare, read_deletions
from chaos.plan import Run, Story
from tap_salesforce_deletes.position import Positions, TopicPosition

TERMS = Terms(frozenset({"Account"}), frozenset({"Account", "Lead"}))
DELETED = Truth("Account", "001A", "2026-03-02T08:00:00", "005A", "2026-03-02T09:00:00")
TOLD = Told("Account", "001A", "2026-03-02T08:00:00.000000Z", "005A", "2026-03-02T09:00:00.000000Z")
GAP = Gap(frozenset({"Account"}), "2026-03-02T07:59:59.500000Z", "2026-03-02T10:00:00.000000Z")


def test_a_small_campaign_loses_and_doubles_nothing_and_says_each_gap_once() -> None:
    said: list[str] = []
    totals = campaign(chaos_deletes.play, seed=1, runs=8, sizes=(), workers=0, say=said.append, repeat="{number}")
    assert totals.wrong == []
    assert said == []
    assert (totals.lost, totals.doubled, totals.false_success, totals.failed) == (0, 0, 0, 0)
    assert totals.runs >= 8
    assert totals.killed == totals.exit_codes[-9] >= 1
    assert len(totals.faults) >= 4


def test_a_plan_is_the_same_for_a_seed_and_a_number_and_for_no_other() -> None:
    assert draw(7, 3) == draw(7, 3)
    assert len({msgspec.json.encode(draw(seed, number)) for seed in range(5) for number in range(5)}) == 25
    assert msgspec.json.decode(msgspec.json.encode(draw(7, 3)), type=Story) == draw(7, 3)


def test_plans_hold_every_fault_that_was_asked_for() -> None:
    stories = [draw(1, number) for number in range(1, 301)]
    runs = [step for story in stories for step in story.steps if isinstance(step, Run)]
    kinds = {fault.kind for run in runs for fault in run.faults}
    kinds |= {kind for story in stories for step in story.steps if not isinstance(step, Run) for kind in step.kinds}
    assert kinds >= {
        "RST_STREAM", "allocation_ended", "blank_schema_id", "concurrent.client.limit.exceeded", "connection_closed",
        "connection_reset", "corrupted_payload", "delete_log_purged", "deletes_midway", "duplicates",
        "duplicates_midway", "entity_hidden", "event_ceiling", "expired_71h", "expired_80h", "expired_session",
        "gap_events", "goaway", "half_open", "http_429", "http_500", "http_503", "overflow", "reset",
        "schema.api.unavailable", "schema.meta.permission", "schema.validation.failed", "schema_change",
        "schema_change_midway", "service.auth.error", "service.auth.headers.invalid", "service.auth.refresh.invalid",
        "service.protection.stream.limit.triggered", "service.protection.triggered", "service.tenant.license",
        "service.unavailable", "silent_stream", "stream_reset", "subscription.fetch.overflow",
        "subscription.fetch.replay.repeated", "subscription.fetch.replayid.corrupted",
        "subscription.fetch.replayid.validation.failed", "subscription.fetch.request.invalid",
        "subscription.fetch.requested.events.invalid", "subscription.fetch.topic.mismatch",
        "subscription.internal.error", "subscription.limit.exceeded", "subscription.topic.cannot.subscribe",
        "topic.api.unavailable", "topic.meta.permission", "topic.not.found", "topic.validation.empty", "truncation",
    }  # fmt: skip
    assert 0.2 < sum(run.kill is not None for run in runs) / len(runs) < 0.5
    assert len({tuple(story.settings["topics"]) for story in stories}) >= 10


# The verdict.


@pytest.mark.parametrize(
    ("hours", "hidden", "instance", "owed"),
    [
        (70, (), "", set()),
        (74, (), "", {ALL}),
        (1, (), "USA2", {ALL}),
        (1, (), "USA1", set()),
        (1, ("Case",), "", {"Case"}),
        (1, ("Lead", "Contact"), "", set()),
        (74, ("Case",), "", {ALL}),
    ],
    ids=["in reach", "out of reach", "moved", "not moved", "hidden", "not on it, or known", "the topic's is enough"],
)
def test_a_gap_is_owed_of_what_certainly_has_gone_or_is_left_out(
    hours: int, hidden: tuple[str, ...], instance: str, owed: set[str]
) -> None:
    now = datetime(2026, 3, 9, tzinfo=UTC)
    place = TopicPosition(b"1", now - timedelta(hours=hours + 1), now - timedelta(hours=hours), instance="USA1")
    stored = Positions(topics={ALL: place}, pending={"Contact": now - timedelta(hours=1), "Account": now})
    assert owed_gaps(stored, (ALL, CHANNEL), hidden, instance, now, asked=True) == owed
    assert owed_gaps(stored, (ALL, CHANNEL), hidden, instance, now, asked=False) == owed | ({"Contact"} - {*hidden})
    assert owed_gaps(Positions(), (ALL, CHANNEL), hidden, instance, now, asked=True) == set()


def test_what_is_told_as_it_happened_is_right() -> None:
    found = compare([DELETED], [TOLD], [], TERMS)
    assert (found.lost, found.doubled, found.wrong) == (0, 0, [])


@pytest.mark.parametrize(
    ("told", "lost", "doubled"),
    [
        ([], 1, 0),
        ([TOLD, TOLD], 0, 1),
        ([replace(TOLD, undeleted_at=None)], 1, 0),
        ([replace(TOLD, actor="005B")], 0, 1),
        ([replace(TOLD, sobject="Lead")], 0, 1),
        ([replace(TOLD, undeleted_at="2026-03-02T09:00:01.000000Z")], 0, 1),
        ([replace(TOLD, at="2026-03-02T08:00:01.000000Z")], 1, 1),
        ([TOLD, replace(TOLD, record="001B")], 0, 1),
    ],
    ids=["lost", "twice", "no undelete", "actor", "object", "undelete", "instant", "invented"],
)
def test_what_is_told_otherwise_is_found(told: list[Told], lost: int, doubled: int) -> None:
    found = compare([DELETED], told, [], TERMS)
    assert (found.lost, found.doubled) == (lost, doubled)
    assert found.wrong


def test_a_gap_excuses_what_the_delete_log_cannot_tell_either_and_nothing_else() -> None:
    lasting = replace(DELETED, undeleted_at=None)
    assert compare([DELETED], [], [GAP], TERMS).lost == 0
    assert compare([lasting], [], [GAP], TERMS).lost == 1, "it is in the delete log"
    assert compare([lasting], [], [GAP], replace(TERMS, purged=True)).lost == 0
    assert compare([lasting], [], [GAP], replace(TERMS, asked=frozenset())).lost == 0
    assert compare([DELETED], [], [replace(GAP, objects=frozenset({"Lead"}))], TERMS).lost == 1
    assert compare([DELETED], [], [replace(GAP, end="2026-03-02T07:59:59.900000Z")], TERMS).lost == 1


def test_what_was_undone_need_not_be_told_where_no_change_event_tells_of_it() -> None:
    lead = replace(DELETED, sobject="Lead")
    assert compare([lead], [], [], TERMS).lost == 0
    assert compare([replace(lead, undeleted_at=None)], [], [], TERMS).lost == 1
    assert compare([replace(lead, undeleted_at=None)], [], [], TERMS, due="2026-03-02T08:00:00").lost == 0


def test_the_truth_log_is_read_with_cascades_merges_and_undeletes(tmp_path: Path) -> None:
    def line(second: int, action: str, record: str, **more: object) -> str:
        at = f"2026-03-02T08:00:{second:02}Z"
        return json.dumps({"at": at, "actor": "005A", "action": action, "object": "Account", "record": record, **more})

    lines = [
        line(1, "delete", "001A", cascade=[["Contact", "003A"]]),
        line(2, "update", "001B"),
        line(3, "merge", "001B", losers=["001C"]),
        line(4, "hard_delete", "001A", cascade=[["Contact", "003A"]]),
        line(5, "undelete", "001C"),
        line(6, "delete", "001C"),
        line(7, "purge", "001C"),
    ]
    (tmp_path / "truth.jsonl").write_text("\n".join(lines))
    found = [(one.sobject, one.record, one.at[-2:], (one.undeleted_at or "")[-2:]) for one in read_deletions(tmp_path)]
    assert found == [
        ("Account", "001A", "01", ""),
        ("Contact", "003A", "01", ""),
        ("Account", "001C", "03", "05"),
        ("Account", "001C", "06", ""),
    ]
    assert len(read_deletions(tmp_path, "2026-03-02T08:00:02")) == 2
