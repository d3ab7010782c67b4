"""The messages on the wire, byte by byte, and beside another copy of the contract in the same process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from localcloud.salesforce.pubsub.contract import CLASSES, file_descriptor

M: dict[str, Any] = dict(CLASSES)


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        (M["TopicRequest"](topic_name="/x"), b"\x0a\x02/x"),
        (
            M["TopicInfo"](
                topic_name="t", tenant_guid="g", can_publish=True, can_subscribe=True, schema_id="s", rpc_id="r"
            ),
            b"\x0a\x01t\x12\x01g\x18\x01\x20\x01\x2a\x01s\x32\x01r",
        ),
        (M["SchemaRequest"](schema_id="s"), b"\x0a\x01s"),
        (M["SchemaInfo"](schema_json="{}", schema_id="s", rpc_id="r"), b"\x0a\x02{}\x12\x01s\x1a\x01r"),
        (
            M["FetchRequest"](topic_name="t", replay_preset=2, replay_id=b"\0\1", num_requested=100, auth_refresh="a"),
            b"\x0a\x01t\x10\x02\x1a\x02\0\1\x20\x64\x2a\x01a",
        ),
        (
            M["PublishRequest"](topic_name="t", events=[M["ProducerEvent"](id="i", headers=[{"key": "k"}])]),
            b"\x0a\x01t\x12\x08\x0a\x01i\x22\x03\x0a\x01k",
        ),
        (
            M["PublishResponse"](
                results=[{"replay_id": b"r", "error": {"code": 1, "msg": "m"}, "correlation_key": "c"}], schema_id="s"
            ),
            b"\x0a\x0d\x0a\x01r\x12\x05\x08\x01\x12\x01m\x1a\x01c\x12\x01s",
        ),
        (
            M["ManagedFetchRequest"](
                developer_name="d", num_requested=1, commit_replay_id_request={"commit_request_id": "c"}
            ),
            b"\x12\x01d\x18\x01\x2a\x03\x0a\x01c",
        ),
        (
            M["ManagedFetchResponse"](commit_response={"process_time": 300}, pending_num_requested=7),
            b"\x20\x07\x2a\x03\x20\xac\x02",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, bytes) else "",
)
def test_messages_have_the_bytes_of_the_public_contract(message: Any, encoded: bytes) -> None:
    assert message.SerializeToString() == encoded
    assert type(message).FromString(encoded) == message


def test_another_copy_of_the_contract_may_live_in_the_same_process() -> None:
    other = descriptor_pb2.FileDescriptorProto()
    other.CopyFrom(file_descriptor())
    other.name = "pubsub_api.proto"
    descriptor_pool.Default().AddSerializedFile(other.SerializeToString())
    assert M["TopicRequest"](topic_name="x").topic_name == "x"


def test_the_contract_prints_itself() -> None:
    command = [sys.executable, "-m", "localcloud.salesforce.pubsub.contract"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert (said["package"], said["service"], said["syntax"]) == ("eventbus.v1", "PubSub", "proto3")
    assert said["rpcs"]["Subscribe"] == ["FetchRequest", "FetchResponse", True, True]
    assert said["messages"]["ConsumerEvent"] == {"event": [1, "ProducerEvent", False], "replay_id": [2, "bytes", False]}
    assert len(said["messages"]) == 17
    assert len(said["rpcs"]) == 6
