"""When a run ends: idle, busy, at a ceiling, in time; five days on a quiet topic; state behind what was written."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.process import command
from localcloud.salesforce.server import Running
from tap_salesforce_deletes.position import STREAM
from tap_salesforce_deletes.waiting import IdleRule
from tests.conftest import DAY, MINUTE, SECOND
from tests.deletes import ACCOUNTS, ALL, PLATFORM_EVENT, TAP, Store, replay_id, run_deletes, run_process, settings_for
from tests.deletes_org import accounts, delete_accounts, expected, later
from tests.harness import TapRun, end_by, take

Serve = Callable[..., Running]


def test_a_busy_topic_that_never_idles_ends_at_the_stamp_of_the_runs_start(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 300)
    later(server, MINUTE)

    class Busy(io.BytesIO):
        """Each page that is written has new deletes behind it: the topic is never silent."""

        pages = 0

        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            if b'"type":"RECORD"' in bytes(data) and self.pages < 40:
                self.pages += 1
                later(server, SECOND)
                delete_accounts(server, "Account%", count=5)
            return super().write(data)

    delete_accounts(server, "Account 1%", count=3)
    later(server, MINUTE)
    output = Busy()
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    run = run_deletes(config, output=output, rule=IdleRule(idle_seconds=30.0))
    assert run.code == 0, run.log
    assert 0 < output.pages < 40, "the run went on with what came after its start"
    store = Store()
    store.load(run)
    rest = store.load(run_deletes(config, state=run.state))
    assert rest.code == 0
    assert store.told() == expected(empty_org)


def test_five_days_of_runs_every_half_hour_on_a_quiet_topic_lose_and_double_nothing(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    server.control(pubsub={"keepalive_seconds": 0.05})
    accounts(server, 3)
    later(server, MINUTE)
    delete_accounts(server, "Account 1")
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    store, arrivals, longest = Store(), 0, 0.0
    for half_hour in range(5 * 48):
        if half_hour == 190:  # more than three days after the last event
            delete_accounts(server, "Account 2")
        began = time.monotonic()
        run = store.run(config, rule=IdleRule(idle_seconds=0.01))
        longest = max(longest, time.monotonic() - began)
        assert run.code == 0, run.log
        arrivals += len(run.records[STREAM])
        later(server, 30 * MINUTE)
    assert arrivals == len(store.events) == 2
    assert store.told() == expected(empty_org)
    assert longest < 60


def test_without_a_keepalive_a_run_ends_in_time_and_keeps_its_position(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 1)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    first = run_deletes(config)
    later(server, 2 * DAY)
    rule = IdleRule(idle_seconds=0.01, longest_seconds=0.5)  # no keepalive for 60 s
    second = run_deletes(config, state=first.state, rule=rule)
    assert second.code == 0, second.log
    assert replay_id(second.state, ACCOUNTS) == replay_id(first.state, ACCOUNTS)


def test_a_keepalive_renews_an_old_replay_id(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    server.control(pubsub={"keepalive_seconds": 0.05})
    accounts(server, 1)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    first = run_deletes(config, rule=IdleRule(idle_seconds=0.02))
    later(server, 2 * DAY)
    second = run_deletes(config, state=first.state, rule=IdleRule(idle_seconds=0.02))
    assert replay_id(second.state, ACCOUNTS) != replay_id(first.state, ACCOUNTS)
    later(server, 2 * DAY)
    delete_accounts(server, "Account 1")
    third = run_deletes(config, state=second.state)
    assert (third.code, len(third.records[STREAM])) == (0, 1)


def test_a_run_from_the_end_of_a_topic_misses_nothing_of_what_comes_between_two_runs(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    server.control(pubsub={"keepalive_seconds": 0.05})
    accounts(server, 5)
    delete_accounts(server, "Account 1")
    config = settings_for(server, empty_org, topics=[ACCOUNTS], start_from="latest", reconcile="never", enrich="never")
    store = Store()
    first = store.run(config)
    assert (first.code, first.records[STREAM]) == (0, [])
    delete_accounts(server, "Account 2")
    assert len(store.run(config).records[STREAM]) == 1


def test_a_run_from_the_end_of_a_silent_topic_goes_on_with_what_came_since(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 1)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], start_from="latest", reconcile="never", enrich="never")
    first = run_deletes(config, rule=IdleRule(idle_seconds=0.02, longest_seconds=0.3))
    assert (first.code, replay_id(first.state, ACCOUNTS)) == (0, "")
    delete_accounts(server, "Account 1")
    second = run_deletes(config, state=first.state)
    assert (second.code, len(second.records[STREAM])) == (0, 1)


# Ceilings.


def test_a_ceiling_for_events_ends_with_code_3_and_the_next_runs_bring_the_rest(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 500)
    later(server, MINUTE)
    for start in "12345":
        delete_accounts(server, f"Account {start}%", transaction="batches")
        later(server, MINUTE)
    server.control(pubsub={"chunk": 10})
    config = settings_for(
        server, empty_org, topics=[PLATFORM_EVENT], reconcile="never", enrich="never", max_events_per_run=150
    )
    store = Store()
    while store.run(config).code == 3:
        assert len(store.codes) < 10
    assert store.codes[-1] == 0
    assert store.codes.count(3) >= 2
    assert store.told() == expected(empty_org)


def test_a_ceiling_for_deliveries_is_looked_at_before_and_during_a_run(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 300)
    later(server, MINUTE)
    delete_accounts(server, "Account%")
    server.control(pubsub={"allocation": {"max": 1000, "used": 450}, "chunk": 10})
    config = settings_for(
        server, empty_org, topics=[PLATFORM_EVENT], reconcile="never", enrich="never", delivery_percent_total=50
    )
    run = run_deletes(config)
    assert run.code == 3
    assert "delivery_percent_total" in run.log
    assert 50 <= len(run.records[STREAM]) < 300
    server.control(pubsub={"allocation": {"used": 500}})
    over = run_deletes(config, state=run.state)
    assert (over.code, over.records[STREAM]) == (3, [])
    server.control(pubsub={"allocation": {"max": 100_000}})
    rest = run_deletes(config, state=over.state)
    assert rest.code == 0
    assert len(run.records[STREAM]) + len(rest.records[STREAM]) == 300


def test_deliveries_that_are_used_up_end_with_code_3_and_keep_the_position(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 300)
    later(server, MINUTE)
    delete_accounts(server, "Account%")
    server.control(pubsub={"allocation": {"max": 100, "used": 0}})
    config = settings_for(server, empty_org, topics=[PLATFORM_EVENT], reconcile="never", enrich="never")
    run = run_deletes(config)
    assert run.code == 3
    assert "event deliveries" in run.log
    server.control(pubsub={"allocation": {"max": 100_000}})
    rest = run_deletes(config, state=run.state)
    assert rest.code == 0
    assert len(run.records[STREAM]) + len(rest.records[STREAM]) == 300
    assert len({record["event_id"] for one in (run, rest) for record in one.records[STREAM]}) == 300


# As a process.


def test_a_run_as_a_process_logs_no_secret_and_no_value_and_prints_only_singer(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    server = serve(empty_org)
    accounts(server, 30, "Very secret name {n}")
    later(server, 3 * MINUTE)
    delete_accounts(server, "Very%")
    later(server, 3 * MINUTE)
    config = settings_for(server, empty_org, topics=[ALL, PLATFORM_EVENT], idle_timeout_seconds=1)
    run = run_process(tmp_path, config, TAP_SALESFORCE_DELETES_LOGLEVEL="DEBUG")
    assert run.code == 0, run.log
    assert len({record["record_id"] for record in run.records[STREAM]}) == 30
    assert "Very secret" not in run.log
    assert "PRIVATE KEY" not in run.log
    assert "Bearer" not in run.log
    assert str(config["client_secret"]) not in run.log


@pytest.mark.parametrize("topics", [[], [ALL], [PLATFORM_EVENT]], ids=["no topics", "change events", "trigger"])
def test_the_test_option_reads_nothing_and_says_what_can_be_read(
    serve: Serve, empty_org: Path, tmp_path: Path, topics: list[str]
) -> None:
    server = serve(empty_org)
    config = settings_for(server, empty_org, topics=topics)
    run = run_process(tmp_path, config, "--test")
    assert run.code == 0, run.log
    assert f"Test: {len(topics)} of {len(topics)} topics can be read, and the delete log of" in run.log
    assert not run.records
    assert not any("/Subscribe" in request.path for request in server.journal().requests)


def test_a_topic_that_may_not_be_read_fails_the_test_option_with_one_sentence(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    server = serve(empty_org)
    config = settings_for(server, empty_org, topics=["/event/Nothing__e"])
    run = run_process(tmp_path, config, "--test")
    assert run.code == 2
    assert "/event/Nothing__e" in run.sentence


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_run_that_is_ended_from_outside_is_completed_by_the_next(
    serve: Serve, empty_org: Path, tmp_path: Path, number: signal.Signals
) -> None:
    server = serve(empty_org)
    accounts(server, 200)
    later(server, 3 * MINUTE)
    delete_accounts(server, "Account%")
    later(server, 3 * MINUTE)
    server.control(pubsub={"latency_ms": 30, "chunk": 5})
    config = settings_for(
        server, empty_org, topics=[PLATFORM_EVENT], reconcile="never", enrich="never", idle_timeout_seconds=1
    )
    run = TapRun(0, "")
    with subprocess.Popen(
        command(TAP, tmp_path, config), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            take(run, line.decode())
            if len(run.records[STREAM]) == 50:
                break
        rest, log = end_by(process, number)
    lines = rest.decode().split("\n")
    for text in lines[:-1]:
        take(run, text)
    assert process.returncode == (1 if number != signal.SIGKILL else -signal.SIGKILL), log.decode()
    assert number == signal.SIGKILL or (lines[-1] == "" and b"Interrupted" in log)
    assert b"Traceback" not in log
    assert 50 <= len(run.records[STREAM]) < 200
    server.control(reset=True)
    store = Store()
    store.load(run)
    second = store.run(config)
    assert second.code == 0
    assert store.told() == expected(empty_org)
    assert len(store.events) == 200


def test_time_that_is_over_ends_with_code_3_and_the_next_run_goes_on(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 200)
    later(server, 3 * MINUTE)
    delete_accounts(server, "Account%")
    later(server, 3 * MINUTE)
    server.control(pubsub={"latency_ms": 100, "chunk": 3})
    config = settings_for(server, empty_org, topics=[PLATFORM_EVENT], reconcile="never", enrich="never")
    store = Store()
    assert store.load(run_deletes(config | {"max_run_seconds": 1})).code == 3
    assert 0 < len(store.events) < 200
    server.control(reset=True)
    assert store.run(config).code == 0
    assert len(store.events) == 200
