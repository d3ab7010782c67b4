"""Which normaliser makes events of a source's rows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tap_salesforce_temporal.normalise import (
    activity,
    administration,
    approval,
    big_history,
    field_change,
    flow_approval,
)
from tap_salesforce_temporal.normalisers import ActivityChanges, FieldChanges, LogFiles, OpportunitySnapshots, RowByRow

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from microdecisions.actors import Actor
    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.normalise import Extraction
    from tap_salesforce_temporal.normalisers import Normaliser, ToEvents
    from tap_salesforce_temporal.org import Org
    from tap_salesforce_temporal.settings import TapSettings
    from tap_salesforce_temporal.sources import Source

__all__ = ["normaliser_of"]


def normaliser_of(
    source: Source, org: Org, settings: TapSettings, *, from_the_first_row: bool, already: Container[str]
) -> Normaliser:
    """Make the normaliser of a source for one run.

    Args:
        source: The source.
        org: Where users, earlier rows and file contents are read.
        settings: Which of two witnesses is the primary one, and what is wanted of field histories.
        from_the_first_row: Whether the run reads from the oldest row on.
        already: Ids of events that an earlier run wrote.
    """
    from_snapshots = settings.opportunity_changes_from == "opportunity_history"
    match source.kind:
        case "opportunity_history":
            return OpportunitySnapshots(
                source,
                org.reader,
                org.actors,
                from_the_first_row=from_the_first_row,
                primary=from_snapshots,
                already=already,
            )
        case "field_history":
            both = from_snapshots and source.sobject == "OpportunityFieldHistory"
            witnessed = field_change.OPPORTUNITY_HISTORY_FIELDS if both else frozenset[str]()
            return FieldChanges(source, org.actors, witnessed)
        case "activity_history":
            return ActivityChanges(org.actors, org.objects_by_prefix, org.narrowing)
        case "event_log_file":
            return LogFiles(org.actors, org.log_file)
        case "field_history_archive":
            return _of_archive(org, second_witness=from_snapshots)
        case _:
            return _row_by_row(source, org)


def _row_by_row(source: Source, org: Org) -> Normaliser:
    row_type: type[Any]
    people: Callable[[Any], Iterable[str | None]]
    to_events: ToEvents
    match source.kind:
        case "approval_step":
            row_type, people = approval.ApprovalStepRow, lambda row: (row.actor_id,)
            to_events = partial(approval.approval_decisions, cursor=source.cursor)
        case "process_instance":
            row_type, people = approval.ProcessInstanceRow, lambda row: (row.decided_by,)
            to_events = approval.approvals_reached
        case "workitem":
            row_type, people = approval.WorkitemRow, lambda row: (row.created_by_id,)
            to_events = approval.approval_requests
        case "approval_submission":
            row_type, people = flow_approval.SubmissionRow, lambda row: (row.decided_by,)
            to_events = flow_approval.flow_approvals_reached
        case "approval_work_item":
            row_type, people = flow_approval.WorkItemRow, lambda row: (row.created_by_id, row.decided_by)
            to_events = flow_approval.flow_requests
        case "task" | "event":
            row_type, people = activity.ActivityRow, lambda row: (row.last_modified_by_id,)
            to_events = partial(activity.activities, sobject="Task" if source.kind == "task" else "Event")
        case "setup_audit_trail":
            row_type, people = administration.SetupRow, lambda row: (row.created_by_id,)
            to_events = administration.setup_changes
        case "login_history":
            row_type, people = administration.LoginRow, lambda row: (row.user_id,)
            to_events = administration.logins
        case _:
            raise ValueError(f"no normaliser for {source.kind}")
    return RowByRow(row_type, people, org.actors, org.objects_by_prefix, to_events)


def _of_archive(org: Org, *, second_witness: bool) -> Normaliser:
    def to_events(
        rows: Sequence[big_history.ArchiveRow],
        _: Mapping[str, str],
        actors: Mapping[str | None, Actor],
        extraction: Extraction,
    ) -> Iterator[MicroDecisionEvent]:
        return big_history.archived_changes(
            [row for row in rows if org.narrowing.takes_field(row.parent_type, row.field)],
            org.histories,
            org.field_types,
            actors,
            extraction,
            second_witness=second_witness,
        )

    return RowByRow(
        big_history.ArchiveRow, lambda row: (row.created_by_id,), org.actors, org.objects_by_prefix, to_events
    )
