"""What happens to records: tracked fields, approvals, activities."""

from __future__ import annotations

from collections import Counter, defaultdict
from statistics import median
from typing import TYPE_CHECKING, Final

import msgspec

from tap_salesforce_temporal.analysis.counting import Tally, once
from tap_salesforce_temporal.normalise.field_change import is_pseudo_field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microdecisions.event import MicroDecisionEvent

__all__ = [
    "ActivityCount",
    "ApprovalMetrics",
    "TrackedField",
    "activity_summary",
    "approval_metrics",
    "tracked_fields",
]

_DECIDED: Final = frozenset({"Approved", "Rejected"})
_STEPS: Final = frozenset({("ProcessInstanceStep", "StepStatus"), ("ApprovalWorkItem", "Status")})


class TrackedField(msgspec.Struct, frozen=True):
    """One field whose changes are in the events.

    Attributes:
        record_type: API name of the object.
        field: Name of the field as history writes it.
        changes: Primary events.
        other_witnesses: Events that are not primary: id rows of look-ups, and what another stream witnesses first.
        not_recorded: Of the primary ones, those without values on either side.
        first: When it first changed, canonical text.
        last: When it last changed.
    """

    record_type: str | None
    field: str
    changes: int
    other_witnesses: int
    not_recorded: int
    first: str
    last: str


def tracked_fields(events: Iterable[MicroDecisionEvent]) -> list[TrackedField]:
    """Tell which fields the history tracks, in order of object and field.

    Pseudo-fields such as `created` or `locked` are left out.
    """
    groups: dict[tuple[str | None, str], Tally] = defaultdict(Tally)
    for event in once(events):
        if event.event_type in {"field_change", "stage_change"} and event.field_name is not None:
            field = event.field_name
            if not is_pseudo_field(field):
                groups[event.record_type, field].add(event)
    return [
        TrackedField(
            record_type=record_type,
            field=field,
            changes=tally.primary,
            other_witnesses=tally.others,
            not_recorded=tally.not_recorded,
            first=tally.first,
            last=tally.last,
        )
        for (record_type, field), tally in sorted(groups.items(), key=lambda item: (item[0][0] or "", item[0][1]))
    ]


class ApprovalMetrics(msgspec.Struct, frozen=True):
    """The steps of one approval process.

    Attributes:
        process: Its name; None where the events have none.
        approvals: Approvals that have a step.
        submitted: Steps `Started`, like the following by their status.
        approved: Steps `Approved`.
        rejected: Steps `Rejected`.
        reassigned: Steps `Reassigned`.
        other: All other steps.
        deciders: People who approved or rejected.
        approval_rate: Approved of approved and rejected; None without either.
        median_minutes: From the assignment to the decision, where the org tells; None where it does not.
    """

    process: str | None
    approvals: int
    submitted: int
    approved: int
    rejected: int
    reassigned: int
    other: int
    deciders: int
    approval_rate: float | None
    median_minutes: float | None


def approval_metrics(events: Iterable[MicroDecisionEvent]) -> list[ApprovalMetrics]:
    """Sum up the steps of approvals by process, in order of its name; those of flows have no name of a process.

    Only steps are counted (`process_instance_step`, `approval_work_item`), so that the status of the whole approval,
    which another stream tells, is not counted again.
    """
    groups: dict[str | None, list[MicroDecisionEvent]] = defaultdict(list)
    for event in once(events):
        is_step = (event.context.source_object, event.field_name) in _STEPS
        if event.event_type == "approval_decision" and is_step and event.is_primary:
            groups[event.context.approval_process_name].append(event)
    return [_approvals(process, groups[process]) for process in sorted(groups, key=lambda name: name or "")]


def _approvals(process: str | None, steps: list[MicroDecisionEvent]) -> ApprovalMetrics:
    by_status = Counter(step.new_value for step in steps)
    named = {status: by_status.pop(status, 0) for status in ("Started", "Approved", "Rejected", "Reassigned")}
    decisions = [step for step in steps if step.new_value in _DECIDED]
    minutes = [taken for step in decisions if (taken := step.context.approval_elapsed_minutes) is not None]
    return ApprovalMetrics(
        process=process,
        approvals=len({_approval(step) for step in steps}),
        submitted=named["Started"],
        approved=named["Approved"],
        rejected=named["Rejected"],
        reassigned=named["Reassigned"],
        other=by_status.total(),
        deciders=len({step.actor_id for step in decisions if step.actor_id is not None}),
        approval_rate=named["Approved"] / len(decisions) if decisions else None,
        median_minutes=median(minutes) if minutes else None,
    )


def _approval(step: MicroDecisionEvent) -> str | None:
    related = step.context.related_records
    return related.get("ProcessInstance") or related.get("ApprovalSubmission") or step.record_id


class ActivityCount(msgspec.Struct, frozen=True):
    """Tasks or events of one kind in their last known state.

    Attributes:
        object: `Task` or `Event`.
        type: Such as `Call`; None where the org does not tell.
        status: Last status; None for what has none.
        activities: How many.
        people: Whose they are.
        first: Of the versions read, when the first was recorded, canonical text.
        last: When the last was recorded.
    """

    object: str
    type: str | None
    status: str | None
    activities: int
    people: int
    first: str
    last: str


def activity_summary(events: Iterable[MicroDecisionEvent]) -> list[ActivityCount]:
    """Count tasks and events by object, type and last status; of several versions of one only the last counts."""
    newest: dict[tuple[str, str], MicroDecisionEvent] = {}
    for event in events:
        if event.event_type == "activity" and event.is_primary:
            key = event.context.source_object, event.context.source_record_id
            kept = newest.get(key)
            if kept is None or _version(kept) < _version(event):
                newest[key] = event
    groups: dict[tuple[str, str | None, str | None], list[MicroDecisionEvent]] = defaultdict(list)
    for event in newest.values():
        groups[event.context.source_object, event.context.activity_type, event.new_value].append(event)
    return [
        ActivityCount(
            object=name,
            type=kind,
            status=status,
            activities=len(found),
            people=len({event.actor_id for event in found if event.actor_id is not None}),
            first=min(event.timestamp_recorded for event in found),
            last=max(event.timestamp_recorded for event in found),
        )
        for (name, kind, status), found in sorted(groups.items(), key=lambda item: [part or "" for part in item[0]])
    ]


def _version(event: MicroDecisionEvent) -> tuple[str, str]:
    return event.timestamp_recorded, event.event_id
