"""Small handmade logs become exactly the decisions that the mapping table says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from localcloud.seed import seed_org

if TYPE_CHECKING:
    from pathlib import Path

Event = tuple[str, str, dict[str, str]]


def xes(*cases: tuple[dict[str, str], list[Event]]) -> str:
    """Each case: its attributes, and events as (time, activity, attributes)."""

    def attributes(pairs: dict[str, str]) -> str:
        return "".join(f'<string key="{key}" value="{value}"/>' for key, value in pairs.items())

    traces = ""
    for own, events in cases:
        traces += f"<trace>{attributes(own)}"
        for at, activity, more in events:
            pairs = {"concept:name": activity, **more}
            traces += f'<event>{attributes(pairs)}<date key="time:timestamp" value="2024-01-01T{at}Z"/></event>'
        traces += "</trace>"
    return f'<?xml version="1.0"?><log xmlns="http://www.xes-standard.org/">{traces}</log>'


def truth(folder: Path, log: str, target: Any) -> list[dict[str, Any]]:
    file = folder / "log.xes"
    file.write_text(log)
    seed_org(folder / "org", event_log=file, as_=target)
    return [json.loads(line) for line in (folder / "org" / "truth.jsonl").read_text().splitlines()]


def told(lines: list[dict[str, Any]]) -> list[tuple[str, str, dict[str, tuple[str | None, str | None]]]]:
    """Per line: time, action, and the changes with people by name."""
    return [
        (
            line["at"][11:19],
            line["action"],
            {c["field"]: (c.get("old_name", c["old"]), c.get("new_name", c["new"])) for c in line["changes"]},
        )
        for line in lines
    ]


def test_a_loan_application_becomes_an_opportunity(tmp_path: Path) -> None:
    auto, ann = {"org:resource": "112"}, {"org:resource": "Ann"}
    log = xes(
        (
            {"concept:name": "173688", "AMOUNT_REQ": "20000"},
            [
                ("10:00:00.500", "A_SUBMITTED", auto),
                ("10:00:00.900", "A_PARTLYSUBMITTED", auto),
                ("10:05:00", "W_Completeren aanvraag", {**ann, "lifecycle:transition": "START"}),
                ("10:06:00", "A_PREACCEPTED", {}),
                ("10:07:00", "W_Completeren aanvraag", {**ann, "lifecycle:transition": "COMPLETE"}),
                ("11:00:00", "A_APPROVED", {"org:resource": "Bob"}),
                ("11:00:00", "A_REGISTERED", {"org:resource": "Bob"}),
            ],
        )
    )
    assert told(truth(tmp_path, log, "opportunity")) == [
        (
            "10:00:00",
            "create",
            {
                "Owner": (None, "112"),
                "StageName": (None, "A_SUBMITTED"),
                "Probability": (None, "10"),
                "ForecastCategory": (None, "Pipeline"),
                "Name": (None, "173688"),
                "CloseDate": (None, "2024-01-31"),
            },
        ),
        (
            "10:00:00",
            "update",
            {
                "StageName": ("A_SUBMITTED", "A_PARTLYSUBMITTED"),
                "Probability": ("10", "20"),
                "Amount": (None, "20000"),
            },
        ),
        ("10:05:00", "update", {"Owner": ("112", "Ann")}),
        ("10:06:00", "update", {"StageName": ("A_PARTLYSUBMITTED", "A_PREACCEPTED"), "Probability": ("20", "40")}),
        (
            "11:00:00",
            "update",
            {
                "Owner": ("Ann", "Bob"),
                "StageName": ("A_PREACCEPTED", "A_APPROVED"),
                "Probability": ("40", "100"),
                "ForecastCategory": ("Pipeline", "Closed"),
                "CloseDate": ("2024-01-31", "2024-01-01"),
            },
        ),
        ("11:00:00", "update", {"StageName": ("A_APPROVED", "A_REGISTERED")}),
    ]


def test_work_that_names_nobody_is_done_by_the_integration_user(tmp_path: Path) -> None:
    log = xes(({"concept:name": "1"}, [("10:00:00", "A_SUBMITTED", {}), ("10:00:01", "A_DECLINED", {})]))
    first, second = truth(tmp_path, log, "opportunity")
    assert first["actor"] == second["actor"]
    assert told([first])[0][2]["Owner"] == (None, "Data Integration")
    assert "Owner" not in told([second])[0][2]


def test_an_incident_becomes_a_case(tmp_path: Path) -> None:
    def work(who: str, transition: str, impact: str = "Low") -> dict[str, str]:
        return {"org:resource": who, "lifecycle:transition": transition, "impact": impact}

    log = xes(
        (
            {"concept:name": "1-364285768"},
            [
                ("10:00:00", "Accepted", work("Ann", "In Progress")),
                ("10:01:00", "Accepted", work("Ann", "In Progress")),
                ("10:02:00", "Queued", work("Bob", "Awaiting Assignment", "High")),
                ("10:03:00", "Completed", work("Bob", "Closed", "High")),
            ],
        )
    )
    assert told(truth(tmp_path, log, "case"))[1:] == [
        (
            "10:02:00",
            "update",
            {
                "Status": ("Accepted/In Progress", "Queued/Awaiting Assignment"),
                "Owner": ("Ann", "Bob"),
                "Priority": ("Low", "High"),
            },
        ),
        ("10:03:00", "update", {"Status": ("Queued/Awaiting Assignment", "Completed/Closed")}),
    ]


def test_a_declaration_has_one_process_instance_per_submission_round(tmp_path: Path) -> None:
    staff, system = {"org:resource": "STAFF MEMBER"}, {"org:resource": "SYSTEM", "org:role": "UNDEFINED"}
    employee, chief = {**staff, "org:role": "EMPLOYEE"}, {**staff, "org:role": "SUPERVISOR"}
    log = xes(
        (
            {"concept:name": "declaration1"},
            [
                ("10:00:00", "Declaration SAVED by EMPLOYEE", {**employee, "(case)_Amount": "26.85120450862128"}),
                ("10:01:00", "Declaration SUBMITTED by EMPLOYEE", employee),
                ("10:02:00", "Declaration REJECTED by SUPERVISOR", chief),
                ("10:03:00", "Declaration SUBMITTED by EMPLOYEE", employee),
                ("10:04:00", "Declaration FINAL_APPROVED by SUPERVISOR", chief),
                ("10:05:00", "Request Payment", system),
                ("10:06:00", "Payment Handled", system),
            ],
        )
    )
    lines = truth(tmp_path, log, "approval")
    assert [(line["action"], line.get("step")) for line in lines] == [
        ("create", None),
        ("submit", "EMPLOYEE"),
        ("reject", "SUPERVISOR"),
        ("submit", "EMPLOYEE"),
        ("approve", "SUPERVISOR"),
        ("update", None),
        ("update", None),
    ]
    assert told(lines)[0][2]["Amount__c"] == (None, "26.85")
    assert told(lines)[5:] == [
        ("10:05:00", "update", {"Status__c": ("Open", "Request Payment")}),
        ("10:06:00", "update", {"Status__c": ("Request Payment", "Payment Handled")}),
    ]
    rounds = [line["instance"] for line in lines if "instance" in line]
    assert rounds[0] == rounds[1] != rounds[2] == rounds[3]
    assert {line["process"] for line in lines if "process" in line} == {"Declaration Approval"}


def test_a_csv_log_with_amounts_becomes_opportunities_of_its_activities(tmp_path: Path) -> None:
    log = tmp_path / "sales.csv"
    log.write_text(
        "case,activity,timestamp,resource,amount\n"
        "b,Lead,2024-01-01T10:00:01Z,Ann,10.50\n"
        "a,Lead,2024-01-01T10:00:00Z,Ann,\n"
        "a,Closed Won,2024-01-02T10:00:00Z,Bob,1e3\n"
    )
    seed_org(tmp_path / "org", event_log=log, as_="opportunity")
    lines = [json.loads(line) for line in (tmp_path / "org" / "truth.jsonl").read_text().splitlines()]
    assert [line["at"] for line in lines] == ["2024-01-01T10:00:00Z", "2024-01-01T10:00:01Z", "2024-01-02T10:00:00Z"]
    assert told(lines)[1][2]["Amount"] == (None, "10.5")
    won = told(lines)[2][2]
    assert (won["StageName"], won["Amount"], won["Owner"]) == (("Lead", "Closed Won"), (None, "1000"), ("Ann", "Bob"))


def test_the_clock_of_a_log_shows_one_hour_after_its_last_event(tmp_path: Path) -> None:
    log = xes(({"concept:name": "1"}, [("10:00:00", "A_SUBMITTED", {})]))
    truth(tmp_path, log, "opportunity")
    meta = json.loads((tmp_path / "org" / "meta.json").read_text())
    assert meta["clock"] == "2024-01-01T11:00:00Z"
    assert meta["events_expected"] == {"opportunity_field_history": 1, "opportunity_history": 1}
