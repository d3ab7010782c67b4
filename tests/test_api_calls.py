"""What a run spends: increments of several streams share one API call, and lose nothing by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tests.conftest import NOW
from tests.harness import config_for
from tests.in_process import run_here
from tests.test_bulk import content
from tests.test_never_lose import case_change, load

Serve = Callable[..., Running]


def test_increments_are_asked_for_together(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    first = run_here(config)
    with Org.open(copy_of_small_org) as org:
        new = [case_change(org, 5_000_000 + n, NOW - timedelta(minutes=2 + n)) for n in range(3)]
    load(copy_of_small_org, "CaseHistory", new)
    server.control(clear_journal=True)
    again = run_here(config, state=first.state)
    assert again.code == 0, again.log
    assert {record["context"]["source_record_id"] for record in again.records["case_history"]} == {
        row["Id"] for row in new
    }
    kinds = server.journal().by_kind
    streams = len(first.schemas)
    assert streams >= 8
    assert kinds["composite"] == -(-streams // 5) + 1  # one for the descriptions of all of them
    assert kinds["queryAll"] <= 3  # the org's name, users that are new to this run
    assert set(content(first)) & set(content(again)) == set()


@pytest.mark.parametrize("status", [400, 404, 500])
def test_without_composite_each_stream_asks_alone(status: int, serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    first = run_here(config)
    with Org.open(copy_of_small_org) as org:
        load(copy_of_small_org, "CaseHistory", [case_change(org, 5_000_001, NOW - timedelta(minutes=2))])
    passes = status == 500
    fault = {"pattern": "POST .*/composite", "status": status, "times": 1 if passes else None}
    server.control(fail=[fault if passes else fault | {"code": "NOT_FOUND"}])
    again = run_here(config, state=first.state)
    assert again.code == 0, again.log
    assert len(again.records["case_history"]) == 1


def test_an_object_that_is_hidden_meanwhile_fails_alone(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    first = run_here(config, "account_history", "case_history", "contact_history")
    with Org.open(copy_of_small_org) as org:
        load(copy_of_small_org, "CaseHistory", [case_change(org, 5_000_001, NOW - timedelta(minutes=2))])
    server.control(forbid={"fields": ["ContactHistory.OldValue"]})
    again = run_here(config, "account_history", "case_history", "contact_history", state=first.state)
    assert again.code == 2
    assert "contact_history" in again.log
    assert len(again.records["case_history"]) == 1
