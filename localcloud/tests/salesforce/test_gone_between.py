"""Records that go for good while somebody reads, refers to them, or has them in the recycle bin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localcloud.salesforce.org import Org


def act(client: Any, action: str, **more: Any) -> dict[str, Any]:
    answer = client.http.post(f"{client.server.url}/__localcloud__/act", json={"action": action, **more}, timeout=30)
    (outcome,) = answer.json()["outcomes"]
    return dict(outcome)


@pytest.mark.parametrize("page_bytes", [0, 3_000])
def test_a_cursor_over_purged_rows_repeats_nothing_and_ends(
    own_org: Org, serve: Callable[..., Any], page_bytes: int
) -> None:
    client = serve(own_org)
    act(client, "create", object="Account", values={"Name": "N{n}"}, count=700)
    client.server.control(queries={"page_bytes": page_bytes})
    statement = "SELECT Id, Name FROM Account WHERE Name LIKE 'N%' ORDER BY Id"
    headers = {"Sforce-Query-Options": "batchSize=200"}
    page = client.get("query", params={"q": statement}, headers=headers).json()
    seen = [row["Name"] for row in page["records"]]
    gone = [f"N{n}" for n in range(1, 701) if 250 <= n < 620 and n % 10]
    act(client, "hard_delete", object="Account", where="Name IN ('" + "','".join(gone) + "')")
    while not page["done"]:
        page = client.get(page["nextRecordsUrl"]).json()
        seen += [row["Name"] for row in page["records"]]
    left = client.names(statement)
    assert len(left) == 700 - len(gone)
    assert seen == left


def test_a_record_comes_back_without_the_parent_that_is_gone(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    (account,) = act(client, "create", object="Account", values={"Name": "P"})["ids"]
    (contact,) = act(client, "create", object="Contact", values={"LastName": "C", "AccountId": account})["ids"]
    (contract,) = act(client, "create", object="Contract", values={"AccountId": account})["ids"]
    for key in (contact, contract, account):
        act(client, "delete", ids=[key])
    refused = act(client, "undelete", ids=[contact])
    assert refused["errors"][0]["errors"][0]["code"] == "UNDELETE_FAILED"
    act(client, "hard_delete", ids=[account])
    assert act(client, "undelete", ids=[contact])["succeeded"] == 1
    (row,) = client.records(f"SELECT AccountId FROM Contact WHERE Id = '{contact}'")
    assert row["AccountId"] is None
    assert act(client, "undelete", ids=[contract])["failed"] == 1  # it cannot be without an account


def test_a_look_up_that_leads_nowhere_is_not_a_missing_record(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    account, gone = own_org.new_id("Account", 0), own_org.new_id("Account", 2)
    url = f"{client.server.url}/services/data/v60.0/sobjects/Account/"
    nobody = own_org.new_id("User", 999)
    for record, body, expected in (
        (account, {"OwnerId": nobody}, (400, "INVALID_CROSS_REFERENCE_KEY")),
        (account, {"ParentId": gone}, (400, "ENTITY_IS_DELETED")),
        (gone, {"Phone": "1"}, (404, "ENTITY_IS_DELETED")),
        (own_org.new_id("Account", 999), {"Phone": "1"}, (404, "NOT_FOUND")),
    ):
        answer = client.http.patch(url + record, json=body, timeout=30)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == expected


def test_head_is_answered_without_a_body(own_org: Org, serve: Callable[..., Any]) -> None:
    client = serve(own_org)
    answer = client.http.head(f"{client.server.url}/services/data/v60.0/limits", timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
