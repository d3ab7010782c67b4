"""The wire contract of the Pub/Sub API, `eventbus.v1`, as data: messages, enums and RPCs, no generated code.

Facts (names, numbers, types): the public `pubsub_api.proto` of the Pub/Sub API, in the public domain (CC0-1.0).
The descriptors live in a pool of their own, so they stand beside any other copy in one process.

    python -m localcloud.salesforce.pubsub.contract     # prints the descriptors as JSON
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from google.protobuf.message import Message

PACKAGE = "eventbus.v1"
SERVICE = "PubSub"
FULL_SERVICE = f"{PACKAGE}.{SERVICE}"
FILE_NAME = "localcloud/eventbus_v1.proto"

ENUMS: dict[str, dict[str, int]] = {
    "ErrorCode": {"UNKNOWN": 0, "PUBLISH": 1, "COMMIT": 2},
    "ReplayPreset": {"LATEST": 0, "EARLIEST": 1, "CUSTOM": 2},
}

MESSAGES: dict[str, str] = {
    "TopicInfo": (
        "topic_name string, tenant_guid string, can_publish bool, can_subscribe bool, schema_id string, rpc_id string"
    ),
    "TopicRequest": "topic_name string",
    "EventHeader": "key string, value bytes",
    "ProducerEvent": "id string, schema_id string, payload bytes, headers repeated EventHeader",
    "ConsumerEvent": "event ProducerEvent, replay_id bytes",
    "PublishResult": "replay_id bytes, error Error, correlation_key string",
    "Error": "code ErrorCode, msg string",
    "FetchRequest": (
        "topic_name string, replay_preset ReplayPreset, replay_id bytes, num_requested int32, auth_refresh string"
    ),
    "FetchResponse": (
        "events repeated ConsumerEvent, latest_replay_id bytes, rpc_id string, pending_num_requested int32"
    ),
    "SchemaRequest": "schema_id string",
    "SchemaInfo": "schema_json string, schema_id string, rpc_id string",
    "PublishRequest": "topic_name string, events repeated ProducerEvent, auth_refresh string",
    "PublishResponse": "results repeated PublishResult, schema_id string, rpc_id string",
    "ManagedFetchRequest": (
        "subscription_id string, developer_name string, num_requested int32, auth_refresh string, "
        "commit_replay_id_request CommitReplayRequest"
    ),
    "ManagedFetchResponse": (
        "events repeated ConsumerEvent, latest_replay_id bytes, rpc_id string, pending_num_requested int32, "
        "commit_response CommitReplayResponse"
    ),
    "CommitReplayRequest": "commit_request_id string, replay_id bytes",
    "CommitReplayResponse": "commit_request_id string, replay_id bytes, error Error, process_time int64",
}
"""Fields of each message in the order of their numbers, which run from 1 without a gap."""


class Rpc(msgspec.Struct, frozen=True):
    """One RPC: the types it takes and gives, and whether both are streams."""

    name: str
    request: str
    response: str
    stream: bool = False


RPCS = (
    Rpc("Subscribe", "FetchRequest", "FetchResponse", stream=True),
    Rpc("GetSchema", "SchemaRequest", "SchemaInfo"),
    Rpc("GetTopic", "TopicRequest", "TopicInfo"),
    Rpc("Publish", "PublishRequest", "PublishResponse"),
    Rpc("PublishStream", "PublishRequest", "PublishResponse", stream=True),
    Rpc("ManagedSubscribe", "ManagedFetchRequest", "ManagedFetchResponse", stream=True),
)

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
}


class FieldFact(msgspec.Struct, frozen=True):
    """One field of a message: `type` is a scalar's name, or that of an enum or message of the package."""

    name: str
    number: int
    type: str
    repeated: bool


def fields_of(message: str) -> tuple[FieldFact, ...]:
    """The fields of a message, in the order of their numbers.

    Raises:
        KeyError: There is no such message.
    """
    facts = []
    for number, text in enumerate(MESSAGES[message].split(", "), 1):
        name, *repeated, type_ = text.split(" ")
        facts.append(FieldFact(name, number, type_, repeated == ["repeated"]))
    return tuple(facts)


def file_descriptor() -> descriptor_pb2.FileDescriptorProto:
    """The whole contract as a proto3 file descriptor."""
    file = descriptor_pb2.FileDescriptorProto(name=FILE_NAME, package=PACKAGE, syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    for name in MESSAGES:
        message = file.message_type.add(name=name)
        for fact in fields_of(name):
            field = message.field.add(name=fact.name, number=fact.number)
            field.label = _FIELD.LABEL_REPEATED if fact.repeated else _FIELD.LABEL_OPTIONAL
            if fact.type in _TYPES:
                field.type = _TYPES[fact.type]
            else:
                named = _FIELD.TYPE_ENUM if fact.type in ENUMS else _FIELD.TYPE_MESSAGE
                field.type = named
                field.type_name = f".{PACKAGE}.{fact.type}"
    service = file.service.add(name=SERVICE)
    for rpc in RPCS:
        service.method.add(
            name=rpc.name,
            input_type=f".{PACKAGE}.{rpc.request}",
            output_type=f".{PACKAGE}.{rpc.response}",
            client_streaming=rpc.stream,
            server_streaming=rpc.stream,
        )
    return file


def _message_classes() -> dict[str, type[Message]]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file_descriptor().SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


CLASSES: dict[str, type[Message]] = _message_classes()
"""The message classes by name, of a private descriptor pool."""


def dump() -> dict[str, object]:
    """The contract as JSON-able data: messages with their fields, enums with their values, RPCs with their types."""
    return {
        "package": PACKAGE,
        "syntax": "proto3",
        "service": SERVICE,
        "enums": ENUMS,
        "messages": {
            name: {fact.name: [fact.number, fact.type, fact.repeated] for fact in fields_of(name)} for name in MESSAGES
        },
        "rpcs": {rpc.name: [rpc.request, rpc.response, rpc.stream, rpc.stream] for rpc in RPCS},
    }


def main() -> int:
    """Print the contract as JSON."""
    json.dump(dump(), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
