"""The part of `eventbus.v1` that a subscriber needs, as data: messages and RPC paths, no generated code.

Facts (names, numbers, types) from the public `pubsub_api.proto` of the Pub/Sub API, in the public domain (CC0-1.0).

The descriptors are built here rather than generated, and live in a pool of their own: generated code is tied to the
protobuf release it was made with, and two packages that register the same file in protobuf's common pool cannot be
imported together. The messages are as fast as generated ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["CUSTOM", "EARLIEST", "GET_SCHEMA", "GET_TOPIC", "LATEST", "MESSAGES", "SUBSCRIBE", "new", "parse"]

_PACKAGE: Final = "eventbus.v1"

SUBSCRIBE: Final = f"/{_PACKAGE}.PubSub/Subscribe"
GET_SCHEMA: Final = f"/{_PACKAGE}.PubSub/GetSchema"
GET_TOPIC: Final = f"/{_PACKAGE}.PubSub/GetTopic"

LATEST: Final = 0
EARLIEST: Final = 1
CUSTOM: Final = 2
"""Values of `ReplayPreset`; CUSTOM means strictly after `replay_id`."""

MESSAGES: Final[dict[str, str]] = {
    "TopicInfo": (
        "topic_name string, tenant_guid string, can_publish bool, can_subscribe bool, schema_id string, rpc_id string"
    ),
    "TopicRequest": "topic_name string",
    "EventHeader": "key string, value bytes",
    "ProducerEvent": "id string, schema_id string, payload bytes, headers repeated EventHeader",
    "ConsumerEvent": "event ProducerEvent, replay_id bytes",
    "FetchRequest": (
        "topic_name string, replay_preset ReplayPreset, replay_id bytes, num_requested int32, auth_refresh string"
    ),
    "FetchResponse": (
        "events repeated ConsumerEvent, latest_replay_id bytes, rpc_id string, pending_num_requested int32"
    ),
    "SchemaRequest": "schema_id string",
    "SchemaInfo": "schema_json string, schema_id string, rpc_id string",
}
"""The fields of each message in the order of their numbers, which run from 1 without a gap."""

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
    "int32": _FIELD.TYPE_INT32,
}


def new(name: str, **fields: object) -> bytes:
    """The bytes of a message.

    Args:
        name: Such as `FetchRequest`.
        fields: Its fields by name.
    """
    message: Any = _CLASSES[name](**fields)
    encoded: bytes = message.SerializeToString()
    return encoded


def parse(name: str, encoded: bytes) -> Any:
    """The message that bytes hold; its fields are attributes.

    Raises:
        google.protobuf.message.DecodeError: They hold no such message.
    """
    return _CLASSES[name].FromString(encoded)


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="tap_salesforce_deletes/eventbus_v1.proto", package=_PACKAGE, syntax="proto3"
    )
    preset = file.enum_type.add(name="ReplayPreset")
    for name, number in (("LATEST", LATEST), ("EARLIEST", EARLIEST), ("CUSTOM", CUSTOM)):
        preset.value.add(name=name, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, text in enumerate(fields.split(", "), 1):
            field_name, *repeated, type_ = text.split(" ")
            field = message.field.add(name=field_name, number=number)
            field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if type_ in _SCALARS:
                field.type = _SCALARS[type_]
            else:
                field.type = _FIELD.TYPE_ENUM if type_ == "ReplayPreset" else _FIELD.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{type_}"
    return file


def _message_classes() -> dict[str, type[Message]]:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in MESSAGES
    }


_CLASSES: Final = _message_classes()
