"""Sources of what people do beside the fields of records: approvals, activities, administration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_salesforce_temporal.sources.source import Source, source_of

if TYPE_CHECKING:
    from microdecisions.describe import ObjectDescription

__all__ = [
    "approval_step_source",
    "approval_submission_source",
    "approval_work_item_source",
    "event_log_file_source",
    "event_source",
    "login_history_source",
    "process_instance_source",
    "setup_audit_trail_source",
    "task_source",
    "workitem_source",
]

_INSTANCE_PATHS = (
    "ProcessInstance.TargetObjectId",
    "ProcessInstance.SubmittedById",
    "ProcessInstance.ProcessDefinition.Name",
)
_FLOW_TARGET = ("RelatedRecordId", "RelatedRecordObjectName")
_ABOUT = ("WhoId", "WhatId", "Subject", "Type", "ActivityDate")
_VERSION = ("LastModifiedDate", "LastModifiedById", "SystemModstamp")
_LOGIN = (
    "LoginType",
    "LoginSubType",
    "LoginUrl",
    "SourceIp",
    "CountryIso",
    "Application",
    "Browser",
    "Platform",
    "ClientVersion",
    "ApiType",
    "ApiVersion",
    "TlsProtocol",
    "AuthMethodReference",
)

_AUDIT_DAYS: Final = 180  # Object Reference, SetupAuditTrail; login history is kept for six months
_LOG_FILE_DAYS: Final = 1  # 30 with Event Monitoring, and with an extension a year


def process_instance_source(description: ObjectDescription) -> Source:
    """Make the source of `ProcessInstance`, the approvals as wholes."""
    return source_of(
        description,
        "process_instance",
        "SystemModstamp",
        ("Id", "TargetObjectId", "Status", "CreatedDate", "SystemModstamp"),
        optional=("SubmittedById", "LastActorId", "CompletedDate", "ElapsedTimeInMinutes", "CreatedById"),
        paths=("ProcessDefinition.Name",),
        mutable=True,
    )


def approval_step_source(description: ObjectDescription) -> Source:
    """Make the source of `ProcessInstanceStep`, the steps of approvals that somebody acted on."""
    filterable = {field.name for field in description.fields if field.filterable}
    return source_of(
        description,
        "approval_step",
        "SystemModstamp" if "SystemModstamp" in filterable else "CreatedDate",
        ("Id", "ProcessInstanceId", "StepStatus", "ActorId", "CreatedDate", "SystemModstamp"),
        optional=("OriginalActorId", "Comments", "ElapsedTimeInMinutes", "CreatedById"),
        paths=(*_INSTANCE_PATHS, "StepNode.Name"),
        mutable=True,
    )


def workitem_source(description: ObjectDescription) -> Source:
    """Make the source of `ProcessInstanceWorkitem`, the requests that wait; a row goes when somebody acts on it."""
    return source_of(
        description,
        "workitem",
        "SystemModstamp",
        ("Id", "ProcessInstanceId", "ActorId", "CreatedDate", "SystemModstamp"),
        optional=("OriginalActorId", "CreatedById"),
        paths=_INSTANCE_PATHS,
        mutable=True,
    )


def approval_submission_source(description: ObjectDescription) -> Source:
    """Make the source of `ApprovalSubmission`, the approvals that a flow runs, as wholes."""
    return source_of(
        description,
        "approval_submission",
        "SystemModstamp",
        ("Id", "Status", "RelatedRecordId", "CreatedDate", "SystemModstamp"),
        optional=(
            "RelatedRecordObjectName",
            "SubmittedById",
            "Comments",
            "CreatedById",
            "LastModifiedById",
            "LastModifiedDate",
        ),
        mutable=True,
    )


def approval_work_item_source(description: ObjectDescription) -> Source:
    """Make the source of `ApprovalWorkItem`, the requests and decisions of approvals that a flow runs."""
    return source_of(
        description,
        "approval_work_item",
        "SystemModstamp",
        ("Id", "ApprovalSubmissionId", "Status", "AssignedToId", "CreatedDate", "SystemModstamp"),
        optional=(
            *_FLOW_TARGET,
            "ReviewedById",
            "ReviewedDate",
            "Comments",
            "ApprovalConditionName",
            "CreatedById",
            "LastModifiedById",
            "LastModifiedDate",
        ),
        paths=("ApprovalSubmission.SubmittedById",),
        mutable=True,
    )


def task_source(description: ObjectDescription) -> Source:
    """Make the source of `Task`."""
    return source_of(
        description,
        "task",
        "SystemModstamp",
        ("Id", "Status", *_VERSION),
        optional=(*_ABOUT, "TaskSubtype", "Priority"),
        mutable=True,
    )


def event_source(description: ObjectDescription) -> Source:
    """Make the source of `Event`, the entries of calendars."""
    return source_of(
        description,
        "event",
        "SystemModstamp",
        ("Id", *_VERSION),
        optional=(*_ABOUT, "EventSubtype", "StartDateTime", "Location"),
        mutable=True,
    )


def setup_audit_trail_source(description: ObjectDescription) -> Source:
    """Make the source of `SetupAuditTrail`, which is not made for Bulk."""
    return source_of(
        description,
        "setup_audit_trail",
        "CreatedDate",
        ("Id", "Action", "Section", "Display", "CreatedById", "CreatedDate"),
        optional=("DelegateUser", "CreatedByContext", "CreatedByIssuer", "ResponsibleNamespacePrefix"),
        rest_only=True,
        keeps_days=_AUDIT_DAYS,
    )


def login_history_source(description: ObjectDescription) -> Source:
    """Make the source of `LoginHistory`, off by default."""
    return source_of(
        description,
        "login_history",
        "LoginTime",
        ("Id", "UserId", "LoginTime", "Status"),
        optional=_LOGIN,
        selected=False,
        keeps_days=_AUDIT_DAYS,
    )


def event_log_file_source(description: ObjectDescription) -> Source:
    """Make the source of `EventLogFile`, off by default: files by the time they were written, late ones included."""
    return source_of(
        description,
        "event_log_file",
        "CreatedDate",
        ("Id", "EventType", "LogDate", "CreatedDate"),
        optional=("Interval", "Sequence"),
        selected=False,
        rest_only=True,
        mutable=True,
        keeps_days=_LOG_FILE_DAYS,
        may_keep_more=True,
    )
