"""The table of an exploration: what a person sees, within 80 columns."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions.exploring import WIDTH
from tap_salesforce_temporal.explore.findings import Exploration, HistoryObject, Permission, Sample, State
from tap_salesforce_temporal.explore.permissions import field_history_tracking
from tap_salesforce_temporal.explore.table import table

NOTHING = Exploration(
    org_id="00D000000000001AAA",
    instance_url="https://acme.my.salesforce.com",
    api_version="66.0",
    at="2026-03-02T08:00:00.000000Z",
    permissions=(),
    objects=(),
    untracked_objects=(),
    samples=(),
    values_shown=False,
    calls_to_backfill=1_234_567,
    calls_per_run=30,
    calls_per_day=40,
    calls_used=12,
    calls_left=99_000,
    calls_allowed=100_000,
)
SAMPLE = Sample(
    stream="case_history",
    event_type="field_change",
    at="2026-03-02T08:00:00.000000Z",
    actor_type="user",
    record_type="Case",
    field="Status",
    old_value="New",
    new_value=None,
)


def permission(state: State) -> Permission:
    return Permission(
        name="Manage Users",
        state=state,
        needed_for="login_history",
        where="Setup > Here > Manage Users",
        evidence="said",
    )


def test_a_missing_permission_comes_with_what_it_is_for_and_the_way_in_setup() -> None:
    shown = table(msgspec.structs.replace(NOTHING, permissions=(permission("missing"),)))
    assert "NO     Manage Users: said\n" in shown
    assert "       needed for login_history\n" in shown
    assert "       Setup > Here > Manage Users\n" in shown


def test_a_granted_permission_is_one_line() -> None:
    shown = table(msgspec.structs.replace(NOTHING, permissions=(permission("granted"),)))
    assert "yes    Manage Users: said\n" in shown
    assert "Setup >" not in shown


def test_streams_are_aligned_and_what_nobody_knows_is_a_question_mark() -> None:
    objects = (
        HistoryObject(
            stream="case_history",
            object="CaseHistory",
            rows=1_234_567,
            first="2024-01-02T00:00:00.000000Z",
            last="2026-01-02T00:00:00.000000Z",
            calls_to_backfill=42,
        ),
        HistoryObject(stream="x" * 40, object="X", problem="Nobody may read it."),
    )
    lines = table(msgspec.structs.replace(NOTHING, objects=objects)).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("stream "))
    assert lines[head + 1] == f"{'case_history':<30} {'1,234,567':>13}  2024-01-02  2026-01-02 {'42':>10}"
    assert lines[head + 2] == "x" * 40
    assert lines[head + 3].split() == ["?", "?"]
    assert lines[head + 3].endswith("?")
    assert {len(line) for line in (lines[head], lines[head + 1], lines[head + 3])} == {79}
    assert lines[head + 4] == "  Nobody may read it."


@pytest.mark.parametrize(("shown", "change"), [(True, ": New -> null"), (False, "by user\n")])
def test_values_are_there_only_when_they_were_asked_for(shown: bool, change: str) -> None:
    text = table(msgspec.structs.replace(NOTHING, samples=(SAMPLE,), values_shown=shown))
    assert change in text
    assert ("New ->" in text) is shown


NAMES = st.text(alphabet="abcXYZ_.", min_size=1, max_size=30)
TEXTS = st.one_of(st.none(), st.lists(NAMES, max_size=30).map(" ".join))


@given(st.lists(NAMES, max_size=30), TEXTS, TEXTS, st.sampled_from(["granted", "missing", "partly", "unknown"]))
def test_no_line_is_wider_than_a_terminal(names: list[str], old: str | None, new: str | None, state: State) -> None:
    tracked = HistoryObject(
        stream="a" * 30, object="A", parent="A", rows=10**9, tracked_fields=tuple(names), tracked_from="history"
    )
    sample = msgspec.structs.replace(SAMPLE, old_value=old, new_value=new)
    said = " ".join(names) or "-"
    found = msgspec.structs.replace(
        NOTHING,
        permissions=(msgspec.structs.replace(permission(state), evidence=said),),
        objects=(tracked,),
        untracked_objects=tuple(names),
        samples=(sample,),
        values_shown=True,
    )
    assert max(len(line) for line in table(found).splitlines()) <= WIDTH


@pytest.mark.parametrize(
    ("tracked", "untracked", "state"),
    [(["Case"], [], "granted"), (["Case"], ["Lead"], "partly"), ([], ["Lead"], "missing")],
)
def test_field_history_tracking_is_judged_by_the_objects(tracked: list[str], untracked: list[str], state: str) -> None:
    found = field_history_tracking(tracked, untracked)
    assert found.state == state
    assert "Set History Tracking" in found.where
    assert all(name in found.evidence for name in untracked)
