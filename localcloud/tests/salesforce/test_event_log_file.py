"""Event log files: rows by query, bodies by a request of their own."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]

BODY = '"EVENT_TYPE","URI"\n"Login","a, ""b""\nc"\n"Login","é"\n'


def add(org: Org) -> str:
    key = org.new_id("EventLogFile", 1)
    row = {"Id": key, "EventType": "Login", "Interval": "Hourly", "Sequence": 1, "LogFile": BODY, "LogFileLength": 9}
    org.load("EventLogFile", [row | {"CreatedDate": "2024-03-15T05:10:00Z", "LogDate": "2024-03-15T04:00:00Z"}])
    return key


def test_a_query_shows_where_the_body_is_and_that_address_gives_it(own_org: Org, serve: Serve) -> None:
    key = add(own_org)
    client = serve(own_org)
    (row,) = client.records("SELECT Id, LogFile, LogFileLength FROM EventLogFile WHERE EventType = 'Login'")
    assert row["LogFile"] == f"/services/data/v60.0/sobjects/EventLogFile/{key}/LogFile"
    assert row["LogFileLength"] == 9.0
    answer = client.get(row["LogFile"])
    assert answer.headers["Content-Type"] == "application/octetstream"
    assert answer.content == BODY.encode()
    assert list(csv.reader(io.StringIO(answer.content.decode())))[1] == ["Login", 'a, "b"\nc']


def test_a_record_shows_the_address_too_and_a_short_id_is_enough(own_org: Org, serve: Serve) -> None:
    key = add(own_org)
    client = serve(own_org)
    assert client.get(f"sobjects/EventLogFile/{key}").json()["LogFile"].endswith(f"{key}/LogFile")
    assert client.get(f"sobjects/EventLogFile/{key[:15]}/logfile").content == BODY.encode()


@pytest.mark.parametrize("path", ["0AT000000000009/LogFile", "{key}/EventType", "{key}/Nothing", "nonsense/LogFile"])
def test_other_addresses_lead_nowhere(own_org: Org, serve: Serve, path: str) -> None:
    key = add(own_org)
    answer = serve(own_org).get(f"sobjects/EventLogFile/{path.format(key=key)}")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")


def test_the_body_is_not_given_to_who_may_not_see_the_object_or_the_field(own_org: Org, serve: Serve) -> None:
    key = add(own_org)
    client = serve(own_org)
    for forbidden in ({"objects": ["EventLogFile"]}, {"fields": ["EventLogFile.LogFile"]}):
        client.server.control(forbid=forbidden)
        assert client.get(f"sobjects/EventLogFile/{key}/LogFile").status_code == 404


def test_a_file_past_its_retention_is_gone_with_its_body(own_org: Org, serve: Serve) -> None:
    key = add(own_org)
    client = serve(own_org)
    client.server.control(clock={"advance_seconds": 31 * 86_400})
    assert client.records("SELECT Id FROM EventLogFile") == []
    assert client.get(f"sobjects/EventLogFile/{key}/LogFile").status_code == 404


def test_a_statement_cannot_filter_or_group_by_the_body(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    for statement in (
        "SELECT Id FROM EventLogFile WHERE LogFile != null",
        "SELECT LogFile FROM EventLogFile GROUP BY LogFile",
        "SELECT Id FROM EventLogFile ORDER BY LogFile",
    ):
        assert client.query(statement).status_code == 400
