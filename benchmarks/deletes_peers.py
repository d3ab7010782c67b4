"""Other ways to read a topic, each in a loop of its own: `floor` receives only, `official` as the example does.

The official Python example reads with Apache avro, keeps the text of a schema and parses it anew for every event, and
asks for more once nothing is on order. This is that way in our own words, without its login and its printing: each
event becomes a dict and a line of JSON. It runs in the environment of `aiosfpubsub`, whose generated code it uses.

    python benchmarks/deletes_peers.py floor < {"pubsub", "url", "token", "org_id", "topic", "events"}

Prints one JSON line; the time is that from the first response to the last.
"""

from __future__ import annotations

import importlib
import io
import json
import queue
import resource
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CREDIT = 100
SERVICE = "/eventbus.v1.PubSub/"


def floor(asked: dict[str, Any], took: Callable[[int], bool]) -> None:
    """Receive; ask for as many as came."""
    from tap_salesforce_deletes.pubsub.contract import SUBSCRIBE, new, parse  # noqa: PLC0415 - not in both environments

    waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    waiting.put(new("FetchRequest", topic_name=asked["topic"], replay_preset=1, num_requested=CREDIT))
    with channel_of(asked) as channel:
        subscribe: Any = channel.stream_stream(SUBSCRIBE)
        responses: Iterator[bytes] = subscribe(iter(waiting.get, None), metadata=headers(asked))
        for response in responses:
            count = len(parse("FetchResponse", response).events)
            waiting.put(new("FetchRequest", num_requested=count))
            if took(count):
                break
        waiting.put(None)


def official(asked: dict[str, Any], took: Callable[[int], bool]) -> None:
    """As the example does."""
    schemas, reading = importlib.import_module("avro.schema"), importlib.import_module("avro.io")
    messages = importlib.import_module("aiosfpubsub.pubsub_api_pb2")
    more: queue.SimpleQueue[Any] = queue.SimpleQueue()
    texts: dict[str, str] = {}
    with channel_of(asked) as channel, open("/dev/null", "w") as lines:  # noqa: PTH123
        subscribe: Any = channel.stream_stream(
            f"{SERVICE}Subscribe",
            request_serializer=messages.FetchRequest.SerializeToString,
            response_deserializer=messages.FetchResponse.FromString,
        )
        get_schema: Any = channel.unary_unary(
            f"{SERVICE}GetSchema",
            request_serializer=messages.SchemaRequest.SerializeToString,
            response_deserializer=messages.SchemaInfo.FromString,
        )
        request = messages.FetchRequest(topic_name=asked["topic"], replay_preset=1, num_requested=CREDIT)
        more.put(request)
        for response in subscribe(iter(more.get, None), metadata=headers(asked)):
            for one in response.events:
                schema_id = one.event.schema_id
                if schema_id not in texts:
                    answer = get_schema(messages.SchemaRequest(schema_id=schema_id), metadata=headers(asked))
                    texts[schema_id] = answer.schema_json
                reader = reading.DatumReader(schemas.parse(texts[schema_id]))
                decoded = reader.read(reading.BinaryDecoder(io.BytesIO(one.event.payload)))
                lines.write(json.dumps(decoded) + "\n")
            if response.pending_num_requested == 0:
                more.put(request)
            if took(len(response.events)):
                break
        more.put(None)


def channel_of(asked: dict[str, Any]) -> grpc.Channel:
    """A connection on loopback."""
    return grpc.insecure_channel(asked["pubsub"], options=[("grpc.max_receive_message_length", 64 * 2**20)])


def headers(asked: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """What every call carries."""
    return (("accesstoken", asked["token"]), ("instanceurl", asked["url"]), ("tenantid", asked["org_id"]))


def main() -> None:
    """Read what is asked; print events per second and CPU seconds."""
    asked: dict[str, Any] = json.load(sys.stdin)
    began, first, total = 0.0, 0, 0

    def took(count: int) -> bool:
        nonlocal began, first, total
        if not total:
            began, first = time.monotonic(), count
        total += count
        return bool(total >= asked["events"])

    read: Callable[[dict[str, Any], Callable[[int], bool]], None] = floor if sys.argv[1] == "floor" else official
    read(asked, took)
    rate = (total - first) / (time.monotonic() - began)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"events": total, "events_per_s": round(rate), "cpu_s": round(used.ru_utime + used.ru_stime, 2)}))


if __name__ == "__main__":
    main()
