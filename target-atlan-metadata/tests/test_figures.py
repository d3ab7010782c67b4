"""The figures: the same for the same events, in any order, with any repetition; and what each one says."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from event_making import NOW, decision, delete, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from target_atlan_metadata.activity import Counts
from target_atlan_metadata.counting import day_number
from target_atlan_metadata.decision import Decision
from target_atlan_metadata.figures import AssetKey, Figures, QualityWeights, figures_of_assets, quality_score
from target_atlan_metadata.ledger import Ledger


def figures(*batches: list[Decision], as_of: datetime = NOW) -> dict[AssetKey, Figures]:
    """The figures after each batch was committed, in a ledger of its own."""
    with tempfile.TemporaryDirectory() as folder, Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}") as ledger:
        for batch in batches:
            ledger.add(batch)
            ledger.commit()
        cells = ledger.activities(day_number(text(as_of)), 90)
        return {key: told for key, told, _ in figures_of_assets(cells, as_of, QualityWeights())}


CHANGES = st.builds(
    lambda number, hours, kind, actor, values, read: decision(
        number,
        at=NOW - timedelta(hours=hours + number),
        event_type="stage_change" if kind == "StageName" else "field_change",
        field_name=kind,
        actor_type=actor,
        old_value=values[0],
        new_value=values[1],
        is_primary=values[2],
        extracted_at=text(NOW + timedelta(hours=read)),
    ),
    number=st.integers(0, 7),  # few, so that versions of one event meet
    hours=st.just(0),
    kind=st.just("Status"),
    actor=st.sampled_from(["user", "automation"]),
    values=st.sampled_from(
        [("New", "Working", True), ("Closed", "New", True), ("New", None, True), ("New", "New", False)]
    ),
    read=st.integers(0, 5),
)
OTHERS = st.builds(
    lambda number, name, field, days: decision(
        1000 + number, record_type=name, field_name=field, at=NOW - timedelta(days=days), actor_id=f"005{number}"
    ),
    number=st.integers(0, 30),
    name=st.just("Lead"),
    field=st.just("Rating"),
    days=st.just(3),
)
DELETES = st.builds(
    lambda record, source, hours, undelete: delete(
        f"50000000000000{record}AAA", source, NOW - timedelta(hours=hours), undelete=undelete
    ),
    record=st.integers(0, 2),
    source=st.sampled_from(["change_event", "platform_event", "get_deleted"]),
    hours=st.integers(0, 72),
    undelete=st.booleans(),
)


def without_ties(events: list[Decision]) -> list[Decision]:
    """One version of an event for each instant of reading: of two, it is not said which one holds."""
    return list({(event.event_id, event.extracted_at): event for event in events}.values())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), events=st.lists(CHANGES | OTHERS | DELETES, max_size=25).map(without_ties))
def test_any_order_with_replays_and_overlaps_gives_the_same_figures(data: Any, events: list[Decision]) -> None:
    straight = figures(events)
    shuffled = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(events)))
    overlap = data.draw(st.integers(0, cut))
    assert figures(shuffled[:cut], shuffled[overlap:]) == straight
    assert figures(*([event] for event in shuffled), events) == straight


def test_an_object_is_the_sum_of_its_fields_and_what_is_about_itself() -> None:
    found = figures(
        [
            decision(1, field_name="Status", at=NOW - timedelta(days=3)),
            decision(2, field_name="Owner", at=NOW - timedelta(days=10), actor_id="005000000000002AAA"),
            decision(3, event_type="stage_change", field_name="Stage", at=NOW - timedelta(days=40)),
            decision(4, event_type="approval_decision", field_name="StepStatus", new_value="Rejected"),
            delete("500000000000001AAA", "change_event", NOW),
        ]
    )
    case, owner = found[AssetKey("Case")], found[AssetKey("Case", "Owner")]
    assert (case.change_count, case.changes_7_days, case.changes_30_days) == (3, 1, 2)
    assert (case.last_change, case.last_changed_field) == (NOW - timedelta(days=3), "Status")
    assert (case.delete_count, case.stage_change_count) == (1, 1)
    assert (case.approval_count, case.approval_rejection_count) == (1, 1)
    assert (owner.change_count, owner.last_changed_field, owner.last_changed_by) == (1, None, "005000000000002AAA")
    assert (owner.delete_count, owner.stage_change_count, owner.approval_count) == (None, None, None)


def test_velocity_of_a_quiet_asset_falls_by_itself() -> None:
    events = [decision(1, at=NOW - timedelta(days=6)), decision(2, at=NOW - timedelta(days=1))]
    later = [figures(events, as_of=NOW + timedelta(days=days))[AssetKey("Case")] for days in (0, 1, 6, 30)]
    assert [one.changes_7_days for one in later] == [2, 1, 0, 0]
    assert [one.changes_30_days for one in later] == [2, 2, 2, 0]
    assert [one.change_count for one in later] == [2, 2, 2, 2]


def test_an_object_without_changes_has_no_last_change_and_no_score() -> None:
    found = figures([decision(1, event_type="activity")])[AssetKey("Case")]
    assert (found.last_change, found.quality_score, found.change_count) == (None, None, 0)


@pytest.mark.parametrize(
    ("recent", "quiet", "score"),
    [
        (Counts(changes=10), 0, 100),
        (Counts(changes=10), 7, 91),
        (Counts(changes=10, emptied=5), 0, 84),
        (Counts(changes=10, automated=10), 0, 88),
        (Counts(changes=10, deletes=10), 0, 91),
        (Counts(changes=10, stage_changes=2, reopened=1), 0, 90),
        (Counts(changes=0, approvals=2, rejections=2), 400, 0),
        (Counts(), 0, 100),
        (Counts(), 50, 50),
        (Counts(), None, None),
    ],
)
def test_each_part_lowers_the_score_as_documented(recent: Counts, quiet: int | None, score: int | None) -> None:
    assert quality_score(recent, quiet, QualityWeights()) == score


@given(
    numbers=st.lists(st.integers(0, 50), min_size=9, max_size=9),
    quiet=st.integers(0, 4000),
    weights=st.lists(st.integers(0, 100), min_size=5, max_size=5),
)
def test_the_score_is_between_0_and_100(numbers: list[int], quiet: int, weights: list[int]) -> None:
    score = quality_score(Counts(*numbers), quiet, QualityWeights(*weights))
    assert score is None or 0 <= score <= 100


def test_a_part_that_weighs_nothing_is_left_out() -> None:
    assert quality_score(Counts(changes=2, emptied=2), 0, QualityWeights(completeness=0)) == 100
    assert quality_score(Counts(changes=2), 0, QualityWeights(0, 0, 0, 0, 0)) is None


def test_the_day_of_an_instant_is_that_of_utc() -> None:
    found = figures([decision(1, at=datetime(2026, 2, 22, 23, 59, tzinfo=UTC))], as_of=NOW)[AssetKey("Case")]
    assert found.changes_7_days == 0
