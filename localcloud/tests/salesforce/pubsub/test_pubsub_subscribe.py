"""Subscribe as a client sees it: where it begins, how much comes, what an empty response means."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcloud.salesforce.changes import Change
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.control import AddField, PubSubControl, Setup
from localcloud.salesforce.pubsub.settings import Channel, Member

ACCOUNTS, ALL = "/data/AccountChangeEvent", "/data/ChangeEvents"
LATEST, CUSTOM = 0, 2

World = Any
Code = Callable[[Any], str]


def ids(client: Any, events: list[Any]) -> list[str]:
    return [one for event in events for one in client.decode(event)["ChangeEventHeader"]["recordIds"]]


def test_earliest_gives_all_that_is_kept_in_order(world: World) -> None:
    world.deletes(250)
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    first = stream.next()
    assert (len(first.events), first.pending_num_requested) == (100, 0)
    assert first.latest_replay_id == first.events[-1].replay_id
    found = list(first.events)
    for _ in range(2):
        stream.ask(100)
        found += stream.read(50 if len(found) == 200 else 100)
    assert ids(client, found) == [world.id("Account", n) for n in range(250)]
    assert len({event.event.id for event in found}) == 250


def test_latest_gives_only_what_comes_after_the_subscription(world: World) -> None:
    world.delete(1)
    client = world.client()
    stream = client.subscribe(ACCOUNTS, preset=LATEST)
    world.seen("pubsub_request")
    world.delete(2)
    assert ids(client, stream.read(1)) == [world.id("Account", 2)]


def test_custom_begins_strictly_after_the_replay_id(world: World) -> None:
    world.deletes(5)
    client = world.client()
    kept = client.events(ACCOUNTS)
    stream = client.subscribe(ACCOUNTS, preset=CUSTOM, replay_id=kept[2].replay_id)
    assert ids(client, stream.read(2)) == [world.id("Account", 3), world.id("Account", 4)]
    assert stream.quiet()


def test_events_of_other_processes_arrive_too(world: World) -> None:
    from localcloud.salesforce.org import Org  # noqa: PLC0415
    from localcloud.salesforce.pubsub.bus import Bus  # noqa: PLC0415

    client = world.client()
    stream = client.subscribe(ACCOUNTS, preset=LATEST)
    world.seen("pubsub_request")
    done = world.delete(1)
    assert len(stream.read(1)) == 1
    with Org.open(world.org.path, clock=world.clock) as other, other.db:
        Bus(other).publish(done)  # and nobody rings
    assert len(stream.read(1)) == 1


def test_a_request_adds_to_what_is_still_owed_up_to_a_hundred(world: World) -> None:
    world.deletes(150)
    client = world.client()
    stream = client.subscribe("/data/ContactChangeEvent", count=30)
    world.seen("pubsub_request")
    stream.ask(90)
    owed: list[int] = []
    while not owed or owed[-1] != 100:
        world.time.pass_by(61)
        owed.append(stream.next().pending_num_requested)
    assert set(owed) <= {30, 100}
    world.deletes(150, sobject="Contact")
    assert len(stream.read(100)) == 100
    assert stream.quiet()


def test_what_is_at_hand_is_sent_before_the_next_request_is_heard(world: World) -> None:
    world.deletes(350)
    client = world.client()
    stream = client.subscribe(ACCOUNTS, count=100)
    for _ in range(2):
        stream.ask(100)
    assert [len(stream.next().events) for _ in range(3)] == [100, 100, 100]
    assert stream.quiet()
    stream.ask(100)
    assert len(stream.read(50)) == 50
    world.deletes(1, first=400)  # for the rest of the last request
    assert len(stream.read(1)) == 1


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.integers(1, 60), min_size=1, max_size=6), chunk=st.integers(1, 40))
def test_every_event_that_was_asked_for_comes_once(world: World, asked: list[int], chunk: int) -> None:
    world.control.apply(PubSubControl(chunk=chunk))
    if not world.bus.last_events(ACCOUNTS, 1):
        world.deletes(400)
    client = world.client()
    total = min(100, sum(asked))
    stream = client.subscribe(ACCOUNTS, count=asked[0])
    for count in asked[1:]:
        stream.ask(count)
    found: list[Any] = []
    while len(found) < total:
        response = stream.next()
        assert 1 <= len(response.events) <= chunk
        assert response.pending_num_requested <= 100
        found += response.events
    assert ids(client, found)[:total] == [world.id("Account", n) for n in range(len(found))][:total]
    stream.cancel()


@pytest.mark.parametrize("preset", [0, 1])
def test_an_empty_response_comes_in_time_and_names_a_place_ahead_of_the_last_event(world: World, preset: int) -> None:
    world.deletes(3)
    client = world.client()
    last = client.events(ACCOUNTS)[-1]
    stream = client.subscribe(ACCOUNTS, preset=preset)
    world.seen("pubsub_request", 2)
    if preset:
        stream.read(3)
    world.time.pass_by(59)
    assert stream.quiet()
    world.time.pass_by(1)
    keepalive = stream.next()
    assert (len(keepalive.events), keepalive.pending_num_requested) == (0, 97 if preset else 100)
    assert keepalive.latest_replay_id > last.replay_id
    stream.cancel()
    world.deletes(2, first=50)
    resumed = client.subscribe(ACCOUNTS, preset=CUSTOM, replay_id=keepalive.latest_replay_id)
    assert ids(client, resumed.read(2)) == [world.id("Account", 50), world.id("Account", 51)]


def test_the_interval_of_empty_responses_is_a_setting(world: World) -> None:
    world.control.apply(PubSubControl(keepalive_seconds=270.0))
    stream = world.client().subscribe(ACCOUNTS)
    world.seen("pubsub_request")
    world.time.pass_by(269)
    assert stream.quiet()
    world.time.pass_by(1)
    assert len(stream.next().events) == 0


def test_a_client_that_orders_nothing_for_60_seconds_is_closed_out(world: World) -> None:
    world.deletes(4)
    stream = world.client().subscribe(ACCOUNTS, count=2)
    stream.read(2)
    world.time.pass_by(59)
    stream.ask(2)
    stream.read(2)
    world.time.pass_by(60)
    error = stream.error()
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert error.details() == "RST_STREAM closed stream. HTTP/2 error code: NO_ERROR"
    assert "error-code" not in dict(error.trailing_metadata())


def test_a_stream_with_events_on_order_is_never_closed_out(world: World) -> None:
    stream = world.client().subscribe(ACCOUNTS)
    world.seen("pubsub_request")
    for _ in range(5):
        world.time.pass_by(61)
        assert stream.next().pending_num_requested == 100


def test_a_channel_of_several_entities_has_no_schema_but_its_events_have(world: World) -> None:
    world.control.apply(PubSubControl(setup=Setup(channels=(Channel("Mine__chn", (Member("Case"),)),))))
    world.commit(*[Change(name, world.id(name, 1), "DELETE") for name in ("Account", "Case")])
    client = world.client()
    for name in (ALL, "/data/Mine__chn"):
        topic = client.topic(name)
        assert (topic.schema_id, topic.can_subscribe, topic.can_publish) == ("", True, False)
    both = client.events(ALL)
    assert [client.decode(event)["ChangeEventHeader"]["entityName"] for event in both] == ["Account", "Case"]
    assert both[0].event.schema_id != both[1].event.schema_id
    assert client.topic(ACCOUNTS).schema_id == both[0].event.schema_id
    assert [event.event.schema_id for event in client.events("/data/Mine__chn")] == [both[1].event.schema_id]


def test_old_events_keep_their_schema_when_the_definition_changes_under_a_stream(world: World) -> None:
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    world.delete(1)
    [before] = stream.read(1)
    world.control.apply(PubSubControl(add_field=[AddField("Account", "Score__c", "double")]))
    world.commit(Change("Account", world.id("Account", 2), "UPDATE", {"Score__c": "1.5"}))
    [after] = stream.read(1)
    assert before.event.schema_id != after.event.schema_id == client.topic(ACCOUNTS).schema_id
    assert "Score__c" not in client.decode(before)
    assert client.decode(after)["Score__c"] == 1.5
    assert [event.event.schema_id for event in client.events(ACCOUNTS)] == [
        before.event.schema_id,
        after.event.schema_id,
    ]


def test_entities_that_the_user_may_not_see_are_left_out_without_a_word(world: World, error_code: Code) -> None:
    world.commit(*[Change(name, world.id(name, 1), "DELETE") for name in ("Account", "Case")])
    client = world.client()
    world.switches.forbidden_objects = {"account"}
    assert [client.decode(event)["ChangeEventHeader"]["entityName"] for event in client.events(ALL)] == ["Case"]
    assert not client.topic(ACCOUNTS).can_subscribe
    error = client.subscribe(ACCOUNTS).error()
    assert (error.code(), error_code(error)) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "subscription.topic.cannot.subscribe",
    )
    world.switches.forbidden_objects = set()
    assert len(client.events(ALL)) == 2


def test_fields_that_the_user_may_not_see_are_empty_and_named_nowhere(world: World) -> None:
    world.commit(Change("Account", world.id("Account", 1), "UPDATE", {"Name": "Acme", "Phone": "1"}))
    client = world.client()
    [plain] = [client.decode(event) for event in client.events(ACCOUNTS)]
    world.switches.forbidden_fields = {"Account.Name"}
    [masked] = [client.decode(event) for event in client.events(ACCOUNTS)]
    assert (plain["Name"], plain["Phone"]) == ("Acme", "1")
    assert (masked["Name"], masked["Phone"]) == (None, "1")
    assert plain["ChangeEventHeader"]["changedFields"] != masked["ChangeEventHeader"]["changedFields"]


def test_a_client_that_finishes_gets_what_it_ordered_and_then_the_end(world: World) -> None:
    world.deletes(7)
    stream = world.client().subscribe(ACCOUNTS, count=5)
    stream.finish()
    assert len(stream.next().events) == 5
    assert stream.next_or_end() is None


def test_the_journal_says_who_subscribed_and_how_much_went_out(world: World) -> None:
    world.deletes(12)
    client = world.client()
    stream = client.subscribe(ACCOUNTS, count=8)
    stream.read(8)
    stream.cancel()
    [fetch] = world.seen("pubsub_fetch")
    assert (fetch.path, fetch.query, fetch.rows) == ("/eventbus.v1.PubSub/Subscribe", ACCOUNTS, 8)
    assert world.seen("pubsub_request")[0].parts == ("EARLIEST",)
    [ended] = world.seen("pubsub_subscribe")
    assert (ended.rows, ended.query) == (8, ACCOUNTS)
    assert ended.status in {200, 499}  # to the server a call that is cancelled can look like one that is done
    assert "grpc-python" in (ended.client or "")


def test_a_large_topic_is_read_in_blocks(world: World) -> None:
    from localcloud.salesforce.pubsub import store  # noqa: PLC0415

    world.deletes(2_500)
    topic = world.bus.topic(ACCOUNTS)
    first = store.read(world.org.db, topic.selection(), 0, 0)
    assert len(first.events) == store.BLOCK_ROWS
    rest = store.read(world.org.db, topic.selection(), first.position, 0)
    assert len(rest.events) == 500
    assert store.read(world.org.db, topic.selection(), rest.position, 0) == ([], rest.position)


def test_large_events_make_smaller_blocks_and_responses(world: World) -> None:
    from localcloud.salesforce.pubsub import store  # noqa: PLC0415

    for n in range(24):
        change = Change("Account", world.id("Account", n), "CREATE", {"Description": str(n).ljust(300_000, "x")})
        world.commit(change)
    block = store.read(world.org.db, world.bus.topic(ACCOUNTS).selection(), 0, 0, rows=24)
    assert len(block.events) == 24
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    sizes: list[tuple[int, int]] = []
    while sum(count for count, _ in sizes) < 24:
        response = stream.next()
        sizes.append((len(response.events), response.ByteSize()))
    assert all(size < 3_100_000 for _, size in sizes)
    assert len(sizes) == 3


def test_the_server_stops_soon_with_streams_open(world: World) -> None:
    import time  # noqa: PLC0415

    streams = [world.client().subscribe(ACCOUNTS) for _ in range(5)]
    world.seen("pubsub_request", 5)
    started = time.monotonic()
    world.server.stop()
    assert time.monotonic() - started < 10
    assert {stream.error().code() for stream in streams} <= {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
    }


def test_an_event_that_comes_while_a_block_is_read_is_in_one_block(world: World) -> None:
    from localcloud.salesforce.pubsub import store  # noqa: PLC0415

    world.deletes(3)
    selection = world.bus.topic(ACCOUNTS).selection()
    reader = store.connect(world.org.path)
    late = iter([1])

    def meanwhile(statement: str) -> None:
        if statement.startswith("SELECT wire"):
            world.deletes(next(late, 0), first=3)

    reader.set_trace_callback(meanwhile)
    first = store.read(reader, selection, 0, 0)
    rest = store.read(reader, selection, first.position, 0)
    reader.close()
    assert len({*first.events, *rest.events}) == len(first.events) + len(rest.events) == 4


def test_the_clock_moves_while_callers_read_and_another_connection_writes(world: World) -> None:
    """What one thread read in the transaction of another made its write fail: the file was newer by then."""
    room, ended = world.server.room, threading.Event()

    def read() -> None:
        while not ended.is_set():
            with room.lock:
                room.bus.oldest_ms()

    def write() -> None:
        with Org.open(world.org.path) as another:
            while not ended.is_set():
                another.clock.advance(timedelta(milliseconds=1))

    with ThreadPoolExecutor(3) as others:
        running = [others.submit(act) for act in (read, read, write)]
        try:
            for _ in range(2_000):
                world.clock.advance(timedelta(milliseconds=1))
        finally:
            ended.set()
    assert [one.result() for one in running] == [None] * 3
