"""getDeleted and getUpdated over HTTP: what they answer, how far back, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from localcloud.salesforce.actions import Actions
from localcloud.salesforce.org import Org

START, END = "2024-03-15T11:00:00+00:00", "2024-03-15T13:00:00+00:00"
Ask = Callable[..., requests.Response]


@pytest.fixture
def client(serve: Callable[..., Any], own_org: Org) -> Any:
    return serve(own_org)


@pytest.fixture
def log(client: Any) -> Ask:
    """Asks for what was deleted (or updated) of an object."""

    def ask(start: str | None = START, end: str | None = END, sobject: str = "Account", which: str = "deleted") -> Any:
        span = {name: value for name, value in (("start", start), ("end", end)) if value is not None}
        return client.get(f"sobjects/{sobject}/{which}/", params=span)

    return ask


def error(answer: requests.Response) -> tuple[int, str]:
    (only,) = answer.json()
    return answer.status_code, only["errorCode"]


def act(client: Any, **action: object) -> dict[str, Any]:
    answer = client.http.post(f"{client.server.url}/__localcloud__/act", json=action, timeout=30)
    assert answer.status_code == 200, answer.text
    outcome: dict[str, Any] = answer.json()["outcomes"][0]
    return outcome


def deleted_at(org: Org, client: Any, *instants: str) -> list[str]:
    """Accounts that are deleted at these instants, one each; the clock stays at the last."""
    ids = []
    for instant in instants:
        org.clock.set(datetime.fromisoformat(instant))
        (key,) = act(client, action="create", object="Account", values={"Name": f"until {instant}"})["ids"]
        act(client, action="delete", ids=[key])
        ids.append(key)
    return ids


def test_a_deletion_is_told_with_its_second_and_the_span_that_is_covered(client: Any, own_org: Org, log: Ask) -> None:
    own_org.clock.set(datetime(2024, 3, 15, 12, 4, 5, 678000, UTC))
    (account,) = act(client, action="create", object="Account", values={"Name": "Brief"})["ids"]
    act(client, action="delete", ids=[account])
    assert log().json() == {
        "deletedRecords": [{"deletedDate": "2024-03-15T12:04:05.000+0000", "id": account}],
        "earliestDateAvailable": "2024-02-29T00:00:00.000+0000",
        "latestDateCovered": "2024-03-15T12:04:00.000+0000",
    }
    assert client.server.journal().by_kind["get_deleted"] == 1


def test_children_that_go_along_are_told_of_their_own_object(client: Any, log: Ask, own_org: Org) -> None:
    account = own_org.new_id("Account", 0)
    assert act(client, action="delete", ids=[account])["along"] == 4
    assert [one["id"] for one in log().json()["deletedRecords"]] == [account]
    assert [one["id"] for one in log(sobject="Opportunity").json()["deletedRecords"]] == [
        own_org.new_id("Opportunity", n) for n in range(2)
    ]
    assert len(log(sobject="Contact").json()["deletedRecords"]) == 2


def test_the_seconds_of_a_span_are_ignored(client: Any, own_org: Org, log: Ask) -> None:
    (account,) = deleted_at(own_org, client, "2024-03-15T12:30:15+00:00")
    own_org.clock.advance(timedelta(minutes=5))
    assert log(end="2024-03-15T12:30:59Z").json()["deletedRecords"] == []
    found = log(start="2024-03-15T12:30:59Z", end="2024-03-15T12:32:00Z").json()
    assert [one["id"] for one in found["deletedRecords"]] == [account]
    assert found["latestDateCovered"] == "2024-03-15T12:32:00.000+0000"


def test_spans_that_meet_tell_every_deletion_once(client: Any, own_org: Org, log: Ask) -> None:
    instants = [f"2024-03-15T12:{minute}:{second}+00:00" for minute in (10, 20) for second in ("00", "59")]
    ids = deleted_at(own_org, client, *instants)
    own_org.clock.advance(timedelta(hours=1))
    told = []
    start = START
    for _ in range(3):
        page = log(start=start, end="2024-03-15T12:20:00Z" if start == START else END).json()
        told += [one["id"] for one in page["deletedRecords"]]
        start = page["latestDateCovered"].replace("+0000", "Z")
        if start == END.replace("+00:00", ".000Z"):
            break
    assert told == ids


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (END, START),
        (START, START),
        ("2024-03-15T11:00:00Z", "2024-03-15T11:01:00Z"),
        ("2024-02-28T23:59:00Z", END),
        ("2023-01-01T00:00:00Z", END),
        ("soon", END),
        (START, "2024-03-15"),
    ],
    ids=["reversed", "empty", "a minute", "before the horizon", "long ago", "no instant", "ends before it starts"],
)
def test_a_span_that_cannot_be_answered_for_is_refused(log: Ask, start: str, end: str) -> None:
    assert error(log(start, end)) == (400, "INVALID_REPLICATION_DATE")


def test_a_span_needs_both_ends(log: Ask) -> None:
    assert error(log(start=None)) == (400, "MISSING_ARGUMENT")
    assert error(log(end=None, which="updated")) == (400, "MISSING_ARGUMENT")


def test_the_horizon_moves_with_the_clock_by_whole_days(client: Any, own_org: Org, log: Ask) -> None:
    deleted_at(own_org, client, "2024-03-15T12:00:00+00:00")
    own_org.clock.set(datetime(2024, 3, 30, 23, 59, tzinfo=UTC))
    assert len(log("2024-03-15T00:00:00Z", END).json()["deletedRecords"]) == 1
    own_org.clock.advance(timedelta(minutes=1))
    assert error(log("2024-03-15T00:00:00Z", END)) == (400, "INVALID_REPLICATION_DATE")
    client.server.control(replication={"before_horizon": "answer"})
    answer = log("2024-03-15T00:00:00Z", END).json()
    assert (answer["deletedRecords"], answer["earliestDateAvailable"]) == ([], "2024-03-16T00:00:00.000+0000")


def test_an_undeleted_record_is_told_no_more(client: Any, log: Ask, own_org: Org) -> None:
    account = own_org.new_id("Account", 0)
    act(client, action="delete", ids=[account])
    act(client, action="undelete", ids=[account])
    assert log().json()["deletedRecords"] == log(sobject="Contact").json()["deletedRecords"] == []


def test_a_hard_deleted_record_stays_in_the_log(client: Any, own_org: Org, log: Ask) -> None:
    binned, live = own_org.new_id("Account", 0), own_org.new_id("Account", 1)
    act(client, action="delete", ids=[binned])
    act(client, action="hard_delete", ids=[binned, live])
    assert client.records("SELECT Id FROM Account WHERE Name != 'Gone'", "queryAll") == []
    assert [one["id"] for one in log().json()["deletedRecords"]] == [binned, live]


def test_more_ids_than_the_limit_are_refused_and_a_smaller_span_is_not(client: Any, own_org: Org, log: Ask) -> None:
    ids = deleted_at(own_org, client, *(f"2024-03-15T12:0{minute}:00+00:00" for minute in range(4)))
    own_org.clock.advance(timedelta(hours=1))
    client.server.control(replication={"id_limit": 3})
    assert error(log()) == (400, "EXCEEDED_ID_LIMIT")
    assert [one["id"] for one in log(end="2024-03-15T12:03:00Z").json()["deletedRecords"]] == ids[:3]
    client.server.control(replication={"id_limit": 0})
    assert error(log(which="updated", sobject="Contact")) == (400, "EXCEEDED_ID_LIMIT")
    client.server.control(reset=True)
    assert len(log().json()["deletedRecords"]) == 4


def test_a_trimmed_log_loses_its_oldest_entries_and_refuses_to_be_asked_for_them(
    client: Any, own_org: Org, log: Ask
) -> None:
    ids = deleted_at(
        own_org, client, "2024-03-15T09:00:30+00:00", "2024-03-15T09:30:00+00:00", "2024-03-15T11:30:00+00:00"
    )
    own_org.clock.set(datetime(2024, 3, 15, 12, 30, tzinfo=UTC))
    client.server.control(replication={"trim_log_to": 2})
    assert error(log("2024-03-15T09:00:00Z")) == (400, "INVALID_REPLICATION_DATE")
    answer = log("2024-03-15T09:01:00Z").json()
    assert [one["id"] for one in answer["deletedRecords"]] == ids[1:]
    assert answer["earliestDateAvailable"] == "2024-03-15T09:01:00.000+0000"
    assert log("2024-03-15T09:00:00Z", sobject="Contact").status_code == 200
    client.server.control(replication={"trim_log_to": 0})
    assert [one["id"] for one in log("2024-03-15T09:31:00Z").json()["deletedRecords"]] == ids[2:]


def test_emptying_the_bin_ends_what_the_log_can_answer_for(client: Any, own_org: Org, log: Ask) -> None:
    deleted_at(own_org, client, "2024-03-15T12:00:30+00:00")
    act(client, action="empty_bin")
    own_org.clock.advance(timedelta(minutes=10))
    assert error(log()) == (400, "INVALID_REPLICATION_DATE")
    assert log("2024-03-15T12:01:00Z").json()["deletedRecords"] == []


def test_a_long_transaction_holds_back_what_is_covered(client: Any, own_org: Org, log: Ask) -> None:
    ids = deleted_at(own_org, client, "2024-03-15T12:10:30+00:00", "2024-03-15T12:11:30+00:00")
    own_org.clock.advance(timedelta(minutes=30))
    waiting = {"since": "2024-03-15T12:10:00Z", "ids": ids[:1]}
    client.server.control(replication={"open_transaction": waiting})
    answer = log(end="2024-03-15T12:30:00Z").json()
    assert [one["id"] for one in answer["deletedRecords"]] == ids[1:]
    assert answer["latestDateCovered"] == "2024-03-15T12:10:00.000+0000"
    client.server.control(replication={"behind_open": "refuse"})
    assert error(log(end="2024-03-15T12:30:00Z")) == (400, "INVALID_REPLICATION_DATE")
    client.server.control(replication={"close_transaction": True})
    answer = log("2024-03-15T12:10:00Z", "2024-03-15T12:30:00Z").json()
    assert [one["id"] for one in answer["deletedRecords"]] == ids
    assert answer["latestDateCovered"] == "2024-03-15T12:30:00.000+0000"


def test_what_was_made_or_changed_is_told_unless_it_is_deleted(client: Any, own_org: Org, log: Ask) -> None:
    own_org.clock.set(datetime(2024, 3, 15, 12, 20, 30, tzinfo=UTC))
    made = act(client, action="create", object="Case", values={"Subject": "{n}"}, count=3)["ids"]
    act(client, action="delete", ids=made[:1])
    own_org.clock.advance(timedelta(minutes=10))
    act(client, action="update", object="Case", ids=[made[1]], values={"Subject": "later"})
    own_org.clock.advance(timedelta(minutes=10))
    first = log("2024-03-15T12:20:00Z", "2024-03-15T12:22:00Z", sobject="Case", which="updated").json()
    assert first == {"ids": made[2:], "latestDateCovered": "2024-03-15T12:22:00.000+0000"}
    later = log("2024-03-15T12:22:00Z", "2024-03-15T12:40:00Z", sobject="Case", which="updated").json()
    assert later["ids"] == made[1:2]
    assert client.server.journal().by_kind["get_updated"] == 2


def test_updates_are_told_for_30_days(own_org: Org, log: Ask) -> None:
    now = own_org.clock.now()
    assert log((now - timedelta(days=30)).isoformat(), which="updated").status_code == 200
    assert error(log((now - timedelta(days=30, seconds=1)).isoformat(), which="updated")) == (
        400,
        "INVALID_REPLICATION_DATE",
    )


def test_history_rows_are_told_as_updates_by_the_second_they_were_made(own_org: Org, log: Ask) -> None:
    answer = log("2024-03-15T07:59:00Z", "2024-03-15T08:01:00Z", "OpportunityFieldHistory", "updated").json()
    assert answer["ids"] == [own_org.new_id("OpportunityFieldHistory", n) for n in range(7)]


def test_an_object_without_a_log_is_refused(client: Any, log: Ask) -> None:
    described = {one["name"]: one["replicateable"] for one in client.get("sobjects").json()["sobjects"]}
    assert not described["ProcessInstance"]
    for which in ("deleted", "updated"):
        assert error(log(sobject="ProcessInstance", which=which)) == (400, "INVALID_TYPE_FOR_OPERATION")
        assert error(log(sobject="Nothing", which=which)) == (404, "NOT_FOUND")


def test_a_forbidden_object_tells_nothing(client: Any, log: Ask) -> None:
    client.server.control(forbid={"objects": ["Account"]})
    assert error(log()) == (404, "NOT_FOUND")


def test_the_log_outlives_the_server(own_org: Org, serve: Callable[..., Any], client: Any) -> None:
    account = own_org.new_id("Account", 0)
    Actions(own_org).delete("Account", [account])
    own_org.clock.advance(timedelta(minutes=5))
    again = serve(own_org)
    answer = again.get("sobjects/Account/deleted/", params={"start": START, "end": END}).json()
    assert [one["id"] for one in answer["deletedRecords"]] == [account]
