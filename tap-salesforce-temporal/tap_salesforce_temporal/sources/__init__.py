"""What a stream reads, as data: one `Source` per object, made from describe and never from a list of tracked ones."""

from __future__ import annotations

from tap_salesforce_temporal.sources.beside import (
    approval_step_source,
    approval_submission_source,
    approval_work_item_source,
    event_log_file_source,
    event_source,
    login_history_source,
    process_instance_source,
    setup_audit_trail_source,
    task_source,
    workitem_source,
)
from tap_salesforce_temporal.sources.histories import (
    activity_field_history_source,
    assumed_field_history_source,
    field_history_archive_source,
    field_history_source,
    opportunity_history_source,
)
from tap_salesforce_temporal.sources.misnamed import Misnamed, misnamed
from tap_salesforce_temporal.sources.narrowing import Narrowing
from tap_salesforce_temporal.sources.source import Kind, Source, stream_name, stream_names

__all__ = [
    "Kind",
    "Misnamed",
    "Narrowing",
    "Source",
    "activity_field_history_source",
    "approval_step_source",
    "approval_submission_source",
    "approval_work_item_source",
    "assumed_field_history_source",
    "event_log_file_source",
    "event_source",
    "field_history_archive_source",
    "field_history_source",
    "login_history_source",
    "misnamed",
    "opportunity_history_source",
    "process_instance_source",
    "setup_audit_trail_source",
    "stream_name",
    "stream_names",
    "task_source",
    "workitem_source",
]
