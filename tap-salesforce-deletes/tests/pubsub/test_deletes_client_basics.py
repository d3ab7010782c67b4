"""The client against the mock org: topics, schemas, events in order, the session, the endpoint."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from localcloud.salesforce.faults import Trap
from localcloud.salesforce.pubsub.contract import dump
from localcloud.salesforce.pubsub.server import PubSubServer
from localcloud.salesforce.pubsub.switches import RpcFailure
from localcloud.tls import certificates
from microdecisions.errors import CertificateError, ConfigurationError, LoginError, UnreachableError
from microdecisions.login import Token
from tap_salesforce_deletes.pubsub import contract
from tap_salesforce_deletes.pubsub.client import PubSubClient, Timing
from tap_salesforce_deletes.pubsub.errors import (
    PayloadError,
    ProtocolError,
    PubSubError,
    TopicNotFoundError,
    TopicPermissionError,
)
from tap_salesforce_deletes.pubsub.subscription import After, Earliest, Event, Latest, Subscription

ACCOUNTS = "/data/AccountChangeEvent"
CHANGES = "/data/ChangeEvents"

Mock = Any
Read = Callable[[Subscription, int], list[Event]]


def test_the_contract_is_the_one_that_the_mock_org_states_by_itself() -> None:
    other: Any = dump()["messages"]
    for name, fields in contract.MESSAGES.items():
        stated = [text.split(" ")[0] for text in fields.split(", ")]
        assert stated == list(other[name]), name
    encoded = contract.new(
        "FetchRequest", topic_name="t", replay_preset=contract.CUSTOM, replay_id=b"r", num_requested=3
    )
    assert encoded == b"\x0a\x01t\x10\x02\x1a\x01r\x20\x03"


def test_a_topic_is_described(mock: Mock) -> None:
    with mock.client() as client:
        info = client.topic(ACCOUNTS)
        assert (info.name, info.can_subscribe, bool(info.schema_id)) == (ACCOUNTS, True, True)
        assert client.topic(CHANGES).schema_id == ""


def test_a_topic_that_is_not_there_and_one_that_is_forbidden_are_told_apart(mock: Mock) -> None:
    client = mock.client()
    with pytest.raises(TopicNotFoundError, match=r"no topic /data/accountchangeevent: check its spelling"):
        client.topic("/data/accountchangeevent")
    mock.switches.forbidden_objects = {"Account"}
    assert not client.topic(ACCOUNTS).can_subscribe
    with pytest.raises(TopicPermissionError, match=rf"may not subscribe to {ACCOUNTS}: grant View All"):
        client.subscription(ACCOUNTS, Earliest()).receive(20)


def test_events_come_in_order_and_a_schema_is_asked_for_once(mock: Mock, events_of: Read) -> None:
    mock.deletes(*range(250))
    client = mock.client()
    events = events_of(client.subscription(ACCOUNTS, Earliest()), 250)
    assert mock.ids(client, events) == [mock.id(n) for n in range(250)]
    assert len(mock.seen("pubsub_get_schema")) == 1
    assert mock.logins == 1


def test_the_server_is_asked_for_as_many_events_as_were_handed_out(mock: Mock, events_of: Read) -> None:
    mock.control(chunk=7)
    mock.deletes(*range(30))
    subscription = mock.client().subscription(ACCOUNTS, Earliest())
    first = subscription.receive(20)
    assert first is not None
    assert (len(first.events), first.pending) == (7, 93)
    events_of(subscription, 23)
    mock.control(keepalive_seconds=0.01)
    pending = {delivery.pending for _ in range(200) if (delivery := subscription.receive(20)) is not None}
    assert max(pending) == 100  # never more, and in the end no less


@pytest.mark.parametrize("start", ["latest", "after"])
def test_a_subscription_begins_where_it_is_told(mock: Mock, events_of: Read, start: str) -> None:
    mock.deletes(1, 2)
    client = mock.client()
    kept = events_of(client.subscription(ACCOUNTS, Earliest()), 2)
    if start == "after":
        subscription = client.subscription(ACCOUNTS, After(kept[0].replay_id))
        assert mock.ids(client, events_of(subscription, 1)) == [mock.id(2)]
    else:
        mock.control(keepalive_seconds=0.0)
        subscription = client.subscription(ACCOUNTS, Latest())
        assert subscription.receive(20) is not None
        mock.control(keepalive_seconds=60.0)
        mock.deletes(3)
        assert mock.ids(client, events_of(subscription, 1)) == [mock.id(3)]


def test_a_keepalive_moves_the_position(mock: Mock) -> None:
    mock.control(keepalive_seconds=0.05)
    subscription = mock.client().subscription(ACCOUNTS, Earliest())
    delivery = subscription.receive(20)
    assert delivery is not None
    assert not delivery.events
    assert subscription.position == After(delivery.latest_replay_id) == After(delivery.replay_id)


def test_nothing_in_time_is_none_and_silence_is_measured(mock: Mock) -> None:
    subscription = mock.client().subscription(ACCOUNTS, Earliest())
    assert subscription.idle_seconds == 0.0
    assert subscription.receive(0.05) is None
    assert subscription.idle_seconds > 0.0
    assert subscription.is_idle(0.01)
    assert not subscription.is_idle(3600)


def test_silence_on_a_dead_connection_is_not_idleness(mock: Mock) -> None:
    subscription = mock.client().subscription(ACCOUNTS, Earliest())
    assert subscription.receive(0.05) is None
    mock.server.stop()
    assert not subscription.is_idle(0.0)


def test_a_new_field_brings_a_new_schema_in_the_middle_of_a_stream(mock: Mock, events_of: Read) -> None:
    from localcloud.salesforce.pubsub.control import AddField  # noqa: PLC0415

    mock.deletes(1)
    client = mock.client()
    subscription = client.subscription(ACCOUNTS, Earliest())
    events = events_of(subscription, 1)
    mock.control(add_field=[AddField("Account", "Novelty__c")])
    mock.deletes(2)
    events += events_of(subscription, 1)
    assert mock.ids(client, events) == [mock.id(1), mock.id(2)]
    old, new = (client.schema(event.schema_id) for event in events)
    assert "Novelty__c" not in old.fields
    assert "Novelty__c" in new.fields


def test_an_event_without_a_schema_id_stops_its_reader(mock: Mock, events_of: Read) -> None:
    mock.control(blank_schema_id=[Trap(pattern="Account")])
    mock.deletes(1)
    client = mock.client()
    [event] = events_of(client.subscription(ACCOUNTS, Earliest()), 1)
    with pytest.raises(ProtocolError, match="without the id of its schema"):
        client.schema(event.schema_id)


def test_a_damaged_payload_stops_its_reader(mock: Mock, events_of: Read) -> None:
    mock.control(corrupt=[Trap(pattern="Account")])
    mock.deletes(1)
    client = mock.client()
    [event] = events_of(client.subscription(ACCOUNTS, Earliest()), 1)
    with pytest.raises(PayloadError, match="An event of the type AccountChangeEvent cannot be read: it "):
        client.schema(event.schema_id).read(event.payload)


def test_unary_calls_are_tried_again_and_then_given_up(mock: Mock) -> None:
    client = mock.client()
    mock.control(fail=[RpcFailure(pattern="GetTopic", times=3)])
    assert client.topic(ACCOUNTS).can_subscribe
    mock.control(fail=[RpcFailure(pattern="GetTopic", times=4)])
    with pytest.raises(PubSubError, match=rf"cannot serve {ACCOUNTS} at the moment: run again later"):
        client.topic(ACCOUNTS)
    assert client.topic(ACCOUNTS).can_subscribe


def test_ten_topics_that_are_refused_one_token_log_in_once_more(mock: Mock) -> None:
    client = mock.client()
    client.topic(ACCOUNTS)
    mock.sessions.expire()
    subscriptions = [client.subscription(ACCOUNTS, Earliest()) for _ in range(10)]
    mock.control(keepalive_seconds=0.01)
    with ThreadPoolExecutor(10) as threads:
        assert all(threads.map(lambda one: one.receive(20), subscriptions))
    assert mock.logins == 2


def test_a_session_that_is_refused_as_soon_as_it_is_opened_ends_the_run(mock: Mock) -> None:
    def useless(stale: Token | None) -> Token:
        mock.logins += 1
        return Token(
            access_token="x" * 20,
            instance_url="http://x",
            org_id=mock.org.org_id,
            user_id="",
            issued_at=mock.clock.now(),
        )

    client = mock.client(tokens=useless)
    with pytest.raises(LoginError, match="does not accept the session"):
        client.topic(ACCOUNTS)
    assert mock.logins == 2
    with pytest.raises(LoginError):
        client.subscription(ACCOUNTS, Earliest()).receive(20)


def test_a_response_of_five_megabytes_is_taken(mock: Mock, events_of: Read) -> None:
    from localcloud.salesforce.pubsub.switches import LargeResponse  # noqa: PLC0415

    mock.deletes(1, 2)
    mock.control(large=[LargeResponse()])
    assert len(events_of(mock.client().subscription(ACCOUNTS, Earliest()), 2)) == 2


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "http://127.0.0.1:1",
        "api.pubsub.salesforce.com:7443/x",
        "a b",
        "host:port",
        "user@host:1",
        "host:99999",
        ":1",
    ],
)
def test_an_endpoint_that_is_none_is_said(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="`pubsub_endpoint` must be a host and port"):
        PubSubClient(endpoint, tokens=lambda _: pytest.fail("no login"))


@pytest.mark.parametrize("endpoint", ["api.pubsub.salesforce.com:7443", "10.0.0.1:7443", "localhost.example.com:1"])
def test_plaintext_never_leaves_this_machine(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="on this machine only"):
        PubSubClient(endpoint, tokens=lambda _: pytest.fail("no login"), plaintext=True)


def test_a_server_that_is_not_there_is_said_soon(mock: Mock) -> None:
    client = mock.client()
    mock.server.stop()
    with pytest.raises(
        UnreachableError, match=r"does not answer, so /data/AccountChangeEvent cannot be read: check `pub"
    ):
        client.topic(ACCOUNTS)
    with pytest.raises(UnreachableError, match="check `pubsub_endpoint`"):
        client.subscription(ACCOUNTS, Earliest()).receive(20)


def test_tls_is_verified_against_the_given_authority(mock: Mock, tmp_path: Path) -> None:
    files = certificates(tmp_path)
    server = PubSubServer(
        mock.org, mock.sessions, mock.switches, mock.usage, mock.journal, tls_cert=files.certificate, tls_key=files.key
    )
    options: dict[str, Any] = {"tokens": mock.token, "timing": Timing(unary=20.0)}
    try:
        with PubSubClient(f"localhost:{server.port}", ca_bundle=str(files.authority), **options) as client:
            assert client.topic(ACCOUNTS).can_subscribe
        with (
            PubSubClient(f"localhost:{server.port}", **options) as client,
            pytest.raises(CertificateError, match="`ca_bundle`"),
        ):
            client.topic(ACCOUNTS)
        with (
            PubSubClient(f"localhost:{server.port}", **options) as client,
            pytest.raises(CertificateError, match="not trusted"),
        ):
            client.subscription(ACCOUNTS, Earliest()).receive(20)
    finally:
        server.stop()
    with PubSubClient(mock.endpoint, **options) as client, pytest.raises(ConfigurationError, match="no TLS behind"):
        client.topic(ACCOUNTS)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("whole_folder", [False, True])
def test_the_environment_may_name_the_authority_as_for_rest(
    mock: Mock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, whole_folder: bool
) -> None:
    files = certificates(tmp_path)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(variable, str(files.authority.parent if whole_folder else files.authority))
    server = PubSubServer(
        mock.org, mock.sessions, mock.switches, mock.usage, mock.journal, tls_cert=files.certificate, tls_key=files.key
    )
    try:
        with PubSubClient(f"localhost:{server.port}", tokens=mock.token) as client:
            assert client.topic(ACCOUNTS).can_subscribe
    finally:
        server.stop()
    monkeypatch.setenv(variable, str(tmp_path / "nowhere.pem"))
    with pytest.raises(CertificateError, match=f"of {variable} cannot be read"):
        PubSubClient("localhost:1", tokens=mock.token)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_file_of_certificates_that_holds_none_is_said(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CertificateError, match="`ca_bundle` cannot be read"):
        PubSubClient("localhost:1", tokens=lambda _: pytest.fail("no login"), ca_bundle=str(path))
