"""Orgs made of the real logs hold what an independent count over the XES files says, by the mapping table."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd
import pytest

from localcloud.seed import measured, seed_org
from localcloud.seed.measure import measure

if TYPE_CHECKING:
    from collections.abc import Iterable

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real logs are not there: ../shared/data")
COLUMNS = {"concept:name", "time:timestamp", "lifecycle:transition", "org:resource", "impact"}
CLOSED = {"A_APPROVED", "A_REGISTERED", "A_ACTIVATED", "A_DECLINED", "A_CANCELLED"}
PROBABILITY = {
    "A_SUBMITTED": 10, "A_PARTLYSUBMITTED": 20, "A_PREACCEPTED": 40, "A_ACCEPTED": 60, "A_FINALIZED": 80,
    "A_APPROVED": 100, "A_REGISTERED": 100, "A_ACTIVATED": 100, "A_DECLINED": 0, "A_CANCELLED": 0,
}  # fmt: skip
FORECAST = {100: "Closed", 0: "Omitted", 60: "BestCase", 80: "Forecast"}


def frame(name: str) -> pd.DataFrame:
    """One row per event, read from the file's text, with no parser and no code of the project."""
    text = gzip.decompress((DATA / name).read_bytes()).decode()
    rows = []
    for trace in re.finditer(r"<trace>(.*?)</trace>", text, re.DOTALL):
        case = re.search(r'key="concept:name" value="([^"]*)"', trace[1])
        assert case is not None
        for event in re.finditer(r"<event>(.*?)</event>", trace[1], re.DOTALL):
            pairs = re.findall(r'key="([^"]*)" value="([^"]*)"', event[1])
            rows.append({"case": case[1], **{key: value for key, value in pairs if key in COLUMNS}})
    return pd.DataFrame(rows)


def seeded(tmp_path: Path, name: str, target: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    seed_org(tmp_path / "org", event_log=DATA / name, as_=target)
    lines = [json.loads(line) for line in (tmp_path / "org" / "truth.jsonl").read_bytes().splitlines()]
    return lines, json.loads((tmp_path / "org" / "meta.json").read_text())["events_expected"]


def changes(lines: Iterable[dict[str, Any]]) -> Counter[str]:
    return Counter(c["field"] for line in lines if line["action"] == "update" for c in line["changes"])


def differs(events: pd.DataFrame, column: str) -> int:
    """How often a value differs from the one before it in the same case."""
    before = events.groupby("case", sort=False)[column].shift()
    return int((before.notna() & (before != events[column])).sum())


def test_loans_of_2012_as_opportunities(tmp_path: Path) -> None:
    name = "bpic2012_loan_applications.xes.gz"
    lines, streams = seeded(tmp_path, name, "opportunity")
    events = frame(name)
    stages = events[events["concept:name"].str.startswith("A_") & (events["lifecycle:transition"] == "COMPLETE")].copy()
    stages["probability"] = stages["concept:name"].map(PROBABILITY)
    stages["forecast"] = stages["probability"].map(lambda p: FORECAST.get(p, "Pipeline"))
    stages["closed"] = stages["concept:name"].isin(CLOSED)
    stages["day"] = pd.to_datetime(stages["time:timestamp"], utc=True, format="ISO8601").dt.floor("D")
    ends = stages[stages["closed"] & ~stages.groupby("case", sort=False)["closed"].shift(fill_value=False)]
    planned = stages.groupby("case", sort=False)["day"].first() + pd.Timedelta(days=30)
    worked = events[events["org:resource"].notna()]

    cases = events["case"].nunique()
    expected = {
        "StageName": differs(stages, "concept:name"),
        "Probability": differs(stages, "probability"),
        "ForecastCategory": differs(stages, "forecast"),
        "Amount": int((stages.groupby("case").size() >= 2).sum()),
        "CloseDate": int((ends["day"].to_numpy() != planned.loc[ends["case"]].to_numpy()).sum()),
        "Owner": differs(worked, "org:resource"),
    }
    assert sum(line["action"] == "create" for line in lines) == cases == 13_087
    assert changes(lines) == expected
    snapshot = sum(expected[field] for field in expected if field != "Owner")
    assert streams == {
        "opportunity_history": cases + snapshot,
        "opportunity_field_history": cases + snapshot - expected["ForecastCategory"] + 2 * expected["Owner"],
    }


@pytest.mark.parametrize("name", ["bpic2013_incidents.xes.gz", "bpic2013_closed_problems.xes.gz", "helpdesk.xes.gz"])
def test_incidents_problems_and_tickets_as_cases(tmp_path: Path, name: str) -> None:
    lines, streams = seeded(tmp_path, name, "case")
    events = frame(name)
    events["status"] = events["concept:name"]
    if "lifecycle:transition" in events:
        events["status"] += "/" + events["lifecycle:transition"]
    expected = Counter({"Status": differs(events, "status"), "Owner": differs(events, "org:resource")})
    if "impact" in events:
        expected["Priority"] = differs(events, "impact")
    cases = events["case"].nunique()
    assert sum(line["action"] == "create" for line in lines) == cases
    assert changes(lines) == +expected
    assert streams == {"case_history": cases + expected["Status"] + expected["Priority"] + 2 * expected["Owner"]}


@pytest.mark.parametrize("name", ["bpic2020_DomesticDeclarations.xes.gz", "bpic2020_RequestForPayment.xes.gz"])
def test_declarations_and_requests_of_2020_as_approvals(tmp_path: Path, name: str) -> None:
    lines, streams = seeded(tmp_path, name, "approval")
    events = frame(name)
    activity = events["concept:name"]
    expected = {
        "create": events["case"].nunique(),
        "submit": int(activity.str.contains(" SUBMITTED by ").sum()),
        "approve": int(activity.str.contains("APPROVED by ").sum()),
        "reject": int(activity.str.contains(" REJECTED by ").sum()),
    }
    paid = events[~activity.str.contains(" by ")].copy()
    # The first of a case changes its status from Open, the others where they differ from the one before.
    expected["update"] = paid["case"].nunique() + differs(paid, "concept:name")
    assert Counter(line["action"] for line in lines) == expected
    assert len({line["instance"] for line in lines if "instance" in line}) == expected["submit"]
    assert streams == {
        "process_instance_step": expected["submit"] + expected["approve"] + expected["reject"],
        "declaration__history": expected["create"] + expected["update"],
    }


def test_the_table_of_measured_parameters_is_what_the_logs_say() -> None:
    assert msgspec.to_builtins(measured.load()) == msgspec.to_builtins(measure(DATA))
