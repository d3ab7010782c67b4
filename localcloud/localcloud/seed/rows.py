"""From decisions to Salesforce rows, and from nothing else: records, histories, approvals."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from localcloud.seed.decisions import APPROVAL_ACTIONS, Decision, is_conversion
from localcloud.seed.model import MODELS, SNAPSHOT_FIELDS, is_closed_status, stage
from localcloud.seed.values import api_instant, number, typed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from localcloud.salesforce.actions.truth import TruthChange
    from localcloud.seed.people import NewId, Row

_FORECAST_NAMES = {"BestCase": "Best Case", "Forecast": "Commit"}
_STEP_STATUS = {"submit": "Started", "approve": "Approved", "reject": "Rejected", "remove": "Removed"}
_HUNDRED = Decimal(100)


class _Instance:
    """One submission round while its record may still change."""

    __slots__ = ("actor", "completed", "created", "id", "process", "since", "status", "submitter", "workitem")

    def __init__(self, key: str, process: str, decision: Decision) -> None:
        self.id = key
        self.process = process
        self.created = self.since = decision.at
        self.submitter = self.actor = decision.actor
        self.status = "Pending"
        self.completed: str | None = None
        self.workitem: tuple[str, str, str] | None = None  # id, assignee, assigned at


class _Record:
    """One record's current state."""

    __slots__ = (
        "closed", "created", "creator", "deleted", "dirty", "fields", "instances", "modified", "modifier", "number",
    )  # fmt: skip

    def __init__(self, decision: Decision, number: int, *, deleted: bool) -> None:
        self.fields: dict[str, str | None] = {}
        self.created = self.modified = decision.at
        self.creator = self.modifier = decision.actor
        self.number = number
        self.deleted = deleted
        self.closed: str | None = None
        self.dirty = True
        self.instances: dict[str, _Instance] = {}


class RowMaker:
    """Plays decisions in time order and collects the rows that Salesforce would have.

    A record's own row is made when its last decision has been played, or by ``finish``; history rows
    at once, with ids ascending in the order of the saves.

    Args:
        new_id: gives the n-th id of an object.
        deleted: records that some decision of the whole log deletes; their history is deleted with them.
    """

    def __init__(self, new_id: NewId, deleted: AbstractSet[str]) -> None:
        self._new_id = new_id
        self._deleted = deleted
        self._again: AbstractSet[str] | None = None
        self._records: dict[str, dict[str, _Record]] = {name: {} for name in MODELS}
        self._numbers: dict[str, int] = {}
        self._definitions: dict[str, str] = {}
        self._nodes: dict[tuple[str, str], str] = {}
        self._open_items: dict[str, Row] = {}
        self.rows: dict[str, list[Row]] = {}
        self.count = 0

    def replay(self, decisions: Iterable[Decision], again: AbstractSet[str]) -> None:
        """Play decisions whose rows are in the org already, keeping only what ``again`` needs anew.

        Args:
            decisions: the log so far.
            again: records that are about to be deleted, so that all their rows change.
        """
        self._again = again
        for decision in decisions:
            self.play(decision)
        self.finish()
        self._again = None
        for records in self._records.values():
            for record in records.values():
                record.dirty = False

    def play(self, decision: Decision) -> None:
        """Make the rows of one decision."""
        records = self._records[decision.object]
        record = records.get(decision.record)
        if record is None:
            number = self._next(decision.object)
            record = records[decision.record] = _Record(decision, number, deleted=decision.record in self._deleted)
        record.dirty = True
        if decision.action in APPROVAL_ACTIONS:
            self._approve(record, decision)
        else:
            record.modified, record.modifier = decision.at, decision.actor
            if decision.action != "delete":
                self._save(record, decision)
        if decision.last:
            self._close(decision.object, decision.record, record)
            del records[decision.record]

    def finish(self) -> None:
        """Make the rows of all records that changed and may change again."""
        for sobject, records in self._records.items():
            for key, record in records.items():
                if record.dirty:
                    self._close(sobject, key, record)

    def take(self) -> dict[str, list[Row]]:
        """Return the rows collected since the last call, per object."""
        rows, self.rows, self.count = self.rows, {}, 0
        return rows

    def _put(self, sobject: str, record: str, row: Row) -> None:
        if self._again is not None and record not in self._again:
            return
        self.rows.setdefault(sobject, []).append(row)
        self.count += 1

    def _next(self, counter: str) -> int:
        n = self._numbers[counter] = self._numbers.get(counter, 0) + 1
        return n

    def _save(self, record: _Record, decision: Decision) -> None:
        fields = record.fields
        before = {name: fields.get(name) for name in SNAPSHOT_FIELDS} if decision.object == "Opportunity" else {}
        for change in decision.changes:
            fields[change.field] = change.new
        if decision.action == "create":
            self._history(record, decision, "created", "Text", None, None)
        else:
            for change in decision.changes:
                self._history_of(record, decision, change)
            if decision.object == "Lead" and is_conversion(decision):
                self._history(record, decision, "leadConverted", "Text", None, None)
        if before and (decision.action == "create" or any(fields.get(n) != v for n, v in before.items())):
            self._opportunity_history(record, decision, before)
        if decision.object == "Case":
            closed = is_closed_status(fields.get("Status"))
            record.closed = (record.closed or decision.at) if closed else None

    def _history_of(self, record: _Record, decision: Decision, change: TruthChange) -> None:
        field = MODELS[decision.object].fields[change.field]
        if not field.tracked:
            return
        if change.type == "lookup":
            self._history(record, decision, change.field, "Text", change.old_name, change.new_name)
            self._history(record, decision, change.field, "EntityId", change.old, change.new)
        else:
            old, new = typed(change.old, change.type), typed(change.new, change.type)
            self._history(record, decision, change.field, field.data_type, old, new)

    def _history(
        self, record: _Record, decision: Decision, field: str, data_type: str, old: object, new: object
    ) -> None:
        model = MODELS[decision.object]
        self._put(
            model.history,
            decision.record,
            {
                "Id": self._new_id(model.history, self._next(model.history)),
                model.parent_column: decision.record,
                "Field": field,
                "DataType": data_type,
                "OldValue": old,
                "NewValue": new,
                "CreatedById": decision.actor,
                "CreatedDate": api_instant(decision.at),
                "IsDeleted": record.deleted,
            },
        )

    def _opportunity_history(self, record: _Record, decision: Decision, before: dict[str, str | None]) -> None:
        fields, at = record.fields, api_instant(decision.at)
        amount, probability = number(fields.get("Amount")), number(fields.get("Probability"))
        self._put(
            "OpportunityHistory",
            decision.record,
            {
                "Id": self._new_id("OpportunityHistory", self._next("OpportunityHistory")),
                "OpportunityId": decision.record,
                "StageName": fields.get("StageName"),
                "Amount": amount,
                "ExpectedRevenue": _expected(amount, probability),
                "CloseDate": fields.get("CloseDate"),
                "Probability": probability,
                "ForecastCategory": fields.get("ForecastCategory"),
                "PrevAmount": number(before["Amount"]),
                "PrevCloseDate": before["CloseDate"],
                "CreatedById": decision.actor,
                "CreatedDate": at,
                "SystemModstamp": at,
                "IsDeleted": record.deleted,
            },
        )

    def _approve(self, record: _Record, decision: Decision) -> None:
        process, key, step = decision.process or "", decision.instance or "", decision.step or ""
        instance = record.instances.get(key)
        if instance is None:
            instance = record.instances[key] = _Instance(key, process, decision)
        at = api_instant(decision.at)
        self._put(
            "ProcessInstanceStep",
            decision.record,
            {
                "Id": self._new_id("ProcessInstanceStep", self._next("ProcessInstanceStep")),
                "ProcessInstanceId": key,
                "StepStatus": _STEP_STATUS[decision.action],
                "ActorId": decision.actor,
                "OriginalActorId": decision.actor,
                "Comments": None,
                "StepNodeId": self._node(process, step, decision),
                **_elapsed(instance.since, decision.at),
                "CreatedById": decision.actor,
                "CreatedDate": at,
                "SystemModstamp": at,
            },
        )
        instance.since, instance.actor = decision.at, decision.actor
        instance.workitem = None
        if decision.assignee is not None:
            item = self._new_id("ProcessInstanceWorkitem", self._next("ProcessInstanceWorkitem"))
            instance.workitem = (item, decision.assignee, decision.at)
            instance.status, instance.completed = "Pending", None
        elif decision.action != "submit":
            instance.status, instance.completed = _STEP_STATUS[decision.action], decision.at

    def _node(self, process: str, step: str, decision: Decision) -> str:
        """Return the node's id; the first mention makes the rows of process and node."""
        node = self._nodes.get((process, step))
        if node is None:
            definition, at = self._definition(process, decision), api_instant(decision.at)
            node = self._nodes[process, step] = self._new_id("ProcessNode", len(self._nodes) + 1)
            row = {"Id": node, "Name": step, "DeveloperName": _developer(step), "ProcessDefinitionId": definition}
            self._put("ProcessNode", "", {**row, "Description": None, "SystemModstamp": at})
        return node

    def _definition(self, process: str, decision: Decision) -> str:
        definition = self._definitions.get(process)
        if definition is None:
            definition = self._definitions[process] = self._new_id("ProcessDefinition", len(self._definitions) + 1)
            self._put(
                "ProcessDefinition",
                "",
                {
                    "Id": definition,
                    "Name": process,
                    "DeveloperName": _developer(process),
                    "Type": "Approval",
                    "TableEnumOrId": decision.object,
                    "LockType": "Total",
                    "State": "Active",
                    **_stamps(decision.at, decision.actor, decision.at, decision.actor),
                },
            )
        return definition

    def _close(self, sobject: str, key: str, record: _Record) -> None:
        """Make the record's own row and those of its submission rounds."""
        record.dirty = False
        self._put(sobject, key, self._record_row(sobject, key, record))
        for instance in record.instances.values():
            self._put("ProcessInstance", key, self._instance_row(key, instance, record))
            self._workitem(key, instance, record)

    def _record_row(self, sobject: str, key: str, record: _Record) -> Row:
        model, fields = MODELS[sobject], record.fields
        row: dict[str, object] = {"Id": key}
        for field in model.fields.values():
            row[field.column] = typed(fields.get(field.name), field.type)
        if sobject == "Opportunity":
            follows = stage(fields.get("StageName"))
            row |= {
                "IsClosed": follows.closed,
                "IsWon": follows.won,
                "ForecastCategoryName": _FORECAST_NAMES.get(follows.forecast, follows.forecast),
                "ExpectedRevenue": _expected(number(fields.get("Amount")), number(fields.get("Probability"))),
            }
        elif sobject == "Case":
            closed = record.closed
            row |= {
                "CaseNumber": f"{record.number:08}",
                "IsClosed": closed is not None,
                "ClosedDate": api_instant(closed) if closed else None,
            }
        elif sobject in {"Contact", "Lead"}:
            row["Name"] = fields.get("LastName")
        elif sobject == "Contract":
            term = fields.get("ContractTerm")
            row |= {
                "ContractNumber": f"{record.number:08}",
                "ContractTerm": int(term) if term else None,
                "StatusCode": fields.get("Status"),
                "ActivatedById": record.modifier if fields.get("ActivatedDate") else None,
            }
        row |= _stamps(record.created, record.creator, record.modified, record.modifier)
        row["IsDeleted"] = record.deleted
        return row

    def _instance_row(self, target: str, instance: _Instance, record: _Record) -> Row:
        return {
            "Id": instance.id,
            "ProcessDefinitionId": self._definitions[instance.process],
            "TargetObjectId": target,
            "Status": instance.status,
            "CompletedDate": api_instant(instance.completed) if instance.completed else None,
            "LastActorId": instance.actor,
            "SubmittedById": instance.submitter,
            **_elapsed(instance.created, instance.completed or instance.created),
            **_stamps(instance.created, instance.submitter, instance.since, instance.actor),
            "IsDeleted": record.deleted,
        }

    def _workitem(self, target: str, instance: _Instance, record: _Record) -> None:
        """Show the pending request; one that was shown before and is acted on goes away."""
        shown = self._open_items.pop(instance.id, None)
        if instance.workitem is not None:
            item, assignee, since = instance.workitem
            row: Row = {
                "Id": item,
                "ProcessInstanceId": instance.id,
                "ActorId": assignee,
                "OriginalActorId": assignee,
                **_elapsed(since, since),
                "IsDeleted": record.deleted,
                "CreatedById": instance.actor,
                "CreatedDate": api_instant(since),
                "SystemModstamp": api_instant(since),
            }
            self._open_items[instance.id] = row
            self._put("ProcessInstanceWorkitem", target, row)
            if shown is not None and shown["Id"] == item:
                return
        if shown is not None:
            self._put("ProcessInstanceWorkitem", target, {**shown, "IsDeleted": True})


def _expected(amount: Decimal | None, probability: Decimal | None) -> Decimal | None:
    if amount is None or probability is None:
        return None
    return (amount * probability / _HUNDRED).quantize(Decimal("0.01"))


def _elapsed(start: str, end: str) -> dict[str, object]:
    minutes = Decimal(int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())) / 60
    hundredth = Decimal("0.01")
    return {
        "ElapsedTimeInDays": (minutes / 1440).quantize(hundredth),
        "ElapsedTimeInHours": (minutes / 60).quantize(hundredth),
        "ElapsedTimeInMinutes": minutes.quantize(hundredth),
    }


def _stamps(created: str, creator: str | None, modified: str, modifier: str | None) -> dict[str, object]:
    return {
        "CreatedById": creator,
        "CreatedDate": api_instant(created),
        "LastModifiedById": modifier,
        "LastModifiedDate": api_instant(modified),
        "SystemModstamp": api_instant(modified),
    }


def _developer(name: str) -> str:
    return name.title().replace(" ", "_")
