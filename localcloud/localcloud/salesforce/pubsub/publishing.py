"""Publish and PublishStream: platform events that a client makes.

Source: Pub/Sub API guide, "Publish RPC Method", "PublishStream RPC Method" and allocations. An event that
cannot be published has an error of its own in the answer; the others are published.
"""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

from localcloud.salesforce.limits import PUBLISHED_EVENTS
from localcloud.salesforce.pubsub.contract import CLASSES, ENUMS
from localcloud.salesforce.pubsub.errors import PubSubError
from localcloud.salesforce.pubsub.room import Rpc

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from localcloud.salesforce.pubsub.avro import EventSchema
    from localcloud.salesforce.pubsub.room import Room

MOST_EVENTS = 200
"""Of one request."""
EVENT_BYTES = 1_000_000


def publish(room: Room, request: Any, context: grpc.ServicerContext) -> bytes:
    """Answer a Publish call: an encoded `PublishResponse`."""
    rpc = Rpc(room, "Publish", context)
    with rpc.answering("pubsub_publish"):
        rpc.about(request.topic_name)
        rpc.pause(room.switches.latency_ms / 1000)
        return _Publisher(room, rpc).answer(request)
    raise AssertionError("the frame ends the call")


def publish_stream(room: Room, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Answer a PublishStream call: an encoded `PublishResponse` for each request."""
    rpc = Rpc(room, "PublishStream", context)
    with rpc.answering("pubsub_publish"), room.stream():
        yield from _answers(room, rpc, requests)


def _answers(room: Room, rpc: Rpc, requests: Iterator[Any]) -> Iterator[bytes]:
    mailbox, publisher = rpc.mailbox, _Publisher(room, rpc)
    Thread(target=mailbox.reading, args=(requests.__next__,), name="pubsub-requests", daemon=True).start()
    since = room.patience.now()
    while True:
        rpc.pause(0.0)
        waiting = mailbox.take()
        for request in waiting:
            if rpc.subject is None:
                rpc.about(request.topic_name)
            rpc.meet_traps()
            rpc.pause(room.switches.latency_ms / 1000)
            answer = publisher.answer(request)
            since = room.patience.now()
            yield answer
        if waiting:
            continue
        if rpc.finished():
            return
        swept_at = since + room.switches.publish_idle_seconds
        if room.patience.now() >= swept_at:
            raise PubSubError("publish.stream.sweeper.timeout")
        mailbox.wait(swept_at)


class _Publisher:
    """Publishes the requests of one call."""

    def __init__(self, room: Room, rpc: Rpc) -> None:
        self._room = room
        self._rpc = rpc
        self._topic: str | None = None
        self._schemas: dict[str, EventSchema | None] = {}

    def answer(self, request: Any) -> bytes:
        """Publish the events of a request.

        Raises:
            PubSubError: The request as a whole is not right.
        """
        entity = self._entity(request)
        if not 0 < len(request.events) <= MOST_EVENTS:
            raise PubSubError("publish.event.count.invalid")
        errors = [self._fault(entity, event) for event in request.events]
        good = [event for event, error in zip(request.events, errors, strict=True) if error is None]
        room = self._room
        with room.lock:
            with room.org.db:
                done = iter(room.bus.publish_platform_events(entity, ((one.schema_id, one.payload) for one in good)))
            schema_id = room.bus.schema_of(entity).id
        room.bus.wake()
        response = CLASSES["PublishResponse"](schema_id=schema_id, rpc_id=self._rpc.id)
        for event, error in zip(request.events, errors, strict=True):
            result = response.results.add(correlation_key=event.id)  # type: ignore[attr-defined]
            if error is None:
                result.replay_id = next(done)[1]
            else:
                result.error.code = ENUMS["ErrorCode"]["PUBLISH"]
                result.error.msg = error
        self._rpc.delivered += len(good)
        return response.SerializeToString()

    def _entity(self, request: Any) -> str:
        """The platform event that a request publishes."""
        room, name = self._room, request.topic_name or self._topic
        caller = self._rpc.caller
        if not name:
            raise PubSubError("publish.topic.validation.empty")
        if self._topic not in {None, name}:
            raise PubSubError("publish.topic.mismatch")
        if request.auth_refresh:
            if self._topic is None:
                raise PubSubError("publish.auth.refresh.invalid")
            if caller is None or room.sessions.holder(request.auth_refresh) is None:
                raise PubSubError("service.auth.refresh.invalid")
            caller.token = request.auth_refresh
        if caller is not None:
            caller.check(room.sessions)
        self._topic = name
        with room.lock:
            topic = room.bus.topic(name)
        if topic is None:
            raise PubSubError("topic.not.found", topic=name, tenant=f"CORE/prod/{room.org.org_id}")
        if not topic.platform or topic.entity is None or topic.entity.lower() in room.hidden():
            raise PubSubError("topic.meta.permission")
        return topic.entity

    def _fault(self, entity: str, event: Any) -> str | None:
        """Why an event cannot be published, or None."""
        if event.schema_id not in self._schemas:
            with self._room.lock:
                self._schemas[event.schema_id] = self._room.bus.schema(event.schema_id)
        schema = self._schemas[event.schema_id]
        if schema is None or schema.entity != entity:
            return f"The schema ID {event.schema_id} isn't a schema of the topic."
        if len(event.payload) > EVENT_BYTES:
            return "The event message is larger than 1 MB."
        try:
            schema.decode(event.payload)
        except ValueError:
            return "The payload can't be deserialized with the schema of the topic."
        if not self._room.usage.take(PUBLISHED_EVENTS):
            return "LIMIT_EXCEEDED"
        return None
