"""Connections that break, hang or drain, and events that are spoilt, all by control."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from localcloud.salesforce.pubsub.contract import CLASSES
from localcloud.salesforce.pubsub.control import Duplicate, GoAway, Migration, PubSubControl
from localcloud.salesforce.pubsub.server import PortTakenError, PubSubServer
from localcloud.salesforce.pubsub.switches import ConnectionCut, Hang, LargeResponse
from localcloud.salesforce.server import serve_in_thread
from localcloud.serving.faults import Trap
from localcloud.tls import certificates

ACCOUNTS = "/data/AccountChangeEvent"
CUSTOM = 2
Status = grpc.StatusCode

World = Any
Code = Callable[[Any], str]


def again(client: Any) -> list[Any]:
    """The events of the topic over a new connection, once the old one is known to be gone."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            found: list[Any] = client.events(ACCOUNTS)
        except grpc.RpcError as error:
            if error.code() != Status.UNAVAILABLE:
                raise
        else:
            return found
    raise AssertionError("it stays unavailable")


@pytest.mark.parametrize("mode", ["close", "reset"])
def test_a_connection_is_cut_in_the_middle_of_a_stream(world: World, mode: Any) -> None:
    world.deletes(5)
    world.control.apply(PubSubControl(cut=[ConnectionCut(mode=mode, pattern="Subscribe", after_events=2)]))
    client = world.client()
    error = client.subscribe(ACCOUNTS).error()  # what was under way may be lost with the connection
    assert error.code() == Status.UNAVAILABLE
    assert "error-code" not in dict(error.trailing_metadata() or ())
    assert len(again(client)) == 5
    [fault] = world.seen("pubsub_fault")
    assert (fault.fault, fault.rows) == (mode, 2)


def test_a_silent_stream_answers_pings_but_nothing_else(world: World) -> None:
    world.deletes(3)
    world.control.apply(PubSubControl(hang=[Hang(pattern="Subscribe", after_events=1)]))
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    stream.read(1)
    world.seen("pubsub_fault")
    world.time.pass_by(10_000)
    stream.ask(1)
    assert client.topic(ACCOUNTS).can_subscribe  # the connection lives
    assert stream.quiet()
    stream.cancel()
    assert world.seen("pubsub_subscribe")[0].fault == "hang silent"


@pytest.mark.skipif(sys.platform != "linux", reason="a socket filter of Linux freezes the connection")
def test_a_frozen_connection_answers_no_ping(world: World) -> None:
    world.control.apply(PubSubControl(hang=[Hang(mode="frozen")]))
    options = [("grpc.keepalive_time_ms", 200), ("grpc.keepalive_timeout_ms", 200)]
    headers = world.client().headers
    with grpc.insecure_channel(f"127.0.0.1:{world.server.port}", options=options) as channel:
        call: Any = channel.unary_unary(
            "/eventbus.v1.PubSub/GetTopic", request_serializer=CLASSES["TopicRequest"].SerializeToString
        )
        with pytest.raises(grpc.RpcError) as raised:
            call(CLASSES["TopicRequest"](topic_name=ACCOUNTS), metadata=tuple(headers.items()), timeout=20)
    assert raised.value.code() == Status.UNAVAILABLE


def test_goaway_lets_open_streams_drain_while_new_calls_are_served(world: World) -> None:
    world.deletes(2)
    client = world.client()
    old = client.subscribe(ACCOUNTS)
    old.read(2)
    world.control.apply(PubSubControl(go_away=GoAway(grace_seconds=30)))
    world.delete(50)
    assert len(old.read(1)) == 1
    assert len(client.events(ACCOUNTS)) == 3
    assert len(world.client().events(ACCOUNTS)) == 3


def test_goaway_without_grace_ends_open_streams(world: World) -> None:
    world.deletes(2)
    client = world.client()
    old = client.subscribe(ACCOUNTS)
    old.read(2)
    world.control.apply(PubSubControl(go_away=GoAway()))
    assert old.error().code() in {Status.UNAVAILABLE, Status.CANCELLED}
    assert len(again(client)) == 2


def test_a_response_of_5_mb_exceeds_what_a_client_takes_by_default(world: World) -> None:
    world.deletes(2)
    world.control.apply(PubSubControl(large=[LargeResponse()]))
    client = world.client()
    error = client.subscribe(ACCOUNTS).error()
    assert error.code() == Status.RESOURCE_EXHAUSTED
    assert len(client.events(ACCOUNTS)) == 2


def test_a_duplicate_has_the_same_id_and_content_and_another_replay_id(world: World) -> None:
    world.deletes(2)
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    first, second = stream.read(2)
    world.control.apply(PubSubControl(duplicate=[Duplicate(ACCOUNTS, 1)]))
    [again] = stream.read(1)
    assert (again.event.id, again.event.payload) == (second.event.id, second.event.payload)
    assert again.replay_id not in {first.replay_id, second.replay_id}
    assert len(client.events("/data/ChangeEvents")) == 3


def test_an_event_can_come_without_a_schema_id(world: World) -> None:
    world.deletes(3)
    world.control.apply(PubSubControl(blank_schema_id=[Trap(pattern="Account", skip=1)]))
    assert [bool(event.event.schema_id) for event in world.client().events(ACCOUNTS)] == [True, False, True]


def test_a_payload_can_come_damaged(world: World) -> None:
    world.deletes(2)
    world.control.apply(PubSubControl(corrupt=[Trap()]))
    client = world.client()
    damaged, whole = client.events(ACCOUNTS)
    with pytest.raises((AssertionError, EOFError, UnicodeDecodeError, ValueError, IndexError)):
        client.decode(damaged)
    assert client.decode(whole)


def test_replay_ids_can_expire_at_once(world: World, error_code: Code) -> None:
    world.deletes(2)
    client = world.client()
    kept = client.events(ACCOUNTS)
    world.control.apply(PubSubControl(expire_replay_ids=True))
    error = client.subscribe(ACCOUNTS, preset=CUSTOM, replay_id=kept[0].replay_id).error()
    assert error_code(error) == "subscription.fetch.replayid.corrupted"
    assert client.events(ACCOUNTS) == []
    world.delete(9)
    assert len(client.events(ACCOUNTS)) == 1


def test_an_org_that_is_moved_begins_a_new_stream(world: World, error_code: Code) -> None:
    world.deletes(2)
    client = world.client()
    kept = client.events(ACCOUNTS)
    before = world.org.org_id
    world.control.apply(PubSubControl(migrate=Migration(new_org=True)))
    assert world.org.org_id != before
    assert len(world.org.org_id) == 18
    with pytest.raises(grpc.RpcError) as raised:
        client.topic(ACCOUNTS)
    assert error_code(raised.value) == "service.auth.error"
    client.headers["tenantid"] = world.org.org_id
    assert client.topic(ACCOUNTS).tenant_guid == f"CORE/prod/{world.org.org_id}"
    error = client.subscribe(ACCOUNTS, preset=CUSTOM, replay_id=kept[1].replay_id).error()
    assert error_code(error) == "subscription.fetch.replayid.corrupted"


def test_latency_comes_before_each_response(world: World) -> None:
    world.delete(1)
    world.control.apply(PubSubControl(latency_ms=5_000))
    stream = world.client().subscribe(ACCOUNTS)
    world.time.until_asked_for(5.0)
    world.time.pass_by(4.9)
    assert stream.quiet()
    world.time.pass_by(0.2)
    assert len(stream.read(1)) == 1


def test_reset_turns_all_of_it_off(world: World) -> None:
    world.deletes(2)
    asked = PubSubControl(hang=[Hang(times=None)], corrupt=[Trap(times=None)], chunk=1, latency_ms=9e9)
    world.control.apply(asked)
    world.control.reset()
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    response = stream.next()
    assert len(response.events) == 2
    assert client.decode(response.events[0])


def test_a_port_that_is_taken_is_said(world: World) -> None:
    with pytest.raises(PortTakenError) as raised:
        PubSubServer(world.org, world.sessions, world.switches, world.usage, world.journal, port=world.server.port)
    assert raised.value.port == world.server.port


@pytest.fixture
def served(world: World) -> Iterator[Any]:
    with serve_in_thread(world.org) as running:
        yield running


def test_the_control_endpoint_has_a_key_for_it(world: World, served: Any) -> None:
    served.control(pubsub={"setup": {"selected": ["Declaration__c"], "channels": [
        {"name": "Mine__chn", "members": [{"entity": "Case", "filter": "ChangeEventHeader.changeType = 'DELETE'"}]}
    ]}, "fail": [{"pattern": "GetTopic", "code": "topic.api.unavailable"}]})  # fmt: skip
    assert world.bus.settings.captured == {"Declaration__c", "Case"}
    for wrong in ({"chunk": 0}, {"fail": [{"code": "x"}]}, {"add_field": [{"entity": "No", "name": "x"}]}, {"x": 1}):
        with pytest.raises(ValueError, match=r"code|No|Expected|unknown"):
            served.control(pubsub=wrong)
    bad = {"channels": [{"name": "Bad__chn", "members": [{"entity": "Case", "filter": "Subject = 'x'"}]}]}
    with pytest.raises(ValueError, match="header field"):
        served.control(pubsub={"setup": bad})


def test_deliveries_are_in_limits(world: World, served: Any) -> None:
    served.control(pubsub={"allocation": {"max": 10, "used": 4}})
    assert world.bus.delivered_today == 4
    served.control(reset=True)
    assert world.bus.delivered_today == 4


def test_it_speaks_tls_with_the_orgs_own_authority(world: World, tmp_path: Path) -> None:
    files = certificates(tmp_path)
    world.delete(1)
    server = PubSubServer(
        world.org, world.sessions, world.switches, world.usage, world.journal,
        tls_cert=files.certificate, tls_key=files.key,
    )  # fmt: skip
    headers = {"accesstoken": world.sessions.issue(), "instanceurl": "https://x", "tenantid": world.org.org_id}
    trusted = grpc.ssl_channel_credentials(files.authority.read_bytes())
    try:
        with grpc.secure_channel(f"localhost:{server.port}", trusted) as channel:
            call: Any = channel.unary_unary(
                "/eventbus.v1.PubSub/GetTopic",
                request_serializer=CLASSES["TopicRequest"].SerializeToString,
                response_deserializer=CLASSES["TopicInfo"].FromString,
            )
            answer = call(CLASSES["TopicRequest"](topic_name=ACCOUNTS), metadata=tuple(headers.items()), timeout=20)
            assert answer.topic_name == ACCOUNTS
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            plain: Any = channel.unary_unary("/eventbus.v1.PubSub/GetTopic")
            with pytest.raises(grpc.RpcError):
                plain(b"", metadata=tuple(headers.items()), timeout=20)
    finally:
        server.stop()
