"""What people ask of events: laws over any history, and one example of each answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions import timestamps
from microdecisions.event import EventContext, MicroDecisionEvent
from tap_salesforce_temporal import analysis

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = ("Prospecting", "Qualification", "Closed Won")


def event(number: int | str, days: float, **more: object) -> MicroDecisionEvent:
    """A stage change, unless told otherwise."""
    at = timestamps.to_text(BEGIN + timedelta(days=days))
    context = more.pop("context", {})
    assert isinstance(context, dict)
    values: dict[str, object] = {
        "event_id": f"00D:OpportunityHistory:{number}",
        "event_type": "stage_change",
        "timestamp_occurred": at,
        "timestamp_recorded": at,
        "actor_id": "005000000000001AAA",
        "actor_type": "user",
        "actor_name": "One",
        "record_type": "Opportunity",
        "record_id": "006000000000001AAA",
        "field_name": "StageName",
        "old_value": None,
        "new_value": None,
        "is_primary": True,
        "context": EventContext(
            **{"source_object": "OpportunityHistory", "source_record_id": str(number), "source": "rest", **context}
        ),
        "extracted_at": at,
        "extractor_version": "test 1",
        **more,
    }
    return MicroDecisionEvent(**values)  # type: ignore[arg-type]


@st.composite
def histories(draw: st.DrawFn) -> list[MicroDecisionEvent]:
    """The stages of a few opportunities, changes of one second among them."""
    made = []
    for record in range(draw(st.integers(1, 4))):
        day, stage = 0.0, None
        for step in range(draw(st.integers(1, 6))):
            following = draw(st.sampled_from([name for name in STAGES if name != stage]))
            record_id = f"00600000000000{record}AAA"
            made.append(event(f"{record}-{step}", day, record_id=record_id, old_value=stage, new_value=following))
            day, stage = day + draw(st.sampled_from([0.0, 0.25, 1.0, 30.0])), following
    return made


@given(histories())
def test_the_visits_of_a_record_take_as_long_as_its_history(made: list[MicroDecisionEvent]) -> None:
    visits = analysis.stage_visits(made)
    assert len(visits) == len(made)
    for record_id in {one.record_id for one in made}:
        times = [timestamps.parse(one.timestamp_occurred) for one in made if one.record_id == record_id]
        mine = [visit for visit in visits if visit.record_id == record_id]
        assert sum(visit.days or 0.0 for visit in mine) == (max(times) - min(times)) / timedelta(days=1)
        assert [visit.days is None for visit in mine] == [False] * (len(mine) - 1) + [True]


@given(histories(), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_changes_an_answer(made: list[MicroDecisionEvent], random: Random) -> None:
    again = [*made, *random.sample(made, len(made))]
    random.shuffle(again)
    durations = analysis.stage_durations(analysis.stage_visits(made))
    assert sorted(analysis.stage_durations(analysis.stage_visits(again)), key=repr) == sorted(durations, key=repr)
    assert analysis.tracked_fields(again) == analysis.tracked_fields(made)


@given(histories())
def test_durations_count_every_visit_once(made: list[MicroDecisionEvent]) -> None:
    visits = analysis.stage_visits(made)
    durations = analysis.stage_durations(visits)
    assert sum(one.visits + one.open for one in durations) == len(visits)
    assert sum(one.open for one in durations) == len({visit.record_id for visit in visits})
    for one in durations:
        assert one.visits == 0 or one.total_days == pytest.approx((one.mean_days or 0.0) * one.visits)


def test_changes_of_one_second_follow_each_other_by_their_values() -> None:
    made = [
        event("1", 0.0, new_value="Prospecting"),
        event("3", 0.0, old_value="Prospecting", new_value="Qualification"),
        event("2", 0.0, old_value="Qualification", new_value="Closed Won"),
        event("4", 5.0, old_value="Closed Won", new_value="Prospecting"),
    ]
    (visit,) = [visit for visit in analysis.stage_visits(made) if visit.days]
    assert (visit.stage, visit.days) == ("Closed Won", 5.0)


def test_only_the_primary_changes_of_the_field_asked_for_are_visits() -> None:
    made = [
        event("1", 0.0, new_value="a", is_primary=False),
        event("2", 0.0, new_value="a", field_name="Amount", event_type="field_change"),
        event("3", 0.0, new_value="a", record_type="Case", field_name="Status", event_type="field_change"),
    ]
    assert analysis.stage_visits(made) == []
    (visit,) = analysis.stage_visits(made, record_type="Case", field="Status")
    assert (visit.stage, visit.left) == ("a", None)


def test_tracked_fields_tell_witnesses_and_values_that_were_not_recorded() -> None:
    field: dict[str, object] = {"event_type": "field_change", "record_type": "Case"}
    flag = {"metadata": {"values_not_recorded": "true"}}
    made = [
        event("1", 0.0, field_name="Owner", **field),
        event("2", 0.0, field_name="Owner", is_primary=False, **field),
        event("3", 1.0, field_name="Description", context=flag, **field),
        event("4", 2.0, field_name="created", **field),
        event("5", 3.0, field_name="gate__c", **field),
    ]
    found = {one.field: one for one in analysis.tracked_fields(made)}
    assert set(found) == {"Description", "Owner", "gate__c"}
    assert (found["Owner"].changes, found["Owner"].other_witnesses, found["Owner"].not_recorded) == (1, 1, 0)
    assert found["Description"].not_recorded == 1
    assert found["Description"].first == found["Description"].last == "2026-01-02T00:00:00.000000Z"


def step(number: int, status: str, process: str, minutes: int | None = None, actor: int = 1) -> MicroDecisionEvent:
    return event(
        number,
        float(number),
        event_type="approval_decision",
        field_name="StepStatus",
        new_value=status,
        actor_id=f"00500000000000{actor}AAA",
        context={
            "source_object": "ProcessInstanceStep",
            "approval_process_name": process,
            "approval_elapsed_minutes": minutes,
            "related_records": {"ProcessInstance": f"04g{process}"},
        },
    )


def test_approvals_are_summed_up_by_process() -> None:
    whole = event(9, 9.0, event_type="approval_decision", field_name="Status", new_value="Approved")
    first, second = analysis.approval_metrics(
        [
            step(1, "Started", "B"),
            step(2, "Approved", "B", 10),
            step(3, "Rejected", "B", 30, actor=2),
            step(4, "Approved", "B", 20, actor=2),
            step(5, "Removed", "A"),
            step(5, "Removed", "A"),
            whole,
        ]
    )
    assert (first.process, first.other, first.approval_rate, first.median_minutes) == ("A", 1, None, None)
    assert (second.approvals, second.submitted, second.approved, second.rejected) == (1, 1, 2, 1)
    assert (second.deciders, second.median_minutes) == (2, 20)
    assert second.approval_rate == pytest.approx(2 / 3)


def test_approvals_of_flows_are_counted_by_their_work_items() -> None:
    context = {"source_object": "ApprovalWorkItem", "related_records": {"ApprovalSubmission": "a"}}
    status: dict[str, object] = {"event_type": "approval_decision", "field_name": "Status", "new_value": "Approved"}
    whole = event("2", 1.0, **status, context={"source_object": "ApprovalSubmission"})
    (found,) = analysis.approval_metrics([event("1", 0.0, **status, context=context), whole])
    assert (found.process, found.approvals, found.approved) == (None, 1, 1)


@given(st.lists(st.sampled_from(["Started", "Approved", "Rejected", "Reassigned", "NoResponse"]), max_size=20))
def test_every_step_of_an_approval_is_counted_under_one_status(statuses: list[str]) -> None:
    made = [step(number, status, "P") for number, status in enumerate(statuses)]
    for one in analysis.approval_metrics(made):
        assert one.submitted + one.approved + one.rejected + one.reassigned + one.other == len(made)


def activity(number: int, days: float, status: str, **more: object) -> MicroDecisionEvent:
    context = {"source_object": "Task", "source_record_id": f"00T{number}", "activity_type": "Call"}
    return event(
        f"{number}:{days}", days, event_type="activity", field_name="Status", new_value=status, context=context, **more
    )


def test_of_an_activity_only_its_last_version_counts() -> None:
    made = [activity(1, 2.0, "Completed"), activity(1, 0.0, "Open"), activity(2, 1.0, "Completed", actor_id=None)]
    (found,) = analysis.activity_summary(made)
    assert (found.object, found.type, found.status, found.activities, found.people) == (
        "Task",
        "Call",
        "Completed",
        2,
        1,
    )
    assert (found.first, found.last) == ("2026-01-02T00:00:00.000000Z", "2026-01-03T00:00:00.000000Z")


def setup(number: int, days: float, section: str | None, action: str, **more: object) -> MicroDecisionEvent:
    return event(
        number,
        days,
        event_type="setup_change",
        record_type="Setup",
        record_id=section,
        field_name=action,
        new_value=f"{action} shown",
        context={"source_object": "SetupAuditTrail"},
        **more,
    )


SETUP = [
    setup(1, 0.0, "Manage Users", "PermSetAssign"),
    setup(2, 9.0, "Manage Users", "PermSetAssign", actor_id="005000000000002AAA"),
    setup(3, 9.5, "Custom Objects", "createdCF"),
    setup(4, 10.0, None, "changedPassword", actor_id=None, actor_name=None),
    setup(5, 11.0, "Sharing Rules", "later"),
]


def test_setup_is_summed_up_by_section_and_action_the_most_frequent_first() -> None:
    found = analysis.setup_summary([*SETUP, *SETUP])
    assert [(one.section, one.action, one.changes, one.people) for one in found] == [
        ("Manage Users", "PermSetAssign", 2, 2),
        (None, "changedPassword", 1, 0),
        ("Custom Objects", "createdCF", 1, 1),
        ("Sharing Rules", "later", 1, 1),
    ]


def test_critical_setup_changes_are_those_of_the_last_days_the_newest_first() -> None:
    found = analysis.critical_setup_changes(SETUP, days=7, now=BEGIN + timedelta(days=10))
    assert [(one.section, one.action, one.display, one.actor_name) for one in found] == [
        (None, "changedPassword", "changedPassword shown", None),
        ("Manage Users", "PermSetAssign", "PermSetAssign shown", "One"),
    ]
    own = analysis.critical_setup_changes(SETUP, days=7, now=BEGIN + timedelta(days=10), words=["CUSTOM"])
    assert [one.action for one in own] == ["createdCF"]
