"""How Bulk query jobs fail, what is journaled of them, and a stranger's client that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from simple_salesforce.bulk2 import SFBulk2Handler
from simple_salesforce.exceptions import SalesforceOperationError

from localcloud.salesforce.org import Org

if TYPE_CHECKING:
    from collections.abc import Callable

    Serve = Callable[..., Any]
    JobsOf = Callable[..., Any]

NAMES = "SELECT Name FROM Opportunity ORDER BY Id"


def test_jobs_fail_as_they_are_told(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(
        bulk={"fail": [{"pattern": "FROM Opportunity", "message": "InternalServerError : no", "after_rows": 2}]}
    )
    assert bulk.ended(bulk.create("SELECT Id FROM Account"))["state"] == "JobComplete"
    job = bulk.ended(bulk.create(NAMES))
    assert (job["state"], job["errorMessage"], job["numberRecordsProcessed"]) == (
        "Failed",
        "InternalServerError : no",
        2,
    )
    assert bulk.ended(bulk.create(NAMES))["state"] == "JobComplete"
    client.server.control(bulk={"fail": [{"state": "Aborted"}]})
    job = bulk.ended(bulk.create(NAMES))
    assert job["state"] == "Aborted"
    assert "errorMessage" not in job


def test_a_job_that_cannot_be_divided_fails_where_it_reads_too_much(
    own_org: Org, serve: Serve, jobs_of: JobsOf
) -> None:
    own_org.load("Invoice__c", [{"Name": f"INV-{n}"} for n in range(3_000)])
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(queries={"cost_ceiling": 500})
    statement = "SELECT Name FROM Invoice__c"
    assert bulk.ended(bulk.create(statement))["numberRecordsProcessed"] == 3_000
    job = bulk.ended(bulk.create(f"{statement} ORDER BY Name"))
    assert (job["state"], job["retries"]) == ("Failed", 15)
    assert "Retried more than fifteen times" in job["errorMessage"]
    client.server.control(reset=True)
    assert bulk.ended(bulk.create(f"{statement} ORDER BY Name"))["state"] == "JobComplete"


# Accounts kept


def test_each_request_is_journaled_by_its_kind(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    key = bulk.create(NAMES)
    bulk.ended(key)
    client.server.control(clear_journal=True)
    other = bulk.create("SELECT Id FROM Profile")
    client.get("jobs/query")
    bulk.poll(key)
    bulk.results(key)
    bulk.call("GET", f"{key}/resultPages")
    bulk.call("PATCH", key, json={"state": "Aborted"})
    bulk.call("DELETE", key)
    page = client.server.journal()
    kinds = [request.kind for request in page.requests]
    assert kinds == [
        "bulk_create", "bulk_list", "bulk_poll", "bulk_results", "bulk_result_pages", "bulk_abort", "bulk_delete",
    ]  # fmt: skip
    assert page.requests[0].parts == ("SELECT Id FROM Profile",)
    assert (page.requests[3].rows, page.api_calls) == (3, 7)
    assert other != key


# A client that nobody here wrote


def strangers_client(client: Any) -> SFBulk2Handler:
    token = client.http.headers["Authorization"].removeprefix("Bearer ")
    return SFBulk2Handler(token, f"{client.server.url}/services/data/v60.0/jobs/", session=client.http)


def test_simple_salesforce_reads_every_set(own_org: Org, serve: Serve) -> None:
    names = [f"INV-{n:04}" for n in range(25)]
    own_org.load("Invoice__c", [{"Name": name} for name in names])
    stranger = strangers_client(serve(own_org))
    sets = list(stranger.Invoice__c.query("SELECT Name FROM Invoice__c", max_records=10, wait=0.01))
    assert [text.splitlines()[0] for text in sets] == ['"Name"'] * 3
    found = [line.strip('"') for text in sets for line in text.splitlines()[1:]]
    assert found == names


def test_simple_salesforce_tells_a_failure(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(bulk={"fail": [{"message": "InternalServerError : stop"}]})
    with pytest.raises(SalesforceOperationError, match="InternalServerError : stop"):
        list(strangers_client(client).Account.query("SELECT Id FROM Account", wait=0.01))
