"""Approvals that a flow runs: the submission as a whole, who is asked, and what each of them decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext
from microdecisions.ids import to_18, version_event_id
from tap_salesforce_temporal.normalise.common import UNKNOWN, decided, id_or_none, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from microdecisions.actors import Actor
    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.normalise import Extraction

__all__ = ["SubmissionRow", "WorkItemRow", "flow_approvals_reached", "flow_requests"]


class SubmissionRow(msgspec.Struct):
    """One row of `ApprovalSubmission`: an approval as it stands."""

    id: str = msgspec.field(name="Id")
    created_date: str = msgspec.field(name="CreatedDate")
    system_modstamp: str = msgspec.field(name="SystemModstamp")
    status: str | None = msgspec.field(name="Status", default=None)
    target_id: str | None = msgspec.field(name="RelatedRecordId", default=None)
    target_type: str | None = msgspec.field(name="RelatedRecordObjectName", default=None)
    submitted_by_id: str | None = msgspec.field(name="SubmittedById", default=None)
    comments: str | None = msgspec.field(name="Comments", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)
    last_modified_by_id: str | None = msgspec.field(name="LastModifiedById", default=None)
    last_modified_date: str | None = msgspec.field(name="LastModifiedDate", default=None)

    @property
    def waits(self) -> bool:
        """Whether it stands as it stood when it was submitted."""
        return self.status == "InProgress"

    @property
    def decided_by(self) -> str | None:
        """Who brought it to its status."""
        return self.submitted_by_id or self.created_by_id if self.waits else self.last_modified_by_id


class _Submission(msgspec.Struct):
    submitted_by_id: str | None = msgspec.field(name="SubmittedById", default=None)


class WorkItemRow(msgspec.Struct):
    """One row of `ApprovalWorkItem`: somebody is asked, and decides."""

    id: str = msgspec.field(name="Id")
    submission_id: str = msgspec.field(name="ApprovalSubmissionId")
    created_date: str = msgspec.field(name="CreatedDate")
    system_modstamp: str = msgspec.field(name="SystemModstamp")
    status: str | None = msgspec.field(name="Status", default=None)
    assigned_to_id: str | None = msgspec.field(name="AssignedToId", default=None)
    reviewed_by_id: str | None = msgspec.field(name="ReviewedById", default=None)
    reviewed_date: str | None = msgspec.field(name="ReviewedDate", default=None)
    comments: str | None = msgspec.field(name="Comments", default=None)
    condition: str | None = msgspec.field(name="ApprovalConditionName", default=None)
    target_id: str | None = msgspec.field(name="RelatedRecordId", default=None)
    target_type: str | None = msgspec.field(name="RelatedRecordObjectName", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)
    last_modified_by_id: str | None = msgspec.field(name="LastModifiedById", default=None)
    last_modified_date: str | None = msgspec.field(name="LastModifiedDate", default=None)
    submission: _Submission | None = msgspec.field(name="ApprovalSubmission", default=None)

    @property
    def decided(self) -> bool:
        """Whether it is more than a request."""
        return self.status not in {None, "Assigned"}

    @property
    def decided_by(self) -> str | None:
        """Who decided on it, or took it back."""
        return self.reviewed_by_id or self.last_modified_by_id


def flow_approvals_reached(
    rows: Sequence[SubmissionRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of `ApprovalSubmission` into one event each: the status that the approval has reached.

    Args:
        rows: The rows.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        actors: By user id; holds `decided_by` of each row.
        extraction: What the events share.
    """
    for row in rows:
        actor, row_id = actors[row.decided_by], to_18(row.id)
        record_type, record_id = _target(row, objects_by_prefix)
        yield decided(
            extraction,
            actor,
            event_id=version_event_id(extraction.org_id, "ApprovalSubmission", row_id, row.status or ""),
            event_type="approval_decision",
            timestamp_occurred=timestamps.canonical(
                row.created_date if row.waits else row.last_modified_date or row.system_modstamp
            ),
            timestamp_recorded=timestamps.canonical(row.system_modstamp),
            record_type=record_type,
            record_id=record_id,
            field_name="Status",
            new_value=values.canonical(row.status, "Picklist"),
            context=EventContext(
                source_object="ApprovalSubmission",
                source_record_id=row_id,
                source=extraction.source,
                data_type="Picklist",
                approval_status=row.status,
                approval_submitter_id=id_or_none(row.submitted_by_id),
                approval_comments=values.canonical(row.comments, None),
            ),
        )


def flow_requests(
    rows: Sequence[WorkItemRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of `ApprovalWorkItem` into events: who is asked, and where it is decided, the decision.

    Args:
        rows: The rows.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        actors: By user id; holds CreatedById and `decided_by` of each row.
        extraction: What the events share.
    """
    for row in rows:
        asker = UNKNOWN if row.created_by_id is None else actors[row.created_by_id]
        asked = id_or_none(row.assigned_to_id)
        request = _of(row, objects_by_prefix, extraction, asked or "", asker)
        request.event_type, request.field_name, request.new_value = "approval_request", "Actor", asked
        request.timestamp_occurred = timestamps.canonical(row.created_date)
        request.context.data_type = "EntityId"
        yield request
        if not row.decided:
            continue
        decision = _of(row, objects_by_prefix, extraction, row.status or "", actors[row.decided_by])
        decision.new_value = values.canonical(row.status, "Picklist")
        decision.timestamp_occurred = timestamps.canonical(
            row.reviewed_date or row.last_modified_date or row.system_modstamp
        )
        decision.context.approval_comments = values.canonical(row.comments, None)
        yield decision


def _of(
    row: WorkItemRow, objects_by_prefix: Mapping[str, str], extraction: Extraction, version: str, actor: Actor
) -> MicroDecisionEvent:
    """What both events of a work item share, as a decision without value."""
    row_id, recorded = to_18(row.id), timestamps.canonical(row.system_modstamp)
    record_type, record_id = _target(row, objects_by_prefix)
    return decided(
        extraction,
        actor,
        event_id=version_event_id(extraction.org_id, "ApprovalWorkItem", row_id, version),
        event_type="approval_decision",
        timestamp_occurred=recorded,
        timestamp_recorded=recorded,
        record_type=record_type,
        record_id=record_id,
        field_name="Status",
        new_value=None,
        context=EventContext(
            source_object="ApprovalWorkItem",
            source_record_id=row_id,
            source=extraction.source,
            data_type="Picklist",
            related_records={"ApprovalSubmission": to_18(row.submission_id)},
            approval_step_name=row.condition,
            approval_status=row.status,
            approval_submitter_id=None if row.submission is None else id_or_none(row.submission.submitted_by_id),
        ),
    )


def _target(row: SubmissionRow | WorkItemRow, objects_by_prefix: Mapping[str, str]) -> tuple[str | None, str | None]:
    record_type, record_id = record_of(row.target_id, objects_by_prefix)
    return record_type or (row.target_type if record_id else None), record_id
