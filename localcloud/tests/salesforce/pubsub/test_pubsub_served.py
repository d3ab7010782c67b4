"""The Pub/Sub API beside HTTP: one server, one log-in, one action on every surface."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from localcloud.salesforce.pubsub.contract import CLASSES
from localcloud.salesforce.server import main, serve_in_thread

ACCOUNTS = "/data/AccountChangeEvent"

World = Any


def session(url: str, folder: Path) -> dict[str, str]:
    """Logs in as the org's own app, and answers the headers of the Pub/Sub API."""
    import time  # noqa: PLC0415

    import jwt  # noqa: PLC0415

    claims = {
        "iss": "localcloud.demo.app",
        "sub": "integration@mock.localcloud.invalid",
        "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 120,
    }
    signed = jwt.encode(claims, (folder / "jwt.key").read_text(), algorithm="RS256")
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
    answer = requests.post(f"{url}/services/oauth2/token", data=form, timeout=30).json()
    return {
        "accesstoken": answer["access_token"],
        "instanceurl": answer["instance_url"],
        "tenantid": answer["id"].split("/")[-2],
    }


def topic(address: str, headers: dict[str, str]) -> Any:
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(
            "/eventbus.v1.PubSub/GetTopic",
            request_serializer=CLASSES["TopicRequest"].SerializeToString,
            response_deserializer=CLASSES["TopicInfo"].FromString,
        )
        request = CLASSES["TopicRequest"](topic_name=ACCOUNTS)
        return call(request, metadata=tuple(headers.items()), timeout=30)


def test_one_deletion_over_rest_comes_on_the_topic_and_in_limits(world: World) -> None:
    account = world.id("Account", 1)
    world.org.load("Account", [{"Id": account, "Name": "Acme"}])
    with serve_in_thread(world.org) as running:
        headers = session(running.url, running.org_path)
        assert topic(running.pubsub, headers).tenant_guid.endswith(headers["tenantid"])
        http = {"Authorization": f"Bearer {headers['accesstoken']}"}
        path = f"{running.url}/services/data/v60.0"
        assert requests.delete(f"{path}/sobjects/Account/{account}", headers=http, timeout=30).status_code == 204
        [shown] = world.bus.last_events(ACCOUNTS, 5)
        assert (shown.change_type, shown.record_ids) == ("DELETE", (account,))
        with grpc.insecure_channel(running.pubsub) as channel:
            call: Any = channel.stream_stream(
                "/eventbus.v1.PubSub/Subscribe",
                request_serializer=CLASSES["FetchRequest"].SerializeToString,
                response_deserializer=CLASSES["FetchResponse"].FromString,
            )
            asked = CLASSES["FetchRequest"](topic_name=ACCOUNTS, replay_preset=1, num_requested=10)
            responses = call(iter([asked]), metadata=tuple(headers.items()), timeout=30)
            assert [event.replay_id.hex() for event in next(responses).events] == [shown.replay_id]
        limits = requests.get(f"{path}/limits", headers=http, timeout=30).json()
        assert limits["DailyDeliveredPlatformEvents"]["Remaining"] == 49_999
        running.control(expire_sessions=True)
        with pytest.raises(grpc.RpcError):
            topic(running.pubsub, headers)
        assert {one.kind for one in running.journal().requests} >= {"pubsub_subscribe", "pubsub_fetch"}


def test_the_process_says_both_addresses_and_stops_with_streams_open(world: World, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(world.org.path)]
    with subprocess.Popen([*command, "--ready-file", str(ready)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        while not ready.exists():  # it is written right after the line
            assert process.poll() is None
        http, pubsub = ready.read_text().splitlines()[:2]
        assert f"http://{http} " in first
        headers = session(f"http://{http}", world.org.path)
        with grpc.insecure_channel(pubsub) as channel:
            call: Any = channel.stream_stream("/eventbus.v1.PubSub/Subscribe")
            asked = CLASSES["FetchRequest"](topic_name=ACCOUNTS, replay_preset=1, num_requested=10)
            requested: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
            requested.put(asked.SerializeToString())
            stream = call(iter(requested.get, None), metadata=tuple(headers.items()), timeout=30)
            assert topic(pubsub, headers).can_subscribe
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            with pytest.raises(grpc.RpcError):
                next(stream)
            requested.put(None)


def test_a_port_that_is_taken_is_said_in_one_sentence(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    port = str(world.server.port)
    assert main(["--org", str(world.org.path), "--pubsub-port", port]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"cannot listen on 127.0.0.1:{port}: Address already in use"
