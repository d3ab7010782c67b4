"""The control endpoint: faults, quota, permissions, clock, late rows, the journal."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]

NAMES = "SELECT Name FROM Opportunity ORDER BY Id"


@pytest.mark.parametrize(
    ("status", "code"), [(500, "UNKNOWN_EXCEPTION"), (503, "SERVER_UNAVAILABLE"), (429, "TOO_MANY_REQUESTS")]
)
def test_a_failure_strikes_so_often_and_then_is_over(own_org: Org, serve: Serve, status: int, code: str) -> None:
    client = serve(own_org)
    client.server.control(fail=[{"pattern": "FROM Opp", "status": status, "times": 2, "skip": 1, "retry_after": 7}])
    answers = [client.query(NAMES) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, status, status, 200]
    assert answers[1].json()[0]["errorCode"] == code
    assert answers[1].headers["Retry-After"] == "7"
    assert client.get("limits").status_code == 200


def test_a_front_end_fails_without_json(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(fail=[{"pattern": "limits", "status": 502, "times": None}])
    answer = client.get("limits")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html;charset=UTF-8")
    client.server.control(reset=True)
    assert client.get("limits").status_code == 200


def test_the_login_can_fail_too(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(fail=[{"pattern": "oauth2/token"}])
    assert [client.token(client.sign()).status_code for _ in range(2)] == [503, 200]


def test_a_query_can_time_out_also_inside_a_composite(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(query_timeout=[{"pattern": "FROM Opportunity ", "times": 2}])
    assert client.query("SELECT Id FROM Account").status_code == 200
    answer = client.query(NAMES)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "QUERY_TIMEOUT")
    part = {"method": "GET", "referenceId": "a", "url": "/services/data/v60.0/query?q=" + NAMES.replace(" ", "+")}
    inner = client.post("composite", {"compositeRequest": [part]}).json()["compositeResponse"][0]
    assert inner["body"][0]["errorCode"] == "QUERY_TIMEOUT"
    assert client.query(NAMES).status_code == 200


@pytest.mark.parametrize("mode", ["drop", "truncate"])
def test_a_connection_can_end_early(own_org: Org, serve: Serve, mode: str) -> None:
    client = serve(own_org)
    client.server.control(drop=[{"pattern": "FROM Opp", "mode": mode}])
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.query(NAMES)
    assert client.query(NAMES).status_code == 200


def test_a_spent_quota_refuses_every_call(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(quota={"max": 10, "used": 9})
    assert client.get("limits").headers["Sforce-Limit-Info"] == "api-usage=10/10"
    answer = client.get("limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")


def test_a_forbidden_object_is_as_if_it_were_not_there(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(forbid={"objects": ["Account"], "fields": ["Opportunity.Amount"]})
    assert "Account" not in {one["name"] for one in client.get("sobjects").json()["sobjects"]}
    assert client.get("sobjects/Account/describe").status_code == 404
    assert client.query("SELECT Id FROM Account").json()[0]["errorCode"] == "INVALID_TYPE"
    assert client.query("SELECT Amount FROM Opportunity").json()[0]["errorCode"] == "INVALID_FIELD"
    fields = client.get("sobjects/Opportunity/describe").json()["fields"]
    assert "Amount" not in {field["name"] for field in fields}
    client.server.control(forbid={})
    assert client.query("SELECT Amount FROM Opportunity").status_code == 200


def test_latency_is_added_to_data_requests(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(latency_ms=120)
    started = time.monotonic()
    client.get("limits")
    assert time.monotonic() - started >= 0.12


def test_rows_can_be_added_while_the_org_is_served(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    body = '{"insert": [{"object": "Invoice__c", "rows": [{"Name": "A", "Quantity__c": 5.0}, {"Name": "B"}]}]}'
    url = f"{client.server.url}/__localcloud__/control"
    answer = client.http.post(url, data=body)
    assert (answer.status_code, answer.json()["inserted"]) == (200, 2)
    text = client.query(
        "SELECT Quantity__c, CreatedDate, CreatedById, SystemModstamp FROM Invoice__c WHERE Name = 'A'"
    ).text
    now = "2024-03-15T12:00:00.000+0000"
    assert f'"Quantity__c":5.0,"CreatedDate":"{now}","CreatedById":"{own_org.user_id}","SystemModstamp":"{now}"' in text


def test_inserted_rows_appear_when_they_become_visible(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    rows = [{"Name": "Late", "CreatedDate": "2024-03-15T11:00:00.000+0000"}]
    client.server.control(insert=[{"object": "Invoice__c", "rows": rows, "visible_at": "2024-03-15T12:10:00Z"}])
    statement = "SELECT Name FROM Invoice__c"
    assert client.names(statement, "queryAll") == []
    client.server.control(clock={"advance_seconds": 599})
    assert client.names(statement) == []
    client.server.control(clock={"advance_seconds": 1})
    assert client.names(statement) == ["Late"]


def test_rows_of_an_interval_can_be_made_late(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    span = {"object": "OpportunityFieldHistory", "from": "2024-03-15T08:00:02Z", "to": "2024-03-15T08:00:04Z"}
    state = client.server.control(delay_visibility=[span | {"delay_seconds": 6 * 3600}])
    assert state.delayed == 2
    statement = "SELECT COUNT() FROM OpportunityFieldHistory"
    assert client.query(statement).json()["totalSize"] == 5
    client.server.control(clock={"set": "2024-03-15T14:00:02Z"})
    assert client.query(statement).json()["totalSize"] == 6
    client.server.control(clock={"set": "2024-03-15T14:00:03Z"})
    assert client.query(statement).json()["totalSize"] == 7


@pytest.mark.parametrize(
    "body",
    [
        "nonsense",
        '{"latency": 5}',
        '{"latency_ms": -5}',
        '{"fail": [{"pattern": "("}]}',
        '{"drop": [{"mode": "melt"}]}',
        '{"clock": {"set": "2024-01-01T00:00:00"}}',
        '{"insert": [{"object": "Nothing", "rows": [{}]}]}',
        '{"insert": [{"object": "Account", "rows": [{"Nothing": 1}]}]}',
        '{"insert": [{"object": "Account", "rows": [{"Name": 1}]}]}',
    ],
)
def test_a_control_body_that_is_not_right_changes_nothing(own_org: Org, serve: Serve, body: str) -> None:
    client = serve(own_org)
    answer = client.http.post(f"{client.server.url}/__localcloud__/control", data=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert client.names(NAMES) == ["One", 'Two\'s "q"', "Three"]
    with pytest.raises(ValueError, match="latency"):
        client.server.control(latency=5)


def test_the_clock_is_kept_with_the_org(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    state = client.server.control(clock={"set": "2025-01-01T00:00:00Z", "advance_seconds": 60})
    assert state.now == "2025-01-01T00:01:00.000+0000"
    assert own_org.clock.now() == datetime(2025, 1, 1, 0, 1, tzinfo=UTC)
    with type(own_org).open(own_org.path) as again:
        expected = timedelta(seconds=own_org.clock.offset_seconds)
        assert timedelta(seconds=again.clock.offset_seconds) == expected


def test_each_request_is_journaled(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(clear_journal=True)
    client.http.headers["User-Agent"] = "stranger/1.0"
    answer = client.query(NAMES)
    client.http.headers["Sforce-Call-Options"] = "client=tap, defaultNamespace=x"
    client.get("sobjects/Account/describe")
    client.query("nonsense", "queryAll")
    page = client.get("/__localcloud__/journal").json()
    assert (page["total"], page["api_calls"], page["rows"]) == (3, 3, 3)
    assert page["by_status"] == {"200": 2, "400": 1}
    assert page["by_kind"] == {"query": 1, "describe": 1, "queryAll": 1}
    first, second, third = page["requests"]
    assert (first["query"], first["rows"], first["client"]) == (NAMES, 3, "stranger/1.0")
    assert (first["bytes"], first["at"]) == (len(answer.content), "2024-03-15T12:00:00.000+0000")
    assert (second["path"], second["client"]) == ("/services/data/v60.0/sobjects/Account/describe", "tap")
    assert client.get("/__localcloud__/journal?after=2").json()["requests"] == [third]
