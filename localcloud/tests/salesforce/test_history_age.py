"""Field history of more than 18 months: queryAll finds it, query does not ("Field History Tracking")."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localcloud.salesforce.org import Org

EDGE = datetime(2024, 3, 15, tzinfo=UTC) - timedelta(days=548)
COUNT = "SELECT COUNT() FROM AccountHistory"


@pytest.fixture
def client(own_org: Org, serve: Callable[..., Any]) -> Any:
    account = own_org.new_id("Account", 0)
    row = {"AccountId": account, "Field": "Phone"}
    own_org.load("AccountHistory", [row | {"CreatedDate": EDGE}, row | {"CreatedDate": EDGE - timedelta(seconds=1)}])
    return serve(own_org)


def counts(client: Any) -> tuple[int, int]:
    """How many rows query and queryAll find."""
    query, query_all = (client.query(COUNT, way).json()["totalSize"] for way in ("query", "queryAll"))
    return query, query_all


def test_only_query_all_finds_old_history(client: Any) -> None:
    assert counts(client) == (1, 2)
    client.server.control(clock={"advance_seconds": 86_400})
    assert counts(client) == (0, 2)


def test_bulk_and_subqueries_have_the_same_horizon(client: Any, jobs_of: Any) -> None:
    rows = jobs_of(client).rows
    statement = "SELECT Id FROM AccountHistory"
    assert (len(rows(statement)), len(rows(statement, operation="queryAll"))) == (1, 2)
    below = "SELECT (SELECT Id FROM Histories) FROM Account WHERE Name = 'Acme'"
    found = [client.records(below, way)[0]["Histories"]["totalSize"] for way in ("query", "queryAll")]
    assert found == [1, 2]
    assert client.query(COUNT + " ALL ROWS").json()["totalSize"] == 2


def test_the_horizon_can_be_moved_and_taken_away(client: Any) -> None:
    client.server.control(queries={"history_days": 0})
    assert counts(client) == (2, 2)
    client.server.control(queries={"history_days": 30})
    assert counts(client) == (0, 2)
    client.server.control(reset=True)
    assert counts(client) == (1, 2)
