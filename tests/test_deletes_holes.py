"""What topics cannot bring: overflow, expired replay ids, hidden objects, moved orgs, events nobody can read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions import timestamps
from tap_salesforce_deletes.position import STREAM
from tests.conftest import DAY, HOUR, MINUTE
from tests.deletes import ACCOUNTS, ALL, PLATFORM_EVENT, Store, replay_id, run_deletes, settings_for
from tests.deletes_org import accounts, act, contacts, delete_accounts, expected, later

Serve = Callable[..., Running]
CHANGES_ALONE: dict[str, object] = {"topics": [ALL], "reconcile": "never", "enrich": "never"}


# Overflow.


@pytest.mark.parametrize("topics", [[ALL], [ALL, PLATFORM_EVENT]], ids=["changes", "changes and trigger"])
def test_deletes_of_a_transaction_that_overflows_come_from_the_delete_log(
    serve: Serve, empty_org: Path, topics: list[str]
) -> None:
    server = serve(empty_org)
    accounts(server, 800)
    server.control(pubsub={"setup": {"overflow_ceiling": 500}})
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, topics=topics, start_from="latest", enrich="never")
    server.control(pubsub={"keepalive_seconds": 0.05})
    store = Store()
    assert store.run(config).code == 0
    delete_accounts(server, "Account%", transaction="one")
    later(server, 2 * HOUR)
    assert store.run(config).code == 0
    assert len(expected(empty_org)) == 800
    assert store.told() == expected(empty_org)
    assert not store.gaps()
    assert store.state is not None
    assert store.state["bookmarks"][STREAM]["pending"] == []


def test_an_overflow_of_120_000_by_cascade_is_complete(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        account = org.new_id("Account", 1)
        stamp = "2026-03-01T08:00:00.000+0000"
        common = {"CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp, "IsDeleted": False}
        org.load("Account", [{"Id": account, "Name": "Parent", **common}])
        org.load(
            "Contact",
            [
                {"Id": org.new_id("Contact", n + 1), "LastName": "C", "AccountId": account, **common}
                for n in range(120_000)
            ],
        )
    server = serve(empty_org)
    config = settings_for(server, empty_org, topics=[ALL], enrich="never", reconcile_objects=["Account", "Contact"])
    act(server, "delete", object="Account", ids=[account])
    later(server, 2 * HOUR)
    store = Store()
    run = store.run(config)
    assert run.code == 0, run.log
    ids = {record["record_id"] for record in run.records[STREAM] if record["record_type"] == "Contact"}
    assert len(ids) == 120_000
    by_changes = sum(record["context"]["source"] == "change_event" for record in run.records[STREAM])
    assert 0 < by_changes < 120_000
    assert store.gaps() == []


def test_an_overflow_is_not_forgotten_when_the_run_ends_before_the_delete_log_is_asked(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    accounts(server, 80)
    server.control(pubsub={"setup": {"overflow_ceiling": 50}})
    later(server, 5 * MINUTE)
    delete_accounts(server, "Account%", transaction="one")
    later(server, 2 * HOUR)
    config = settings_for(server, empty_org, topics=[ALL], enrich="never")
    server.control(fail=[{"pattern": "/deleted/", "status": 500, "times": None}])
    store = Store()
    assert store.load(run_deletes(config | {"max_run_seconds": 1})).code in {1, 3}
    assert store.state is not None
    assert [text.split(" ")[0] for text in store.state["bookmarks"][STREAM]["pending"]] == ["Account"]
    server.control(reset=True)
    assert store.run(config).code == 0
    assert store.told() == expected(empty_org)


def test_an_overflow_without_the_delete_log_is_a_gap_once(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 80)
    server.control(pubsub={"setup": {"overflow_ceiling": 50}})
    later(server, 5 * MINUTE)
    delete_accounts(server, "Account%", transaction="one")
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, **CHANGES_ALONE)
    store = Store()
    assert store.run(config).code == 4
    (gap,) = store.gaps()
    assert gap.record_type == "Account"
    assert store.run(config).code == 0
    assert len(store.gaps()) == 1


# Expired replay ids.


@pytest.mark.parametrize(("hours", "code"), [(70, 0), (80, 4)], ids=["within retention", "past it"])
def test_an_expired_replay_id_loses_nothing_within_72_hours_and_is_a_gap_once_after_that(
    serve: Serve, empty_org: Path, hours: int, code: int
) -> None:
    server = serve(empty_org)
    accounts(server, 9)
    later(server, MINUTE)
    config = settings_for(server, empty_org, topics=[ALL], enrich="never", reconcile_objects=["Account"])
    store = Store()
    assert store.run(config).code == 0
    later(server, 2 * HOUR)
    delete_accounts(server, "Account 1")
    later(server, (hours - 2) * HOUR)
    delete_accounts(server, "Account 2")
    later(server, 5 * MINUTE)
    if code == 0:
        server.control(pubsub={"expire_replay_ids": True})
    before = store.state
    assert store.load(run_deletes(config, state=before)).code == code
    assert store.told() == expected(empty_org), "what is gone from the bus is in the delete log"
    assert [gap.record_type for gap in store.gaps()] == ([ALL] if code else [])
    for gap in store.gaps():
        start, end = gap.context.metadata["gap_start"], gap.context.metadata["gap_end"]
        assert timestamps.parse(end) > timestamps.parse(start)
        assert before is not None
        assert start == before["bookmarks"][STREAM]["topics"][ALL]["drained_at"]
    assert store.run(config).code == 0
    assert len(store.gaps()) == (1 if code else 0)


def test_a_gap_can_be_a_warning(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 1)
    config = settings_for(server, empty_org, **CHANGES_ALONE, on_gap="warn")
    first = run_deletes(config)
    later(server, 5 * DAY)
    second = run_deletes(config, state=first.state)
    assert second.code == 0
    assert [record["event_type"] for record in second.records[STREAM]] == ["gap"]


# Permissions.


def test_an_object_that_is_hidden_from_a_channel_is_a_gap_once_and_complete_when_it_is_back(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    contacts(server, 4)
    accounts(server, 4)
    later(server, MINUTE)
    config = settings_for(server, empty_org, topics=[ALL], enrich="never", reconcile_objects=["Account"])
    store = Store()
    assert store.run(config).code == 0
    later(server, MINUTE)
    server.control(forbid={"objects": ["Contact"]})
    delete_accounts(server, "Account 1")
    act(server, "delete", object="Contact", where="LastName = 'Contact 1'")
    later(server, HOUR)
    assert store.run(config).code == 4
    assert [gap.record_type for gap in store.gaps()] == ["Contact"]
    later(server, HOUR)
    act(server, "delete", object="Contact", where="LastName = 'Contact 2'")
    assert store.run(config).code == 0
    assert len(store.gaps()) == 1
    later(server, HOUR)
    server.control(forbid={"objects": []})
    assert store.run(config).code == 0
    assert store.told() == expected(empty_org)
    assert len(store.gaps()) == 1


def test_a_topic_that_may_not_be_read_fails_and_the_others_are_complete(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 3)
    later(server, MINUTE)
    delete_accounts(server, "Account 1")
    later(server, 5 * MINUTE)
    server.control(forbid={"objects": ["Contact"]})
    topics = [ACCOUNTS, "/data/ContactChangeEvent"]
    config = settings_for(server, empty_org, topics=topics, reconcile="never", enrich="never")
    run = run_deletes(config)
    assert run.code == 2
    assert "/data/ContactChangeEvent" in run.log
    assert len(run.records[STREAM]) == 1
    assert ACCOUNTS in run.state["bookmarks"][STREAM]["topics"]


# Another org, a moved one.


def test_the_state_of_another_org_is_refused_and_can_be_taken_over(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 2)
    config = settings_for(server, empty_org, topics=[ALL], reconcile="never", enrich="never")
    state = copy.deepcopy(run_deletes(config).state)
    entry = state["bookmarks"][STREAM]
    entry["org_id"] = entry["topics"][ALL]["org_id"] = "00D900000000001EAA"
    refused = run_deletes(config, state=state)
    assert refused.code == 2
    assert not refused.states
    assert "`allow_org_change`" in refused.log
    taken = run_deletes(config | {"allow_org_change": True}, state=state)
    assert taken.code == 4, "what the old bus kept is gone"
    assert run_deletes(config, state=taken.state).code == 0


def test_without_topics_the_state_of_another_org_is_refused_too(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org)
    state = copy.deepcopy(run_deletes(config).state)
    state["bookmarks"][STREAM]["org_id"] = "00D900000000001EAA"
    assert run_deletes(config, state=state).code == 2


# Events that nobody can read.


@pytest.mark.parametrize("fault", ["corrupt", "blank_schema_id"])
def test_an_event_that_cannot_be_read_stops_its_topic_before_it(serve: Serve, empty_org: Path, fault: str) -> None:
    server = serve(empty_org)
    accounts(server, 30)
    later(server, MINUTE)
    delete_accounts(server, "Account 1%")
    later(server, MINUTE)
    server.control(pubsub={fault: [{"pattern": "Record_Deleted|/event/", "skip": 5, "times": 1}], "chunk": 3})
    config = settings_for(server, empty_org, topics=[PLATFORM_EVENT], reconcile="never", enrich="never")
    store = Store()
    run = store.run(config)
    assert run.code == 1, run.log
    assert "Account 1" not in run.log
    assert len(run.records[STREAM]) < 11
    server.control(reset=True)
    rest = store.load(run_deletes(config, state=run.states[-1] if run.states else None))
    assert rest.code == 0
    assert store.told() == expected(empty_org)


def test_a_field_that_is_added_while_a_topic_is_read_changes_nothing(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 9)
    later(server, MINUTE)
    delete_accounts(server, "Account 1")
    server.control(pubsub={"add_field": [{"entity": "Account", "name": "More__c"}]})
    delete_accounts(server, "Account 2")
    later(server, MINUTE)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    store = Store()
    assert store.run(config).code == 0
    assert store.told() == expected(empty_org)


def test_sessions_that_end_while_topics_are_read_are_renewed(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 200)
    later(server, MINUTE)
    delete_accounts(server, "Account%")
    server.control(pubsub={"fail": [{"code": "service.auth.error", "after_events": 50}], "chunk": 10})
    config = settings_for(server, empty_org, topics=[PLATFORM_EVENT], reconcile="never", enrich="never")
    store = Store()
    run = store.run(config)
    assert run.code == 0, run.log
    assert len(run.records[STREAM]) == len(expected(empty_org)) == 200
    assert replay_id(run.state, PLATFORM_EVENT)
