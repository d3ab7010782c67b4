"""Every source of an org: what the truth log says was decided, field by field, by both APIs; gaps; hidden objects."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running, serve_in_thread
from localcloud.seed import advance, seed_org
from tests.conftest import NOW
from tests.harness import Json, TapRun, config_for
from tests.in_process import run_here
from tests.test_bulk import content
from tests.test_never_lose import load, salesforce_text

Serve = Callable[..., Running]
DEMO = Path(__file__).parents[1] / "demo"
OFF = ("login_history", "event_log_file", "field_history_archive")
BY_REST_ONLY = {"setup_audit_trail", "event_log_file"}
MUTABLE = {
    "process_instance", "process_instance_workitem", "approval_submission", "approval_work_item", "task", "event",
}  # fmt: skip


@pytest.fixture(scope="module")
def checker() -> ModuleType:
    """The demo's checker, which knows the rules of the truth log and nothing of plugin or mock."""
    sys.path.insert(0, str(DEMO))
    try:
        spec = importlib.util.spec_from_file_location("demo_check", DEMO / "check.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["demo_check"] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DEMO))
    return module


@pytest.fixture(scope="module")
def busy_org(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An org in which every source has rows."""
    path = tmp_path_factory.mktemp("busy") / "org"
    seed_org(path, events=4_000, seed=1)
    return path


def differences(checker: ModuleType, org: Path, run: TapRun) -> list[str]:
    """What the run gave otherwise than the truth log says, as sentences."""
    truth = checker.read_truth(org / "truth.jsonl")
    expected = checker.expected_events(truth, checker.tracked_fields(org), checker.clock_of(org))
    wrong: list[str] = []
    for name in sorted(expected.keys() | run.records.keys()):
        table = checker.Arrived()
        for record in run.records.get(name, []):
            table.events[checker.arrived_event({key.upper(): value for key, value in record.items()})] += 1
            table.ids.add(record["event_id"])
        stream = checker.compare(name, expected.get(name, checker.Expected()), table)
        wrong += [f"{name}: {sentence}" for sentence in stream.wrong]
    return wrong


def everything(serve: Serve, org: Path, **settings: Any) -> TapRun:
    """All streams of the org, those that are off by default too."""
    config = config_for(serve(org).url, org, **settings)
    names = {stream["tap_stream_id"] for stream in catalog(config)["streams"]}
    run = run_here(config, *sorted(names))
    assert run.code == 0, run.log
    return run


def catalog(config: Json) -> Json:
    from tap_salesforce_temporal.tap import TapSalesforceTemporal  # noqa: PLC0415 - its signal handlers are undone

    found: Json = json.loads(TapSalesforceTemporal(config=config).catalog_json_text)
    return found


@pytest.mark.parametrize("api_type", ["rest", "bulk2"])
def test_every_source_gives_what_was_decided(api_type: str, serve: Serve, busy_org: Path, checker: ModuleType) -> None:
    run = everything(serve, busy_org, api_type=api_type)
    assert differences(checker, busy_org, run) == []
    assert {*MUTABLE, *OFF, "setup_audit_trail", "activity_field_history", "lead_history"} <= run.records.keys()
    sources = {name: {record["context"]["source"] for record in records} for name, records in run.records.items()}
    for name, apis in sources.items():
        assert apis == {"bulk" if api_type == "bulk2" and name not in BY_REST_ONLY else "rest"}, name


def test_both_apis_give_equal_events_of_every_source(serve: Serve, busy_org: Path) -> None:
    by_rest = everything(serve, busy_org, api_type="rest")
    by_bulk = everything(serve, busy_org, api_type="bulk2")
    # An archived change has the id of the row it was copied from, and says where it was read.
    archives = [TapRun(0, "", {"archive": run.records.pop("field_history_archive")}) for run in (by_rest, by_bulk)]
    assert content(archives[0]) == content(archives[1]) != {}
    assert content(by_rest) == content(by_bulk)


def test_an_archived_change_is_the_event_of_its_live_row(serve: Serve, busy_org: Path) -> None:
    run = everything(serve, busy_org)
    live = {**run.by_id("account_history"), **run.by_id("invoice__history")}
    archived = run.by_id("field_history_archive")
    assert archived.keys() <= live.keys()
    for event_id, record in archived.items():
        same = {name: value for name, value in record.items() if name not in {"context", "extracted_at"}}
        assert same == {name: live[event_id][name] for name in same}
        assert record["context"]["data_type"] == live[event_id]["context"]["data_type"], record


def test_what_is_off_by_default_says_so_in_the_catalog(serve: Serve, busy_org: Path) -> None:
    config = config_for(serve(busy_org).url, busy_org)
    by_default = {
        stream["tap_stream_id"]: entry["metadata"]["selected-by-default"]
        for stream in catalog(config)["streams"]
        for entry in stream["metadata"]
        if not entry["breadcrumb"]
    }
    assert {name for name, selected in by_default.items() if not selected} == set(OFF)
    assert not run_here(config).records.keys() & set(OFF)


def test_later_runs_see_each_version_once_and_the_last_one_surely(tmp_path: Path, checker: ModuleType) -> None:
    org = tmp_path / "org"
    seed_org(org, events=2_000, seed=3)
    tables: dict[str, dict[str, Json]] = {}
    written: Counter[str] = Counter()
    state = None
    for _ in range(3):
        with serve_in_thread(org) as server:
            run = run_here(config_for(server.url, org), state=state)
        assert run.code == 0, run.log
        state = run.state
        for name, records in run.records.items():
            written.update(record["event_id"] for record in records)
            tables.setdefault(name, {}).update({record["event_id"]: record for record in records})
        advance(org, days=1)
    with serve_in_thread(org) as server:
        run = run_here(config_for(server.url, org), state=state)
    for name, records in run.records.items():
        tables.setdefault(name, {}).update({record["event_id"]: record for record in records})
    loaded = TapRun(0, "", records={name: list(table.values()) for name, table in tables.items()})
    assert [line for line in differences(checker, org, loaded) if not line.startswith(OFF)] == []
    assert all(times == 1 for event_id, times in written.items() if ":Task:" in event_id or ":Event:" in event_id)


def setup_row(org: Org, number: int, at: datetime) -> Json:
    return {
        "Id": org.new_id("SetupAuditTrail", number),
        "Action": "PermSetCreate",
        "Section": "Manage Users",
        "Display": f"Created permission set {number}",
        "CreatedById": org.new_id("User", 1),
        "CreatedDate": salesforce_text(at),
    }


@pytest.mark.parametrize(("on_gap", "code"), [("fail", 4), ("warn", 0)])
def test_a_bookmark_older_than_what_salesforce_keeps_is_a_gap_once(
    on_gap: str, code: int, serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    with Org.open(empty_org) as org:
        load(empty_org, "SetupAuditTrail", [setup_row(org, n, NOW - timedelta(days=n)) for n in range(1, 4)])
    config = config_for(server.url, empty_org, on_gap=on_gap)
    first = run_here(config, "setup_audit_trail")
    assert first.code == 0
    assert len(first.records["setup_audit_trail"]) == 3

    server.control(clock={"advance_seconds": 200 * 86_400})
    with Org.open(empty_org) as org:
        load(empty_org, "SetupAuditTrail", [setup_row(org, 9, NOW + timedelta(days=150))])
    late = run_here(config, "setup_audit_trail", state=first.state)
    assert late.code == code, late.log
    gap, news = late.records["setup_audit_trail"]
    assert (gap["event_type"], gap["timestamp_occurred"]) == ("gap", "2026-03-23T00:00:00.000000Z")
    since = first.state["bookmarks"]["setup_audit_trail"]["replication_key_value"]
    assert gap["event_id"].endswith(f":gap:setup_audit_trail:{since}:2026-03-23T00:00:00.000000Z")
    assert news["new_value"] == "Created permission set 9"
    if on_gap == "fail":
        assert "180 days" in late.log
        assert "`gap` event" in late.log

    again = run_here(config, "setup_audit_trail", state=late.state)
    assert again.code == 0, again.log
    assert not again.records["setup_audit_trail"]


def test_a_gap_is_written_even_where_nothing_new_is(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    first = run_here(config, "login_history", "event_log_file")
    server.control(clock={"advance_seconds": 40 * 86_400})
    late = run_here(config, "login_history", "event_log_file", state=first.state)
    assert late.code == 4
    assert not late.records["login_history"]
    (gap,) = late.records["event_log_file"]
    assert (gap["event_type"], gap["record_type"]) == ("gap", "EventLogFile")
    assert run_here(config, "login_history", "event_log_file", state=late.state).code == 0


@pytest.mark.parametrize(
    ("sobject", "stream"),
    [
        ("Task", "task"),
        ("ProcessInstance", "process_instance"),
        ("SetupAuditTrail", "setup_audit_trail"),
        ("LoginHistory", "login_history"),
        ("ApprovalWorkItem", "approval_work_item"),
        ("FieldHistoryArchive", "field_history_archive"),
    ],
)
def test_a_hidden_object_fails_its_own_stream(sobject: str, stream: str, serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    server.control(forbid={"objects": [sobject]})
    run = run_here(config_for(server.url, copy_of_small_org), stream, "case_history")
    assert run.code == 2
    assert f"`{stream}`" in run.log
    assert run.records["case_history"]


def test_a_hidden_column_fails_its_own_stream(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    server.control(forbid={"fields": ["SetupAuditTrail.Display"]})
    run = run_here(config_for(server.url, copy_of_small_org), "setup_audit_trail", "task")
    assert run.code == 2
    assert "Display" in run.log
    assert run.records["task"]


def test_only_the_histories_and_fields_that_are_asked_for_are_read(serve: Serve, busy_org: Path) -> None:
    server = serve(busy_org)
    config = config_for(
        server.url,
        busy_org,
        history_objects=["Case", "Invoice*", "Task"],
        history_fields=["Case.Status", "Case.Owner", "Task.Status"],
    )
    names = {stream["tap_stream_id"] for stream in catalog(config)["streams"]}
    histories = {name for name in names if name.endswith("_history")} - {"login_history"}
    assert histories == {"case_history", "invoice__history", "activity_field_history"}
    assert {"task", "process_instance_step", "setup_audit_trail"} <= names

    run = run_here(config, "case_history", "invoice__history", "activity_field_history")
    assert run.code == 0, run.log
    fields = {name: {record["field_name"] for record in records} for name, records in run.records.items()}
    assert fields["case_history"] == {"Status", "Owner"}
    assert "created" in fields["invoice__history"]
    assert fields["activity_field_history"] == {"Status"}
    assert {record["record_type"] for record in run.records["activity_field_history"]} == {"Task"}
    asked = [request.query for request in server.journal().requests if request.query and "CaseHistory" in request.query]
    assert asked
    assert all("Field IN ('Owner','Status')" in query for query in asked if "COUNT()" in query or "OldValue" in query)


def test_the_history_of_activities_is_asked_for_by_activity_after_the_first_run(
    serve: Serve, copy_of_small_org: Path
) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    first = run_here(config, "activity_field_history")
    with Org.open(copy_of_small_org) as org:
        at, task = salesforce_text(NOW - timedelta(minutes=3)), org.new_id("Task", 90_000)
        load(
            copy_of_small_org,
            "Task",
            [
                {
                    "Id": task, "Status": "Completed", "Priority": "Normal", "OwnerId": org.new_id("User", 1),
                    "Subject": "Call", "CreatedById": org.new_id("User", 1), "LastModifiedById": org.new_id("User", 1),
                    "CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at, "IsDeleted": False,
                }
            ],
        )  # fmt: skip
        change = {
            "ActivityId": task, "ChangedById": org.new_id("User", 1), "ChangedDate": at, "FieldName": "Status",
            "DataType": "DynamicEnum", "Operation": "Change", "OldValueText": "Not Started",
            "NewValueText": "Completed", "CreatedById": org.new_id("User", 1), "CreatedDate": at,
            "LastModifiedById": org.new_id("User", 1), "LastModifiedDate": at, "SystemModstamp": at,
        }  # fmt: skip
        load(copy_of_small_org, "ActivityFieldHistory", [{**change, "Id": org.new_id("ActivityFieldHistory", 90_000)}])
    server.control(clear_journal=True)
    second = run_here(config, "activity_field_history", state=first.state)
    assert second.code == 0, second.log
    (record,) = second.records["activity_field_history"]
    assert (record["record_id"], record["new_value"]) == (task, "Completed")
    queries = [request.query or "" for request in server.journal().requests]
    assert [query for query in queries if "FROM ActivityFieldHistory" in query and "ActivityId IN" not in query] == []
    third = run_here(config, "activity_field_history", state=second.state)
    assert not third.records["activity_field_history"]
