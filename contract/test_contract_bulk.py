"""Bulk API 2.0 queries: jobs, their states, their results."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contract.documentation import BULK, documented
from contract.orgs import ContractOrg

HISTORY = "SELECT Id, Field, OldValue, NewValue, CreatedDate FROM OpportunityFieldHistory"
DONE = {"JobComplete", "Failed", "Aborted"}
PATIENCE_S = 300.0

Job = dict[str, Any]
MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(org: ContractOrg) -> Iterator[MakeJob]:
    """Creates query jobs, which are deleted afterwards."""
    made: list[str] = []

    def make(query: str = HISTORY, operation: str = "queryAll", **options: str) -> Job:
        answer = org.request("POST", "jobs/query", json={"operation": operation, "query": query, **options})
        assert answer.status_code == 200, answer.text
        job: Job = answer.json()
        made.append(job["id"])
        return job

    yield make
    for one in made:
        org.request("PATCH", f"jobs/query/{one}", json={"state": "Aborted"})
        org.request("DELETE", f"jobs/query/{one}")


def finished(org: ContractOrg, job: Job) -> Job:
    """The job once it has ended; polled 0.1, 0.2, 0.4 ... 5 s apart, as a client would."""
    pause, deadline = 0.1, time.monotonic() + PATIENCE_S
    while True:
        found: Job = org.get(f"jobs/query/{job['id']}").json()
        if found["state"] in DONE:
            return found
        assert time.monotonic() < deadline, f"the job is still {found['state']}"
        time.sleep(pause)
        pause = min(pause * 2, 5.0)


def rows_of(content: bytes, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), delimiter=delimiter))


@documented(BULK, "Create a Query Job")
def test_a_new_job_says_what_it_is(org: ContractOrg, make_job: MakeJob) -> None:
    job = make_job()
    assert job["state"] == "UploadComplete"
    assert job["object"] == "OpportunityFieldHistory"
    assert job["operation"] == "queryAll"
    assert job["contentType"] == "CSV"
    assert job["columnDelimiter"] == "COMMA"
    assert job["lineEnding"] == "LF"
    assert job["concurrencyMode"] == "Parallel"
    assert float(job["apiVersion"]) == float(org.version)
    assert job["createdById"] == org.user_id
    assert job["id"].startswith("750")


@documented(BULK, "Get Information About a Query Job")
def test_a_job_ends_and_says_how_many_records_it_read(org: ContractOrg, make_job: MakeJob) -> None:
    job = finished(org, make_job())
    assert job["state"] == "JobComplete"
    assert job["jobType"] == "V2Query"
    counted = org.query("SELECT COUNT() FROM OpportunityFieldHistory", "queryAll").json()["totalSize"]
    assert job["numberRecordsProcessed"] == counted
    assert {"retries", "totalProcessingTime"} <= set(job)


@documented(BULK, "Get Results for a Query Job")
def test_result_sets_have_a_header_each_and_a_locator_that_ends_with_null(org: ContractOrg, make_job: MakeJob) -> None:
    job = finished(org, make_job())
    locator, found, sets = "", [], 0
    while True:
        options = {"maxRecords": "300", **({"locator": locator} if locator else {})}
        answer = org.get(f"jobs/query/{job['id']}/results", params=options)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/csv")
        header, *rows = rows_of(answer.content)
        assert header == ["Id", "Field", "OldValue", "NewValue", "CreatedDate"]
        assert int(answer.headers["Sforce-NumberOfRecords"]) == len(rows)
        found += rows
        sets += 1
        locator = answer.headers["Sforce-Locator"]
        if locator == "null":
            break
    assert len({row[0] for row in found}) == len(found) == job["numberRecordsProcessed"]
    assert sets >= len(found) // 300


@documented(BULK, "Get Results for a Query Job")
def test_a_result_set_can_be_read_again(org: ContractOrg, make_job: MakeJob) -> None:
    job = finished(org, make_job())
    path = f"jobs/query/{job['id']}/results"
    first = org.get(path, params={"maxRecords": "200"})
    locator = first.headers["Sforce-Locator"]
    if locator == "null":
        pytest.skip("the org has no more than 200 rows of this history")
    again = [org.get(path, params={"maxRecords": "200", "locator": locator}) for _ in range(2)]
    assert again[0].content == again[1].content
    assert again[0].content != first.content


@documented(BULK, "Get Results for a Query Job")
def test_bulk_and_rest_give_equal_rows(org: ContractOrg, make_job: MakeJob) -> None:
    statement = "SELECT Id, StageName, CloseDate, CreatedDate, IsDeleted FROM OpportunityHistory"
    job = finished(org, make_job(statement))
    _, *rows = rows_of(org.get(f"jobs/query/{job['id']}/results").content)
    records = org.records(statement, "queryAll")
    by_rest = {
        record["Id"]: [record["Id"], record["StageName"] or "", record["CloseDate"] or "", record["CreatedDate"]]
        for record in records
    }
    assert {row[0]: row[:4] for row in rows} == by_rest
    assert {row[4] for row in rows} <= {"true", "false"}


@documented(BULK, "Create a Query Job")
@pytest.mark.parametrize(
    ("name", "character"),
    [("BACKQUOTE", "`"), ("CARET", "^"), ("COMMA", ","), ("PIPE", "|"), ("SEMICOLON", ";"), ("TAB", "\t")],
)
def test_each_delimiter_and_line_ending_is_kept(org: ContractOrg, make_job: MakeJob, name: str, character: str) -> None:
    job = finished(
        org, make_job("SELECT Id, Username FROM User LIMIT 5", "query", columnDelimiter=name, lineEnding="CRLF")
    )
    content = org.get(f"jobs/query/{job['id']}/results").content
    assert rows_of(content, character)[0] == ["Id", "Username"]
    assert content.count(b"\r\n") == content.count(b"\n") > 0


@documented(BULK, "SOQL Considerations")
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT StageName, COUNT(Id) FROM OpportunityHistory GROUP BY StageName",
        "SELECT Id FROM OpportunityHistory LIMIT 10 OFFSET 5",
        "SELECT TYPEOF Owner WHEN User THEN Username END FROM Case",
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
    ],
    ids=["GROUP BY", "OFFSET", "TYPEOF", "children"],
)
def test_statements_that_bulk_does_not_serve_are_refused_or_fail(org: ContractOrg, statement: str) -> None:
    answer = org.request("POST", "jobs/query", json={"operation": "query", "query": statement})
    if answer.status_code == 200:
        job = finished(org, answer.json())
        assert job["state"] == "Failed"
        assert job["errorMessage"]
        org.request("DELETE", f"jobs/query/{job['id']}")
    else:
        assert answer.status_code == 400
        assert answer.json()[0]["errorCode"]


@documented(BULK, "Create a Query Job")
@pytest.mark.parametrize(
    "body",
    [
        {"operation": "query"},
        {"operation": "insert", "query": "SELECT Id FROM User"},
        {"operation": "query", "query": "SELECT Id FROM NoSuchObject__c"},
        {"operation": "query", "query": "SELECT Id FROM User", "columnDelimiter": "DOT"},
    ],
    ids=["no query", "operation", "object", "delimiter"],
)
def test_a_job_that_cannot_be_is_refused(org: ContractOrg, body: dict[str, str]) -> None:
    answer = org.request("POST", "jobs/query", json=body)
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"]


@documented(BULK, "Get Results for a Query Job")
def test_another_api_version_than_the_jobs_is_a_conflict(org: ContractOrg, make_job: MakeJob) -> None:
    job = finished(org, make_job("SELECT Id FROM User LIMIT 1", "query"))
    answer = org.get(f"/services/data/v60.0/jobs/query/{job['id']}/results")
    assert answer.status_code == 409


@documented(BULK, "Abort a Query Job")
def test_an_aborted_job_stays_aborted(org: ContractOrg, make_job: MakeJob) -> None:
    job = make_job()
    answer = org.request("PATCH", f"jobs/query/{job['id']}", json={"state": "Aborted"})
    assert answer.status_code in {200, 400}  # 400: it had ended before
    assert finished(org, job)["state"] == ("Aborted" if answer.status_code == 200 else "JobComplete")


@documented(BULK, "Delete a Query Job")
def test_a_deleted_job_is_gone(org: ContractOrg, make_job: MakeJob) -> None:
    job = finished(org, make_job("SELECT Id FROM User LIMIT 1", "query"))
    assert org.request("DELETE", f"jobs/query/{job['id']}").status_code == 204
    assert org.get(f"jobs/query/{job['id']}").status_code == 404


@documented(BULK, "Get Information About All Query Jobs")
def test_jobs_are_listed(org: ContractOrg, make_job: MakeJob) -> None:
    job = make_job("SELECT Id FROM User LIMIT 1", "query")
    listed = org.get("jobs/query", params={"jobType": "V2Query"}).json()
    assert {"done", "records", "nextRecordsUrl"} == set(listed)
    assert job["id"] in {one["id"] for one in listed["records"]} or not listed["done"]
