"""A publisher of platform events, as a client of the org's would be one: it stamps what it likes."""

from __future__ import annotations

import io
import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import fastavro
import grpc

from localcloud.salesforce.pubsub.contract import CLASSES
from tests.harness import Json

__all__ = ["publish"]

_USER = "005000000000001AAA"


def publish(config: Json, topic: str, *rows: Mapping[str, object]) -> None:
    """Publish events of a topic by the Pub/Sub API.

    Args:
        config: Settings of a tap that reads the org.
        topic: Its name.
        rows: Fields of each event; those that are left out are null.
    """
    who = {"grant_type": "client_credentials", **{key: config[key] for key in ("client_id", "client_secret")}}
    url = f"{config['login_url']}/services/oauth2/token"
    with urllib.request.urlopen(url, urllib.parse.urlencode(who).encode(), timeout=20) as answer:  # noqa: S310  # loopback
        token = json.load(answer)
    headers = (
        ("accesstoken", token["access_token"]),
        ("instanceurl", token["instance_url"]),
        ("tenantid", token["id"].split("/")[-2]),
    )
    with grpc.insecure_channel(str(config["pubsub_endpoint"])) as channel:

        def call(name: str, request: Any, answer: str) -> Any:
            path = f"/eventbus.v1.PubSub/{name}"
            sent: bytes = channel.unary_unary(path)(request.SerializeToString(), metadata=headers, timeout=20)
            return CLASSES[answer].FromString(sent)

        schema_id = call("GetTopic", CLASSES["TopicRequest"](topic_name=topic), "TopicInfo").schema_id
        told = call("GetSchema", CLASSES["SchemaRequest"](schema_id=schema_id), "SchemaInfo").schema_json
        schema = json.loads(told)
        parsed = fastavro.parse_schema(schema)
        request: Any = CLASSES["PublishRequest"](topic_name=topic)
        for number, row in enumerate(rows):
            payload = io.BytesIO()
            values = {one["name"]: row.get(one["name"]) for one in schema["fields"]}
            fastavro.schemaless_writer(payload, parsed, values | {"CreatedById": _USER})
            request.events.add(id=str(number), schema_id=schema_id, payload=payload.getvalue())
        results = call("Publish", request, "PublishResponse").results
        assert not [result.error.msg for result in results if result.error.msg]
