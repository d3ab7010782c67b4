"""Several topics in one run: ten at once, one that stops while others go on, a moved org, a topic read too late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions import timestamps
from tap_salesforce_deletes.position import STREAM
from tap_salesforce_deletes.waiting import IdleRule
from tests.conftest import HOUR, MINUTE
from tests.deletes import ACCOUNTS, ALL, PLATFORM_EVENT, Store, replay_id, run_deletes, settings_for
from tests.deletes_org import accounts, act, contacts, delete_accounts, expected, later
from tests.harness import Json

Serve = Callable[..., Running]
CONTACTS = "/data/ContactChangeEvent"
OBJECTS = ("Account", "Case", "Contact", "Invoice__c", "Opportunity")
OF_OBJECTS = [f"/data/{name.removesuffix('c') if name.endswith('__c') else name}ChangeEvent" for name in OBJECTS]
CHANNELS = [f"/data/Deletes_{number}__chn" for number in (1, 2, 3)]
TEN = [*OF_OBJECTS, ALL, PLATFORM_EVENT, *CHANNELS]


def topics_of(state: Json) -> Json:
    topics: Json = state["bookmarks"][STREAM]["topics"]
    return topics


def test_ten_topics_are_read_at_once_and_each_keeps_its_own_position(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    members = [{"entity": "Account"}, {"entity": "Contact"}]
    channels = [{"name": name.rpartition("/")[2], "members": members} for name in CHANNELS]
    server.control(pubsub={"setup": {"channels": channels}})
    accounts(server, 40)
    contacts(server, 40)
    later(server, MINUTE)
    for number in range(1, 5):
        delete_accounts(server, f"Account {number}%", transaction="one")
        act(server, "delete", object="Contact", where=f"LastName LIKE 'Contact {number}%'", transaction="one")
    later(server, MINUTE)
    config = settings_for(server, empty_org, topics=TEN, reconcile="never", enrich="never")
    store = Store()
    run = store.run(config)
    assert run.code == 0, run.log
    assert store.told() == expected(empty_org)
    topics = topics_of(run.state)
    assert len(TEN) == len(topics) == 10
    busy = {ALL, PLATFORM_EVENT, ACCOUNTS, CONTACTS, *CHANNELS}
    assert {name for name in TEN if topics[name]["replay_id"]} >= busy
    again = store.run(config)
    assert (again.code, again.records[STREAM]) == (0, [])


@pytest.mark.parametrize("fault", ["corrupt", "blank_schema_id"])
def test_a_topic_with_an_event_that_cannot_be_read_stops_and_the_others_are_complete(
    serve: Serve, empty_org: Path, fault: str
) -> None:
    server = serve(empty_org)
    accounts(server, 20)
    contacts(server, 20)
    later(server, MINUTE)
    config = settings_for(server, empty_org, topics=[ACCOUNTS, CONTACTS], reconcile="never", enrich="never")
    store = Store()
    assert store.run(config).code == 0
    before = store.state
    for number in range(1, 10):
        delete_accounts(server, f"Account {number}")
        act(server, "delete", object="Contact", where=f"LastName = 'Contact {number}'")
    later(server, MINUTE)
    server.control(pubsub={fault: [{"pattern": CONTACTS, "times": 1}]})
    run = store.load(run_deletes(config, state=before))
    assert run.code == 1, run.log
    assert CONTACTS in run.log
    assert "Contact 1" not in run.log
    assert {record["record_type"] for record in run.records[STREAM]} == {"Account"}
    assert len(run.records[STREAM]) == 9
    assert replay_id(run.state, CONTACTS) == replay_id(before, CONTACTS)
    assert replay_id(run.state, ACCOUNTS) != replay_id(before, ACCOUNTS)
    server.control(reset=True)
    rest = store.run(config)
    assert (rest.code, len(rest.records[STREAM])) == (0, 9)
    assert store.told() == expected(empty_org)


def test_a_moved_instance_is_a_gap_once_and_the_delete_log_brings_what_the_old_bus_kept(
    serve: Serve, empty_org: Path
) -> None:
    with Org.open(empty_org) as org:
        org.load("Organization", [{"Id": org.org_id, "Name": org.settings.name, "InstanceName": "USA1"}])
    server = serve(empty_org)
    accounts(server, 9)
    contacts(server, 9)
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], enrich="never", reconcile_objects=["Account"])
    store = Store()
    assert store.run(config).code == 0
    assert topics_of(store.state or {})[ACCOUNTS]["instance"] == "USA1"
    later(server, HOUR)
    delete_accounts(server, "Account 1")
    later(server, MINUTE)
    server.control(pubsub={"migrate": {"instance": "USA2"}})
    later(server, MINUTE)
    delete_accounts(server, "Account 2")
    later(server, 2 * HOUR)
    before = store.state or {}
    run = store.run(config)
    assert run.code == 4, run.log
    (gap,) = store.gaps()
    assert (gap.record_type, gap.context.metadata["gap_start"]) == (ACCOUNTS, topics_of(before)[ACCOUNTS]["drained_at"])
    assert store.told() == expected(empty_org)
    assert topics_of(run.state)[ACCOUNTS]["instance"] == "USA2"
    by_source = {one.record_id: one.source for one in store.deletions()}
    assert sorted(by_source.values()) == ["change_event", "get_deleted"]
    later(server, HOUR)
    assert store.run(config).code == 0
    assert len(store.gaps()) == 1


def test_a_topic_without_a_replay_id_that_was_left_for_more_than_72_hours_is_a_gap_once(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    accounts(server, 3)
    config = settings_for(
        server, empty_org, topics=[ACCOUNTS], start_from="latest", enrich="never", reconcile_objects=["Account"]
    )
    silent = IdleRule(idle_seconds=0.02, longest_seconds=0.2)
    store = Store()
    assert store.load(run_deletes(config, rule=silent)).code == 0
    assert replay_id(store.state, ACCOUNTS) == ""
    later(server, HOUR)
    delete_accounts(server, "Account 1")
    later(server, 80 * HOUR)
    delete_accounts(server, "Account 2")
    later(server, 5 * MINUTE)
    left = topics_of(store.state or {})[ACCOUNTS]["drained_at"]
    run = store.run(config)
    assert run.code == 4, run.log
    (gap,) = store.gaps()
    end = timestamps.parse(gap.context.metadata["gap_end"])
    assert gap.context.metadata["gap_start"] == left
    assert (end.minute, end.second) == (0, 0)
    assert store.told() == expected(empty_org)
    assert store.run(config).code == 0


def test_a_run_that_is_killed_right_behind_a_gap_is_followed_by_no_second_one(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 3)
    later(server, MINUTE)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    store = Store()
    assert store.run(config).code == 0
    later(server, 100 * HOUR)
    first = run_deletes(config, state=store.state)
    assert (first.code, len(first.records[STREAM])) == (4, 1)
    store.load(run_deletes(config, state=store.state))  # the state behind the gap never came
    later(server, MINUTE)
    store.run(config)
    later(server, MINUTE)
    behind = next(state for state in first.states if topics_of(state)[ACCOUNTS]["replay_id"] == "")
    after = store.load(run_deletes(config, state=behind, rule=IdleRule(idle_seconds=0.02, longest_seconds=0.2)))
    assert (after.code, after.records[STREAM]) == (0, [])
    assert {one.event_id for one in store.gaps()} == {first.records[STREAM][0]["event_id"]}


def test_a_topic_that_is_stopped_before_it_was_drained_is_not_noted_as_drained(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 3)
    later(server, MINUTE)
    server.control(pubsub={"allocation": {"max": 1000, "used": 900}})
    config = settings_for(
        server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never", delivery_percent_total=50
    )
    run = run_deletes(config)
    assert (run.code, topics_of(run.state)) == (3, {})
