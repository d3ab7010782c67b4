"""What happens beside the records of a made-up org: its rows, recomputed here from the truth log alone."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.seed import advance, seed_org

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Line = dict[str, Any]
TRACKED = {"Task": {"Owner", "Status", "Priority", "ActivityDate"}, "Event": {"Owner", "Location", "StartDateTime"}}
HISTORY = {"Account": ("AccountHistory", "AccountId"), "Invoice__c": ("Invoice__History", "ParentId")}


class Seeded:
    """An org's folder, read without any code of the project."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[Line] = [json.loads(line) for line in (folder / "truth.jsonl").read_bytes().splitlines()]
        self.meta = json.loads((folder / "meta.json").read_text())
        self.db = sqlite3.connect(folder / "org.sqlite")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.db.execute(statement).fetchall()

    def deeds(self, *actions: str) -> list[Line]:
        return [line for line in self.lines if line["action"] in actions]


@pytest.fixture(scope="module", params=["just seeded", "forty days later"])
def org(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    folder = tmp_path_factory.mktemp("beside") / "org"
    seed_org(folder, events=6_000, seed=5)
    if request.param != "just seeded":
        for days in (3, 37):
            advance(folder, days=days)
    seeded = Seeded(folder)
    with closing(seeded.db):
        yield seeded


def values(line: Line) -> dict[str, str | None]:
    return {change["field"]: change["new"] for change in line["changes"]}


def api(at: str) -> str:
    return f"{at[:19]}.000+0000"


def test_each_deed_of_an_administrator_is_a_row_of_the_setup_audit_trail(org: Seeded) -> None:
    names = ("Action", "Section", "Display", "DelegateUser")
    expected = {
        (line["record"], line["actor"], api(line["at"]), *(values(line).get(name) for name in names))
        for line in org.deeds("setup")
    }
    found = org.rows("SELECT Id, CreatedById, CreatedDate, Action, Section, Display, DelegateUser FROM SetupAuditTrail")
    assert set(found) == expected
    assert len(found) == org.meta["also_expected"]["setup_audit_trail"] > 50
    assert any(actor is None for _, actor, *_ in found)
    assert any(delegate for *_, delegate in found)


def test_each_login_is_a_row_of_the_login_history(org: Seeded) -> None:
    names = ("LoginType", "Status", "Application", "SourceIp")
    expected = {
        (line["record"], line["actor"], api(line["at"]), *(values(line)[name] for name in names))
        for line in org.deeds("login")
    }
    found = org.rows("SELECT Id, UserId, LoginTime, LoginType, Status, Application, SourceIp FROM LoginHistory")
    assert set(found) == expected
    assert len(found) == org.meta["also_expected"]["login_history"] > 100
    assert len({status for _, _, _, _, status, _, _ in found}) > 1, "some fail"


def test_each_log_file_holds_the_rows_that_its_line_tells(org: Seeded) -> None:
    found = {
        key: row
        for key, *row in org.rows(
            "SELECT Id, EventType, Interval, Sequence, LogDate, CreatedDate, LogFile, LogFileLength, LogFileFieldNames"
            " FROM EventLogFile"
        )
    }
    lines = org.deeds("event_log")
    assert len(lines) == len(found) == org.meta["also_expected"]["event_log_file"]
    for line in lines:
        told, at = values(line), datetime.fromisoformat(line["at"])
        kind, interval, sequence, log_date, written, body, length, columns = found[line["record"]]
        about = (at - timedelta(days=1)).replace(hour=0) if interval == "Daily" else at - timedelta(hours=1)
        about = about.replace(minute=0, second=0)
        assert (kind, interval, str(sequence)) == (told["EventType"], told["Interval"], told["Sequence"])
        assert (log_date, written) == (about.strftime("%Y-%m-%dT%H:%M:%S.000+0000"), api(line["at"]))
        assert float(length) == len(body.encode())
        header, *rows = csv.reader(io.StringIO(body))
        assert header == columns.split(",")
        ids = [row[header.index("REQUEST_ID")] for row in rows]
        assert ids == [f"{line['record'][:15]}-{n}" for n in range(int(told["Rows"] or 0))]
        assert all(len(row) == len(header) for row in rows)
    kinds = Counter((kind, interval) for kind, interval, *_ in found.values())
    assert {("Login", "Daily"), ("API", "Daily"), ("API", "Hourly")} <= set(kinds)


def test_each_tracked_change_of_an_activity_is_a_row_of_its_history(org: Seeded) -> None:
    expected: Counter[tuple[Any, ...]] = Counter()
    for line in org.deeds("update"):
        for change in line["changes"]:
            if change["field"] in TRACKED.get(line["object"], ()):
                old, new = change["old"], change["new"]
                if change["type"] in {"date", "datetime"}:
                    old, new = (None if value is None else api(f"{value}T00:00:00"[:19]) for value in (old, new))
                expected[line["record"], line["actor"], api(line["at"]), change["field"], old, new] += 1
    found = Counter(
        org.rows(
            "SELECT ActivityId, ChangedById, ChangedDate, FieldName, coalesce(OldValueText, OldValueDateTime),"
            " coalesce(NewValueText, NewValueDateTime) FROM ActivityFieldHistory"
        )
    )
    assert found == expected
    assert found.total() == org.meta["also_expected"]["activity_field_history"] > 50


def test_what_is_old_is_archived_and_nothing_else(org: Seeded) -> None:
    now = datetime.fromisoformat(org.meta["clock"]) - timedelta(days=365)
    tasks = org.rows("SELECT IsArchived, IsClosed, coalesce(ActivityDate, CreatedDate), Status FROM Task")
    assert all(archived == int(closed and day[:10] < f"{now:%Y-%m-%d}") for archived, closed, day, _ in tasks)
    assert all(closed == int(status == "Completed") for _, closed, _, status in tasks)
    assert {archived for archived, *_ in tasks} == {0, 1}
    events = org.rows("SELECT IsArchived, EndDateTime, StartDateTime, DurationInMinutes FROM Event")
    assert {archived for archived, *_ in events} == {0, 1}
    for archived, end, start, minutes in events:
        assert archived == int(end < f"{now:%Y-%m-%dT%H:%M:%S}")
        assert datetime.fromisoformat(end) - datetime.fromisoformat(start) == timedelta(minutes=minutes)
    created = Counter(line["object"] for line in org.deeds("create"))
    also = org.meta["also_expected"]
    assert (len(tasks), len(events)) == (created["Task"], created["Event"]) == (also["task"], also["event"])


def test_activities_are_about_records_that_are_there(org: Seeded) -> None:
    for column, parents in (("WhatId", ("Account", "Opportunity", "Case", "Invoice__c")), ("WhoId", ("Contact",))):
        there = {key for parent in parents for (key,) in org.rows(f'SELECT Id FROM "{parent}" WHERE NOT IsDeleted')}
        for sobject in ("Task", "Event"):
            asked = {key for (key,) in org.rows(f"SELECT {column} FROM {sobject} WHERE {column} IS NOT NULL")}
            assert asked
            assert asked <= there


def test_old_history_is_copied_with_the_ids_of_the_live_rows(org: Seeded) -> None:
    cutoffs: dict[str, list[str]] = defaultdict(list)
    for line in org.deeds("archive"):
        midnight = datetime.fromisoformat(line["at"]).replace(hour=0, minute=0, second=0) - timedelta(days=548)
        cutoffs[str(values(line)["FieldHistoryType"])].append(f"{midnight:%Y-%m-%dT%H:%M:%S}")
    assert set(cutoffs) == set(HISTORY)
    total = 0
    for sobject, (table, parent) in HISTORY.items():
        columns = "CreatedDate, CreatedById, Field, OldValue, NewValue"
        live = org.rows(f"SELECT Id, {parent}, {columns} FROM {table} WHERE CreatedDate < '{max(cutoffs[sobject])}'")
        copies = org.rows(
            f"SELECT HistoryId, ParentId, {columns} FROM FieldHistoryArchive WHERE FieldHistoryType = '{sobject}'"
        )
        assert len(copies) == len(live) > 0
        assert set(copies) == set(live)
        total += len(copies)
    (ids,) = org.rows("SELECT count(DISTINCT Id) FROM FieldHistoryArchive")
    assert ids == (total,) == (org.meta["also_expected"]["field_history_archive"],)


def test_an_approval_by_flow_shows_how_it_stands(org: Seeded) -> None:
    submissions: dict[str, tuple[str, str]] = {}
    items: dict[str, tuple[str, str, str, str | None]] = {}
    outcome = {"flow_approve": "Approved", "flow_reject": "Rejected"}
    for line in org.deeds("flow_submit", *outcome):
        key, done = line["instance"], line.get("item")
        submissions.setdefault(key, (line["record"], "InProgress"))
        if done is not None:
            items[done] = (*items[done][:2], outcome[line["action"]], line["actor"])
        if line.get("next_item"):
            items[line["next_item"]] = (key, line["assignee"], "Assigned", None)
        elif done is not None:
            submissions[key] = (line["record"], outcome[line["action"]])
    found = {key: tuple(row) for key, *row in org.rows("SELECT Id, RelatedRecordId, Status FROM ApprovalSubmission")}
    assert found == submissions
    shown = org.rows("SELECT Id, ApprovalSubmissionId, AssignedToId, Status, ReviewedById FROM ApprovalWorkItem")
    assert {key: tuple(row) for key, *row in shown} == items
    also = org.meta["also_expected"]
    assert (also["approval_submission"], also["approval_work_item"]) == (len(submissions), len(items))
    assert org.rows("SELECT count(*) FROM ProcessInstance WHERE Id IN (SELECT Id FROM ApprovalSubmission)") == [(0,)]


def test_some_leads_are_converted_and_their_history_says_so(org: Seeded) -> None:
    converted = org.rows("SELECT Id, ConvertedAccountId, ConvertedContactId, ConvertedDate FROM Lead WHERE IsConverted")
    assert converted
    assert all(all(row) for row in converted)
    said = org.rows("SELECT LeadId, OldValue, NewValue FROM LeadHistory WHERE Field = 'leadConverted'")
    assert sorted(said) == sorted((key, None, None) for key, *_ in converted)


def test_an_org_of_an_event_log_has_none_of_this(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("case,activity,timestamp,resource,amount\na,Lead,2020-01-01T10:00:00Z,Ann,1\n")
    report = seed_org(tmp_path / "org", event_log=log, as_="opportunity")
    assert report.also == {}
    with closing(sqlite3.connect(tmp_path / "org" / "org.sqlite")) as db:
        for name in ("Task", "SetupAuditTrail", "EventLogFile", "FieldHistoryArchive", "ApprovalSubmission", "Lead"):
            assert db.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)
