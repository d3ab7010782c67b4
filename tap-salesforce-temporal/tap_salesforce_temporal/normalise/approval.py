"""Approvals by process: the approval as a whole, its steps, and the requests that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext
from microdecisions.ids import row_event_id, to_18, version_event_id
from tap_salesforce_temporal.normalise.common import UNKNOWN, decided, id_or_none, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from microdecisions.actors import Actor
    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.normalise import Extraction

__all__ = [
    "ApprovalStepRow",
    "ProcessInstanceRow",
    "WorkitemRow",
    "approval_decisions",
    "approval_requests",
    "approvals_reached",
]

_WAITING: Final = frozenset({"Started", "Pending"})
"""Statuses that an approval has from its submission on."""


class _Named(msgspec.Struct):
    name: str | None = msgspec.field(name="Name", default=None)


class _Instance(msgspec.Struct):
    target_id: str | None = msgspec.field(name="TargetObjectId", default=None)
    submitted_by_id: str | None = msgspec.field(name="SubmittedById", default=None)
    definition: _Named | None = msgspec.field(name="ProcessDefinition", default=None)


class ApprovalStepRow(msgspec.Struct):
    """One row of `ProcessInstanceStep`, with what is read through its relationships."""

    id: str = msgspec.field(name="Id")
    instance_id: str = msgspec.field(name="ProcessInstanceId")
    created_date: str = msgspec.field(name="CreatedDate")
    system_modstamp: str = msgspec.field(name="SystemModstamp")
    step_status: str | None = msgspec.field(name="StepStatus", default=None)
    actor_id: str | None = msgspec.field(name="ActorId", default=None)
    original_actor_id: str | None = msgspec.field(name="OriginalActorId", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)
    comments: str | None = msgspec.field(name="Comments", default=None)
    elapsed_minutes: Any = msgspec.field(name="ElapsedTimeInMinutes", default=None)
    instance: _Instance | None = msgspec.field(name="ProcessInstance", default=None)
    node: _Named | None = msgspec.field(name="StepNode", default=None)


class ProcessInstanceRow(msgspec.Struct):
    """One row of `ProcessInstance`: an approval as it stands."""

    id: str = msgspec.field(name="Id")
    created_date: str = msgspec.field(name="CreatedDate")
    system_modstamp: str = msgspec.field(name="SystemModstamp")
    target_id: str | None = msgspec.field(name="TargetObjectId", default=None)
    status: str | None = msgspec.field(name="Status", default=None)
    submitted_by_id: str | None = msgspec.field(name="SubmittedById", default=None)
    last_actor_id: str | None = msgspec.field(name="LastActorId", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)
    completed_date: str | None = msgspec.field(name="CompletedDate", default=None)
    elapsed_minutes: Any = msgspec.field(name="ElapsedTimeInMinutes", default=None)
    definition: _Named | None = msgspec.field(name="ProcessDefinition", default=None)

    @property
    def waits(self) -> bool:
        """Whether it stands as it stood when it was submitted."""
        return self.completed_date is None and self.status in _WAITING

    @property
    def decided_by(self) -> str | None:
        """Who brought it to its status."""
        return self.submitted_by_id or self.created_by_id if self.waits else self.last_actor_id


class WorkitemRow(msgspec.Struct):
    """One row of `ProcessInstanceWorkitem`: somebody is asked to approve."""

    id: str = msgspec.field(name="Id")
    instance_id: str = msgspec.field(name="ProcessInstanceId")
    created_date: str = msgspec.field(name="CreatedDate")
    system_modstamp: str = msgspec.field(name="SystemModstamp")
    actor_id: str | None = msgspec.field(name="ActorId", default=None)
    original_actor_id: str | None = msgspec.field(name="OriginalActorId", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)
    instance: _Instance | None = msgspec.field(name="ProcessInstance", default=None)

    @property
    def reassigned(self) -> bool:
        """Whether another than the one asked first is asked now; the row does not tell by whom."""
        return self.original_actor_id is not None and self.original_actor_id != self.actor_id


def approval_decisions(
    rows: Sequence[ApprovalStepRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
    *,
    cursor: str = "SystemModstamp",
) -> list[MicroDecisionEvent]:
    """Turn rows into events, in their order.

    Args:
        rows: Rows of `ProcessInstanceStep`.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        actors: By user id; holds the ActorId of each row.
        extraction: What the events share.
        cursor: The field that windows are cut by: `SystemModstamp`, or `CreatedDate` where that cannot be filtered.
    """
    return [_decision(row, objects_by_prefix, actors[row.actor_id], extraction, cursor) for row in rows]


def _decision(
    row: ApprovalStepRow, objects_by_prefix: Mapping[str, str], actor: Actor, extraction: Extraction, cursor: str
) -> MicroDecisionEvent:
    instance = row.instance or _Instance()
    row_id = to_18(row.id)
    record_type, record_id = record_of(instance.target_id, objects_by_prefix)
    return decided(
        extraction,
        actor,
        event_id=row_event_id(extraction.org_id, "ProcessInstanceStep", row_id),
        event_type="approval_decision",
        timestamp_occurred=timestamps.canonical(row.created_date),
        timestamp_recorded=timestamps.canonical(row.created_date if cursor == "CreatedDate" else row.system_modstamp),
        record_type=record_type,
        record_id=record_id,
        field_name="StepStatus",
        new_value=values.canonical(row.step_status, "Picklist"),
        context=EventContext(
            source_object="ProcessInstanceStep",
            source_record_id=row_id,
            source=extraction.source,
            related_records={"ProcessInstance": to_18(row.instance_id)},
            data_type="Picklist",
            approval_process_name=_name(instance.definition),
            approval_step_name=_name(row.node),
            approval_submitter_id=id_or_none(instance.submitted_by_id),
            approval_original_actor_id=id_or_none(row.original_actor_id),
            approval_comments=values.canonical(row.comments, None),
            approval_elapsed_minutes=_minutes(row.elapsed_minutes),
        ),
    )


def approvals_reached(
    rows: Sequence[ProcessInstanceRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of `ProcessInstance` into one event each: the status that the approval has reached.

    Args:
        rows: The rows.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        actors: By user id; holds `decided_by` of each row.
        extraction: What the events share.
    """
    for row in rows:
        actor, row_id = actors[row.decided_by], to_18(row.id)
        record_type, record_id = record_of(row.target_id, objects_by_prefix)
        recorded = timestamps.canonical(row.system_modstamp)
        since = row.created_date if row.waits else row.completed_date
        yield decided(
            extraction,
            actor,
            event_id=version_event_id(extraction.org_id, "ProcessInstance", row_id, row.status or ""),
            event_type="approval_decision",
            timestamp_occurred=recorded if since is None else timestamps.canonical(since),
            timestamp_recorded=recorded,
            record_type=record_type,
            record_id=record_id,
            field_name="Status",
            new_value=values.canonical(row.status, "Picklist"),
            context=EventContext(
                source_object="ProcessInstance",
                source_record_id=row_id,
                source=extraction.source,
                data_type="Picklist",
                approval_process_name=_name(row.definition),
                approval_status=row.status,
                approval_submitter_id=id_or_none(row.submitted_by_id),
                # Of an approval that is not done it grows with the clock.
                approval_elapsed_minutes=None if row.completed_date is None else _minutes(row.elapsed_minutes),
            ),
        )


def approval_requests(
    rows: Sequence[WorkitemRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of `ProcessInstanceWorkitem` into one event each: who is asked.

    Args:
        rows: The rows.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        actors: By user id; holds the CreatedById of each row.
        extraction: What the events share.
    """
    for row in rows:
        instance, row_id = row.instance or _Instance(), to_18(row.id)
        actor = UNKNOWN if row.reassigned or row.created_by_id is None else actors[row.created_by_id]
        asked = id_or_none(row.actor_id)
        record_type, record_id = record_of(instance.target_id, objects_by_prefix)
        recorded = timestamps.canonical(row.system_modstamp)
        yield decided(
            extraction,
            actor,
            event_id=version_event_id(extraction.org_id, "ProcessInstanceWorkitem", row_id, asked or ""),
            event_type="approval_request",
            timestamp_occurred=recorded if row.reassigned else timestamps.canonical(row.created_date),
            timestamp_recorded=recorded,
            record_type=record_type,
            record_id=record_id,
            field_name="Actor",
            new_value=asked,
            context=EventContext(
                source_object="ProcessInstanceWorkitem",
                source_record_id=row_id,
                source=extraction.source,
                data_type="EntityId",
                related_records={"ProcessInstance": to_18(row.instance_id)},
                approval_process_name=_name(instance.definition),
                approval_submitter_id=id_or_none(instance.submitted_by_id),
                approval_original_actor_id=id_or_none(row.original_actor_id),
            ),
        )


def _name(named: _Named | None) -> str | None:
    return None if named is None else named.name


def _minutes(value: Any) -> int | None:
    text = values.canonical(value, "int")
    return int(text) if text is not None and text.isdecimal() else None
