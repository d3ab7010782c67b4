"""Bulk query jobs: created, watched, listed, aborted, deleted, refused, failed, and gone after a week."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import serve_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    Serve = Callable[..., Any]
    JobsOf = Callable[..., Any]

NAMES = "SELECT Name FROM Opportunity ORDER BY Id"


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def test_a_creation_answers_with_the_documented_fields(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    answer = jobs_of(serve(own_org)).ask(NAMES)
    assert answer.status_code == 200
    job = answer.json()
    assert job.pop("id").startswith("750")
    assert job == {
        "operation": "query",
        "object": "Opportunity",
        "createdById": own_org.user_id,
        "createdDate": "2024-03-15T12:00:00.000+0000",
        "systemModstamp": "2024-03-15T12:00:00.000+0000",
        "state": "UploadComplete",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 60.0,
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert '"apiVersion":60.0' in answer.text


def test_a_complete_job_tells_how_it_went(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    job = bulk.ended(bulk.create(NAMES))
    assert job["state"] == "JobComplete"
    assert (job["jobType"], job["numberRecordsProcessed"], job["retries"]) == ("V2Query", 3, 0)
    assert job["isPkChunkingSupported"] is True
    assert job["totalProcessingTime"] >= 1
    assert "errorMessage" not in job
    assert bulk.ended(bulk.create("SELECT Id FROM Profile"))["isPkChunkingSupported"] is False


def test_an_id_of_15_characters_finds_the_job(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    key = bulk.create(NAMES)
    assert bulk.poll(key[:15])["id"] == key


def test_deleted_rows_come_only_with_query_all(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    statement = "SELECT Name FROM Account ORDER BY Id"
    assert [row["Name"] for row in bulk.rows(statement)] == ["Acme", "beta 100% _x\\y"]
    assert [row["Name"] for row in bulk.rows(statement, operation="queryAll")][-1] == "Gone"


def test_a_job_takes_the_time_of_the_orgs_clock(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(bulk={"delay_seconds": 10})
    key = bulk.create(NAMES)
    assert bulk.poll(key)["state"] == "UploadComplete"
    client.server.control(clock={"advance_seconds": 6})
    assert bulk.poll(key)["state"] == "InProgress"
    assert bulk.results(key).status_code == 204
    client.server.control(clock={"advance_seconds": 4})
    job = bulk.ended(key)
    assert (job["state"], job["systemModstamp"]) == ("JobComplete", "2024-03-15T12:00:10.000+0000")


def test_results_are_those_of_the_moment_when_the_job_ran(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    rows = [{"Name": f"INV-{n}", "Status__c": "Draft"} for n in range(5)]
    own_org.load("Invoice__c", rows)
    statement = "SELECT Name, Status__c FROM Invoice__c"
    at_once = bulk.create(statement)
    with own_org.db:
        own_org.db.execute("UPDATE Invoice__c SET Status__c = 'Paid'")
    client.server.control(bulk={"delay_seconds": 10})
    later = bulk.create(statement)
    own_org.load("Invoice__c", [{"Name": "INV-5", "Status__c": "Sent"}])
    client.server.control(clock={"advance_seconds": 10})
    bulk.ended(at_once)
    bulk.ended(later)
    with own_org.db:
        own_org.db.execute("DELETE FROM Invoice__c")
    assert bulk.results(at_once).text.count("Draft") == 5
    assert (bulk.results(later).text.count("Paid"), bulk.results(later).text.count("Sent")) == (5, 1)


def test_an_abort_ends_a_job_that_waits(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(bulk={"delay_seconds": 10})
    key = bulk.create(NAMES)
    client.server.control(clock={"advance_seconds": 2})
    answer = bulk.call("PATCH", key, json={"state": "Aborted"})
    assert (answer.status_code, answer.json()["state"]) == (200, "Aborted")
    assert answer.json()["systemModstamp"] == "2024-03-15T12:00:02.000+0000"
    assert set(answer.json()) == {
        "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state", "concurrencyMode",
        "contentType", "apiVersion",
    }  # fmt: skip
    client.server.control(clock={"advance_seconds": 100})
    assert bulk.poll(key)["state"] == "Aborted"
    assert bulk.results(key).status_code == 204


def test_an_abort_ends_a_job_that_runs(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    own_org.load("Invoice__c", [{"Name": f"INV-{n}", "Reference__c": f"{n}" * 20} for n in range(1_500)])
    bulk = jobs_of(serve(own_org))
    statement = "SELECT Name, CreatedBy.Name FROM Invoice__c WHERE Reference__c LIKE '%9%8%7%6%5%4%3%2%1%0%x'"
    key = bulk.create(statement + "".join(f" OR Name LIKE '%{n}%9%{n}%'" for n in range(2_000)))
    while bulk.poll(key)["state"] == "UploadComplete":
        pass
    answer = bulk.call("PATCH", key, json={"state": "Aborted"})
    assert (answer.status_code, answer.json()["state"]) == (200, "Aborted")
    assert bulk.ended(bulk.create(NAMES))["state"] == "JobComplete"
    assert bulk.poll(key)["state"] == "Aborted"
    assert bulk.call("DELETE", key).status_code == 204
    assert bulk.call("GET", key).status_code == 404


def test_a_job_that_has_ended_cannot_be_aborted(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    key = bulk.create(NAMES)
    bulk.ended(key)
    assert error_of(bulk.call("PATCH", key, json={"state": "Aborted"})) == (400, "INVALIDJOBSTATE")
    assert error_of(bulk.call("PATCH", key, json={"state": "JobComplete"})) == (400, "API_ERROR")
    assert bulk.poll(key)["state"] == "JobComplete"


def test_only_a_job_that_has_ended_can_be_deleted(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(bulk={"delay_seconds": 10})
    key = bulk.create(NAMES)
    answer = bulk.call("DELETE", key)
    assert error_of(answer) == (400, "API_ERROR")
    assert answer.json()[0]["message"] == ("Error encountered when deleting the job because the job is not terminated")
    client.server.control(clock={"advance_seconds": 10})
    bulk.ended(key)
    answer = bulk.call("DELETE", key)
    assert (answer.status_code, answer.content) == (204, b"")
    for answer in (bulk.call("GET", key), bulk.results(key), bulk.call("DELETE", key)):
        assert error_of(answer) == (404, "NOT_FOUND")
    assert not list((own_org.path / "bulk").glob("750*"))


def test_jobs_are_deleted_seven_days_after_their_creation(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    key = bulk.create(NAMES)
    bulk.ended(key)
    client.server.control(clock={"advance_seconds": 7 * 86_400})
    assert bulk.results(key).status_code == 200
    client.server.control(clock={"advance_seconds": 1})
    assert error_of(bulk.call("GET", key)) == (404, "NOT_FOUND")
    assert not list((own_org.path / "bulk").glob("750*"))


def test_jobs_outlive_the_server(own_org: Org, serve: Serve, client_of: Serve, jobs_of: JobsOf) -> None:
    with serve_in_thread(own_org) as server, client_of(server) as client:
        bulk = jobs_of(client)
        complete = bulk.create(NAMES)
        bulk.ended(complete)
        text = bulk.results(complete).text
        server.control(bulk={"delay_seconds": 1_000})
        waiting = bulk.create(NAMES)
    other = jobs_of(serve(own_org))
    assert other.results(complete).text == text
    own_org.clock.advance(timedelta(seconds=1_000))
    assert other.ended(waiting)["numberRecordsProcessed"] == 3
    assert other.create(NAMES) not in {complete, waiting}


# The list


def test_the_list_holds_every_job(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    keys = [bulk.create(NAMES, columnDelimiter="PIPE"), bulk.create("SELECT Id FROM Account")]
    for key in keys:
        bulk.ended(key)
    page = bulk.client.get("jobs/query").json()
    assert (page["done"], page["nextRecordsUrl"]) == (True, None)
    assert {one["id"]: (one["object"], one["columnDelimiter"], one["jobType"]) for one in page["records"]} == {
        keys[0]: ("Opportunity", "PIPE", "V2Query"),
        keys[1]: ("Account", "COMMA", "V2Query"),
    }
    assert "numberRecordsProcessed" not in page["records"][0]


@pytest.mark.parametrize(
    ("parameters", "jobs"),
    [
        ({"jobType": "V2Query"}, 1),
        ({"jobType": "V2Ingest"}, 0),
        ({"jobType": "Classic"}, 0),
        ({"isPkChunkingEnabled": "true"}, 0),
        ({"isPkChunkingEnabled": "false"}, 1),
        ({"concurrencyMode": "parallel"}, 1),
        ({"concurrencyMode": "serial"}, 0),
    ],
)
def test_the_list_can_be_narrowed(
    own_org: Org, serve: Serve, jobs_of: JobsOf, parameters: dict[str, str], jobs: int
) -> None:
    bulk = jobs_of(serve(own_org))
    bulk.create(NAMES)
    assert len(bulk.client.get("jobs/query", params=parameters).json()["records"]) == jobs


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"jobType": "Other"}, "API_ERROR"),
        ({"concurrencyMode": "other"}, "API_ERROR"),
        ({"queryLocator": "01g000000000001AAA-1000"}, "INVALID_QUERY_LOCATOR"),
    ],
)
def test_a_list_that_cannot_be_is_refused(own_org: Org, serve: Serve, parameters: dict[str, str], code: str) -> None:
    assert error_of(serve(own_org).get("jobs/query", params=parameters)) == (400, code)


def test_the_list_comes_in_pages_of_1000(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    client.server.control(bulk={"delay_seconds": 10})
    bulk = jobs_of(client)
    keys = [bulk.create("SELECT Id FROM Profile") for _ in range(1_001)]
    page = client.get("jobs/query?jobType=V2Query").json()
    assert (page["done"], len(page["records"])) == (False, 1_000)
    rest = client.get(page["nextRecordsUrl"]).json()
    assert (rest["done"], rest["nextRecordsUrl"]) == (True, None)
    assert [one["id"] for one in page["records"] + rest["records"]] == keys
    assert client.get(page["nextRecordsUrl"]).json() == rest


# What is refused


@pytest.mark.parametrize(
    ("statement", "code", "message"),
    [
        ("SELECT COUNT() FROM Account", "API_ERROR", "Aggregate functions"),
        ("SELECT COUNT(Id) FROM Account", "API_ERROR", "Aggregate functions"),
        ("SELECT Industry FROM Account GROUP BY Industry", "API_ERROR", "GROUP BY"),
        ("SELECT Id FROM Account LIMIT 10 OFFSET 5", "API_ERROR", "OFFSET"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "API_ERROR", "Aggregate Relationships not supported in"),
        ("SELECT TYPEOF Owner WHEN User THEN Name END FROM Case", "API_ERROR", "TYPEOF"),
        ("SELECT FIELDS(ALL) FROM Account LIMIT 10", "API_ERROR", "FIELDS"),
        ("SELECT BillingAddress FROM Account", "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        ("SELECT LogFile FROM EventLogFile", "API_ERROR", "Blob field not supported in Bulk V2 Query with CSV"),
        (
            "SELECT DurableId FROM EntityDefinition",
            "INVALIDENTITY",
            "'EntityDefinition' is not supported by the Bulk API",
        ),
        ("SELECT Name n FROM Account", "MALFORMED_QUERY", "aliasing"),
        ("SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "can not be filtered"),
        ("SELECT Nothing FROM Account", "INVALID_FIELD", "No such column 'Nothing' on entity 'Account'"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE", "sObject type 'Nothing' is not supported"),
        ("SELECT Id FROM", "MALFORMED_QUERY", "unexpected token"),
        ("SELECT Name, Name FROM Account", "INVALID_FIELD", "duplicate field selected: Name"),
        ("", "MALFORMED_QUERY", "A query string has to be specified"),
    ],
)
def test_what_bulk_does_not_take_is_refused(
    own_org: Org, serve: Serve, jobs_of: JobsOf, statement: str, code: str, message: str
) -> None:
    answer = jobs_of(serve(own_org)).ask(statement)
    assert error_of(answer) == (400, code)
    assert message in answer.json()[0]["message"]


def test_a_refusal_may_come_in_the_job(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(bulk={"refuse": "job"})
    job = bulk.ended(bulk.create("SELECT COUNT(Id) FROM Account"))
    assert (job["state"], job["object"]) == ("Failed", "Account")
    assert job["errorMessage"].startswith("InvalidBatch : Failed to process query: API_ERROR: Aggregate functions")
    assert bulk.results(job["id"]).status_code == 204


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"operation": "insert", "query": NAMES}, "API_ERROR"),
        ({"operation": "query"}, "API_ERROR"),
        ({"operation": "query", "query": NAMES, "columnDelimiter": "SPACE"}, "API_ERROR"),
        ({"operation": "query", "query": NAMES, "lineEnding": "CR"}, "API_ERROR"),
        ({"operation": "query", "query": NAMES, "contentType": "JSON"}, "API_ERROR"),
        ({"operation": "query", "query": NAMES, "other": 1}, "API_ERROR"),
        ([], "API_ERROR"),
    ],
)
def test_a_body_that_is_not_right_is_refused(own_org: Org, serve: Serve, body: object, code: str) -> None:
    assert error_of(serve(own_org).post("jobs/query", body)) == (400, code)


def test_a_body_that_is_no_json_is_refused(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    url = f"{client.server.url}/services/data/v60.0/jobs/query"
    assert error_of(client.http.post(url, data=b"{", timeout=30)) == (400, "JSON_PARSER_ERROR")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "jobs/query", 405),
        ("POST", "jobs/query/750000000000001AAA", 405),
        ("DELETE", "jobs/query/750000000000001AAA/results", 405),
        ("GET", "jobs/query/750000000000001AAA/nothing", 404),
        ("GET", "jobs/query/750000000000001AAA", 404),
        ("GET", "jobs/nothing", 404),
    ],
)
def test_a_resource_that_is_not_there_is_told(own_org: Org, serve: Serve, method: str, path: str, status: int) -> None:
    client = serve(own_org)
    url = f"{client.server.url}/services/data/v60.0/{path}"
    assert client.http.request(method, url, timeout=30).status_code == status


def test_bulk_query_begins_with_version_47(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    assert bulk.ask(NAMES, version="46.0").status_code == 404
    assert bulk.ask(NAMES, version="47.0").json()["apiVersion"] == 47.0


def test_an_object_that_the_user_may_not_see_is_not_there(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    client.server.control(forbid={"objects": ["Account"]})
    assert error_of(jobs_of(client).ask("SELECT Id FROM Account")) == (400, "INVALID_TYPE")


# Failures
