"""What an org keeps of its events, who may replay them and for how long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from localcloud.salesforce.changes import Change
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.settings import Channel, DeleteTrigger, Member, PlatformEvent
from localcloud.salesforce.sobject import Field

ACCOUNTS, ALL = "/data/AccountChangeEvent", "/data/ChangeEvents"
CREATED = {"Name": "Acme", "OwnerId": "005000000000001AAA", "AnnualRevenue": "12.50", "IsDeleted": 0}

World = Any
Code = Callable[[Any], str]


def kinds(world: World, topic: str) -> list[tuple[str, str | None]]:
    """Entities and change types of a topic, oldest first."""
    return [(event.entity, event.change_type) for event in reversed(world.bus.last_events(topic, 100))]


def test_each_selected_object_has_a_topic_and_all_share_one(world: World) -> None:
    world.commit(Change("Account", world.id("Account", 1), "DELETE"), Change("Case", world.id("Case", 1), "DELETE"))
    assert {topic.name: topic.events for topic in world.bus.topics()} == {
        "/data/AccountChangeEvent": 1,
        "/data/ContactChangeEvent": 0,
        "/data/OpportunityChangeEvent": 0,
        "/data/CaseChangeEvent": 1,
        "/data/Invoice__ChangeEvent": 0,
        "/data/ChangeEvents": 2,
        "/event/Record_Deleted__e": 2,
    }


def test_objects_that_are_not_selected_publish_nothing(world: World) -> None:
    world.delete(1, sobject="Declaration__c")
    assert kinds(world, "/data/Declaration__ChangeEvent") == []
    assert kinds(world, ALL) == []
    world.bus.configure(selected=("Declaration__c",))
    world.delete(2, sobject="Declaration__c")
    assert kinds(world, ALL) == kinds(world, "/data/Declaration__ChangeEvent") == [("Declaration__c", "DELETE")]


def test_what_is_shown_of_an_event_is_decoded(world: World) -> None:
    done = world.commit(Change("Account", world.id("Account", 1), "CREATE", CREATED))
    [event] = world.bus.last_events(ACCOUNTS, 5)
    assert event.record_ids == (world.id("Account", 1),)
    assert event.at == "2026-03-02T08:00:00.000+0000"
    header = event.payload.pop("ChangeEventHeader")
    assert {name: value for name, value in event.payload.items() if value is not None} == {
        "Name": "Acme",
        "OwnerId": "005000000000001AAA",
        "AnnualRevenue": 12.5,
    }
    assert header["transactionKey"] == done.key
    assert header["changeOrigin"] == "com/salesforce/api/rest/60.0;client=tests"
    assert header["commitUser"] == world.org.user_id
    assert header["commitTimestamp"] == 1772438400000
    assert header["commitNumber"] > 2**53


def test_events_survive_a_restart_and_another_process_may_add(world: World) -> None:
    world.delete(1)
    with Org.open(world.org.path, clock=world.clock) as other:
        bus = Bus(other)
        with other.db:
            bus.publish(world.delete(2))
        assert [event.record_ids for event in bus.last_events(ACCOUNTS, 9)] == [
            (world.id("Account", 2),),
            (world.id("Account", 2),),
            (world.id("Account", 1),),
        ]


def test_an_event_of_a_transaction_that_was_rolled_back_never_was(world: World) -> None:
    done = world.delete(1)
    with pytest.raises(sqlite3.Error), world.org.db:  # noqa: PT012
        world.bus.publish(done)
        world.org.db.execute("no SQL")
    assert len(world.bus.last_events(ACCOUNTS, 9)) == 1


def test_commit_numbers_rise_whatever_the_clock_does(world: World) -> None:
    numbers = []
    for step in (0, 5, -3600, 10):
        world.clock.advance(timedelta(seconds=step))
        world.delete(1)
        numbers.append(world.bus.last_events(ACCOUNTS, 1)[0].payload["ChangeEventHeader"]["commitNumber"])
    assert numbers == sorted(set(numbers))


def test_replay_ids_have_the_shape_of_the_wire_and_tell_no_row(world: World) -> None:
    world.deletes(200)
    ids = [bytes.fromhex(event.replay_id) for event in reversed(world.bus.last_events(ACCOUNTS, 300))]
    assert {(len(one), one[8:]) for one in ids} == {(10, b"\0\0")}
    numbers = [int.from_bytes(one[:8], "big") for one in ids]
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 1_000
    assert len({after - before for before, after in pairwise(numbers)}) > 5


def test_replay_ids_without_a_number_are_neither_ordered_nor_ten_bytes(world: World) -> None:
    world.bus.configure(replay_ids="opaque")
    world.deletes(60)
    ids = [bytes.fromhex(event.replay_id) for event in reversed(world.bus.last_events(ACCOUNTS, 100))]
    assert {len(one) for one in ids} == {12}
    assert len(set(ids)) == 60
    assert ids != sorted(ids)
    client = world.client()
    found = client.subscribe(ACCOUNTS, preset=2, replay_id=ids[56]).read(3)
    assert [event.replay_id for event in found] == ids[57:]


def test_events_are_replayed_for_72_hours_of_the_orgs_clock(world: World, error_code: Code) -> None:
    world.delete(1)
    client = world.client()
    [first] = client.events(ACCOUNTS)
    world.clock.advance(timedelta(hours=71, minutes=59))
    world.delete(2)
    assert len(client.events(ACCOUNTS)) == 2
    assert len(client.events(ACCOUNTS, preset=2, replay_id=first.replay_id)) == 1
    world.clock.advance(timedelta(minutes=2))
    assert [client.decode(event)["ChangeEventHeader"]["recordIds"] for event in client.events(ACCOUNTS)] == [
        [world.id("Account", 2)]
    ]
    error = client.subscribe(ACCOUNTS, preset=2, replay_id=first.replay_id).error()
    assert error_code(error) == "subscription.fetch.replayid.corrupted"


def test_a_custom_channel_shows_its_members_and_what_their_filters_let_through(world: World) -> None:
    deletes = "ChangeEventHeader.changeType IN ('DELETE', 'UNDELETE') or ChangeEventHeader.changeType LIKE 'GAP%'"
    world.bus.configure(
        channels=(Channel("Deletes__chn", (Member("Account", deletes), Member("Declaration__c"))),),
    )
    world.commit(Change("Account", world.id("Account", 1), "CREATE", CREATED))
    world.delete(1)
    world.delete(1, sobject="Declaration__c")
    world.delete(1, sobject="Case")
    assert kinds(world, "/data/Deletes__chn") == [("Account", "DELETE"), ("Declaration__c", "DELETE")]
    assert kinds(world, ALL) == [("Account", "CREATE"), ("Account", "DELETE"), ("Case", "DELETE")]


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("ChangeEventHeader.changeType = 'delete'", True),
        ("ChangeEventHeader.changeType != 'DELETE'", False),
        ("ChangeEventHeader.changeType NOT IN ('CREATE','UPDATE')", True),
        ("ChangeEventHeader.sequenceNumber >= 1 AND ChangeEventHeader.commitNumber > 0", True),
        ("ChangeEventHeader.commitTimestamp < 1000", False),
        ("(ChangeEventHeader.entityName='Account')AND(ChangeEventHeader.commitUser LIKE '005%')", True),
        ("ChangeEventHeader.sequenceNumber = 1 AND (ChangeEventHeader.sequenceNumber = 9 OR ChangeEventHeader.changeType = 'DELETE')", True),  # noqa: E501
        (r"ChangeEventHeader.transactionKey = 'it\'s'", False),
    ],
)  # fmt: skip
def test_filter_expressions_decide(world: World, expression: str, passes: bool) -> None:
    world.bus.configure(channels=(Channel("F__chn", (Member("Account", expression),)),))
    world.delete(1)
    assert len(kinds(world, "/data/F__chn")) == passes


@pytest.mark.parametrize(
    "expression",
    [
        "Name = 'Acme'",
        "ChangeEventHeader.recordIds = '001'",
        "ChangeEventHeader.changeType",
        "ChangeEventHeader.changeType = DELETE",
        "ChangeEventHeader.changeType IN ()",
        "ChangeEventHeader.changeType = 'A' AND",
        "ChangeEventHeader.changeType = 'A' 'B'",
        "ChangeEventHeader.sequenceNumber = '1'",
        "(ChangeEventHeader.sequenceNumber = 1",
        "ChangeEventHeader.changeType = 'A'; DROP TABLE x",
        "(" * 50 + "ChangeEventHeader.sequenceNumber = 1" + ")" * 50,
    ],
)
def test_filter_expressions_outside_the_subset_are_refused(world: World, expression: str) -> None:
    with pytest.raises(ValueError, match="filter expression"):
        world.bus.configure(channels=(Channel("F__chn", (Member("Account", expression),)),))
    assert world.bus.settings.channels == ()


def test_a_channel_enriches_updates_and_deletes_only_there(world: World) -> None:
    world.bus.configure(channels=(Channel("Rich__chn", (Member("Account", "", ("OwnerId", "Name")),)),))
    one, two = world.id("Account", 1), world.id("Account", 2)
    world.org.load("Account", [
        {"Id": one, "Name": "Acme", "OwnerId": "005000000000001AAA"},
        {"Id": two, "Name": "Other", "OwnerId": "005000000000001AAA"},
    ])  # fmt: skip
    world.commit(*[Change("Account", record, "DELETE") for record in (one, two)])
    client = world.client()
    rich = [client.decode(event) for event in client.events("/data/Rich__chn")]
    plain = [client.decode(event) for event in client.events(ACCOUNTS)]
    assert [(r["ChangeEventHeader"]["recordIds"], r["Name"], r["OwnerId"]) for r in rich] == [
        ([one], "Acme", "005000000000001AAA"),
        ([two], "Other", "005000000000001AAA"),
    ]
    assert [(r["ChangeEventHeader"]["recordIds"], r["Name"]) for r in plain] == [([one], None), ([two], None)]
    assert [r["ChangeEventHeader"]["changedFields"] for r in rich] == [[], []]


def test_a_delete_trigger_publishes_after_commit_and_misses_cascades(world: World) -> None:
    account = world.id("Account", 1)
    world.org.load("Account", [{"Id": account, "Name": "Acme", "OwnerId": "005000000000007AAA"}])
    world.commit(
        Change("Account", account, "DELETE"),
        Change("Contact", world.id("Contact", 1), "DELETE", cascade=True),
        Change("Declaration__c", world.id("Declaration__c", 1), "DELETE"),
    )
    [event] = world.bus.last_events("/event/Record_Deleted__e", 9)
    assert event.payload == {
        "CreatedDate": 1772438400000,
        "CreatedById": world.org.user_id,
        "Object_Name__c": "Account",
        "Record_Id__c": account,
        "Deleted_By__c": world.org.user_id,
        "Deleted_Date__c": 1772438400000,
        "Owner_Id__c": "005000000000007AAA",
    }
    assert kinds(world, "/data/ContactChangeEvent") == [("Contact", "DELETE")]


def test_platform_events_are_what_the_org_defines(world: World) -> None:
    world.bus.configure(
        platform_events=(PlatformEvent("Gone__e", (Field("What__c", "string"),)),),
        delete_triggers=(DeleteTrigger("Gone__e", ("Account",), {"What__c": "id"}),),
        channels=(Channel("Mine__chn", (Member("Gone__e"),)),),
    )
    world.delete(4)
    assert world.bus.topic("/event/Record_Deleted__e") is None
    assert [event.payload["What__c"] for event in world.bus.last_events("/event/Mine__chn", 9)] == [
        world.id("Account", 4)
    ]
    assert world.bus.topic("/data/Mine__chn") is None


def test_a_gap_event_comes_where_the_next_change_is_to_be_one(world: World) -> None:
    world.bus.configure(gap_next=2)
    world.delete(1, 2)
    world.delete(3)
    [gap, plain] = list(reversed(world.bus.last_events(ACCOUNTS, 9)))
    assert (gap.change_type, gap.record_ids) == ("GAP_DELETE", (world.id("Account", 1), world.id("Account", 2)))
    assert (plain.change_type, plain.record_ids) == ("DELETE", (world.id("Account", 3),))


def test_an_overflow_says_the_entity_and_no_record(world: World) -> None:
    world.bus.configure(overflow_ceiling=1, delete_triggers=())
    world.commit(*[Change(name, world.id(name, 1), "DELETE") for name in ("Account", "Contact", "Case")])
    assert [(e.entity, e.change_type, e.record_ids) for e in reversed(world.bus.last_events(ALL, 9))] == [
        ("Account", "DELETE", (world.id("Account", 1),)),
        ("Contact", "GAP_OVERFLOW", ("000000000000000AAA",)),
        ("Case", "GAP_OVERFLOW", ("000000000000000AAA",)),
    ]


def test_what_nobody_can_read_any_more_leaves_the_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.salesforce.pubsub.bus._PURGE_EVERY", 60)
    world.deletes(50)
    world.clock.advance(timedelta(hours=72 + 25))
    world.deletes(10, first=100)
    assert world.org.db.execute('SELECT count(*) FROM "_pubsub_event" WHERE entity = ?', ("Account",)).fetchone() == (
        10,
    )


def test_an_org_made_before_there_were_events_gets_its_bus(world: World) -> None:
    for table in ("event", "enriched", "schema", "tip", "state"):
        world.org.db.execute(f'DROP TABLE "_pubsub_{table}"')
    bus = Bus(world.org)
    assert bus.last_events(ALL, 5) == []
    assert bus.topics()[0].events == 0
