"""Whatever Salesforce does in the middle of a run: nothing is missing, nothing is there twice, no false success."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running, serve_in_thread
from microdecisions.describe import ObjectDescription, SalesforceMetadata
from microdecisions.errors import SalesforceError
from tap_salesforce_temporal.reading.side_by_side import THREAD_NAME
from tests.conftest import NOW, SECOND
from tests.harness import Json, config_for
from tests.in_process import Loader, account_change, clean, logins, many_cases, run_here
from tests.test_never_lose import case_change

Serve = Callable[..., Running]
PAGE = 2_000  # rows of a query's answer


# Sessions, servers and networks that fail and come back.


def test_sessions_that_end_in_mid_run_cost_one_new_login_for_all_threads(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    rows = 60_000  # more than are fetched ahead
    many_cases(empty_org, rows)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    run = run_here(config, "case_history", on_first_record=lambda: server.control(expire_sessions=True))
    assert run.code == 0, run.log
    assert len(run.by_id("case_history")) == rows
    assert logins(server) == 2


def test_a_session_for_every_three_requests_is_enough(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    whole = clean(config)
    loader = Loader()
    server.control(expire_sessions_after=3)
    run = loader.load(
        run_here(config, on_first_record=lambda: server.control(expire_sessions_after=3)),
    )
    assert run.code == 0, run.log
    assert loader.content() == whole


@pytest.mark.parametrize(
    "faults",
    [
        {"fail": [{"pattern": "queryAll", "status": 503, "times": 2, "skip": 2}]},
        {"fail": [{"pattern": "queryAll", "status": 429, "times": 1, "skip": 3, "retry_after": 1}]},
        {"fail": [{"pattern": "/query/", "status": 500, "times": 1}]},
        {"fail": [{"pattern": "oauth2/token", "status": 503, "times": 1}]},
        {"fail": [{"pattern": "describe", "status": 502, "times": 1}]},
        {"drop": [{"pattern": "queryAll", "mode": "drop", "times": 2, "skip": 2}]},
        {"drop": [{"pattern": "/query/", "mode": "truncate", "times": 2}]},
        {"drop": [{"pattern": "sobjects", "mode": "truncate", "times": 1}]},
    ],
    ids=lambda faults: json.dumps(faults).replace('"', ""),
)
def test_a_fault_that_passes_leaves_no_trace_in_the_data(faults: Json, serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 3 * PAGE + 7)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    server.control(**faults)
    run = run_here(config, "case_history")
    assert run.code == 0, run.log
    assert Counter(record["event_id"] for record in run.records["case_history"]).most_common(1)[0][1] == 1
    assert len(run.records["case_history"]) == 3 * PAGE + 7


def test_a_server_that_asks_for_more_patience_than_a_run_has_is_no_success(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 10)
    server = serve(empty_org)
    server.control(fail=[{"pattern": "CaseHistory WHERE", "status": 503, "times": None, "retry_after": 4_000}])
    run = run_here(config_for(server.url, empty_org), "case_history")
    assert run.code == 1
    assert "4000 s" in run.log
    assert not run.records["case_history"]


def test_a_restarted_server_forgets_sessions_and_cursors_and_nothing_is_lost(empty_org: Path) -> None:
    many_cases(empty_org, 9 * PAGE)
    with ExitStack() as stack:
        server = stack.enter_context(serve_in_thread(empty_org))
        port = int(server.url.rsplit(":", 1)[1])

        def restart() -> None:
            stack.close()
            stack.enter_context(serve_in_thread(empty_org, port))

        run = run_here(config_for(server.url, empty_org), "case_history", on_first_record=restart)
    assert run.code == 0, run.log
    assert len(run.by_id("case_history")) == 9 * PAGE


# Queries that Salesforce cannot answer as asked.


def in_one_second(start: datetime, seconds: int) -> str:
    """A pattern for windows of more than one of these seconds."""
    single = "|".join(
        f"{start + SECOND * n:%FT%T}.000Z AND CreatedDate < {start + SECOND * (n + 1):%FT%T}" for n in range(seconds)
    )
    return f"CreatedDate >= (?!{single})"


def test_windows_are_halved_down_to_a_second_when_queries_take_too_long(serve: Serve, empty_org: Path) -> None:
    start = NOW - timedelta(hours=1)
    with Org.open(empty_org) as org:
        org.load("CaseHistory", [case_change(org, n, start + SECOND * (n % 11)) for n in range(1, 100)])
    server = serve(empty_org)
    whole = {"start_date": f"{start:%FT%TZ}", "end_date": f"{start + SECOND * 11:%FT%TZ}"}
    config = config_for(server.url, empty_org, **whole)
    server.control(query_timeout=[{"pattern": in_one_second(start, 11), "times": None}])
    run = run_here(config, "case_history")
    assert run.code == 0, run.log
    assert len(run.records["case_history"]) == 99
    assert len(run.states) == 11  # one for each second


def test_a_second_that_cannot_be_read_is_named_and_what_is_before_it_is_kept(serve: Serve, empty_org: Path) -> None:
    start = NOW - timedelta(hours=1)
    bad = start + SECOND * 5
    with Org.open(empty_org) as org:
        org.load("CaseHistory", [case_change(org, n, start + SECOND * (n % 11)) for n in range(1, 100)])
        org.load("AccountHistory", [account_change(org, 1, start)])
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    wide = in_one_second(start, 11)
    patterns = [f"CaseHistory WHERE {wide}", f"CaseHistory WHERE CreatedDate >= {bad:%FT%T}"]
    server.control(query_timeout=[{"pattern": pattern, "times": None} for pattern in patterns])
    loader = Loader()
    run = loader.load(run_here(config, "case_history", "account_history"))
    assert run.code == 1
    assert f"{bad:%FT%TZ}" in run.log
    assert run.state["bookmarks"]["case_history"]["replication_key_value"] == f"{bad:%FT%T}.000000Z"
    assert run.records["account_history"]

    server.control(reset=True)
    assert loader.load(run_here(config, "case_history", "account_history", state=loader.state)).code == 0
    assert loader.content() == clean(config, "case_history", "account_history")


# Quotas and permissions.


@pytest.mark.parametrize("ceiling", ["ours", "theirs"])
def test_a_quota_that_ends_in_mid_run_keeps_the_state_and_the_next_run_completes(
    ceiling: str, serve: Serve, copy_of_small_org: Path
) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    whole = clean(config)
    allowed = server.journal().api_calls // 3  # of what all of it takes: enough to begin, and for a few streams
    loader, codes = Loader(), []
    for _ in range(60):
        spent = server.journal().api_calls
        if ceiling == "ours":
            server.control(quota={"max": 10 * allowed, "used": 0})
            run = run_here(config | {"quota_percent_run": 10}, state=loader.state)
        else:
            server.control(quota={"max": allowed, "used": 0})
            run = run_here(config, state=loader.state)
        codes.append(loader.load(run).code)
        assert server.journal().api_calls - spent <= allowed + 1  # theirs is noticed by a call that is refused
        if run.code == 0:
            break
        assert "state is kept" in run.log
    assert codes[0] == 3
    assert codes[-1] == 0
    assert set(codes) == {0, 3}
    assert loader.content() == whole
    assert loader.arrivals.most_common(1)[0][1] == 1


LANES, WINDOWS, WINDOW_CALLS = 3, 4, 10


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An org with rows for several windows of ten pages; not to be changed."""
    path = tmp_path_factory.mktemp("windows") / "org"
    Org.create(path, clock=OrgClock(NOW)).close()
    many_cases(path, WINDOWS * (WINDOW_CALLS - 1) * PAGE, start=NOW - timedelta(days=20))
    return path


@pytest.mark.parametrize("ceiling", ["quota_percent_run", "theirs"])
def test_a_quota_that_ends_while_windows_are_read_side_by_side_is_not_passed(
    ceiling: str, serve: Serve, windows: Path
) -> None:
    server = serve(windows)
    config = config_for(server.url, windows, api_type="rest", max_concurrent_requests=LANES)
    ours = {} if ceiling == "theirs" else {ceiling: 10}
    allowed = LANES * WINDOW_CALLS + 6  # one window is complete by then, and not all of them
    loader, codes = Loader(), []
    for _ in range(WINDOWS):
        server.control(latency_ms=10, quota={"max": allowed if ceiling == "theirs" else 10 * allowed, "used": 0})
        spent, before = server.journal().api_calls, loader.state
        codes.append(loader.load(run_here(config | ours, "case_history", state=loader.state)).code)
        assert server.journal().api_calls - spent <= allowed + LANES - 1
        if codes[-1] == 0:
            break
        assert loader.state != before  # what was complete is kept
    assert codes[0] == 3
    assert codes[-1] == 0
    assert len(loader.tables["case_history"]) == WINDOWS * (WINDOW_CALLS - 1) * PAGE
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(10)
            assert not thread.is_alive()


def test_a_quota_for_less_than_all_windows_at_once_still_completes_some_in_each_run(
    serve: Serve, windows: Path
) -> None:
    server = serve(windows)
    config = config_for(server.url, windows, api_type="rest", max_concurrent_requests=8, quota_percent_total=10)
    allowed = WINDOW_CALLS + 8  # a window of 20 pages is cut; of several side by side none would be complete
    loader = Loader()
    for _ in range(3 * WINDOWS):
        server.control(latency_ms=10, quota={"max": 10 * allowed, "used": 0})
        before = loader.state
        run = loader.load(run_here(config, "case_history", state=before))
        if run.code == 0:
            break
        assert run.code == 3, run.log
        assert loader.state != before
    assert run.code == 0, run.log
    assert len(loader.tables["case_history"]) == WINDOWS * (WINDOW_CALLS - 1) * PAGE


@pytest.mark.parametrize(
    ("hidden", "stream"),
    [
        ("CaseHistory.NewValue", "case_history"),
        ("CaseHistory.CaseId", "case_history"),
        ("OpportunityHistory.Amount", "opportunity_history"),
        ("OpportunityHistory.StageName", "opportunity_history"),
        ("OpportunityHistory.CreatedDate", "opportunity_history"),
        ("ProcessInstanceStep.StepStatus", "process_instance_step"),
        ("ProcessInstanceStep.SystemModstamp", "process_instance_step"),
    ],
)
def test_a_hidden_field_fails_its_stream_and_no_other(
    hidden: str, stream: str, serve: Serve, copy_of_small_org: Path
) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    streams = ("account_history", "case_history", "opportunity_history", "process_instance_step")
    server.control(forbid={"fields": [hidden]})
    run = run_here(config, *streams)
    assert {name for name in streams if not run.records[name]} == {stream}
    assert run.code == 2
    assert stream in run.log
    assert stream == "case_history" or hidden.split(".")[1] in run.log
    assert "replication_key_value" not in run.state["bookmarks"].get(stream, {})


def test_a_field_that_is_hidden_in_mid_run_fails_its_stream(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 10)
    with Org.open(empty_org) as org:
        org.load("AccountHistory", [account_change(org, 1, NOW - timedelta(days=1))])
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    loader = Loader()
    run = loader.load(
        run_here(
            config,
            "account_history",
            "case_history",
            on_first_record=lambda: server.control(forbid={"fields": ["CaseHistory.OldValue"]}),
        )
    )
    assert run.code == 2
    assert "case_history" in run.log
    server.control(forbid={})
    assert loader.load(run_here(config, "account_history", "case_history", state=loader.state)).code == 0
    assert loader.content() == clean(config, "account_history", "case_history")


@pytest.mark.parametrize("when", ["before the run", "after discovery"])
def test_an_object_that_disappears_fails_its_stream_and_no_other(
    when: str, serve: Serve, copy_of_small_org: Path, tmp_path: Path
) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    streams = ("account_history", "case_history", "opportunity_history")
    gone = {"forbid": {"objects": ["CaseHistory"]}}
    if when == "before the run":
        server.control(**gone)
        run = run_here(config, *streams)
    else:
        run = run_here(config, *streams, on_first_record=lambda: server.control(**gone))
    assert run.code == 2
    assert "case_history" in run.log
    assert run.records["account_history"]
    assert run.records["opportunity_history"]
    assert "replication_key_value" not in run.state["bookmarks"].get("case_history", {})


def test_an_object_that_is_listed_but_cannot_be_described_fails_its_stream_and_no_other(
    serve: Serve, copy_of_small_org: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = SalesforceMetadata.describe

    def describe(self: SalesforceMetadata, name: str) -> ObjectDescription:
        if name == "CaseHistory":
            raise SalesforceError("It is gone.", status=404, code="NOT_FOUND")
        return described(self, name)

    monkeypatch.setattr(SalesforceMetadata, "describe", describe)
    monkeypatch.setattr("tap_salesforce_temporal.org.describe_together", lambda *_: {})
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    run = run_here(config, "account_history", "case_history", "opportunity_history")
    assert run.code == 2, run.log
    assert "case_history" in run.log
    assert run.records["account_history"]
    assert run.records["opportunity_history"]


@pytest.mark.parametrize("hidden", ["Organization", "User", "Profile", "UserLicense"])
def test_what_only_decorates_the_events_may_be_hidden(hidden: str, serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    server.control(forbid={"objects": [hidden]})
    run = run_here(config_for(server.url, copy_of_small_org), "case_history", "opportunity_history")
    assert run.code == 0, run.log
    assert run.records["case_history"]
    assert all(record["actor_id"] for record in run.records["case_history"])


def test_a_count_that_ends_in_the_middle_is_one_sentence_and_no_success(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 10)
    server = serve(empty_org)
    server.control(drop=[{"pattern": "COUNT", "mode": "shorten", "times": None}])
    run = run_here(config_for(server.url, empty_org), "case_history")
    assert run.code == 1
    assert "is not of the documented form" in run.log
    assert "Internal error" not in run.log
