"""A bare client of the Pub/Sub API for the contract tests: unary calls, and a subscription that is read by hand."""

from __future__ import annotations

import io
import json
import queue
from collections.abc import Iterator
from typing import Any, Self

import fastavro
import grpc

from contract.orgs import ContractOrg
from localcloud.salesforce.pubsub.contract import CLASSES

SERVICE = "/eventbus.v1.PubSub/"
LATEST, EARLIEST, CUSTOM = 0, 1, 2
DEADLINE_S = 300.0
ERROR = "sfdc.platform.eventbus.grpc."


class Subscription:
    """One Subscribe call.

    Args:
        channel: Where.
        metadata: Who.
        first: The fields of the first request.
    """

    def __init__(self, channel: grpc.Channel, metadata: tuple[tuple[str, str], ...], **first: object) -> None:
        self._requests: queue.Queue[Any] = queue.Queue()
        self.ask(**first)
        call = channel.stream_stream(
            SERVICE + "Subscribe",
            request_serializer=CLASSES["FetchRequest"].SerializeToString,
            response_deserializer=CLASSES["FetchResponse"].FromString,
        )
        self._responses = call(iter(self._requests.get, None), metadata=metadata, timeout=DEADLINE_S)

    def ask(self, **fields: object) -> None:
        """Send a FetchRequest."""
        self._requests.put(CLASSES["FetchRequest"](**fields))

    def next(self) -> Any:
        """The next FetchResponse.

        Raises:
            grpc.RpcError: The stream ended with an error.
        """
        return next(self._responses)

    def close(self) -> None:
        """End the call."""
        self._requests.put(None)
        self._responses.cancel()


class PubSub:
    """The Pub/Sub API of an org.

    Args:
        org: The org that is logged in to.

    Raises:
        ValueError: The org has no Pub/Sub address.
    """

    def __init__(self, org: ContractOrg) -> None:
        address = org.credentials.pubsub
        if address is None:
            raise ValueError("no address of the Pub/Sub API is known for this org")
        if org.credentials.pubsub_plaintext:
            self.channel = grpc.insecure_channel(address)
        else:
            self.channel = grpc.secure_channel(address, grpc.ssl_channel_credentials())
        self.metadata = (("accesstoken", org.access_token), ("instanceurl", org.url), ("tenantid", org.org_id))
        self._schemas: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def call(self, name: str, request: str, answer: str, metadata: Any = None, **fields: object) -> Any:
        """A unary call.

        Raises:
            grpc.RpcError: It was refused.
        """
        function = self.channel.unary_unary(
            SERVICE + name,
            request_serializer=CLASSES[request].SerializeToString,
            response_deserializer=CLASSES[answer].FromString,
        )
        who = self.metadata if metadata is None else metadata
        return function(CLASSES[request](**fields), metadata=who, timeout=60.0)

    def topic(self, name: str, **options: Any) -> Any:
        """GetTopic."""
        return self.call("GetTopic", "TopicRequest", "TopicInfo", topic_name=name, **options)

    def schema(self, schema_id: str) -> Any:
        """GetSchema, as decoded Avro JSON; asked once for each id."""
        if schema_id not in self._schemas:
            answer = self.call("GetSchema", "SchemaRequest", "SchemaInfo", schema_id=schema_id)
            self._schemas[schema_id] = json.loads(answer.schema_json)
        return self._schemas[schema_id]

    def subscribe(self, topic: str, **first: object) -> Subscription:
        """A subscription, whose first request has these fields."""
        return Subscription(self.channel, self.metadata, topic_name=topic, **first)

    def events(self, topic: str, **first: object) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Events with their decoded payloads, for ever; each response is followed by a request for as many again."""
        subscription = self.subscribe(topic, **{"num_requested": 100, **first})
        try:
            while True:
                response = subscription.next()
                for event in response.events:
                    yield event, self.decoded(event)
                if response.events:
                    subscription.ask(topic_name=topic, num_requested=len(response.events))
        finally:
            subscription.close()

    def decoded(self, event: Any) -> dict[str, Any]:
        """The payload of a ConsumerEvent."""
        schema = fastavro.parse_schema(self.schema(event.event.schema_id))
        payload = fastavro.schemaless_reader(io.BytesIO(event.event.payload), schema, None)
        assert isinstance(payload, dict)
        return payload


def trailers_of(error: grpc.RpcError) -> dict[str, str]:
    """The trailers of a refused call."""
    return {str(one.key): str(one.value) for one in error.trailing_metadata() or ()}


def code_of(error: grpc.RpcError) -> str:
    """The documented error code in the trailers, without its common beginning."""
    return trailers_of(error).get("error-code", "").removeprefix(ERROR)
