"""The Pub/Sub API: topics, schemas, subscriptions, change events, and the errors that end them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from contract.documentation import CDC, PUBSUB, documented
from contract.orgs import ContractOrg
from contract.pubsub import CUSTOM, EARLIEST, LATEST, PubSub, Subscription, code_of, trailers_of

ACCOUNTS = "/data/AccountChangeEvent"
ALL = "/data/ChangeEvents"
HEADER = [
    "entityName", "recordIds", "changeType", "changeOrigin", "transactionKey", "sequenceNumber", "commitTimestamp",
    "commitNumber", "commitUser", "nulledFields", "diffFields", "changedFields",
]  # fmt: skip


@pytest.fixture
def bus(org: ContractOrg) -> Iterator[PubSub]:
    """The Pub/Sub API of an org that publishes changes of accounts."""
    with PubSub(org) as found:
        try:
            found.topic(ACCOUNTS)
        except grpc.RpcError as error:
            pytest.skip(f"changes of accounts cannot be read in this org: {code_of(error)}")
        yield found


def refusal(bus: PubSub, **first: object) -> str:
    """The code that ends a subscription."""
    fields = {"topic_name": ACCOUNTS, "num_requested": 1, **first}
    subscription = bus.subscribe(str(fields.pop("topic_name")), **fields)
    with pytest.raises(grpc.RpcError) as caught:
        subscription.next()
    assert trailers_of(caught.value)["rpc-id"]
    return code_of(caught.value)


def drain(subscription: Subscription) -> None:
    """Read until the stream ends."""
    while True:
        subscription.next()


def changed(bus: PubSub, record: str, kind: str) -> tuple[Any, dict[str, Any]]:
    """The event of one change of an account."""
    events = bus.events(ACCOUNTS, replay_preset=EARLIEST)
    for event, payload in events:
        header = payload["ChangeEventHeader"]
        if record in header["recordIds"] and header["changeType"] == kind:
            return event, payload
    raise AssertionError("the stream ended")


@documented(PUBSUB, "GetTopic RPC Method")
def test_a_topic_says_who_may_do_what_and_its_schema(bus: PubSub) -> None:
    info = bus.topic(ACCOUNTS)
    assert info.topic_name == ACCOUNTS
    assert info.can_subscribe is True
    assert info.can_publish is False
    assert info.schema_id
    assert info.rpc_id
    assert info.tenant_guid


@documented(PUBSUB, "GetTopic RPC Method")
def test_the_channel_of_all_entities_has_no_one_schema(bus: PubSub) -> None:
    assert bus.topic(ALL).schema_id == ""


@documented(PUBSUB, "GetSchema RPC Method")
def test_the_schema_of_a_change_event_begins_with_the_header(bus: PubSub) -> None:
    schema = bus.schema(bus.topic(ACCOUNTS).schema_id)
    assert schema["type"] == "record"
    assert schema["name"] == "AccountChangeEvent"
    header = schema["fields"][0]
    assert header["name"] == "ChangeEventHeader"
    assert [field["name"] for field in header["type"]["fields"]] == HEADER
    symbols = header["type"]["fields"][2]["type"]["symbols"]
    assert {"CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_DELETE", "GAP_OVERFLOW"} <= set(symbols)
    assert all("null" in field["type"] for field in schema["fields"][1:])


@documented(PUBSUB, "Handling Errors")
@pytest.mark.parametrize(("topic", "code"), [("/data/NoSuchThing__ChangeEvent", "topic.not.found")])
def test_an_unknown_topic_is_not_found(bus: PubSub, topic: str, code: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        bus.topic(topic)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert code_of(caught.value) == code


@documented(PUBSUB, "Handling Errors")
def test_a_blank_schema_id_is_refused(bus: PubSub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        bus.call("GetSchema", "SchemaRequest", "SchemaInfo", schema_id="")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@documented(PUBSUB, "Supported Authentication")
@pytest.mark.parametrize("missing", ["accesstoken", "instanceurl", "tenantid"])
def test_each_header_of_who_asks_is_needed(bus: PubSub, missing: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        bus.topic(ACCOUNTS, metadata=tuple(pair for pair in bus.metadata if pair[0] != missing))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@documented(PUBSUB, "Handling Errors")
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"num_requested": 0}, "subscription.fetch.requested.events.invalid"),
        ({"num_requested": -5}, "subscription.fetch.requested.events.invalid"),
        ({"replay_preset": CUSTOM}, "subscription.fetch.replayid.validation.failed"),
        ({"replay_preset": CUSTOM, "replay_id": b"\xff" * 10}, "subscription.fetch.replayid.corrupted"),
    ],
    ids=["none wanted", "less than none", "no replay id", "unknown replay id"],
)
def test_a_fetch_that_cannot_be_ends_the_stream_with_its_code(bus: PubSub, fields: dict[str, Any], code: str) -> None:
    assert refusal(bus, **fields) == code


@documented(PUBSUB, "Subscribe RPC Method")
@pytest.mark.writes
def test_a_later_request_for_another_topic_ends_the_stream(bus: PubSub, org: ContractOrg) -> None:
    org.request("POST", "sobjects/Account", json={"Name": "Contract test"})
    subscription = bus.subscribe(ACCOUNTS, num_requested=1, replay_preset=EARLIEST)
    subscription.next()
    subscription.ask(topic_name=ALL, num_requested=1)
    with pytest.raises(grpc.RpcError) as caught:
        drain(subscription)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@documented(CDC, "Change Event Fields: DELETE")
@pytest.mark.writes
def test_a_delete_names_the_record_and_who_did_it_and_nothing_else(bus: PubSub, org: ContractOrg) -> None:
    record = org.request("POST", "sobjects/Account", json={"Name": "Contract test", "Phone": "1"}).json()["id"]
    assert org.request("DELETE", f"sobjects/Account/{record}").status_code == 204
    _, payload = changed(bus, record, "DELETE")
    header = payload.pop("ChangeEventHeader")
    assert header["entityName"] == "Account"
    assert header["commitUser"] == org.user_id
    assert header["transactionKey"]
    assert header["commitTimestamp"] > 1_000_000_000_000
    assert set(payload.values()) == {None}


@documented(PUBSUB, "Event Deserialization Considerations")
@pytest.mark.writes
def test_an_update_says_which_fields_changed_by_a_bitmap(bus: PubSub, org: ContractOrg) -> None:
    record = org.request("POST", "sobjects/Account", json={"Name": "Contract test", "Phone": "1"}).json()["id"]
    assert org.request("PATCH", f"sobjects/Account/{record}", json={"Phone": "2"}).status_code == 204
    event, payload = changed(bus, record, "UPDATE")
    org.request("DELETE", f"sobjects/Account/{record}")
    names = [field["name"] for field in bus.schema(event.event.schema_id)["fields"]]
    bits = int(payload["ChangeEventHeader"]["changedFields"][0], 16)
    fields = {name for number, name in enumerate(names) if bits >> number & 1}
    assert "Phone" in fields
    assert "Name" not in fields
    assert payload["Phone"] == "2"


@documented(PUBSUB, "Event Message Durability")
@pytest.mark.writes
def test_a_replay_goes_on_strictly_after_the_stored_id(bus: PubSub, org: ContractOrg) -> None:
    records = [org.request("POST", "sobjects/Account", json={"Name": "Contract test"}).json()["id"] for _ in range(2)]
    first, _ = changed(bus, records[0], "CREATE")
    events = bus.events(ACCOUNTS, replay_preset=CUSTOM, replay_id=first.replay_id)
    later, payload = next(events)
    assert later.replay_id != first.replay_id
    assert payload["ChangeEventHeader"]["recordIds"] == [records[1]]
    events.close()  # type: ignore[attr-defined]
    for record in records:
        org.request("DELETE", f"sobjects/Account/{record}")


@documented(PUBSUB, "Pull Subscription and Flow Control")
@pytest.mark.writes
def test_no_more_than_asked_is_delivered_and_the_rest_stays_pending(bus: PubSub, org: ContractOrg) -> None:
    for number in range(3):
        org.request("POST", "sobjects/Account", json={"Name": f"Contract test {number}"})
    subscription = bus.subscribe(ACCOUNTS, num_requested=2, replay_preset=EARLIEST)
    got, pending = 0, 2
    while pending:
        response = subscription.next()
        got += len(response.events)
        pending = response.pending_num_requested
        assert got + pending == 2
    subscription.close()


@documented(PUBSUB, "Subscribe RPC Method")
@pytest.mark.writes
def test_latest_delivers_only_what_comes_afterwards(bus: PubSub, org: ContractOrg) -> None:
    before = org.request("POST", "sobjects/Account", json={"Name": "Contract test, before"}).json()["id"]
    changed(bus, before, "CREATE")
    subscription = bus.subscribe(ACCOUNTS, num_requested=100, replay_preset=LATEST)
    made: list[str] = []
    with ThreadPoolExecutor(1) as reader:
        first = reader.submit(subscription.next)
        while not first.done():  # what is made before the subscription is in place may be missed
            made.append(org.request("POST", "sobjects/Account", json={"Name": "Contract test, after"}).json()["id"])
    seen = [one for event in first.result().events for one in bus.decoded(event)["ChangeEventHeader"]["recordIds"]]
    subscription.close()
    for record in (before, *made):
        org.request("DELETE", f"sobjects/Account/{record}")
    assert before not in seen
    assert set(seen) <= set(made)
