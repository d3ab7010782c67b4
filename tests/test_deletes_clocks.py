"""Stamps that no clock of Salesforce made, streams that say nothing, events that name nothing, states of the future."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localcloud.salesforce.server import Running
from microdecisions import timestamps
from tap_salesforce_deletes.position import STREAM
from tests.conftest import DAY, HOUR, MINUTE, NOW
from tests.deletes import ACCOUNTS, PLATFORM_EVENT, Store, run_deletes, settings_for
from tests.deletes_org import accounts, delete_accounts, later, truth
from tests.publishing import publish

Serve = Callable[..., Running]
EVENTS_ALONE: dict[str, object] = {"topics": [PLATFORM_EVENT], "reconcile": "never", "enrich": "never"}


def told_at(instant: datetime, number: int = 1) -> dict[str, object]:
    """An event that tells of a delete, stamped with an instant."""
    return {
        "CreatedDate": int(instant.timestamp() * 1000),
        "Object_Name__c": "Account",
        "Record_Id__c": f"001{number:012d}AAA",
    }


@pytest.mark.parametrize("days", [0.5, 400])
def test_an_event_of_a_publisher_whose_clock_is_ahead_hides_no_later_gap(
    serve: Serve, empty_org: Path, days: float
) -> None:
    server = serve(empty_org)
    config = settings_for(server, empty_org, **EVENTS_ALONE)
    publish(config, PLATFORM_EVENT, told_at(NOW))
    later(server, HOUR)
    publish(config, PLATFORM_EVENT, told_at(NOW + days * DAY, 2))
    later(server, HOUR)
    store = Store()
    assert store.run(config).code == 0
    assert len(store.events) == 2
    later(server, HOUR)
    publish(config, PLATFORM_EVENT, told_at(NOW + 3 * HOUR, 3))
    later(server, 5 * DAY)
    publish(config, PLATFORM_EVENT, told_at(NOW + 5 * DAY, 4))
    assert store.run(config).code == 4
    (gap,) = store.gaps()
    start, end = (timestamps.parse(gap.context.metadata[key]) for key in ("gap_start", "gap_end"))
    assert start <= NOW + 3 * HOUR < end
    later(server, HOUR)
    assert store.run(config).code == 0


def test_a_position_that_such_an_event_moved_ahead_comes_back_with_the_next_event(
    serve: Serve, empty_org: Path
) -> None:
    server = serve(empty_org)
    config = settings_for(server, empty_org, **EVENTS_ALONE)
    publish(config, PLATFORM_EVENT, told_at(NOW))
    state = run_deletes(config).state
    state["bookmarks"][STREAM]["topics"][PLATFORM_EVENT]["drained_at"] = "2062-01-01T00:00:00.000000Z"
    later(server, HOUR)
    publish(config, PLATFORM_EVENT, told_at(NOW + HOUR, 2))
    run = run_deletes(config, state=state)
    drained_at = run.state["bookmarks"][STREAM]["topics"][PLATFORM_EVENT]["drained_at"]
    assert NOW < timestamps.parse(drained_at) < NOW + DAY


def test_a_run_goes_on_behind_an_event_that_is_stamped_with_a_time_to_come(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    config = settings_for(server, empty_org, **EVENTS_ALONE)
    for part in range(3):
        publish(config, PLATFORM_EVENT, *(told_at(NOW + DAY, part * 90 + number) for number in range(90)))
    later(server, HOUR)
    run = run_deletes(config)
    assert run.code == 0
    assert len(run.records[STREAM]) == 270


def test_a_run_whose_machine_slept_believes_what_came_since(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 2)
    later(server, MINUTE)
    delete_accounts(server, "Account 1")
    later(server, MINUTE)

    class Slow(io.BytesIO):
        """An hour has passed when the first record is written."""

        slept = False

        def write(self, data: bytes, /) -> int:  # type: ignore[override]
            if b'"type":"RECORD"' in bytes(data) and not self.slept:
                self.slept = True
                later(server, HOUR)
                delete_accounts(server, "Account 2")
            return super().write(data)

    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    run = run_deletes(config, output=Slow())
    assert (run.code, len(run.records[STREAM])) == (0, 2)
    position = run.state["bookmarks"][STREAM]["topics"][ACCOUNTS]
    assert timestamps.parse(position["drained_at"]) >= NOW + HOUR
    assert timestamps.parse(position["replay_id_at"]) >= NOW + HOUR


def test_a_first_run_that_heard_nothing_promises_nothing_of_what_was_on_the_bus(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    accounts(server, 2)
    later(server, HOUR)
    delete_accounts(server, "Account 1")
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, topics=[ACCOUNTS], reconcile="never", enrich="never")
    server.control(pubsub={"hang": [{"pattern": "Subscribe", "times": None, "mode": "silent"}]})
    store = Store()
    assert store.run(config).code == 0
    server.control(reset=True)
    later(server, 80 * HOUR)
    assert store.run(config).code == 4
    (gap,) = store.gaps()
    start, end = (timestamps.parse(gap.context.metadata[key]) for key in ("gap_start", "gap_end"))
    (deleted,) = truth(empty_org, "delete")
    assert start < timestamps.parse(deleted.at) < end


def test_a_state_of_a_time_to_come_is_refused(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, reconcile_objects=["Account", "Contact"])
    state = run_deletes(config).state
    state["bookmarks"][STREAM]["objects"]["Account"] = timestamps.to_text(datetime(2062, 1, 1, tzinfo=UTC))
    run = run_deletes(config, state=state)
    assert run.code == 2
    assert not run.states
    assert "Account" in run.log
    assert "2062-01-01" in run.log


def test_an_event_that_names_neither_a_record_nor_an_object_is_a_gap(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    server.control(pubsub={"keepalive_seconds": 0.05})
    later(server, 5 * MINUTE)
    config = settings_for(server, empty_org, topics=[PLATFORM_EVENT], enrich="never")
    store = Store()
    assert store.run(config).code == 0
    stamp = int((NOW + HOUR).timestamp() * 1000)
    publish(config, PLATFORM_EVENT, *({"CreatedDate": stamp + number} for number in range(3)))
    later(server, 2 * HOUR)
    assert store.run(config).code == 4
    nameless = [one for one in store.events.values() if one.event_type == "record_delete"]
    assert len(nameless) == 3
    (gap,) = store.gaps()
    assert gap.record_type == PLATFORM_EVENT
    start, end = (timestamps.parse(gap.context.metadata[key]) for key in ("gap_start", "gap_end"))
    assert start < NOW + HOUR < end <= NOW + 2 * HOUR + MINUTE
    assert store.run(config).code == 0
    assert len(store.gaps()) == 1
