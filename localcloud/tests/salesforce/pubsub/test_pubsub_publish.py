"""Publish and PublishStream: platform events that a client makes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest

from localcloud.salesforce.limits import PUBLISHED_EVENTS, LimitControl
from localcloud.salesforce.pubsub.contract import CLASSES
from localcloud.salesforce.pubsub.control import PubSubControl

TOPIC = "/event/Record_Deleted__e"

World = Any
Code = Callable[[Any], str]


def event(world: World, name: str = "key", **values: object) -> Any:
    schema = world.bus.schema_of("Record_Deleted__e")
    record = {"CreatedDate": 1, "CreatedById": world.org.user_id, "Object_Name__c": "Account", **values}
    return CLASSES["ProducerEvent"](id=name, schema_id=schema.id, payload=schema.encode(record))


def raised(call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    with pytest.raises(grpc.RpcError) as found:
        call(*arguments, **more)
    return found.value


def test_what_is_published_arrives_with_a_new_id(world: World) -> None:
    client = world.client()
    stream = client.subscribe(TOPIC)
    answer = client.publish(TOPIC, event(world, "mine", Record_Id__c="001"))
    [got] = stream.read(1)
    [result] = answer.results
    assert (result.correlation_key, result.replay_id) == ("mine", got.replay_id)
    assert not result.HasField("error")
    assert answer.schema_id == got.event.schema_id == client.topic(TOPIC).schema_id
    assert client.decode(got)["Record_Id__c"] == "001"
    assert len(got.event.id) == 36
    assert client.topic(TOPIC).can_publish


def test_events_that_cannot_be_published_have_errors_of_their_own(world: World) -> None:
    client = world.client()
    wrong_schema = event(world, "schema")
    wrong_schema.schema_id = "8y1L6AvVNJ-Yx_MkMe8u2Q"
    broken = event(world, "broken")
    broken.payload = broken.payload[:-3]
    large = event(world, "large", Owner_Id__c="x" * 1_000_001)
    results = client.publish(TOPIC, event(world, "a"), wrong_schema, broken, large, event(world, "b")).results
    assert [(one.correlation_key, one.error.code, bool(one.error.msg), bool(one.replay_id)) for one in results] == [
        ("a", 0, False, True),
        ("schema", 1, True, False),
        ("broken", 1, True, False),
        ("large", 1, True, False),
        ("b", 0, False, True),
    ]
    assert len(client.events(TOPIC)) == 2


def test_the_hourly_allocation_refuses_single_events(world: World) -> None:
    world.usage.apply({PUBLISHED_EVENTS: LimitControl(max=2)})
    client = world.client()
    results = client.publish(TOPIC, *[event(world, str(n)) for n in range(3)]).results
    assert [one.error.msg for one in results] == ["", "", "LIMIT_EXCEEDED"]
    world.clock.advance(timedelta(minutes=62))
    assert not client.publish(TOPIC, event(world)).results[0].error.msg


@pytest.mark.parametrize("count", [0, 201])
def test_a_request_has_one_to_200_events(world: World, count: int, error_code: Code) -> None:
    error = raised(world.client().publish, TOPIC, *[event(world)] * count)
    assert error_code(error) == "publish.event.count.invalid"
    assert len(world.client().publish(TOPIC, *[event(world)] * 200).results) == 200


def test_a_request_of_more_than_4_mib_is_refused_by_grpc(world: World) -> None:
    error = raised(world.client().publish, TOPIC, *[event(world, Owner_Id__c="x" * 900_000)] * 5)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_change_events_cannot_be_published(world: World, error_code: Code) -> None:
    error = raised(world.client().publish, "/data/AccountChangeEvent", event(world))
    assert error_code(error) == "topic.meta.permission"


def test_the_first_request_brings_no_auth_refresh(world: World, error_code: Code) -> None:
    client = world.client()
    error = raised(client.publish, TOPIC, event(world), auth_refresh=client.headers["accesstoken"])
    assert error_code(error) == "publish.auth.refresh.invalid"


def test_a_publish_stream_answers_each_request_and_keeps_its_topic(world: World, error_code: Code) -> None:
    request = CLASSES["PublishRequest"]
    client = world.client()
    stream = client.stream("PublishStream", "PublishResponse")
    stream.send(request(topic_name=TOPIC, events=[event(world, "a")]))
    stream.send(request(events=[event(world, "b"), event(world, "c")], auth_refresh=world.sessions.issue()))
    assert [one.correlation_key for _ in range(2) for one in stream.next().results] == ["a", "b", "c"]
    stream.send(request(topic_name="/event/Other__e", events=[event(world)]))
    assert error_code(stream.error()) == "publish.topic.mismatch"
    assert len(client.events(TOPIC)) == 3


def test_a_publish_stream_ends_when_the_client_does(world: World) -> None:
    stream = world.client().stream("PublishStream", "PublishResponse")
    stream.send(CLASSES["PublishRequest"](topic_name=TOPIC, events=[event(world)]))
    stream.finish()
    assert len(stream.next().results) == 1
    assert stream.next_or_end() is None
    [noted] = world.seen("pubsub_publish")
    assert (noted.path, noted.rows, noted.status) == ("/eventbus.v1.PubSub/PublishStream", 1, 200)


def test_a_quiet_publish_stream_is_swept(world: World, error_code: Code) -> None:
    world.control.apply(PubSubControl(publish_idle_seconds=70))
    stream = world.client().stream("PublishStream", "PublishResponse")
    stream.send(CLASSES["PublishRequest"](topic_name=TOPIC, events=[event(world)]))
    stream.next()
    world.time.pass_by(69)
    assert stream.quiet()
    world.time.pass_by(1)
    assert error_code(stream.error()) == "publish.stream.sweeper.timeout"
