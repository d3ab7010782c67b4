"""Writes in a composite: references between its requests, and all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localcloud.salesforce.org import Org

DATA = "/services/data/v60.0"
Parts = list[tuple[str, str, str, object]]
HALTED = "The transaction was rolled back since another operation in the same transaction failed."


def composite(client: Any, parts: Parts, **options: object) -> list[dict[str, Any]]:
    """The answers to the requests of one composite."""
    asked = [
        {"method": method, "url": DATA + url, "referenceId": name, **({"body": body} if body is not None else {})}
        for method, url, name, body in parts
    ]
    answer = client.post("composite", {"compositeRequest": asked, **options})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["compositeResponse"]
    assert [one["referenceId"] for one in found] == [name for _, _, name, _ in parts]
    return found


def family(name: str) -> Parts:
    """An account, its contact, and the contact again by a query."""
    return [
        ("POST", "/sobjects/Account", "account", {"Name": name, "NumberOfEmployees": 7}),
        ("GET", "/sobjects/Account/@{account.id}?fields=Name,NumberOfEmployees", "row", None),
        ("POST", "/sobjects/Contact", "kid", {"LastName": "@{row.Name}", "AccountId": "@{account.id}"}),
        ("GET", "/query?q=SELECT+Id+FROM+Contact+WHERE+AccountId='@{account.id}'", "found", None),
        ("PATCH", "/sobjects/Contact/@{found.records[0].Id}", "titled", {"Title": "@{row.NumberOfEmployees}"}),
    ]


@pytest.mark.parametrize("all_or_none", [False, True])
def test_a_request_takes_values_from_earlier_answers(
    own_org: Org, serve: Callable[..., Any], all_or_none: bool
) -> None:
    client = serve(own_org)
    answers = composite(client, family('A "quoted" & odd name'), allOrNone=all_or_none)
    assert [one["httpStatusCode"] for one in answers] == [201, 200, 201, 200, 204]
    key = answers[0]["body"]["id"]
    assert answers[0]["httpHeaders"] == {"Location": f"{DATA}/sobjects/Account/{key}"}
    assert answers[4]["body"] is None
    (kid,) = client.records(f"SELECT LastName, Title, AccountId FROM Contact WHERE AccountId = '{key}'")
    assert (kid["LastName"], kid["Title"]) == ('A "quoted" & odd name', "7")


def test_all_or_none_takes_everything_back(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    before = client.query("SELECT COUNT() FROM Contact", "queryAll").json()["totalSize"]
    refused: Parts = [*family("Nobody"), ("POST", "/sobjects/Contact", "bad", {"FirstName": "x"})]
    answers = composite(client, [*refused, ("GET", "/limits", "after", None)], allOrNone=True)
    assert answers[5]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    for place in (0, 1, 2, 3, 4, 6):
        assert answers[place]["httpStatusCode"] == 400
        assert answers[place]["body"] == [{"errorCode": "PROCESSING_HALTED", "message": HALTED}]
    assert client.names("SELECT Name FROM Account WHERE Name = 'Nobody'", "queryAll") == []
    assert client.query("SELECT COUNT() FROM Contact", "queryAll").json()["totalSize"] == before
    assert not (own_org.path / "truth.jsonl").exists()
    assert client.server.events("/data/ChangeEvents") == []


def test_all_or_none_is_one_transaction(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    composite(client, family("Whole"), allOrNone=True)
    keys = {
        event.payload["ChangeEventHeader"]["transactionKey"] for event in client.server.events("/data/ChangeEvents")
    }
    assert len(keys) == 1


def test_a_collection_with_a_refused_record_takes_everything_back(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    records = [{"attributes": {"type": "Account"}, **values} for values in ({"Name": "Kept?"}, {})]
    parts: Parts = [
        ("POST", "/composite/sobjects", "both", {"records": records}),
        ("POST", "/sobjects/Contact", "c", {"LastName": "x"}),
    ]
    both, contact = composite(client, parts, allOrNone=True)
    assert (both["httpStatusCode"], [one["success"] for one in both["body"]]) == (200, [True, False])
    assert contact["body"][0]["message"] == HALTED
    assert client.names("SELECT Name FROM Account WHERE Name = 'Kept?'") == []


def test_only_what_depends_on_a_failure_is_not_run(own_org: Org, serve: Callable[..., Any]) -> None:
    parts: Parts = [
        ("POST", "/sobjects/Account", "a", {}),
        ("POST", "/sobjects/Contact", "b", {"LastName": "x", "AccountId": "@{a.id}"}),
        ("POST", "/sobjects/Contact", "c", {"LastName": "y"}),
        ("GET", "/sobjects/Contact/@{c.Id}", "d", None),  # letter case counts
    ]
    a, b, c, d = composite(serve(own_org), parts)
    assert (a["httpStatusCode"], c["httpStatusCode"]) == (400, 201)
    message = "Invalid reference specified. No value for a.id found in a."
    assert (b["httpStatusCode"], b["body"]) == (400, [{"errorCode": "PROCESSING_HALTED", "message": message}])
    assert "No value for c.Id found in c" in d["body"][0]["message"]


def test_collections_count_among_the_five_queries(own_org: Org, serve: Callable[..., Any]) -> None:
    url = f"{DATA}/composite/sobjects?ids=001000000000000AAA"
    asked = [{"method": "DELETE", "url": url, "referenceId": f"r{n}"} for n in range(6)]
    answer = serve(own_org).post("composite", {"compositeRequest": asked})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


def test_a_batch_goes_on_when_the_quota_ends_in_the_middle(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    client.server.control(quota={"left": 2})
    answer = client.post("composite/batch", {"batchRequests": [{"method": "GET", "url": "v60.0/limits"}] * 3})
    assert answer.status_code == 200
    assert [one["statusCode"] for one in answer.json()["results"]] == [200, 200, 403]
    assert answer.json()["results"][2]["result"][0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
