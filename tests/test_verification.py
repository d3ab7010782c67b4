"""Rows that become visible after the overlap: found by the daily verification, read once, for a known price."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tests.conftest import HOUR, NOW, SECOND
from tests.harness import Json, config_for
from tests.in_process import Loader, account_change, clean, many_cases, run_here, statements
from tests.test_late_rows import Opportunities
from tests.test_never_lose import case_change, load

Serve = Callable[..., Running]


def move(server: Running, to: datetime) -> None:
    server.control(clock={"set": f"{to:%FT%TZ}"})


def case_ids(loader: Loader) -> set[str]:
    return {row["context"]["source_record_id"] for row in loader.tables.get("case_history", {}).values()}


@pytest.mark.parametrize(
    ("late", "api_type"), [(3, "rest"), (120, "rest"), (20, "bulk2")], ids=["3 hours", "5 days", "20 hours, by Bulk"]
)
def test_rows_that_come_after_the_overlap_are_read_the_next_day(
    late: int, api_type: str, serve: Serve, empty_org: Path
) -> None:
    many_cases(empty_org, 40, start=NOW - 2 * HOUR)
    with Org.open(empty_org) as org:
        rows = [case_change(org, 1_000 + n, NOW - HOUR - n * SECOND) for n in range(5)]
        org.load("CaseHistory", rows, visible_at=NOW + late * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, api_type=api_type)
    loader = Loader()
    assert loader.load(run_here(config, "case_history")).code == 0
    for hours in range(9, late + 34, 9):
        move(server, NOW + hours * HOUR)
        assert loader.load(run_here(config, "case_history", state=loader.state)).code == 0
    assert case_ids(loader) >= {row["Id"] for row in rows}
    assert loader.content() == clean(config, "case_history")
    found = dict(loader.arrivals)
    move(server, NOW + (late + 49) * HOUR)
    again = loader.load(run_here(config, "case_history", state=loader.state))
    assert again.code == 0
    assert dict(loader.arrivals) == found  # it is read again once


def test_only_the_day_that_grew_is_read_again(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 72, start=NOW - timedelta(days=3))
    with Org.open(empty_org) as org:
        old = [case_change(org, 500 + day, NOW - timedelta(days=day)) for day in range(1, 6)]
        org.load("CaseHistory", old)
        late = case_change(org, 900, NOW - timedelta(days=2))
        org.load("CaseHistory", [late], visible_at=NOW + HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    first = run_here(config, "case_history")
    move(server, NOW + timedelta(days=1))
    again = run_here(config, "case_history", state=first.state)
    assert again.code == 0
    days = {record["timestamp_recorded"][:10] for record in again.records["case_history"]}
    assert days == {f"{NOW - timedelta(days=2):%F}"}
    assert late["Id"] in {record["context"]["source_record_id"] for record in again.records["case_history"]}


def test_a_late_save_of_an_opportunity_changes_what_the_ones_behind_it_follow(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        saves = Opportunities(org, Random(5))
        rows = [saves.save(1, NOW - timedelta(days=5)), saves.save(2, NOW - timedelta(days=5))]
        late = saves.save(1, NOW - timedelta(days=4), StageName="Qualification")
        same = saves.save(1, NOW - timedelta(days=3), StageName="Qualification", Amount=5)
        rows += [same, saves.save(1, NOW - timedelta(days=1), StageName="Closed Won"), saves.save(2, NOW - 2 * HOUR)]
        org.load("OpportunityHistory", rows)
        org.load("OpportunityHistory", [late], visible_at=NOW + 5 * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    loader = Loader()
    assert loader.load(run_here(config, "opportunity_history")).code == 0
    for day in (1, 2):
        move(server, NOW + timedelta(days=day))
        assert loader.load(run_here(config, "opportunity_history", state=loader.state)).code == 0
    assert loader.content() == clean(config, "opportunity_history")
    void = [row for row in loader.tables["opportunity_history"].values() if "metadata" in row["context"]]
    assert {row["record_id"] for row in void} == {same["OpportunityId"]}  # no corrections of what did not change
    assert not any(row["is_primary"] for row in void)


def test_it_costs_a_fifth_of_a_call_for_each_stream_once_a_day(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    streams = ("account_history", "case_history", "contact_history", "opportunity_field_history", "opportunity_history")
    loader = Loader()
    assert loader.load(run_here(config, *streams)).code == 0
    calls = []
    for hours in (1, 24, 25, 48):
        move(server, NOW + hours * HOUR)
        server.control(clear_journal=True)
        assert loader.load(run_here(config, *streams, state=loader.state)).code == 0
        calls.append(server.journal().by_kind["composite"])
    assert calls == [calls[0], calls[0] + 1, calls[0], calls[0] + 1]

    server.control(clear_journal=True)
    move(server, NOW + timedelta(days=3))
    assert run_here(config | {"verify_days": 0}, *streams, state=loader.state).code == 0
    assert server.journal().by_kind["composite"] == calls[0]
    assert not statements(server, "GROUP BY")


@pytest.mark.parametrize(
    "trouble",
    [
        {"fail": [{"pattern": "GROUP(%20|\\+| )BY", "status": 400, "code": "MALFORMED_QUERY", "times": None}]},
        {"query_timeout": [{"pattern": "GROUP BY", "times": None}]},
    ],
    ids=["not grouped", "too slow"],
)
def test_what_salesforce_does_not_group_is_counted_by_the_day(trouble: Json, serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 10, start=NOW - 2 * HOUR)
    with Org.open(empty_org) as org:
        late = case_change(org, 900, NOW - HOUR)
        org.load("CaseHistory", [late], visible_at=NOW + HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    loader = Loader()
    assert loader.load(run_here(config, "case_history")).code == 0
    move(server, NOW + timedelta(days=1))
    server.control(**trouble)
    assert loader.load(run_here(config, "case_history", state=loader.state)).code == 0
    assert late["Id"] in case_ids(loader)


def test_the_setup_audit_trail_is_verified_too(serve: Serve, copy_of_small_org: Path) -> None:
    """Salesforce does not group it."""
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    loader = Loader()
    assert loader.load(run_here(config, "setup_audit_trail")).code == 0
    move(server, NOW + timedelta(days=1))
    with Org.open(copy_of_small_org) as org:
        row = {
            "Id": org.new_id("SetupAuditTrail", 900_000),
            "Action": "late",
            "Section": "Users",
            "Display": "late",
            "CreatedById": org.new_id("User", 1),
            "CreatedDate": f"{NOW - 2 * HOUR:%FT%T}.000+0000",
        }
        org.load("SetupAuditTrail", [row])
    assert loader.load(run_here(config, "setup_audit_trail", state=loader.state)).code == 0
    assert "late" in {record["field_name"] for record in loader.tables["setup_audit_trail"].values()}
    assert loader.content() == clean(config, "setup_audit_trail")


def test_a_run_that_ends_while_a_day_is_read_again_reads_it_again(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 60, start=NOW - timedelta(days=2))
    with Org.open(empty_org) as org:
        late = [case_change(org, 900 + n, NOW - timedelta(days=n, hours=1)) for n in range(1, 4)]
        org.load("CaseHistory", late, visible_at=NOW + HOUR)
        of_the_overlap = [case_change(org, 800 + n, NOW - n * HOUR / 30) for n in range(1, 6)]
        org.load("CaseHistory", of_the_overlap)
        org.load("AccountHistory", [account_change(org, 1, NOW - HOUR)])
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    streams = ("account_history", "case_history")
    loader, codes = Loader(), []
    assert loader.load(run_here(config, *streams)).code == 0
    move(server, NOW + timedelta(days=1))
    for left in range(5, 40):
        server.control(quota={"left": left})
        codes.append(loader.load(run_here(config, *streams, state=loader.state)).code)
        if codes[-1] == 0:
            break
    assert codes[-1] == 0
    assert 3 in codes
    assert case_ids(loader) >= {row["Id"] for row in late}
    for event_id, arrivals in loader.arrivals.items():
        assert arrivals == 1 or event_id.rpartition(":")[2] not in {row["Id"] for row in of_the_overlap}
    server.control(quota={"left": 1_000})
    assert loader.content() == clean(config, *streams)


def test_a_row_that_is_later_than_the_verified_days_is_not_looked_for(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 10, start=NOW - 2 * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, verify_days=2)
    loader = Loader()
    assert loader.load(run_here(config, "case_history")).code == 0
    with Org.open(empty_org) as org:
        late = case_change(org, 900, NOW - timedelta(days=3))
    load(empty_org, "CaseHistory", [late])
    move(server, NOW + timedelta(days=1))
    run = loader.load(run_here(config, "case_history", state=loader.state))
    assert run.code == 0
    assert late["Id"] not in case_ids(loader)
    assert len(run.state["bookmarks"]["case_history"]["counted"]) <= 3
