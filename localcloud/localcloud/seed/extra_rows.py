"""From decisions to the rows of what happens beside the records: activities, flow approvals, administration."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from localcloud.seed.decisions import FLOW_ACTIONS
from localcloud.seed.log_files import LOG_TYPES, log_body, log_date
from localcloud.seed.model import ACTIVITIES
from localcloud.seed.values import api_instant, typed

if TYPE_CHECKING:
    from localcloud.salesforce.actions.truth import TruthChange
    from localcloud.seed.decisions import Decision
    from localcloud.seed.people import NewId, Row

_API_VERSION = 60
_REVIEWED = {"flow_approve": "Approved", "flow_reject": "Rejected"}


class ExtraRows:
    """Plays decisions in time order and collects rows, by object.

    A task's or event's own row is made anew with each save, so that the last one counts.

    Attributes:
        count: how many finished rows are collected.

    Args:
        new_id: gives the n-th id of an object.
        org_id: the org's 18-character id.
        user_id: the user who logs in.
    """

    def __init__(self, new_id: NewId, org_id: str, user_id: str) -> None:
        self._new_id = new_id
        self._org_id = org_id
        self._user_id = user_id
        self._activities: dict[str, Row] = {}
        self._numbers: dict[str, int] = {}
        self._flows: dict[str, dict[str, object]] = {}
        self._changed: dict[str, dict[str, Row]] = {}
        self._added: dict[str, list[Row]] = {}
        self.count = 0

    def takes(self, decision: Decision) -> bool:
        """Whether it makes rows of a decision, and the rows of records do not."""
        return decision.object in _OWN_OBJECTS or decision.action in FLOW_ACTIONS

    def play(self, decision: Decision) -> None:
        """Make the rows of one decision that it takes."""
        if decision.object in ACTIVITIES:
            self._activity(decision)
        elif decision.action in FLOW_ACTIONS:
            self._flow(decision)
        elif decision.action == "setup":
            self._setup(decision)
        elif decision.action == "login":
            self._login(decision)
        elif decision.action == "event_log":
            self._log_file(decision)

    def take_finished(self) -> dict[str, list[Row]]:
        """Return the collected rows that no later decision makes anew, per object."""
        rows, self._added, self.count = self._added, {}, 0
        return rows

    def take(self) -> dict[str, list[Row]]:
        """Return all rows collected since the last call, per object; each row once."""
        rows = self.take_finished()
        for sobject, latest in self._changed.items():
            rows.setdefault(sobject, []).extend(latest.values())
        self._changed = {}
        return rows

    def _next(self, sobject: str) -> str:
        n = self._numbers[sobject] = self._numbers.get(sobject, 0) + 1
        return self._new_id(sobject, n)

    def _add(self, sobject: str, row: Row) -> None:
        self._added.setdefault(sobject, []).append(row)
        self.count += 1

    # Activities

    def _activity(self, decision: Decision) -> None:
        model, at = ACTIVITIES[decision.object], api_instant(decision.at)
        row = dict(self._activities.get(decision.record, {}))
        if decision.action == "create":
            row = {"Id": decision.record, "CreatedById": decision.actor, "CreatedDate": at}
        for change in decision.changes:
            field = model.fields[change.field]
            row[field.column] = typed(change.new, field.type)
            if decision.action == "update" and field.tracked:
                self._activity_history(decision, change, field.data_type)
        row |= {"LastModifiedById": decision.actor, "LastModifiedDate": at, "SystemModstamp": at}
        row["IsDeleted"] = decision.action == "delete"
        self._activities[decision.record] = row
        row.update(_task(row) if decision.object == "Task" else _event(row))
        latest = self._changed.setdefault(decision.object, {})
        if decision.last:
            del self._activities[decision.record]
            latest.pop(decision.record, None)
            self._add(decision.object, row)
        else:
            latest[decision.record] = row

    def _activity_history(self, decision: Decision, change: TruthChange, data_type: str) -> None:
        at = api_instant(decision.at)
        row: dict[str, object] = {
            "Id": self._next("ActivityFieldHistory"),
            "ActivityId": decision.record,
            "ChangedById": decision.actor,
            "ChangedDate": at,
            "FieldName": change.field,
            "DataType": data_type,
            "Operation": "Change",
            "IsDataAvailable": True,
            "CreatedById": decision.actor,
            "CreatedDate": at,
            "LastModifiedById": decision.actor,
            "LastModifiedDate": at,
            "SystemModstamp": at,
        }
        for side, value in (("Old", change.old), ("New", change.new)):
            if change.type in {"date", "datetime"}:
                row[f"{side}ValueDateTime"] = _midnight(value) if change.type == "date" else typed(value, "datetime")
            else:
                row[f"{side}ValueText"] = value
        self._add("ActivityFieldHistory", row)

    # Approvals by flow

    def _flow(self, decision: Decision) -> None:
        at, key = api_instant(decision.at), decision.instance or ""
        submission = self._flows.get(key)
        if submission is None:
            submission = self._flows[key] = {
                "Id": key,
                "Name": f"AS-{len(self._flows) + 1:08}",
                "OwnerId": decision.actor,
                "RelatedRecordId": decision.record,
                "RelatedRecordObjectName": decision.object,
                "Status": "InProgress",
                "SubmittedById": decision.actor,
                "CreatedById": decision.actor,
                "CreatedDate": at,
            }
        stamps = {"LastModifiedById": decision.actor, "LastModifiedDate": at, "SystemModstamp": at}
        reviewed = _REVIEWED.get(decision.action)
        if decision.item is not None and reviewed is not None:
            item = self._flows[decision.item] | stamps
            item |= {"Status": reviewed, "ReviewedById": decision.actor, "ReviewedDate": at}
            self._changed.setdefault("ApprovalWorkItem", {})[decision.item] = item
        if decision.next_item is not None:
            item = {
                "Id": decision.next_item,
                "Name": f"AWI-{decision.next_item[9:15]}",
                "ApprovalSubmissionId": key,
                "RelatedRecordId": decision.record,
                "RelatedRecordObjectName": decision.object,
                "Status": "Assigned",
                "AssignedToId": decision.assignee,
                "CreatedById": decision.actor,
                "CreatedDate": at,
                **stamps,
            }
            self._flows[decision.next_item] = item
            self._changed.setdefault("ApprovalWorkItem", {})[decision.next_item] = item
        elif reviewed is not None:
            submission["Status"] = reviewed
        self._changed.setdefault("ApprovalSubmission", {})[key] = submission | stamps

    # Administration

    def _setup(self, decision: Decision) -> None:
        values = {change.field: change.new for change in decision.changes}
        at = api_instant(decision.at)
        self._add(
            "SetupAuditTrail", {"Id": decision.record, "CreatedById": decision.actor, "CreatedDate": at, **values}
        )

    def _login(self, decision: Decision) -> None:
        values = {change.field: change.new for change in decision.changes}
        remote = values["LoginType"] != "Application"
        self._add(
            "LoginHistory",
            {
                "Id": decision.record,
                "UserId": decision.actor,
                "LoginTime": api_instant(decision.at),
                "LoginUrl": "login.salesforce.com",
                "TlsProtocol": "TLS 1.3",
                "OptionsIsGet": False,
                "OptionsIsPost": True,
                "Browser": "Unknown" if remote else "Chrome 120",
                "Platform": "Unknown" if remote else "Windows 10",
                "ApiType": "N/A",
                "ApiVersion": "N/A",
                "ClientVersion": "N/A",
                "CountryIso": "US",
                **values,
            },
        )

    def _log_file(self, decision: Decision) -> None:
        values = {change.field: change.new or "" for change in decision.changes}
        kind, at = values["EventType"], api_instant(decision.at)
        start = log_date(decision.at, values["Interval"])
        body = log_body(decision.record, kind, start, self._org_id, self._user_id)
        columns = LOG_TYPES[kind]
        self._add(
            "EventLogFile",
            {
                "Id": decision.record,
                "EventType": kind,
                "LogDate": start,
                "LogFile": body,
                "LogFileLength": Decimal(f"{len(body.encode())}.0"),
                "LogFileContentType": "text/csv",
                "ApiVersion": Decimal(f"{_API_VERSION}.0"),
                "Sequence": int(values["Sequence"]),
                "Interval": values["Interval"],
                "LogFileFieldNames": ",".join(columns),
                "LogFileFieldTypes": ",".join(columns.values()),
                "CreatedById": self._user_id,
                "CreatedDate": at,
                "LastModifiedById": self._user_id,
                "LastModifiedDate": at,
                "SystemModstamp": at,
            },
        )


_OWN_OBJECTS = frozenset({*ACTIVITIES, "SetupAuditTrail", "LoginHistory", "EventLogFile", "FieldHistoryArchive"})


def _task(row: Row) -> Row:
    closed = row.get("Status") == "Completed"
    return {
        "IsClosed": closed,
        "CompletedDateTime": row["LastModifiedDate"] if closed else None,
        "IsHighPriority": row.get("Priority") == "High",
        "TaskSubtype": "Task",
    }


def _event(row: Row) -> Row:
    start = datetime.fromisoformat(str(row["StartDateTime"]))
    minutes = int(Decimal(str(row["DurationInMinutes"])))
    return {
        "ActivityDateTime": start,
        "ActivityDate": start.date(),
        "DurationInMinutes": minutes,
        "EndDateTime": start + timedelta(minutes=minutes),
        "ShowAs": "Busy",
        "EventSubtype": "Event",
        "GroupEventType": "0",
    }


def _midnight(day: str | None) -> str | None:
    return None if day is None else f"{day}T00:00:00.000+0000"
