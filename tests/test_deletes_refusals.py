"""What the org refuses beside the deletes themselves: limits, the recycle bin, time; and what is said of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.process import command
from localcloud.salesforce.server import Running
from tap_salesforce_deletes.position import STREAM
from tests.conftest import HOUR, MINUTE
from tests.deletes import ACCOUNTS, ALL, MODULE, TAP, Store, run_deletes, run_process, settings_for
from tests.deletes_org import accounts, act, contacts, later
from tests.warm import run_main

Serve = Callable[..., Running]
NO_LIMITS = {"pattern": "/limits", "status": 403, "code": "FORBIDDEN", "times": None}


def test_a_first_run_needs_no_right_to_see_the_limits_of_the_org(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    later(server, 5 * MINUTE)
    server.control(fail=[NO_LIMITS])
    run = run_deletes(settings_for(server, empty_org, reconcile_objects=["Account"]))
    assert run.code == 0, run.log
    assert any("/limits" in request.path for request in server.journal().requests)


def test_an_exploration_needs_no_right_to_see_the_limits_of_the_org(
    serve: Serve, empty_org: Path, tmp_path: Path
) -> None:
    server = serve(empty_org)
    server.control(fail=[NO_LIMITS])
    words = command(TAP, tmp_path, settings_for(server, empty_org), "explore", "--json")
    done = run_main(MODULE, words, os.environ)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deliveries_allowed"] is None


def test_a_recycle_bin_that_refuses_one_object_holds_up_no_other_and_is_asked_again(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    accounts(server, 2)
    contacts(server, 2)
    act(server, "create", object="Lead", values={"LastName": "Lead {n}", "Company": "L"}, count=2)
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, topics=[ALL], reconcile_objects=["Account", "Contact", "Lead"])
    store = Store()
    assert store.run(config).code == 0
    for name, where in (("Account", "Name"), ("Contact", "LastName"), ("Lead", "LastName")):
        act(server, "delete", object=name, where=f"{where} = '{name} 1'")
    later(server, 5 * MINUTE)
    server.control(
        fail=[{"pattern": "queryAll.*FROM Account", "status": 400, "code": "MALFORMED_QUERY", "times": None}]
    )
    run = store.run(config)
    assert run.code == 1
    assert "Recycle bin of Account: " in run.log
    assert sources(store, "Account") >= {"change_event"}
    assert sources(store, "Contact") == {"change_event", "query_all"}
    assert sources(store, "Lead") == {"get_deleted", "query_all"}
    assert "query_all" not in sources(store, "Account")
    server.control(reset=True)
    later(server, HOUR)
    assert store.run(config).code == 0
    assert "query_all" in sources(store, "Account"), "who deleted is looked up after all"


def sources(store: Store, sobject: str) -> set[str]:
    return {one.context.source for one in store.events.values() if one.record_type == sobject}


def test_a_run_that_is_out_of_time_behind_a_gap_tells_of_the_gap(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    server = serve(empty_org)
    accounts(server, 30)
    later(server, MINUTE)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    first = run_deletes(config)
    later(server, 100 * HOUR)
    act(server, "delete", object="Account", where="Id != null")
    later(server, MINUTE)
    server.control(pubsub={"latency_ms": 400, "chunk": 1})
    run = run_process(tmp_path, config | {"max_run_seconds": 1}, state=first.state)
    assert run.code == 3
    assert [one["event_type"] for one in run.records[STREAM][:1]] == ["gap"]
    assert "`max_run_seconds`" in run.sentence
    assert f"{ACCOUNTS}: events from" in run.sentence
    assert "`gap`" in run.sentence


def test_more_deletes_at_once_than_the_log_answers_are_not_called_out_of_its_reach(
    serve: Serve, empty_org: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(empty_org)
    accounts(server, 12)
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, reconcile_objects=["Account"], enrich="never")
    store = Store()
    assert store.run(config).code == 0
    act(server, "delete", object="Account", where="Id != null")
    later(server, 5 * MINUTE)
    server.control(fail=[{"pattern": "/deleted/", "status": 400, "code": "EXCEEDED_ID_LIMIT", "times": None}])
    run = store.run(config)
    assert run.code == 4
    assert "two minutes" in run.log
    assert "reach back" not in caplog.text
