"""Who approved what: approval processes, and approvals by flow."""

from __future__ import annotations

from localcloud.salesforce.fields import (
    audit,
    created,
    flag,
    ident,
    instant,
    lookup,
    number,
    numbered,
    picklist,
    text,
)
from localcloud.salesforce.schema.people import ACTORS
from localcloud.salesforce.sobject import Field, SObject

STEP_STATUS = (
    "Approved", "Fault", "Held", "NoResponse", "Pending", "Reassigned", "Rejected", "Removed", "Started",
)  # fmt: skip
SUBMISSION_STATUS = ("InProgress", "Approved", "Rejected", "Recalled", "Canceled", "Error")
WORK_ITEM_STATUS = ("Assigned", "Approved", "Rejected", "Reassigned", "Recalled", "Canceled")
DETAIL_ACTIONS = ("Reassign", "Recall", "Resubmit", "Override", "Cancel")
DECIDED = ("Opportunity", "Case", "Contract", "Lead", "Invoice__c", "Declaration__c")
"""What can be submitted for approval."""


def _elapsed() -> tuple[Field, ...]:
    return (
        number("ElapsedTimeInDays", "double", 18, 2),
        number("ElapsedTimeInHours", "double", 18, 2),
        number("ElapsedTimeInMinutes", "double", 18, 2),
    )


APPROVALS: tuple[SObject, ...] = (
    SObject(
        "ProcessDefinition",
        "04a",
        (
            ident(),
            text("Name", nillable=False, name_field=True),
            text("DeveloperName", 80, nillable=False),
            picklist("Type", "Approval", "State", nillable=False),
            text("Description", 3000),
            text("TableEnumOrId", 40, nillable=False),
            picklist("LockType", "Total", "Admin", "Owner", "Workitem", "Node", "None"),
            picklist("State", "Active", "Inactive", "Obsolete"),
            *audit(),
        ),
        label="Process Definition",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessNode",
        "04b",
        (
            ident(),
            text("Name", nillable=False, name_field=True),
            text("DeveloperName", 80, nillable=False),
            lookup("ProcessDefinitionId", "ProcessDefinition", nillable=False),
            text("Description", 3000),
            instant("SystemModstamp", nillable=False),
        ),
        label="Process Node",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessInstance",
        "04g",
        (
            ident(),
            lookup("ProcessDefinitionId", "ProcessDefinition", nillable=False),
            lookup("TargetObjectId", *DECIDED, down="ProcessInstances", nillable=False, cascade=True),
            picklist("Status", *STEP_STATUS, nillable=False, restricted=True),
            instant("CompletedDate"),
            lookup("LastActorId", "User"),
            *_elapsed(),
            lookup("SubmittedById", "User"),
            flag("IsDeleted"),
            *audit(),
        ),
        label="Process Instance",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessInstanceStep",
        "04h",
        (
            ident(),
            lookup("ProcessInstanceId", "ProcessInstance", down="Steps", nillable=False, cascade=True),
            picklist("StepStatus", *STEP_STATUS, nillable=False, restricted=True),
            lookup("OriginalActorId", *ACTORS, nillable=False),
            lookup("ActorId", *ACTORS, nillable=False),
            text("Comments", 4000),
            lookup("StepNodeId", "ProcessNode"),
            *_elapsed(),
            *created(),
            instant("SystemModstamp", nillable=False),
        ),
        label="Process Instance Step",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessInstanceWorkitem",
        "04i",
        (
            ident(),
            lookup("ProcessInstanceId", "ProcessInstance", down="Workitems", nillable=False, cascade=True),
            lookup("OriginalActorId", *ACTORS, nillable=False),
            lookup("ActorId", *ACTORS, nillable=False),
            *_elapsed(),
            flag("IsDeleted"),
            *created(),
            instant("SystemModstamp", nillable=False),
        ),
        label="Approval Request",
        replicateable=False,
        writable=False,
    ),
)

FLOW_APPROVALS: tuple[SObject, ...] = (
    SObject(
        "ApprovalSubmission",
        "9As",
        (
            ident(),
            lookup("OwnerId", *ACTORS, nillable=False),
            flag("IsDeleted"),
            numbered("Name", 255),
            *audit(),
            lookup("RelatedRecordId", *DECIDED, down="ApprovalSubmissions"),
            picklist("Status", *SUBMISSION_STATUS, nillable=False, restricted=True),
            lookup("SubmittedById", "User"),
            text("Comments", 32000),
            text("RelatedRecordObjectName"),
            flag("DoesSendApprovalEmail"),
        ),
        label="Approval Submission",
        writable=False,
        layoutable=True,
        searchable=True,
        since=62.0,
    ),
    SObject(
        "ApprovalWorkItem",
        "9Aw",
        (
            ident(),
            flag("IsDeleted"),
            numbered("Name", 255),
            *audit(),
            lookup(
                "ApprovalSubmissionId", "ApprovalSubmission", down="ApprovalWorkItems", nillable=False, cascade=True
            ),
            lookup("RelatedRecordId", *DECIDED, down="ApprovalWorkItems"),
            picklist("Status", *WORK_ITEM_STATUS, nillable=False, restricted=True),
            lookup("AssignedToId", *ACTORS),
            lookup("ReviewedById", "User"),
            text("Comments", 32000),
            text("RelatedRecordObjectName"),
            text("ApprovalConditionName"),
            instant("ReviewedDate"),
        ),
        label="Approval Work Item",
        writable=False,
        layoutable=True,
        searchable=True,
        since=61.0,
    ),
    SObject(
        "ApprovalSubmissionDetail",
        "9Ad",
        (
            ident(),
            flag("IsDeleted"),
            numbered("Name", 255),
            *audit(),
            lookup(
                "ApprovalSubmissionId",
                "ApprovalSubmission",
                down="ApprovalSubmissionDetails",
                nillable=False,
                cascade=True,
            ),
            lookup("ApprovalWorkItemId", "ApprovalWorkItem", down="ApprovalSubmissionDetails"),
            picklist("ActionName", *DETAIL_ACTIONS, nillable=False, restricted=True),
            text("ActionContext"),
            lookup("ActionPerformedById", "User"),
            picklist(
                "ActionPerformerRole", "Admin", "Assignee", "Submitter", "System", nillable=False, restricted=True
            ),
            text("Comments", 32000),
            picklist(
                "ActionChannelName",
                "ApprovalRecord",
                "Email",
                "InvocableAction",
                "ScreenFlow",
                "Slack",
                "System",
                nillable=False,
                restricted=True,
            ),
        ),
        label="Approval Submission Detail",
        writable=False,
        layoutable=True,
        searchable=True,
        since=62.0,
    ),
)
"""Approvals that a flow runs, which write no ProcessInstance."""
