"""What each stream must hold, by the rules of the truth log (localcloud/README.md).

It imports neither the plugins nor localcloud. Objects whose rows change keep their last state only: of them the last
version of each row is required, and any earlier one that a run has seen is allowed.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SNAPSHOT_FIELDS = ("StageName", "Amount", "CloseDate", "Probability", "ForecastCategory")
STEP_STATUS = {"submit": "Started", "approve": "Approved", "reject": "Rejected", "remove": "Removed"}
FLOW_STATUS = {"flow_approve": "Approved", "flow_reject": "Rejected"}
ACTIVITY_FIELDS = {
    "Task": {"Owner", "Status", "Priority", "ActivityDate"},
    "Event": {"Owner", "Location", "StartDateTime"},
}
NOT_SELECTED = frozenset({"login_history", "event_log_file", "field_history_archive"})
KEPT_DAYS = {"SetupAuditTrail": 180, "LoginHistory": 180, "EventLogFile": 30}
ARCHIVED_AFTER_DAYS = 548

Json = Mapping[str, Any]  # a parsed line of the truth log or of the query's answer
Event = tuple[object, ...]


@dataclass(slots=True)
class Expected:
    """What a stream must hold and what it may hold beside that.

    Attributes:
        required: Events that must be there, with how often.
        allowed: Events that may be there too: earlier states of rows, and rows that Salesforce may have dropped.
    """

    required: Counter[Event] = field(default_factory=Counter)
    allowed: Counter[Event] = field(default_factory=Counter)


def read_truth(path: Path) -> Iterator[Json]:
    """The lines of a truth log, in their order."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def tracked_fields(org: Path) -> dict[str, frozenset[str]]:
    """The fields with history tracking per object, from `meta.json`."""
    meta = json.loads((org / "meta.json").read_text(encoding="utf-8"))
    return {name: frozenset(fields) for name, fields in meta["tracked_fields"].items()}


def clock_of(org: Path) -> datetime | None:
    """What the org's clock showed after its last decision, from `meta.json`; None where it does not say."""
    meta = json.loads((org / "meta.json").read_text(encoding="utf-8"))
    return datetime.fromisoformat(meta["clock"]) if meta.get("clock") else None


def expected_events(
    truth: Iterable[Json], tracked: Mapping[str, frozenset[str]], clock: datetime | None = None
) -> dict[str, Expected]:
    """The events that each stream must hold, by the rules of the truth log.

    Args:
        truth: Its lines.
        tracked: Fields with history tracking, by object.
        clock: The org's; what Salesforce keeps for so many days only is required from a day later on.
    """
    expected: defaultdict[str, Expected] = defaultdict(Expected)
    stages: dict[str, tuple[str | None, datetime]] = {}
    versions = Versions()
    for line in truth:
        versions.see(line)
        if line["action"] == "archive":
            expected["field_history_archive"].required |= archived(line, tracked, expected)
        elif line["object"] in KEPT_DAYS:
            since = None if clock is None else clock - timedelta(days=KEPT_DAYS[line["object"]] - 1)
            kept = since is None or datetime.fromisoformat(line["at"]) >= since
            stream, events = administration(line)
            (expected[stream].required if kept else expected[stream].allowed).update(events)
        for stream, event in immutable(line, tracked, stages):
            expected[stream].required[event] += 1
    for stream, required, allowed in versions.events():
        expected[stream].required += required
        expected[stream].allowed += allowed
    return dict(expected)


def immutable(
    line: Json, tracked: Mapping[str, frozenset[str]], stages: dict[str, tuple[str | None, datetime]]
) -> Iterator[tuple[str, Event]]:
    """The streams and the events of a line that rows which never change are made of."""
    if line["action"] in STEP_STATUS:
        yield "process_instance_step", approval_step(line)
    if line["action"] not in ("create", "update"):
        return
    if line["object"] in tracked:
        yield from ((history_stream(line["object"]), event) for event in field_history(line, tracked[line["object"]]))
    if line["object"] == "Opportunity":
        yield from (("opportunity_history", event) for event in opportunity_history(line, stages))
    if line["action"] == "update" and line["object"] in ACTIVITY_FIELDS:
        yield from (("activity_field_history", event) for event in activity_history(line))


class Versions:
    """The states that rows went through which Salesforce overwrites, by stream and row."""

    def __init__(self) -> None:
        self._objects: dict[str, str] = {}
        self._fields: dict[str, dict[str, str | None]] = {}
        self._states: dict[tuple[str, str], list[Event | None]] = {}
        self._submitters: dict[str, tuple[str, str]] = {}

    def see(self, line: Json) -> None:
        """Take one line."""
        if line["action"] == "create":
            self._objects[line["record"]] = line["object"]
        if line["object"] in ACTIVITY_FIELDS:
            self._activity(line, line["object"], line["record"])
        for sobject, record in line.get("cascade", ()):
            if sobject in ACTIVITY_FIELDS and (sobject.lower(), record) in self._states:
                self._activity({**line, "changes": ()}, sobject, record)
        if line["action"] in STEP_STATUS:
            self._approval(line)
        if line["action"] == "flow_submit" or line["action"] in FLOW_STATUS:
            self._flow(line)

    def events(self) -> Iterator[tuple[str, Counter[Event], Counter[Event]]]:
        """Stream, last state and earlier ones of each row; a row that is gone has no last state."""
        for (stream, _), states in self._states.items():
            *before, last = states
            earlier = {state for state in before if state not in (None, last)}
            yield stream, Counter(() if last is None else (last,)), Counter(state for state in earlier if state)

    def _put(self, stream: str, row: str, state: Event | None) -> None:
        self._states.setdefault((stream, row), []).append(state)

    def _activity(self, line: Json, sobject: str, record: str) -> None:
        fields = self._fields.setdefault(record, {})
        fields.update({change["field"]: change["new"] for change in line.get("changes", ())})
        about = fields.get("What") or fields.get("Who") or record
        status = fields.get("Status") if sobject == "Task" else None
        named = "Status" if sobject == "Task" else None
        head = ("activity", second(line["at"]), line["actor"], self._objects.get(about), about)
        self._put(sobject.lower(), record, (*head, named, None, status, True))

    def _approval(self, line: Json) -> None:
        key, at, actor = line["instance"], second(line["at"]), line["actor"]
        submitted = self._submitters.setdefault(key, (at, actor))
        pending = line["action"] == "submit" or line.get("assignee") is not None
        when, who = submitted if pending else (at, actor)
        status = "Pending" if pending else STEP_STATUS[line["action"]]
        about = (line["object"], line["record"])
        self._put("process_instance", key, ("approval_decision", when, who, *about, "Status", None, status, True))
        asked = line.get("assignee")
        request = ("approval_request", at, actor, *about, "Actor", None, asked, True)
        self._put("process_instance_workitem", key, request if asked else None)

    def _flow(self, line: Json) -> None:
        key, at, actor = line["instance"], second(line["at"]), line["actor"]
        about = (line["object"], line["record"])
        submitted = self._submitters.setdefault(key, (at, actor))
        reviewed, following = FLOW_STATUS.get(line["action"]), line.get("next_item")
        if reviewed and line.get("item"):
            decision = ("approval_decision", at, actor, *about, "Status", None, reviewed, True)
            self._put("approval_work_item", f"{line['item']} decided", decision)
        if following:
            asked = ("approval_request", at, actor, *about, "Actor", None, line["assignee"], True)
            self._put("approval_work_item", following, asked)
        waits = following is not None or reviewed is None
        when, who, status = (*submitted, "InProgress") if waits else (at, actor, reviewed)
        self._put("approval_submission", key, ("approval_decision", when, who, *about, "Status", None, status, True))


def activity_history(line: Json) -> Iterator[Event]:
    """One event per tracked field of a task or event that changed; of a look-up its ids."""
    head = ("field_change", second(line["at"]), line["actor"], line["object"], line["record"])
    for change in line["changes"]:
        if change["field"] in ACTIVITY_FIELDS[line["object"]]:
            yield (*head, change["field"], change["old"], change["new"], True)


def administration(line: Json) -> tuple[str, Counter[Event]]:
    """The stream and the events of one line about setup, logins or log files."""
    values = {change["field"]: change["new"] for change in line.get("changes", ())}
    at, actor = second(line["at"]), line["actor"]
    if line["action"] == "setup":
        event = ("setup_change", at, actor, "Setup", values.get("Section"), values.get("Action"), None)
        return "setup_audit_trail", Counter([(*event, values.get("Display"), True)])
    if line["action"] == "login":
        event = ("login", at, actor, "User", actor, "Status", None)
        return "login_history", Counter([(*event, values.get("Status"), True)])
    file_id = line["record"]
    lines = (("log_line", file_id, f"{file_id[:15]}-{number}", False) for number in range(int(values["Rows"])))
    return "event_log_file", Counter(lines)


def archived(line: Json, tracked: Mapping[str, frozenset[str]], expected: Mapping[str, Expected]) -> Counter[Event]:
    """The events of an object's history that are old enough when it is archived."""
    (sobject,) = (change["new"] for change in line["changes"] if change["field"] == "FieldHistoryType")
    if sobject not in tracked:
        return Counter()
    midnight = datetime.fromisoformat(line["at"]).replace(hour=0, minute=0, second=0)
    before = (midnight - timedelta(days=ARCHIVED_AFTER_DAYS)).strftime("%Y-%m-%dT%H:%M:%S")
    history = expected.get(history_stream(sobject), Expected())
    return Counter({event: times for event, times in history.required.items() if str(event[1]) < before})


def history_stream(sobject: str) -> str:
    """The stream of an object's field history: Opportunity has a special one, custom objects two bars."""
    if sobject == "Opportunity":
        return "opportunity_field_history"
    name = sobject.removesuffix("__c")
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return f"{snake}__history" if name != sobject else f"{snake}_history"


def field_history(line: Json, tracked: frozenset[str]) -> Iterator[Event]:
    """One event per tracked field that changed, two for a look-up; `created`, and `leadConverted`, once each."""
    head = ("field_change", second(line["at"]), line["actor"], line["object"], line["record"])
    if line["action"] == "create":
        yield (*head, "created", None, None, True)
        return
    for change in line["changes"]:
        name = change["field"]
        if name not in tracked:
            continue
        if change["type"] == "lookup":
            yield (*head, name, change.get("old_name"), change.get("new_name"), True)
            yield (*head, name, change["old"], change["new"], False)
        else:
            # OpportunityHistory records these fields too, and its events are the ones that count
            second_witness = line["object"] == "Opportunity" and name in SNAPSHOT_FIELDS
            yield (*head, name, change["old"], change["new"], not second_witness)
    if any(change["field"] == "IsConverted" and change["new"] == "true" for change in line["changes"]):
        yield (*head, "leadConverted", None, None, True)


def opportunity_history(line: Json, stages: dict[str, tuple[str | None, datetime]]) -> Iterator[Event]:
    """One event per changed field of the snapshot; the stage also with the one before and its days."""
    at = datetime.fromisoformat(line["at"])
    tail = (second(line["at"]), line["actor"], "Opportunity", line["record"])
    changes = {change["field"]: change for change in line["changes"]}
    if line["action"] == "create":
        stage = changes["StageName"]["new"] if "StageName" in changes else None
        stages[line["record"]] = (stage, at)
        yield ("stage_change", *tail, "StageName", None, stage, True, None, None)
        return
    for name in SNAPSHOT_FIELDS:
        if name not in changes:
            continue
        old, new = changes[name]["old"], changes[name]["new"]
        if name == "StageName":
            before, since = stages[line["record"]]
            stages[line["record"]] = (new, at)
            yield ("stage_change", *tail, name, old, new, True, before, round((at - since).total_seconds()))
        else:
            yield ("field_change", *tail, name, old, new, True)


def approval_step(line: Json) -> Event:
    """One event per step taken: its status, from nothing."""
    head = ("approval_decision", second(line["at"]), line["actor"], line["object"], line["record"])
    return (*head, "StepStatus", None, STEP_STATUS[line["action"]], True)


def second(instant: str) -> str:
    """An instant to the second, whichever way it is written."""
    return instant[:19].replace(" ", "T")
