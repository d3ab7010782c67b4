"""The account of a stream: what it owes, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.salesforce.pubsub.errors import PubSubError
from localcloud.salesforce.pubsub.flow import Due, Flow


@given(st.lists(st.tuples(st.sampled_from(["ask", "send"]), st.integers(1, 250))))
def test_never_more_than_a_hundred_events_are_owed_and_none_is_forgotten(steps: list[tuple[str, int]]) -> None:
    flow = Flow(0.0)
    owed = 0
    for what, count in steps:
        if what == "ask":
            flow.ask(count)
            owed = min(100, owed + count)
        else:
            sent = min(count, flow.pending)
            flow.sent(sent, 0.0)
            owed -= sent
        assert flow.pending == owed
        assert 0 <= flow.pending <= 100


@pytest.mark.parametrize("count", [0, -1, -(2**31)])
def test_asking_for_nothing_is_an_error(count: int) -> None:
    flow = Flow(0.0)
    with pytest.raises(PubSubError) as raised:
        flow.ask(count)
    assert raised.value.code.endswith("subscription.fetch.requested.events.invalid")


def test_what_is_due_depends_on_what_is_owed() -> None:
    flow = Flow(100.0)
    assert flow.due(270.0, 60.0) == Due("close", 160.0)
    flow.ask(5)
    assert flow.due(270.0, 60.0) == Due("keepalive", 370.0)
    flow.sent(0, 370.0)
    assert flow.due(270.0, 60.0) == Due("keepalive", 640.0)
    flow.sent(5, 400.0)
    assert flow.due(270.0, 60.0) == Due("close", 460.0)
