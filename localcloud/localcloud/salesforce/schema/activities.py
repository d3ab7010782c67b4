"""What people do about records: tasks and events, archived ones included."""

from __future__ import annotations

from localcloud.salesforce.fields import audit, date, flag, ident, instant, kind, lookup, picklist, text, whole
from localcloud.salesforce.schema.people import ACTORS
from localcloud.salesforce.sobject import Field, SObject

WHO = ("Contact", "Lead")
"""The people that an activity can be with."""

WHAT = ("Account", "Case", "Contract", "Declaration__c", "Invoice__c", "Opportunity")
"""The records that an activity can be about."""

TASK_STATUS = ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred")


def _about(down: str) -> tuple[Field, ...]:
    return (
        lookup("WhoId", *WHO, down=down, cascade=True),
        lookup("WhatId", *WHAT, down=down, cascade=True),
        kind("Subject", "combobox", 255),
    )


ACTIVITIES: tuple[SObject, ...] = (
    SObject(
        "Task",
        "00T",
        (
            ident(),
            *_about("Tasks"),
            date("ActivityDate"),
            picklist("Status", *TASK_STATUS, nillable=False),
            picklist("Priority", "High", "Normal", "Low", nillable=False),
            flag("IsHighPriority", read_only=True),
            lookup("OwnerId", *ACTORS, nillable=False),
            text("Description", 32000),
            flag("IsDeleted"),
            lookup("AccountId", "Account", read_only=True),
            flag("IsClosed", read_only=True),
            *audit(),
            flag("IsArchived", read_only=True),
            whole("CallDurationInSeconds"),
            picklist("CallType", "Internal", "Inbound", "Outbound", restricted=True),
            text("CallDisposition"),
            text("CallObject"),
            instant("ReminderDateTime"),
            flag("IsReminderSet"),
            lookup("RecurrenceActivityId", "Task", down="RecurringTasks", read_only=True),
            flag("IsRecurrence"),
            picklist("TaskSubtype", "Task", "Email", "ListEmail", "Call", "Cadence", "LinkedIn", restricted=True),
            instant("CompletedDateTime", read_only=True, since=48.0),
        ),
    ),
    SObject(
        "Event",
        "00U",
        (
            ident(),
            *_about("Events"),
            text("Location"),
            flag("IsAllDayEvent"),
            instant("ActivityDateTime"),
            date("ActivityDate"),
            whole("DurationInMinutes"),
            instant("StartDateTime"),
            instant("EndDateTime"),
            text("Description", 32000),
            lookup("AccountId", "Account", read_only=True),
            lookup("OwnerId", *ACTORS, nillable=False),
            flag("IsPrivate"),
            picklist("ShowAs", "Busy", "OutOfOffice", "Free", restricted=True),
            flag("IsDeleted"),
            flag("IsChild", read_only=True),
            flag("IsGroupEvent", read_only=True),
            picklist("GroupEventType", "0", "1", "2", restricted=True, read_only=True),
            *audit(),
            flag("IsArchived", read_only=True),
            lookup("RecurrenceActivityId", "Event", down="RecurringEvents", read_only=True),
            flag("IsRecurrence"),
            instant("ReminderDateTime"),
            flag("IsReminderSet"),
            picklist("EventSubtype", "Event", restricted=True),
        ),
    ),
)
