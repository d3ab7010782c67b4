"""Every documented error: a gRPC status, and the code and the RPC's id in the trailers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from localcloud.salesforce.pubsub.contract import CLASSES
from localcloud.salesforce.pubsub.control import Allocation, PubSubControl
from localcloud.salesforce.pubsub.errors import PREFIX, TABLE
from localcloud.salesforce.pubsub.switches import RpcFailure

ACCOUNTS, ALL = "/data/AccountChangeEvent", "/data/ChangeEvents"
CUSTOM = 2
Status = grpc.StatusCode

World = Any
Code = Callable[[Any], str]

DOCUMENTED = {
    "concurrent.client.limit.exceeded", "service.unavailable", "service.auth.error", "service.auth.headers.invalid",
    "service.auth.refresh.invalid", "service.protection.triggered", "service.protection.stream.limit.triggered",
    "service.tenant.license", "topic.not.found", "topic.meta.permission", "topic.api.unavailable",
    "topic.validation.empty", "schema.meta.permission", "schema.api.unavailable", "schema.validation.failed",
    "subscription.fetch.replayid.corrupted", "subscription.fetch.replayid.validation.failed",
    "subscription.fetch.replay.repeated", "subscription.fetch.overflow",
    "subscription.fetch.requested.events.invalid", "subscription.fetch.topic.mismatch",
    "subscription.fetch.request.invalid", "subscription.limit.exceeded", "subscription.topic.cannot.subscribe",
    "subscription.internal.error", "publish.stream.sweeper.timeout", "publish.auth.refresh.invalid",
    "publish.event.count.invalid", "publish.topic.mismatch", "publish.topic.validation.empty",
    "managed.subscription.already.active", "managed.subscription.config.stopped",
    "managed.subscription.config.deleted", "managed.subscription.developer.name.not.found",
    "managed.subscription.subscription.id.not.found", "managed.subscription.subscription.id.invalid",
    "managed.subscription.id.or.developer.name.empty", "managed.subscription.fetch.request.events.invalid",
    "managed.subscription.fetch.request.invalid", "managed.subscription.fetch.request.commit.request.restricted",
    "managed.subscription.fetch.request.auth.request.restricted",
}  # fmt: skip


def raised(call: Callable[..., Any], *arguments: Any) -> Any:
    with pytest.raises(grpc.RpcError) as found:
        call(*arguments)
    return found.value


def test_the_table_is_the_documented_one() -> None:
    assert set(TABLE) == DOCUMENTED


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_every_code_can_end_a_stream(world: World, name: str, error_code: Code) -> None:
    world.deletes(3)
    world.control.apply(PubSubControl(fail=[RpcFailure(code=name, after_events=2, pattern="^Subscribe /data/Acc")]))
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    assert len(stream.read(2)) == 2
    error = stream.error()
    assert error_code(error) == name
    assert error.code() == TABLE[name][0]
    trailers = dict(error.trailing_metadata())
    assert trailers["type"] == "Subscribe"
    assert error.details().endswith(f"rpcId: {trailers['rpc-id']}")
    assert len(client.events(ACCOUNTS)) == 3  # it struck once


def test_an_unavailable_service_is_internal_as_clients_saw_it(world: World) -> None:
    world.control.apply(PubSubControl(fail=[RpcFailure(code=PREFIX + "service.unavailable")]))
    error = raised(world.client().topic, ACCOUNTS)
    assert error.code() == Status.INTERNAL
    assert error.details().startswith("The service is unavailable. Try again later. rpcId: ")
    assert dict(error.trailing_metadata())["type"] == "GetTopic"


def test_a_stream_can_be_reset_without_any_code(world: World) -> None:
    world.control.apply(PubSubControl(fail=[RpcFailure(code="RST_STREAM")]))
    error = world.client().subscribe(ACCOUNTS).error()
    assert error.code() == Status.UNAVAILABLE
    assert not dict(error.trailing_metadata()).keys() & {"error-code", "rpc-id"}


def test_an_error_that_is_not_documented_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="no such error code"):
        RpcFailure(code="service.tired")


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("accesstoken", "", "service.auth.headers.invalid"),
        ("instanceurl", " ", "service.auth.headers.invalid"),
        ("instanceurl", "mock.invalid", "service.auth.headers.invalid"),
        ("tenantid", "", "service.auth.headers.invalid"),
        ("tenantid", "00D000000000001", "service.auth.headers.invalid"),
        ("accesstoken", "00D!stranger", "service.auth.error"),
        ("tenantid", "00D000000000999AAA", "service.auth.error"),
    ],
)
def test_every_rpc_wants_its_three_headers(world: World, header: str, value: str, code: str, error_code: Code) -> None:
    client = world.client(**{header: value})
    publish = CLASSES["PublishRequest"]()
    for error in (
        raised(client.topic, ACCOUNTS),
        raised(client.schema, "x"),
        raised(client.unary, "Publish", publish, "PublishResponse"),
        client.subscribe(ACCOUNTS).error(),
        client.stream("PublishStream", "PublishResponse").error(),
    ):
        assert (error.code(), error_code(error)) == (Status.UNAUTHENTICATED, code)


def test_a_token_that_expires_ends_the_stream_at_once(world: World, error_code: Code) -> None:
    world.deletes(2)
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    stream.read(2)
    world.sessions.expire()
    world.bus.wake()
    error = stream.error()
    assert (error.code(), error_code(error)) == (Status.UNAUTHENTICATED, "service.auth.error")
    client.headers["accesstoken"] = world.sessions.issue()
    assert len(client.events(ACCOUNTS)) == 2


def test_a_request_may_bring_a_new_token(world: World, error_code: Code) -> None:
    world.deletes(3)
    client = world.client()
    stream = client.subscribe(ACCOUNTS, count=1)
    stream.read(1)
    token = world.sessions.issue()
    stream.send(CLASSES["FetchRequest"](num_requested=1, auth_refresh=token))
    stream.read(1)
    world.sessions.revoke(client.headers["accesstoken"])
    stream.ask(1)
    stream.read(1)
    stream.send(CLASSES["FetchRequest"](num_requested=1, auth_refresh="stale"))
    assert error_code(stream.error()) == "service.auth.refresh.invalid"


@pytest.mark.parametrize("name", ["/data/NothingChangeEvent", "/event/X__e", "/data/accountChangeEvent", "Account"])
def test_a_topic_that_is_not_there_is_not_found(world: World, name: str, error_code: Code) -> None:
    client = world.client()
    for error in (raised(client.topic, name), client.subscribe(name).error(), raised(client.publish, name)):
        assert (error.code(), error_code(error)) == (Status.NOT_FOUND, "topic.not.found")
    assert f"org CORE/prod/{world.org.org_id} not found" in raised(client.topic, name).details()


def test_names_must_not_be_blank(world: World, error_code: Code) -> None:
    client = world.client()
    assert error_code(raised(client.topic, "")) == "topic.validation.empty"
    assert error_code(client.subscribe("").error()) == "topic.validation.empty"
    assert error_code(raised(client.publish, "")) == "publish.topic.validation.empty"
    error = raised(client.schema, "")
    assert (error.code(), error_code(error)) == (Status.INVALID_ARGUMENT, "schema.validation.failed")
    assert error.details().startswith("Schema validation failed. The schema ID can't be blank. rpcId: ")


def test_a_schema_that_is_not_there_or_not_for_the_user_is_refused(world: World, error_code: Code) -> None:
    client = world.client()
    known = client.topic(ACCOUNTS).schema_id
    assert client.schema(known).schema_id == known
    assert error_code(raised(client.schema, "8y1L6AvVNJ-Yx_MkMe8u2Q")) == "schema.meta.permission"
    world.switches.forbidden_objects = {"Account"}
    assert error_code(raised(client.schema, known)) == "schema.meta.permission"


@pytest.mark.parametrize("replay_id", [b"\0" * 10, b"x", b"\xff" * 12])
def test_a_replay_id_that_was_never_given_out_is_corrupted(world: World, replay_id: bytes, error_code: Code) -> None:
    world.delete(1)
    error = world.client().subscribe(ACCOUNTS, preset=CUSTOM, replay_id=replay_id).error()
    assert (error.code(), error_code(error)) == (Status.INVALID_ARGUMENT, "subscription.fetch.replayid.corrupted")


def test_custom_without_a_replay_id_fails_validation(world: World, error_code: Code) -> None:
    error = world.client().subscribe(ACCOUNTS, preset=CUSTOM).error()
    assert error_code(error) == "subscription.fetch.replayid.validation.failed"


@pytest.mark.parametrize("count", [0, -5])
def test_nothing_cannot_be_asked_for(world: World, count: int, error_code: Code) -> None:
    client = world.client()
    code = "subscription.fetch.requested.events.invalid"
    assert error_code(client.subscribe(ACCOUNTS, count=count).error()) == code
    stream = client.subscribe(ACCOUNTS)
    stream.ask(count)
    assert error_code(stream.error()) == code


def test_a_stream_has_one_topic(world: World, error_code: Code) -> None:
    stream = world.client().subscribe(ACCOUNTS)
    stream.ask(1, ACCOUNTS)
    stream.ask(1, ALL)
    error = stream.error()
    assert (error.code(), error_code(error)) == (Status.INVALID_ARGUMENT, "subscription.fetch.topic.mismatch")


def test_delivery_ends_with_the_allocation_and_the_events_wait(world: World, error_code: Code) -> None:
    world.deletes(10)
    world.control.apply(PubSubControl(allocation=Allocation(max=7, used=2)))
    client = world.client()
    stream = client.subscribe(ACCOUNTS)
    assert len(stream.read(5)) == 5
    error = stream.error()
    assert (error.code(), error_code(error)) == (Status.RESOURCE_EXHAUSTED, "subscription.limit.exceeded")
    assert error.details().startswith("You have exceeded the event delivery limit for your org.")
    assert error_code(client.subscribe(ACCOUNTS).error()) == "subscription.limit.exceeded"
    assert world.bus.delivered_today == 7
    from datetime import timedelta  # noqa: PLC0415

    world.clock.advance(timedelta(hours=24, minutes=2))
    assert world.bus.delivered_today == 0
    assert len(client.events(ACCOUNTS, count=7)) == 7


def test_each_delivery_to_each_subscriber_counts_but_no_empty_response(world: World) -> None:
    world.deletes(6)
    client = world.client()
    client.events(ACCOUNTS)
    client.events(ALL, count=4)
    stream = client.subscribe("/data/CaseChangeEvent")
    world.seen("pubsub_request", 3)
    world.time.pass_by(61)
    stream.next()
    assert world.bus.delivered_today == 10


def test_too_many_streams_are_refused(world: World, error_code: Code) -> None:
    world.control.apply(PubSubControl(streams=2))
    client = world.client()
    streams = [client.subscribe(ACCOUNTS) for _ in range(2)]
    world.seen("pubsub_request", 2)
    assert error_code(client.subscribe(ACCOUNTS).error()) == "concurrent.client.limit.exceeded"
    streams[0].cancel()
    world.seen("pubsub_subscribe", 2)
    client.subscribe(ACCOUNTS)
    world.seen("pubsub_request", 3)


def test_a_flood_of_requests_on_one_stream_is_cut_off(world: World, error_code: Code) -> None:
    world.control.apply(PubSubControl(latency_ms=3_600_000))
    world.delete(1)
    stream = world.client().subscribe(ACCOUNTS)
    for _ in range(1_200):
        stream.ask(1)
    assert error_code(stream.error()) == "service.protection.stream.limit.triggered"


def test_managed_subscriptions_are_not_there(world: World) -> None:
    stream = world.client().stream("ManagedSubscribe", "ManagedFetchResponse")
    stream.send(CLASSES["ManagedFetchRequest"](developer_name="X", num_requested=1))
    assert stream.error().code() == Status.UNIMPLEMENTED
