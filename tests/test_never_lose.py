"""Never lose, never double: late rows, states, and both paths of the writer, through the tap's own output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tests.conftest import NOW
from tests.harness import Json, config_for, discover, run_tap, select

Serve = Callable[..., Running]


def salesforce_text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def case_change(org: Org, number: int, at: datetime, old: object = "New", new: object = "Working") -> Json:
    return {
        "Id": org.new_id("CaseHistory", number),
        "CaseId": org.new_id("Case", number % 7 + 1),
        "Field": "Status",
        "DataType": "DynamicEnum",
        "OldValue": old,
        "NewValue": new,
        "CreatedById": org.new_id("User", 1),
        "CreatedDate": salesforce_text(at),
        "IsDeleted": False,
    }


def load(path: Path, sobject: str, rows: Iterable[Json]) -> None:
    with Org.open(path) as org:
        org.load(sobject, rows)


def ids_of(records: list[Json]) -> list[str]:
    return [record["context"]["source_record_id"] for record in records]


def test_rows_that_become_visible_late_within_the_overlap_are_all_read(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    server = serve(empty_org)
    with Org.open(empty_org) as org:
        load(empty_org, "CaseHistory", [case_change(org, n, NOW - timedelta(minutes=n)) for n in range(2, 60)])
        late = [case_change(org, 100 + n, NOW - timedelta(seconds=61 + 60 * n)) for n in range(14)]
    config = config_for(server.url, empty_org)
    catalog = select(discover(tmp_path, config), "case_history")
    first = run_tap(tmp_path, config, catalog=catalog)
    assert len(first.records["case_history"]) == 58

    load(empty_org, "CaseHistory", late)
    second = run_tap(tmp_path, config, catalog=catalog, state=first.state)
    assert sorted(ids_of(second.records["case_history"])) == sorted(row["Id"] for row in late)
    third = run_tap(tmp_path, config, catalog=catalog, state=second.state)
    assert third.code == 0
    assert not third.records["case_history"]


def test_rows_newer_than_the_lag_wait_for_the_next_run(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    server = serve(empty_org)
    with Org.open(empty_org) as org:
        load(
            empty_org,
            "CaseHistory",
            [case_change(org, 1, NOW + timedelta(minutes=30)), case_change(org, 2, NOW - timedelta(minutes=5))],
        )
    config = config_for(server.url, empty_org)
    catalog = select(discover(tmp_path, config), "case_history")
    first = run_tap(tmp_path, config, catalog=catalog)
    assert len(first.records["case_history"]) == 1
    server.control(clock={"advance_seconds": 3_600})
    second = run_tap(tmp_path, config, catalog=catalog, state=first.state)
    assert len(second.records["case_history"]) == 1


def test_every_state_carries_every_bookmark_it_was_given(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    catalog = select(discover(tmp_path, config), "account_history")
    given = {
        "bookmarks": {
            "case_history": {"replication_key_value": "2026-01-01T00:00:00.000000Z", "replication_key": "x"},
            "of_another_time": {"anything": 1},
            "empty": {},
        }
    }
    run = run_tap(tmp_path, config, catalog=catalog, state=given)
    assert run.code == 0, run.log
    for state in run.states:
        assert state["bookmarks"].items() >= given["bookmarks"].items()
    assert "account_history" in run.state["bookmarks"]


def test_a_second_run_without_news_writes_no_record(serve: Serve, small_org: Path, tmp_path: Path) -> None:
    config = config_for(serve(small_org).url, small_org)
    first = run_tap(tmp_path, config)
    assert first.code == 0, first.log
    second = run_tap(tmp_path, config, state=first.state)
    assert second.code == 0, second.log
    assert sum(len(records) for records in second.records.values()) == 0
    assert first.state["bookmarks"].keys() == second.state["bookmarks"].keys()


# Maps that change nothing: without any, both runs would take the fast path and prove nothing.
THROUGH_THE_SDK = {
    "stream_maps": {name: {"__filter__": "event_id != ''"} for name in ("case_history", "opportunity_history")}
}


@pytest.mark.parametrize(
    ("settings", "without"),
    [
        (THROUGH_THE_SDK, ()),
        ({}, ("actor_name", "extracted_at")),
        ({"stream_maps": {"case_history": {"__alias__": "case_decisions"}}}, ()),
        ({"stream_maps": {"case_history": {"actor_name": "sha256(actor_name)"}}}, ()),
        ({"flattening_enabled": True, "flattening_max_depth": 2}, ()),
    ],
    ids=["no option", "deselection", "alias", "hash map", "flattening"],
)
def test_fast_path_and_sdk_path_write_equal_records(
    settings: Json, without: tuple[str, ...], serve: Serve, small_org: Path, tmp_path: Path
) -> None:
    config = config_for(serve(small_org).url, small_org)
    catalog = select(discover(tmp_path, config), "case_history", "opportunity_history")
    plain = run_tap(tmp_path, config, catalog=catalog)
    assert plain.code == 0, plain.log
    optioned = run_tap(
        tmp_path,
        config | settings,
        catalog=select(discover(tmp_path, config), "case_history", "opportunity_history", without=without),
    )
    assert optioned.code == 0, optioned.log
    alias = settings.get("stream_maps", {}).get("case_history", {}).get("__alias__", "case_history")
    for ours, theirs in (("case_history", alias), ("opportunity_history", "opportunity_history")):
        assert plain.records[ours]
        expected = [comparable(record, settings, without, ours) for record in plain.records[ours]]
        assert [comparable(record, {}, (), ours) for record in optioned.records[theirs]] == expected


def comparable(record: Json, settings: Json, without: tuple[str, ...], stream: str) -> Json:
    """A record without the time of reading, and what the option is expected to make of it."""
    result = {name: value for name, value in record.items() if name not in {*without, "extracted_at"}}
    maps = settings.get("stream_maps", {}).get(stream, {})
    if "actor_name" in maps:
        name: Any = result["actor_name"]
        result["actor_name"] = hashlib.sha256(str(name).encode()).hexdigest()
    if settings.get("flattening_enabled"):
        context = result.pop("context")
        for name, value in context.items():
            text = json.dumps(value, separators=(",", ":")) if isinstance(value, dict) else value
            result[f"context__{name}"] = text
    return result
