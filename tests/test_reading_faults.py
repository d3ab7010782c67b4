"""Pages that are short, queries that are too slow, jobs that stay behind: what the readers do about them."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tap_salesforce_temporal import stream
from tap_salesforce_temporal.library import events
from tap_salesforce_temporal.reading.choice import Size
from tests.conftest import HOUR, NOW, SECOND
from tests.harness import Json, config_for, tap_command
from tests.in_process import catalog_of, many_cases, run_here, statements
from tests.test_never_lose import case_change, load, salesforce_text

Serve = Callable[..., Running]


def tasks(path: Path, count: int) -> None:
    with Org.open(path) as org:
        rows = []
        for n in range(1, count + 1):
            at = salesforce_text(NOW - HOUR * n)
            stamps = {"CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at}
            by = {"LastModifiedById": org.new_id("User", 1)}
            rows.append({"Id": org.new_id("Task", n), "Status": "Open", "Subject": f"task {n}", **stamps, **by})
        org.load("Task", rows)


def opportunities(path: Path, count: int) -> None:
    with Org.open(path) as org:
        rows = []
        for n in range(count):
            at = salesforce_text(NOW - HOUR - SECOND * 60 * n)
            told: Json = {"StageName": f"stage {n}", "Amount": Decimal(n), "CloseDate": "2026-01-01", "CreatedDate": at}
            owned = {"OpportunityId": org.new_id("Opportunity", n % 9), "CreatedById": org.new_id("User", 1)}
            rows.append({"Id": org.new_id("OpportunityHistory", n), "SystemModstamp": at, **told, **owned})
        org.load("OpportunityHistory", rows)


def second_of(path: Path, count: int) -> datetime:
    """Many rows of one second, and one on each side of it."""
    at = NOW - HOUR
    with Org.open(path) as org:
        rows = [case_change(org, n, at) for n in range(1, count + 1)]
        rows += [case_change(org, count + 1, at - SECOND), case_change(org, count + 2, at + SECOND)]
        org.load("CaseHistory", rows)
    return at


def once_each(records: list[Json]) -> int:
    """How many events there are; none of them came twice."""
    times = Counter(record["event_id"] for record in records)
    assert set(times.values()) <= {1}
    return len(times)


# Short pages.


@pytest.mark.parametrize(("api", "pattern"), [("rest", "SELECT Id.* FROM Task WHERE"), ("bulk2", "results")])
def test_a_short_page_of_rows_that_may_change_is_read_again(
    api: str, pattern: str, serve: Serve, empty_org: Path
) -> None:
    tasks(empty_org, 20)
    server = serve(empty_org)
    server.control(drop=[{"pattern": pattern, "mode": "shorten", "after_rows": 5}])
    run = run_here(config_for(server.url, empty_org, api_type=api), "task")
    assert run.code == 0, run.log
    assert len(run.by_id("task")) == 20


def test_pages_that_stay_short_are_no_success(serve: Serve, empty_org: Path) -> None:
    tasks(empty_org, 20)
    server = serve(empty_org)
    server.control(drop=[{"pattern": "SELECT Id.* FROM Task WHERE", "mode": "shorten", "after_rows": 0, "times": None}])
    run = run_here(config_for(server.url, empty_org), "task")
    assert run.code == 1
    assert "counts" in run.log
    assert "replication_key_value" not in run.state.get("bookmarks", {}).get("task", {})


# Queries that take too long.


def only_by_id(rows: int) -> Json:
    """Every query for history times out but those for so many rows of a second, by Id."""
    return {"query_timeout": [{"pattern": f"FROM CaseHistory WHERE (?!.*LIMIT {rows}$)", "times": None}]}


@pytest.mark.parametrize("rows", [2_000, 200])
def test_a_second_that_takes_too_long_as_a_whole_is_read_by_id(rows: int, serve: Serve, empty_org: Path) -> None:
    at = second_of(empty_org, 450)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, start_date=f"{at - SECOND:%FT%TZ}", end_date=f"{at + 2 * SECOND:%FT%TZ}")
    server.control(**only_by_id(rows))
    run = run_here(config, "case_history")
    assert run.code == 0, run.log
    assert once_each(run.records["case_history"]) == 452
    asked = [text for text in statements(server, "ORDER BY Id") if text.endswith(f"LIMIT {rows}")]
    assert len(asked) == 2 + 450 // rows + 1


def test_a_short_page_of_a_second_that_is_read_by_id_is_read_again(serve: Serve, empty_org: Path) -> None:
    at = second_of(empty_org, 450)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, start_date=f"{at:%FT%TZ}", end_date=f"{at + SECOND:%FT%TZ}")
    short = {"pattern": "Id > .*LIMIT 200", "mode": "shorten", "after_rows": 7}
    server.control(**only_by_id(200), drop=[short])
    run = run_here(config, "case_history")
    assert run.code == 0, run.log
    assert len(run.by_id("case_history")) == 450


def test_an_oldest_row_that_takes_too_long_to_find_is_done_without(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 29)
    server = serve(empty_org)
    server.control(query_timeout=[{"pattern": "ORDER BY CreatedDate", "times": None}])
    run = run_here(config_for(server.url, empty_org), "case_history")
    assert run.code == 0, run.log
    assert once_each(run.records["case_history"]) == 29


def test_a_query_that_is_never_answered_in_time_is_asked_for_less(serve: Serve, empty_org: Path) -> None:
    start, seconds = NOW - HOUR, 32
    many_cases(empty_org, seconds, start=start)
    server = serve(empty_org)
    dates = {"start_date": f"{start:%FT%TZ}", "end_date": f"{start + SECOND * seconds:%FT%TZ}"}
    config = config_for(server.url, empty_org, read_timeout_seconds=2, **dates)
    whole = f"CreatedDate >= {start:%FT%T}.000Z AND CreatedDate < {start + SECOND * seconds:%FT%T}.000Z"
    server.control(delay=[{"pattern": f"SELECT Id.* FROM CaseHistory WHERE {whole}", "seconds": 8, "times": None}])
    run = run_here(config, "case_history")
    assert run.code == 0, run.log
    assert once_each(run.records["case_history"]) == seconds
    windows = Counter(statements(server, "FROM CaseHistory WHERE CreatedDate >="))
    parts = [times for text, times in windows.items() if "COUNT" not in text and whole not in text]
    assert parts == [1] * 16
    assert max((times for text, times in windows.items() if whole in text and "COUNT" not in text), default=0) <= 2


# Bulk.


def test_rows_that_wait_for_their_window_are_read_in_small_ones_by_bulk_too(
    serve: Serve, empty_org: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opportunities(empty_org, 100)
    monkeypatch.setattr(stream, "BULK_WHOLE", Size(20, 30))
    server = serve(empty_org)
    run = run_here(config_for(server.url, empty_org, api_type="bulk2"), "opportunity_history")
    assert run.code == 0, run.log
    assert server.journal().by_kind["bulk_create"] >= 100 // 30


def jobs(server: Running) -> Counter[str]:
    """What was done to query jobs, by method."""
    return Counter(request.method for request in server.journal().requests if "jobs/query" in request.path)


def test_a_ceiling_of_our_own_leaves_no_job_behind(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 3_000)
    server = serve(empty_org)
    for used in range(49_999, 49_988, -1):  # the first that leaves calls enough for a job
        server.control(quota={"max": 100_000, "used": used}, clear_journal=True)
        config = config_for(server.url, empty_org, api_type="bulk2", quota_percent_total=50, bulk_page_size=1_000)
        run = run_here(config, "case_history")
        done = jobs(server)
        if done["POST"]:
            break
    assert run.code == 3
    assert done["POST"] >= 1
    left = [request for request in server.journal().requests if request.method == "DELETE" and request.status == 204]
    assert len(left) == done["POST"]


def test_a_job_that_has_ended_when_it_is_to_be_aborted_is_not_left_behind(serve: Serve, empty_org: Path) -> None:
    """The first DELETE came while it still ran."""
    many_cases(empty_org, 20)
    server = serve(empty_org)
    running = {"pattern": "DELETE .*jobs/query/", "status": 400, "code": "INVALIDJOBSTATE"}
    server.control(fail=[running])
    assert run_here(config_for(server.url, empty_org, api_type="bulk2"), "case_history").code == 0
    asked = [(one.method, one.status) for one in server.journal().requests if "jobs/query/" in one.path]
    assert asked[-3:] == [("DELETE", 400), ("PATCH", 400), ("DELETE", 204)]


def test_a_run_that_is_told_to_stop_leaves_no_job_behind(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    many_cases(empty_org, 20)
    asked = threading.Event()

    async def held(_: float) -> None:
        asked.set()

    server = serve(empty_org, sleep=held)
    server.control(bulk={"delay_seconds": 60}, delay=[{"pattern": "GET .*jobs/query/", "seconds": 1}])
    config = config_for(server.url, empty_org, api_type="bulk2")
    command = tap_command(tmp_path, config, catalog=catalog_of("case_history"))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert asked.wait(60), "the job was never looked at"
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "Interrupted" in said
    left = [request for request in server.journal().requests if request.method == "DELETE" and request.status == 204]
    assert len(left) == jobs(server)["POST"] >= 1


# Threads.


def test_events_of_the_library_may_be_taken_in_another_thread(serve: Serve, empty_org: Path) -> None:
    opportunities(empty_org, 12)
    config = config_for(serve(empty_org).url, empty_org)
    whole = [event.event_id for event in events(config, "opportunity_history")]
    found = events(config, "opportunity_history")
    taken = [next(found).event_id]
    with ThreadPoolExecutor(1) as other:
        taken.append(other.submit(next, found).result().event_id)
        taken += other.submit(lambda: [event.event_id for event in found]).result()
    assert taken == whole


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_requests_are_made_at_once_than_the_user_allows(
    most: int, serve: Serve, empty_org: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Org.open(empty_org) as org:
        people = [org.new_id("User", n) for n in range(1, 9)]
        rows = [case_change(org, n, NOW - SECOND * 70 * n) for n in range(1, 6_100)]
        load(empty_org, "CaseHistory", [{**row, "CreatedById": people[n // 800]} for n, row in enumerate(rows)])
    server = serve(empty_org)
    server.control(latency_ms=20)
    send, lock = requests.Session.send, threading.Lock()
    now: list[int] = []
    seen: list[int] = []

    def counted(self: requests.Session, *given: Any, **more: Any) -> requests.Response:
        with lock:
            now.append(1)
            seen.append(len(now))
        try:
            return send(self, *given, **more)
        finally:
            with lock:
                now.pop()

    monkeypatch.setattr(requests.Session, "send", counted)
    run = run_here(config_for(server.url, empty_org, max_concurrent_requests=most), "case_history")
    assert run.code == 0, run.log
    assert max(seen) <= most
