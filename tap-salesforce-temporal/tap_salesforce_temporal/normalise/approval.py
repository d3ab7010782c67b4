"""`ProcessInstanceStep`: one event per step of an approval that somebody acted on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import row_event_id, to_18

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_salesforce_temporal.actors import Actor
    from tap_salesforce_temporal.normalise import Extraction

__all__ = ["ApprovalStepRow", "approval_decisions"]


class _Named(msgspec.Struct):
    name: str | None = msgspec.field(name="Name", default=None)


class _Instance(msgspec.Struct):
    target_id: str | None = msgspec.field(name="TargetObjectId", default=None)
    submitted_by_id: str | None = msgspec.field(name="SubmittedById", default=None)
    definition: _Named | None = msgspec.field(name="ProcessDefinition", default=None)


class ApprovalStepRow(msgspec.Struct, kw_only=True):
    """One row of `ProcessInstanceStep`, with what is read through its relationships."""

    id: str = msgspec.field(name="Id")
    instance_id: str = msgspec.field(name="ProcessInstanceId")
    step_status: str | None = msgspec.field(name="StepStatus", default=None)
    actor_id: str | None = msgspec.field(name="ActorId", default=None)
    original_actor_id: str | None = msgspec.field(name="OriginalActorId", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)
    comments: str | None = msgspec.field(name="Comments", default=None)
    elapsed_minutes: Any = msgspec.field(name="ElapsedTimeInMinutes", default=None)
    created_date: str = msgspec.field(name="CreatedDate")
    system_modstamp: str = msgspec.field(name="SystemModstamp")
    instance: _Instance | None = msgspec.field(name="ProcessInstance", default=None)
    node: _Named | None = msgspec.field(name="StepNode", default=None)


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
    target = instance.target_id
    elapsed = values.canonical(row.elapsed_minutes, "int")
    row_id = to_18(row.id)
    return MicroDecisionEvent(
        event_id=row_event_id(extraction.org_id, "ProcessInstanceStep", row_id),
        event_type="approval_decision",
        timestamp_occurred=timestamps.canonical(row.created_date),
        timestamp_recorded=timestamps.canonical(row.created_date if cursor == "CreatedDate" else row.system_modstamp),
        actor_id=actor.id,
        actor_type=actor.type,
        actor_name=actor.name,
        record_type=None if target is None else objects_by_prefix.get(target[:3]),
        record_id=None if target is None else to_18(target),
        field_name="StepStatus",
        old_value=None,
        new_value=values.canonical(row.step_status, "Picklist"),
        is_primary=True,
        context=EventContext(
            source_object="ProcessInstanceStep",
            source_record_id=row_id,
            source=extraction.source,
            related_records={"ProcessInstance": to_18(row.instance_id)},
            data_type="Picklist",
            approval_process_name=None if instance.definition is None else instance.definition.name,
            approval_step_name=None if row.node is None else row.node.name,
            approval_submitter_id=None if instance.submitted_by_id is None else to_18(instance.submitted_by_id),
            approval_original_actor_id=None if row.original_actor_id is None else to_18(row.original_actor_id),
            approval_comments=values.canonical(row.comments, None),
            approval_elapsed_minutes=int(elapsed) if elapsed is not None and elapsed.isdecimal() else None,
        ),
        extracted_at=extraction.extracted_at,
        extractor_version=extraction.extractor_version,
    )
