"""The demo's checker notices every kind of difference; it is run as the demo runs it, on a warehouse of JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECK = Path(__file__).parents[1] / "demo" / "check.py"
Row = dict[str, Any]

# Answers the two statements that the checker asks: which tables, and their rows.
CLIENT = """
import json, pathlib, sys
rows = json.loads(pathlib.Path(sys.argv[1]).read_text())
if "information_schema" in sys.argv[2]:
    for table in rows:
        print(json.dumps({"TABLE_NAME": table}))
else:
    for table, events in rows.items():
        for event in events:
            print(json.dumps({"STREAM": table, **event}, ensure_ascii=False))
"""

STAGE = {"field": "StageName", "type": "picklist"}
TRUTH: list[dict[str, Any]] = [
    {
        "at": "2024-01-01T10:00:00Z", "actor": "u1", "action": "create", "object": "Opportunity", "record": "o1",
        "changes": [{**STAGE, "old": None, "new": "Prospecting"}],
    },
    {
        "at": "2024-01-03T10:00:00Z", "actor": "u2", "action": "update", "object": "Opportunity", "record": "o1",
        "changes": [
            {**STAGE, "old": "Prospecting", "new": "Closed\u2028Won"},
            {"field": "Owner", "type": "lookup", "old": "u1", "new": "u2", "old_name": "Ann", "new_name": "Bob"},
            {"field": "Untracked", "type": "text", "old": "a", "new": "b"},
        ],
    },
    {
        "at": "2024-01-04T10:00:00Z", "actor": "u3", "action": "approve", "object": "Invoice__c", "record": "i1",
        "changes": [], "process": "p", "instance": "x", "step": "s",
    },
    {"at": "2024-01-05T10:00:00Z", "actor": "u1", "action": "delete", "object": "Opportunity", "record": "o1"},
    {
        "at": "2024-01-06T10:00:00Z", "actor": "u1", "action": "update", "object": "Lead", "record": "l1",
        "changes": [
            {"field": "Status", "type": "picklist", "old": "Working", "new": "Closed - Converted"},
            {"field": "IsConverted", "type": "boolean", "old": "false", "new": "true"},
        ],
    },
    {
        "at": "2024-01-06T11:00:00Z", "actor": "u2", "action": "create", "object": "Task", "record": "t1",
        "changes": [{"field": "Status", "type": "picklist", "old": None, "new": "Not Started"}],
    },
    {
        "at": "2024-01-07T10:00:00Z", "actor": "u1", "action": "update", "object": "Task", "record": "t1",
        "changes": [{"field": "Status", "type": "picklist", "old": "Not Started", "new": "Open"}],
    },
    {
        "at": "2024-01-08T10:00:00Z", "actor": None, "action": "setup", "object": "SetupAuditTrail", "record": "s1",
        "changes": [
            {"field": "Action", "type": "text", "old": None, "new": "PermSetAssign"},
            {"field": "Display", "type": "text", "old": None, "new": "Assigned"},
        ],
    },
]  # fmt: skip


def event(number: int, day: int, actor: str, field: str | None, old: str | None, new: str | None, **more: Any) -> Row:
    return {
        "EVENT_ID": f"e{number}",
        "EVENT_TYPE": "field_change",
        "TIMESTAMP_OCCURRED": f"2024-01-{day:02} 10:00:00.000000",
        "ACTOR_ID": actor,
        "RECORD_TYPE": "Opportunity",
        "RECORD_ID": "o1",
        "FIELD_NAME": field,
        "OLD_VALUE": old,
        "NEW_VALUE": new,
        "IS_PRIMARY": True,
        "CONTEXT": "{}",
        **more,
    }


def arrived() -> dict[str, list[Row]]:
    """What the truth above must become."""
    first = {"EVENT_TYPE": "stage_change", "CONTEXT": '{"previous_stage": null}'}
    second = {"EVENT_TYPE": "stage_change", "CONTEXT": {"previous_stage": "Prospecting", "stage_duration_days": 2.0}}
    step = {"EVENT_TYPE": "approval_decision", "RECORD_TYPE": "Invoice__c", "RECORD_ID": "i1"}
    task = {"EVENT_TYPE": "activity", "RECORD_TYPE": "Task", "RECORD_ID": "t1"}
    setup = {"EVENT_TYPE": "setup_change", "RECORD_TYPE": "Setup", "RECORD_ID": None, "ACTOR_ID": None}
    return {
        "OPPORTUNITY_HISTORY": [
            event(1, 1, "u1", "StageName", None, "Prospecting", **first),
            event(2, 3, "u2", "StageName", "Prospecting", "Closed\u2028Won", **second),
        ],
        "OPPORTUNITY_FIELD_HISTORY": [
            event(3, 1, "u1", "created", None, None),
            event(4, 3, "u2", "StageName", "Prospecting", "Closed\u2028Won", IS_PRIMARY=False),
            event(5, 3, "u2", "Owner", "Ann", "Bob"),
            event(6, 3, "u2", "Owner", "u1", "u2", IS_PRIMARY=False),
        ],
        "LEAD_HISTORY": [
            event(8, 6, "u1", "Status", "Working", "Closed - Converted", RECORD_TYPE="Lead", RECORD_ID="l1"),
            event(9, 6, "u1", "leadConverted", None, None, RECORD_TYPE="Lead", RECORD_ID="l1"),
        ],
        "PROCESS_INSTANCE_STEP": [event(7, 4, "u3", "StepStatus", None, "Approved", **step)],
        "PROCESS_INSTANCE": [event(10, 4, "u3", "Status", None, "Approved", **step)],
        "ACTIVITY_FIELD_HISTORY": [
            event(13, 7, "u1", "Status", "Not Started", "Open", RECORD_TYPE="Task", RECORD_ID="t1"),
        ],
        "TASK": [event(11, 7, "u1", "Status", None, "Open", **task)],
        "SETUP_AUDIT_TRAIL": [event(12, 8, "", "PermSetAssign", None, "Assigned", **setup)],
        "CASE_HISTORY": [],
        "DELETE_EVENTS": [sighting(14, 5), sighting(15, 5, actor=None)],
    }


def sighting(number: int, day: int, kind: str = "record_delete", actor: str | None = "u1") -> Row:
    at = f"2024-01-{day:02} 10:00:00.000000"
    return {**event(number, day, "", None, None, None), "EVENT_TYPE": kind, "ACTOR_ID": actor, "TIMESTAMP_RECORDED": at}


def check(
    folder: Path, rows: dict[str, list[Row]], truth: list[dict[str, Any]] = TRUTH
) -> subprocess.CompletedProcess[str]:
    (folder / "truth.jsonl").write_text("".join(json.dumps(line) + "\n" for line in truth), encoding="utf-8")
    tracked = {"Opportunity": ["StageName", "Owner"], "Invoice__c": [], "Lead": ["Status"]}
    (folder / "meta.json").write_text(json.dumps({"tracked_fields": tracked}), encoding="utf-8")
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "client.py").write_text(CLIENT, encoding="utf-8")
    command = [sys.executable, str(CHECK), str(folder), "--schema", "S", "--report", str(folder / "report.json")]
    command += ["--before", '{"opportunity_history": 1}']
    command += ["--query", sys.executable, str(folder / "client.py"), str(folder / "rows.json")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_was_decided_and_arrived_is_equal(tmp_path: Path) -> None:
    done = check(tmp_path, arrived())
    assert done.returncode == 0, done.stderr
    assert "DIFFERENT" not in done.stdout
    figures = {line["stream"]: line for line in json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))}
    assert figures["opportunity_history"] == {
        "stream": "opportunity_history", "decided": 2, "arrived": 2, "distinct": 2, "equal": True, "new": 1,
    }  # fmt: skip
    assert "case_history" not in figures, "a table without events, of which the truth knows nothing, is no stream"


def lose(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_FIELD_HISTORY"].pop()


def lose_a_table(rows: dict[str, list[Row]]) -> None:
    del rows["PROCESS_INSTANCE_STEP"]


def double(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_HISTORY"].append(rows["OPPORTUNITY_HISTORY"][0])


def double_under_another_id(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_HISTORY"].append({**rows["OPPORTUNITY_HISTORY"][0], "EVENT_ID": "e99"})


def share_an_id(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_FIELD_HISTORY"][1]["EVENT_ID"] = "e3"


def change_a_value(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_FIELD_HISTORY"][2]["NEW_VALUE"] = "bob"


def change_the_time(rows: dict[str, list[Row]]) -> None:
    rows["PROCESS_INSTANCE_STEP"][0]["TIMESTAMP_OCCURRED"] = "2024-01-04 10:00:01.000000"


def change_the_duration(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_HISTORY"][1]["CONTEXT"] = {"previous_stage": "Prospecting", "stage_duration_days": 1.0}


def forget_the_previous_stage(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_HISTORY"][1]["CONTEXT"] = {"stage_duration_days": 2.0}


def call_a_witness_primary(rows: dict[str, list[Row]]) -> None:
    rows["OPPORTUNITY_FIELD_HISTORY"][3]["IS_PRIMARY"] = True


def lose_a_deletion(rows: dict[str, list[Row]]) -> None:
    rows["DELETE_EVENTS"].clear()


def share_an_id_of_deletes(rows: dict[str, list[Row]]) -> None:
    rows["DELETE_EVENTS"][1]["EVENT_ID"] = "e14"


def delete_before_the_deletion(rows: dict[str, list[Row]]) -> None:
    rows["DELETE_EVENTS"].append(sighting(16, 4))


def delete_by_somebody_else(rows: dict[str, list[Row]]) -> None:
    rows["DELETE_EVENTS"][0]["ACTOR_ID"] = "u2"


def invent_an_undelete(rows: dict[str, list[Row]]) -> None:
    rows["DELETE_EVENTS"].append(sighting(16, 6, "record_undelete"))


def invent_a_stream(rows: dict[str, list[Row]]) -> None:
    rows["CASE_HISTORY"].append(event(8, 1, "u1", "created", None, None, RECORD_TYPE="Case", RECORD_ID="c1"))


@pytest.mark.parametrize(
    "damage",
    [
        lose, lose_a_table, double, double_under_another_id, share_an_id, change_a_value, change_the_time,
        change_the_duration, forget_the_previous_stage, call_a_witness_primary, invent_a_stream, lose_a_deletion,
        share_an_id_of_deletes, delete_before_the_deletion, delete_by_somebody_else, invent_an_undelete,
    ],
)  # fmt: skip
def test_every_difference_is_noticed(damage: Any, tmp_path: Path) -> None:
    rows = arrived()
    damage(rows)
    done = check(tmp_path, rows)
    assert done.returncode == 1
    assert "DIFFERENT" in done.stdout
    assert done.stderr, "and said in words"


def test_a_warehouse_that_does_not_answer_is_a_failure_with_its_words(tmp_path: Path) -> None:
    check(tmp_path, arrived())
    failing = [sys.executable, "-c", "import sys; sys.exit('no such warehouse')"]
    command = [sys.executable, str(CHECK), str(tmp_path), "--schema", "S", "--query", *failing]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no such warehouse" in done.stderr


def test_an_empty_truth_is_no_success(tmp_path: Path) -> None:
    check(tmp_path, arrived())
    (tmp_path / "truth.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "rows.json").write_text("{}", encoding="utf-8")
    client = [sys.executable, str(tmp_path / "client.py"), str(tmp_path / "rows.json")]
    command = [sys.executable, str(CHECK), str(tmp_path), "--schema", "S", "--query", *client]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_a_deletion_that_ended_must_be_told_with_its_end(tmp_path: Path) -> None:
    back = {"at": "2024-01-09T10:00:00Z", "actor": "u1", "action": "undelete", "object": "Opportunity", "record": "o1"}
    rows = arrived()
    assert check(tmp_path, rows, [*TRUTH, back]).returncode == 1
    rows["DELETE_EVENTS"].append(sighting(16, 9, "record_undelete"))
    done = check(tmp_path, rows, [*TRUTH, back])
    assert done.returncode == 0, done.stderr
    assert "1 deletions, 1 told by 3 events of delete_events  equal" in done.stdout


def test_an_earlier_version_of_a_row_may_be_there_and_the_last_one_must(tmp_path: Path) -> None:
    about = {"EVENT_TYPE": "activity", "RECORD_TYPE": "Task", "RECORD_ID": "t1"}
    earlier = event(20, 6, "u2", "Status", None, "Not Started", TIMESTAMP_OCCURRED="2024-01-06 11:00:00.000", **about)
    rows = arrived()
    assert check(tmp_path, {**rows, "TASK": [*rows["TASK"], earlier]}).returncode == 0
    done = check(tmp_path, {**rows, "TASK": [earlier]})
    assert done.returncode == 1
    assert "task: 1 events missing" in done.stderr
    done = check(tmp_path, {**rows, "TASK": [*rows["TASK"], {**earlier, "NEW_VALUE": "Never"}]})
    assert "task: 1 events not decided" in done.stderr
