"""The client when the service misbehaves: whatever breaks, each event is handed out once, or the failure is said."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localcloud.salesforce.pubsub.control import Duplicate, GoAway, Migration
from localcloud.salesforce.pubsub.switches import ConnectionCut, Hang, RpcFailure
from microdecisions.errors import LoginError, MicroDecisionError
from microdecisions.login import Token
from microdecisions.retries import Clocks, RetryPolicy
from tap_salesforce_deletes.pubsub.client import Timing
from tap_salesforce_deletes.pubsub.errors import (
    DeliveryLimitError,
    PubSubError,
    ReplayIdError,
    SubscriptionClosedError,
)
from tap_salesforce_deletes.pubsub.subscription import After, Earliest, Event, Latest, Subscription

ACCOUNTS = "/data/AccountChangeEvent"

Mock = Any
Read = Callable[[Subscription, int], list[Event]]

RETRIED = ["subscription.fetch.replay.repeated", "subscription.internal.error", "service.unavailable", "RST_STREAM"]


def whole(mock: Mock, events_of: Read, count: int, **changes: Any) -> Subscription:
    """Reads so many deletes, and finds each once and in order."""
    client = mock.client(**changes)
    subscription: Subscription = client.subscription(ACCOUNTS, Earliest())
    assert mock.ids(client, events_of(subscription, count)) == [mock.id(n) for n in range(count)]
    assert subscription.receive(0.05) is None
    return subscription


def until_refused(subscription: Subscription) -> None:
    """Waits until a stream that will be refused has been, and waits to be made again."""
    deadline = time.monotonic() + 20
    while not subscription.reconnects:
        assert subscription.receive(0.05) is None
        assert time.monotonic() < deadline


@pytest.mark.parametrize("code", RETRIED)
def test_a_stream_that_fails_is_resumed_behind_what_was_handed_out(mock: Mock, events_of: Read, code: str) -> None:
    mock.deletes(*range(12))
    mock.control(fail=[RpcFailure(pattern="Subscribe", code=code, after_events=n) for n in (0, 3, 3, 3)])
    assert whole(mock, events_of, 12).reconnects == 4


@pytest.mark.parametrize("mode", ["close", "reset"])
def test_a_connection_that_is_cut_is_made_again(mock: Mock, events_of: Read, mode: Any) -> None:
    mock.deletes(*range(12))
    mock.control(cut=[ConnectionCut(mode=mode, pattern="Subscribe", after_events=n) for n in (2, 7)])
    assert whole(mock, events_of, 12).reconnects >= 2


@pytest.mark.parametrize("grace", [0.0, 30.0])
def test_a_server_that_goes_away_is_followed(mock: Mock, events_of: Read, grace: float) -> None:
    mock.deletes(*range(6))
    client = mock.client()
    subscription = client.subscription(ACCOUNTS, Earliest())
    events = events_of(subscription, 6)
    mock.control(go_away=GoAway(grace_seconds=grace))
    mock.deletes(*range(6, 12))
    events += events_of(subscription, 6)
    assert mock.ids(client, events) == [mock.id(n) for n in range(12)]


@pytest.mark.parametrize(
    ("mode", "timing"),
    [
        ("silent", Timing(watchdog=2)),
        pytest.param(
            "frozen",
            Timing(ping=0.5, ping_answer=2),
            marks=pytest.mark.skipif(sys.platform != "linux", reason="a socket filter of Linux freezes the connection"),
        ),
    ],
)
def test_a_half_open_stream_is_noticed_and_resumed(mock: Mock, events_of: Read, mode: Any, timing: Timing) -> None:
    mock.deletes(*range(6))
    mock.control(hang=[Hang(mode=mode, pattern="Subscribe", after_events=2)])
    whole(mock, events_of, 6, timing=timing)


def test_a_service_that_stays_silent_is_given_up(mock: Mock) -> None:
    mock.control(hang=[Hang(pattern="Subscribe", times=None)])
    subscription = mock.client(timing=Timing(watchdog=0.05)).subscription(ACCOUNTS, Earliest())
    with pytest.raises(PubSubError, match=rf"sent nothing on {ACCOUNTS} for 0 s, though it promises a sign of life"):
        subscription.receive(20)
    with pytest.raises(PubSubError, match="sign of life"):
        subscription.receive(20)


def test_a_slow_writer_is_not_taken_for_a_silent_service(mock: Mock, events_of: Read) -> None:
    mock.deletes(*range(12))
    mock.control(chunk=1)
    seconds, heard = [0.0], threading.Semaphore(0)

    def clock() -> float:
        if threading.current_thread().name == f"pubsub {ACCOUNTS}":
            heard.release()  # the thread that reads notes when it hears a response, and then lets it wait to be taken
        return seconds[0]

    subscription = mock.client(clocks=Clocks(monotonic=clock)).subscription(ACCOUNTS, Earliest())
    events_of(subscription, 1)
    mock.seen("pubsub_fetch", 12)
    for number in (1, 2, 3):
        assert heard.acquire(timeout=20), f"response {number} never came"
    seconds[0] = 1_000.0  # the writer waited for its target
    assert subscription.idle_seconds == 0.0, "the second response waits to be taken since the third was heard"
    events_of(subscription, 11)
    assert not subscription.is_idle(1.0)
    assert subscription.receive(0.0) is None
    assert subscription.reconnects == 0


def test_tries_are_bounded_and_counted_anew_after_a_response(mock: Mock, events_of: Read) -> None:
    mock.deletes(*range(10))
    mock.control(fail=[RpcFailure(pattern="Subscribe", after_events=1) for _ in range(9)])
    assert whole(mock, events_of, 10).reconnects == 9
    mock.control(fail=[RpcFailure(pattern="Subscribe", times=None)])
    subscription = mock.client().subscription(ACCOUNTS, Earliest())
    with pytest.raises(PubSubError, match="run again later") as raised:
        subscription.receive(20)
    assert raised.value.refused is not None
    assert (raised.value.refused.status, raised.value.refused.code) == ("INTERNAL", "service.unavailable")
    assert subscription.reconnects == 3


def test_waiting_to_reconnect_keeps_to_the_timeout_and_is_no_idleness(mock: Mock) -> None:
    mock.control(fail=[RpcFailure(pattern="Subscribe", times=None, code="service.protection.triggered")])
    subscription = mock.client(policy=RetryPolicy()).subscription(ACCOUNTS, Earliest())
    until_refused(subscription)
    began = time.monotonic()
    assert subscription.receive(0.3) is None
    assert time.monotonic() - began < 4
    assert subscription.reconnects == 1
    assert subscription.idle_seconds == 0.0
    assert not subscription.is_idle(0.0)


def test_a_session_that_expires_in_the_middle_of_a_stream_is_renewed(mock: Mock, events_of: Read) -> None:
    mock.control(chunk=2)
    mock.deletes(*range(4))
    client = mock.client()
    subscription = client.subscription(ACCOUNTS, Earliest())
    events = events_of(subscription, 4)
    for ended, first in enumerate((4, 8), 1):
        mock.sessions.expire()
        mock.bus.wake()
        mock.seen("pubsub_subscribe", ended)  # the service has noticed
        mock.deletes(*range(first, first + 4))
        events += events_of(subscription, 4)
    assert mock.ids(client, events) == [mock.id(n) for n in range(12)]
    assert mock.logins == 3


def test_a_login_that_fails_ends_the_subscription(mock: Mock) -> None:
    def tokens(stale: Token | None) -> Token:
        if stale is not None:
            raise LoginError("No more.")
        return mock.token()  # type: ignore[no-any-return]

    mock.control(fail=[RpcFailure(pattern="Subscribe", code="service.auth.error")])
    subscription = mock.client(tokens=tokens).subscription(ACCOUNTS, Earliest())
    for _ in range(2):
        with pytest.raises(LoginError, match=r"No more\."):
            subscription.receive(20)


def test_an_expired_replay_id_is_for_the_caller_to_decide(mock: Mock, events_of: Read) -> None:
    mock.deletes(1)
    client = mock.client()
    [event] = events_of(client.subscription(ACCOUNTS, Earliest()), 1)
    mock.control(expire_replay_ids=True)
    with pytest.raises(ReplayIdError, match="older than the 72 hours"):
        client.subscription(ACCOUNTS, After(event.replay_id)).receive(20)
    mock.control(migrate=Migration())
    mock.deletes(2)
    with pytest.raises(ReplayIdError):
        client.subscription(ACCOUNTS, After(b"nonsense")).receive(20)
    assert mock.ids(client, events_of(client.subscription(ACCOUNTS, Earliest()), 1)) == [mock.id(2)]


def test_used_up_deliveries_end_the_work_with_their_own_error(mock: Mock, events_of: Read) -> None:
    from localcloud.salesforce.pubsub.control import Allocation  # noqa: PLC0415

    mock.control(allocation=Allocation(max=5, used=0))
    mock.deletes(*range(8))
    client = mock.client()
    subscription = client.subscription(ACCOUNTS, Earliest())
    assert mock.ids(client, events_of(subscription, 5)) == [mock.id(n) for n in range(5)]
    with pytest.raises(DeliveryLimitError, match="72 hours") as raised:
        subscription.receive(20)
    assert raised.value.exit_code == 3


def test_a_duplicate_of_the_service_is_handed_out_with_its_own_replay_id(mock: Mock, events_of: Read) -> None:
    mock.deletes(1, 2)
    client = mock.client()
    subscription = client.subscription(ACCOUNTS, Earliest())
    first = events_of(subscription, 2)
    mock.control(duplicate=[Duplicate(ACCOUNTS, 1)])
    [again] = events_of(subscription, 1)
    assert (again.id, again.payload) == (first[1].id, first[1].payload)
    assert subscription.position == After(again.replay_id) != After(first[1].replay_id)


def test_a_start_at_the_newest_event_is_resumed_from_where_it_came_to(mock: Mock, events_of: Read) -> None:
    mock.deletes(1)
    mock.control(keepalive_seconds=0.05)
    client = mock.client()
    subscription = client.subscription(ACCOUNTS, Latest())
    assert subscription.receive(20) is not None
    mock.control(keepalive_seconds=60.0, fail=[RpcFailure(pattern="Subscribe")])
    mock.seen("pubsub_subscribe")  # the stream is over
    mock.deletes(2, 3)
    assert mock.ids(client, events_of(subscription, 2)) == [mock.id(2), mock.id(3)]
    presets = [one.parts[0] for one in mock.seen("pubsub_request", 2)]
    assert presets == ["LATEST", "CUSTOM"]


def test_what_arrived_before_a_failure_is_handed_out_before_it_is_met(mock: Mock) -> None:
    mock.control(chunk=2)
    mock.deletes(*range(4))
    mock.control(fail=[RpcFailure(pattern="Subscribe", code="topic.meta.permission", after_events=4)])
    subscription = mock.client().subscription(ACCOUNTS, Earliest())
    assert subscription.receive(20) is not None
    mock.seen("pubsub_subscribe")  # the call is over
    delivery = subscription.receive(20)
    assert delivery is not None
    assert len(delivery.events) == 2
    with pytest.raises(MicroDecisionError, match="View All"):
        subscription.receive(20)


@pytest.mark.parametrize("state", ["idle", "hanging", "waiting to reconnect"])
def test_close_ends_a_receive_of_another_thread_within_a_second(mock: Mock, state: str) -> None:
    if state == "hanging":
        mock.control(hang=[Hang(pattern="Subscribe", times=None)])
    if state == "waiting to reconnect":
        mock.control(fail=[RpcFailure(pattern="Subscribe", times=None, code="service.protection.triggered")])
    subscription = mock.client(policy=RetryPolicy()).subscription(ACCOUNTS, Earliest())
    ended: list[BaseException] = []

    def receive() -> None:
        try:
            subscription.receive(60)
        except SubscriptionClosedError as error:
            ended.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    if state == "waiting to reconnect":
        mock.seen("pubsub_subscribe")
    else:
        mock.seen("pubsub_fault" if state == "hanging" else "pubsub_request")
    began = time.monotonic()
    subscription.close()
    thread.join(20)
    assert time.monotonic() - began < 10
    assert len(ended) == 1
    subscription.close()
    with pytest.raises(SubscriptionClosedError):
        subscription.receive(0)


def test_closing_the_client_leaves_no_thread_behind(mock: Mock, events_of: Read) -> None:
    before = set(threading.enumerate())
    mock.deletes(*range(150))
    client = mock.client()
    for _ in range(3):
        events_of(client.subscription(ACCOUNTS, Earliest()), 10)
    client.close()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("pubsub /"):
            thread.join(5)
            assert not thread.is_alive()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_row_of_faults_neither_loses_nor_doubles(mock: Mock, events_of: Read, data: st.DataObject) -> None:
    mock.controller.reset()
    faults = data.draw(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([*RETRIED, "cut"])), max_size=5), "faults")
    mock.control(
        chunk=data.draw(st.integers(1, 12), "chunk"),
        fail=[RpcFailure(pattern="Subscribe", after_events=n, code=code) for n, code in faults if code != "cut"],
        cut=[ConnectionCut(pattern="Subscribe", after_events=n) for n, code in faults if code == "cut"],
    )
    if not mock.seen_before:
        mock.seen_before = True
        mock.deletes(*range(30))
    with mock.client(policy=RetryPolicy(tries=9, first_tries=9, base_seconds=0.01)) as client:
        events = events_of(client.subscription(ACCOUNTS, Earliest()), 30)
        assert mock.ids(client, events) == [mock.id(n) for n in range(30)]


def test_whatever_is_asked_of_a_closed_client_is_refused_in_one_sentence(mock: Mock) -> None:
    client = mock.client()
    client.topic(ACCOUNTS)
    client.close()
    late = client.subscription(ACCOUNTS, Earliest())
    asks: list[Callable[[], object]] = [
        lambda: client.topic(ACCOUNTS),
        lambda: client.schema("x"),
        lambda: late.receive(5),
    ]
    for ask in asks:
        with pytest.raises(SubscriptionClosedError, match="was closed"):
            ask()
    client.close()


def test_a_service_that_asks_for_patience_is_left_alone_for_a_while(mock: Mock) -> None:
    mock.control(fail=[RpcFailure(pattern="Subscribe", times=None, code="service.protection.stream.limit.triggered")])
    subscription = mock.client().subscription(ACCOUNTS, Earliest())
    until_refused(subscription)
    assert subscription.receive(0.5) is None
    assert len([one for one in mock.journal.requests() if one.kind == "pubsub_subscribe"]) == 1
