"""The rows of a seeded org are what its truth log says, recomputed here from the log alone."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.seed import advance, seed_org

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Line = dict[str, Any]
HISTORIES = {
    "Account": ("AccountHistory", "AccountId"),
    "Contact": ("ContactHistory", "ContactId"),
    "Case": ("CaseHistory", "CaseId"),
    "Opportunity": ("OpportunityFieldHistory", "OpportunityId"),
    "Invoice__c": ("Invoice__History", "ParentId"),
    "Lead": ("LeadHistory", "LeadId"),
    "Contract": ("ContractHistory", "ContractId"),
}
NUMBERS = {"currency", "double", "percent"}
SNAPSHOT = ("StageName", "Amount", "CloseDate", "Probability", "ForecastCategory")


class Seeded:
    """An org's folder, read without any code of the project."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[Line] = [json.loads(line) for line in (folder / "truth.jsonl").read_bytes().splitlines()]
        self.meta = json.loads((folder / "meta.json").read_text())
        self.db = sqlite3.connect(folder / "org.sqlite")
        self.deleted = {line["record"] for line in self.lines if line["action"] == "delete"}

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.db.execute(statement).fetchall()


@pytest.fixture(scope="module", params=["just seeded", "three days later"])
def org(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    folder = tmp_path_factory.mktemp("seeded") / "org"
    seed_org(folder, events=6_000, seed=11)
    if request.param != "just seeded":
        for days in (1, 2):
            advance(folder, days=days)
    seeded = Seeded(folder)
    with closing(seeded.db):
        yield seeded


def canonical(value: str | None, kind: str) -> str | None:
    """A stored JSON token as the truth log would say it."""
    if value is None:
        return None
    if kind in NUMBERS:
        assert not value.startswith('"'), "a number is a JSON number"
        assert "." in value or "E" in value, "and looks as Salesforce's own numbers do"
        plain = f"{Decimal(value):f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    if kind == "boolean":
        assert value in {"true", "false"}
        return value
    text: str = json.loads(value)
    assert isinstance(text, str)
    return f"{text[:19]}.000000Z" if kind == "datetime" else text


def api(at: str) -> str:
    return f"{at[:-1]}.000+0000"


@pytest.mark.parametrize("sobject", HISTORIES)
def test_each_tracked_change_is_a_history_row_and_nothing_else_is(org: Seeded, sobject: str) -> None:
    table, parent = HISTORIES[sobject]
    tracked = set(org.meta["tracked_fields"][sobject])
    expected: Counter[tuple[Any, ...]] = Counter()
    kinds: dict[str, str] = {}
    for line in org.lines:
        if line["object"] != sobject:
            continue
        common = (line["record"], line["actor"], api(line["at"]), int(line["record"] in org.deleted))
        if line["action"] == "create":
            expected["created", "Text", None, None, *common] += 1
        elif line["action"] == "update":
            for change in line["changes"]:
                field, kind = change["field"], change["type"]
                if field not in tracked:
                    continue
                if kind == "lookup":
                    names = (change.get("old_name"), change.get("new_name"))
                    expected[field, "Text", *names, *common] += 1
                    expected[field, "EntityId", change["old"], change["new"], *common] += 1
                else:
                    kinds[field] = kind
                    expected[field, "?", change["old"], change["new"], *common] += 1
            if any(change["field"] == "IsConverted" for change in line["changes"]):
                expected["leadConverted", "Text", None, None, *common] += 1
    found = Counter(
        (
            field,
            "?" if field in kinds else data_type,
            canonical(old, kinds.get(field, "text")),
            canonical(new, kinds.get(field, "text")),
            *common,
        )
        for field, data_type, old, new, *common in org.rows(
            f"SELECT Field, DataType, OldValue, NewValue, {parent}, CreatedById, CreatedDate, IsDeleted FROM {table}"
        )
    )
    assert found == expected
    stream = {"OpportunityFieldHistory": "opportunity_field_history", "Invoice__History": "invoice__history"}
    name = stream.get(table, f"{sobject.lower()}_history")
    assert org.meta["events_expected"][name] == found.total()


def test_each_save_that_moves_an_opportunity_is_a_full_snapshot_in_the_order_of_ids(org: Seeded) -> None:
    state: dict[str, dict[str, str | None]] = defaultdict(lambda: dict.fromkeys(SNAPSHOT))
    expected: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    events = 0
    for line in org.lines:
        if line["object"] != "Opportunity" or line["action"] not in {"create", "update"}:
            continue
        now, before = state[line["record"]], dict(state[line["record"]])
        moved = [c for c in line["changes"] if c["field"] in SNAPSHOT]
        now.update({c["field"]: c["new"] for c in moved})
        events += 1 if line["action"] == "create" else len(moved)
        if moved:
            expected[line["record"]].append((*now.values(), before["Amount"], before["CloseDate"], api(line["at"])))
    found: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for record, stage, amount, close, probability, forecast, previous, previous_close, at in org.rows(
        "SELECT OpportunityId, StageName, Amount, CloseDate, Probability, ForecastCategory, PrevAmount, PrevCloseDate,"
        " CreatedDate FROM OpportunityHistory ORDER BY Id"
    ):
        numbers = [canonical(value, "currency") for value in (amount, probability, previous)]
        found[record].append((stage, numbers[0], close, numbers[1], forecast, numbers[2], previous_close, at))
    assert found == expected
    assert org.meta["events_expected"]["opportunity_history"] == events


def test_each_act_of_an_approval_is_a_step_of_its_round(org: Seeded) -> None:
    status = {"submit": "Started", "approve": "Approved", "reject": "Rejected", "remove": "Removed"}
    acts = [line for line in org.lines if line["action"] in status]
    expected = Counter(
        (line["instance"], line["record"], status[line["action"]], line["actor"], line["step"], api(line["at"]))
        for line in acts
    )
    found = Counter(
        org.rows(
            "SELECT i.Id, i.TargetObjectId, s.StepStatus, s.ActorId, n.Name, s.CreatedDate FROM ProcessInstanceStep s"
            " JOIN ProcessInstance i ON i.Id = s.ProcessInstanceId JOIN ProcessNode n ON n.Id = s.StepNodeId"
        )
    )
    assert found == expected
    assert set(status) == {line["action"] for line in acts}
    assert org.meta["events_expected"]["process_instance_step"] == found.total()


def test_only_pending_rounds_have_a_request(org: Seeded) -> None:
    acts = {"submit", "approve", "reject", "remove"}
    latest = {line["instance"]: line for line in org.lines if line["action"] in acts}
    pending = {(key, line["assignee"]) for key, line in latest.items() if "assignee" in line}
    found = org.rows("SELECT ProcessInstanceId, ActorId FROM ProcessInstanceWorkitem WHERE NOT IsDeleted")
    gone = {line["instance"] for line in latest.values() if line["record"] in org.deleted}
    assert set(found) == {(key, actor) for key, actor in pending if key not in gone}
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("sobject", "columns"),
    [
        ("Opportunity", {"StageName": "StageName", "Owner": "OwnerId", "NextStep": "NextStep", "Name": "Name"}),
        ("Case", {"Status": "Status", "Owner": "OwnerId", "Subject": "Subject", "Priority": "Priority"}),
        ("Contact", {"Title": "Title", "Account": "AccountId"}),
        ("Invoice__c", {"Status__c": "Status__c", "Reference__c": "Reference__c", "Account": "Account__c"}),
        ("Lead", {"Status": "Status", "Company": "Company", "ConvertedAccount": "ConvertedAccountId"}),
        ("Contract", {"Status": "Status", "StartDate": "StartDate", "Account": "AccountId"}),
        ("Task", {"Status": "Status", "ActivityDate": "ActivityDate", "What": "WhatId", "Who": "WhoId"}),
        ("Event", {"Subject": "Subject", "Location": "Location", "Owner": "OwnerId"}),
    ],
)
def test_a_record_shows_what_was_decided_last(org: Seeded, sobject: str, columns: dict[str, str]) -> None:
    state: dict[str, dict[str, str | None]] = {}
    for line in org.lines:
        if line["object"] == sobject:
            now = state.setdefault(line["record"], dict.fromkeys(columns))
            now.update({c["field"]: c["new"] for c in line["changes"] if c["field"] in columns})
    names = ", ".join(columns.values())
    found = {key: values for key, *values in org.rows(f'SELECT Id, {names}, IsDeleted FROM "{sobject}"')}
    assert found == {key: [*now.values(), int(key in org.deleted)] for key, now in state.items()}


def test_the_truth_is_in_time_order_and_every_actor_is_a_user(org: Seeded) -> None:
    times = [line["at"] for line in org.lines]
    assert times == sorted(times)
    users = {key for (key,) in org.rows("SELECT Id FROM User")}
    nobody = {line["action"] for line in org.lines if line["actor"] is None}
    assert {line["actor"] for line in org.lines if line["actor"] is not None} <= users
    assert nobody == {"setup", "event_log", "archive"}, "what Salesforce does by itself"
    assert org.meta["decisions"] == len(org.lines)


def test_ids_are_unique_and_well_formed(org: Seeded) -> None:
    tables = [
        "OpportunityHistory",
        "ProcessInstanceStep",
        "ProcessInstance",
        *(table for table, _ in HISTORIES.values()),
    ]
    ids = [key for table in tables for (key,) in org.rows(f'SELECT Id FROM "{table}"')]
    assert len(ids) == len(set(ids))
    assert {len(key) for key in ids} == {18}
