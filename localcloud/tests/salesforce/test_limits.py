"""The limits of an org: what `/limits` shows, how uses are forgotten, what happens at the end of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcloud.salesforce.limits import API_REQUESTS, BULK_JOBS, BULK_STORAGE, PUBLISHED_EVENTS, LimitControl, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]
    JobsOf = Callable[..., Any]

NAMES = "SELECT Name FROM Opportunity ORDER BY Id"
HOUR = 3_600_000


class Clock:
    """A clock in milliseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


def test_every_limit_shows_most_and_rest(own_org: Org, serve: Serve) -> None:
    limits = serve(own_org).get("limits").json()
    assert list(limits) == sorted(limits)
    assert all(set(one) == {"Max", "Remaining"} for one in limits.values())
    assert limits["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_999}
    assert limits["DailyBulkV2QueryJobs"] == {"Max": 10_000, "Remaining": 10_000}
    assert limits["DailyBulkV2QueryFileStorageMB"] == {"Max": 976_562, "Remaining": 976_562}
    assert limits["DailyBulkApiBatches"] == {"Max": 15_000, "Remaining": 15_000}
    assert "DailyDeliveredPlatformEvents" in limits


def test_calls_are_forgotten_a_day_later_by_the_orgs_clock(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(quota={"max": 3})
    for _ in range(3):
        assert client.get("sobjects/Account").status_code == 200
    assert client.get("limits").status_code == 403
    client.server.control(clock={"advance_seconds": 23 * 3600})
    assert client.get("limits").json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    client.server.control(clock={"advance_seconds": 3_700})
    answer = client.get("limits")
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=1/3"
    assert answer.json()["DailyApiRequests"] == {"Max": 3, "Remaining": 2}


def test_uses_leave_one_by_one_as_the_day_rolls_on() -> None:
    clock = Clock()
    usage = Usage(clock)
    for _ in range(3):
        usage.add(API_REQUESTS, 10)
        clock.now += 8 * HOUR
    assert usage.used(API_REQUESTS) == 30
    clock.now += HOUR
    assert usage.used(API_REQUESTS) == 20
    clock.now += 8 * HOUR
    assert usage.used(API_REQUESTS) == 10
    clock.now += 100 * HOUR
    assert usage.used(API_REQUESTS) == 0


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    clock = Clock()
    usage = Usage(clock)
    usage.add(API_REQUESTS, 2)
    clock.now -= 5 * HOUR
    usage.add(API_REQUESTS, 3)
    assert usage.used(API_REQUESTS) == 5


def test_hourly_limits_last_an_hour() -> None:
    clock = Clock()
    usage = Usage(clock)
    usage.add(PUBLISHED_EVENTS, 5)
    clock.now += HOUR // 2
    assert usage.used(PUBLISHED_EVENTS) == 5
    clock.now += HOUR
    assert usage.used(PUBLISHED_EVENTS) == 0


def test_a_use_beyond_the_limit_is_not_counted() -> None:
    usage = Usage(Clock())
    usage.apply({BULK_JOBS: LimitControl(max=2)})
    assert [usage.take(BULK_JOBS) for _ in range(3)] == [True, True, False]
    assert usage.used(BULK_JOBS) == 2
    usage.reset()
    assert usage.maximum(BULK_JOBS) == 10_000
    assert usage.used(BULK_JOBS) == 2


def test_a_limit_can_be_counted_by_others() -> None:
    usage = Usage(Clock())
    usage.follow("DailyDeliveredPlatformEvents", lambda: 7.5)
    assert usage.used("DailyDeliveredPlatformEvents") == 7.5
    assert b'"DailyDeliveredPlatformEvents":{"Max":50000,"Remaining":49992}' in usage.document()
    with pytest.raises(ValueError, match="counted elsewhere"):
        usage.apply({"DailyDeliveredPlatformEvents": LimitControl(used=1)})
    with pytest.raises(KeyError):
        usage.follow("Nothing", lambda: 0)


def test_jobs_beyond_their_limit_are_refused(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(limits={BULK_JOBS: {"max": 10_000, "used": 9_999}})
    bulk.create(NAMES)
    assert client.get("limits").json()[BULK_JOBS] == {"Max": 10_000, "Remaining": 0}
    answer = bulk.ask(NAMES)
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "errorCode": "LIMIT_EXCEEDED",
            "message": "Max bulk v2 query jobs (10000) per 24 hrs has been reached (10001)",
        }
    ]
    assert len(client.get("jobs/query").json()["records"]) == 1
    client.server.control(clock={"advance_seconds": 86_460})
    assert bulk.ask(NAMES).status_code == 200


def test_refused_statements_cost_no_job(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    assert jobs_of(client).ask("SELECT COUNT() FROM Account").status_code == 400
    assert client.get("limits").json()[BULK_JOBS]["Remaining"] == 10_000


def test_stored_results_have_a_limit_of_their_own(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    own_org.load("Invoice__c", [{"Name": "x" * 80, "Reference__c": "y" * 255} for _ in range(4_000)])
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(limits={BULK_STORAGE: {"max": 1}})
    bulk.ended(bulk.create("SELECT Name, Reference__c FROM Invoice__c"))
    assert client.get("limits").json()[BULK_STORAGE] == {"Max": 1, "Remaining": 0}
    answer = bulk.ask(NAMES)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")
    assert answer.json()[0]["message"] == "Max bulk v2 query result size stored (1024) kb per 24 hrs has been exceeded"
    client.server.control(reset=True)
    assert bulk.ask(NAMES).status_code == 200
    assert client.get("limits").json()[BULK_STORAGE]["Remaining"] == 976_560


@pytest.mark.parametrize(
    "limits", [{"Nothing": {"max": 1}}, {BULK_JOBS: {"max": -1}}, {BULK_JOBS: {"most": 1}}, [1]], ids=str
)
def test_a_limit_that_is_not_there_cannot_be_set(own_org: Org, serve: Serve, limits: object) -> None:
    with pytest.raises(ValueError, match=r"limit|>= 0|unknown field|Expected"):
        serve(own_org).server.control(limits=limits)


# How far a query may go


def test_a_query_that_reads_too_many_rows_times_out(own_org: Org, serve: Serve) -> None:
    days = [{"CreatedDate": f"2024-01-{1 + n // 100:02}T00:00:00.000+0000", "Name": str(n)} for n in range(3_000)]
    own_org.load("Invoice__c", days)
    client = serve(own_org)
    everything = "SELECT Id FROM Invoice__c"
    client.server.control(queries={"cost_ceiling": 1_000})
    for statement in (
        everything,
        "SELECT COUNT() FROM Invoice__c",
        "SELECT Name, COUNT(Id) FROM Invoice__c GROUP BY Name",
    ):
        answer = client.query(statement)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "QUERY_TIMEOUT")
    window = " WHERE CreatedDate >= 2024-01-03T00:00:00Z AND CreatedDate < {}T00:00:00Z"
    assert client.query(everything + window.format("2024-01-10")).json()["totalSize"] == 700
    assert client.query(everything + window.format("2024-01-30")).status_code == 400
    client.server.control(queries={"cost_ceiling": 0})
    assert client.query(everything).json()["totalSize"] == 3_000


def test_a_bounded_query_leaves_the_next_one_alone(own_org: Org, serve: Serve) -> None:
    own_org.load("Invoice__c", [{"Name": str(n)} for n in range(3_000)])
    client = serve(own_org)
    client.server.control(queries={"cost_ceiling": 1_000})
    assert client.query("SELECT Id FROM Invoice__c").status_code == 400
    assert client.query("SELECT Id FROM Account").json()["totalSize"] == 2
    assert client.query("SELECT Nothing FROM Account").json()[0]["errorCode"] == "INVALID_FIELD"


def test_long_pages_hold_fewer_records(own_org: Org, serve: Serve) -> None:
    own_org.load("Invoice__c", [{"Name": f"INV-{n:03}", "Reference__c": "é" * 250} for n in range(100)])
    client = serve(own_org)
    client.server.control(queries={"page_bytes": 10_000})
    statement = "SELECT Name, Reference__c FROM Invoice__c ORDER BY Name"
    page = client.query(statement).json()
    assert page["totalSize"] == 100
    assert 5 < len(page["records"]) < 20
    assert page["nextRecordsUrl"].endswith(f"-{len(page['records'])}")
    assert [record["Name"] for record in client.records(statement)] == [f"INV-{n:03}" for n in range(100)]
    client.server.control(queries={"page_bytes": 1})
    assert len(client.query(statement).json()["records"]) == 1
