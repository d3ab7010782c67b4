"""The delete log and the recycle bin over HTTP: each delete once, whole windows, and holes that are said out loud."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos.world import config_for
from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running, serve_in_thread
from microdecisions import timestamps
from microdecisions.deletions import resolve, sighting_of
from microdecisions.describe import ObjectSummary
from microdecisions.errors import SalesforceError
from microdecisions.event import MicroDecisionEvent
from microdecisions.session import SalesforceSession, open_session
from microdecisions.settings import load
from tap_salesforce_deletes.reconcile.reconciler import Reconciled, Reconciler, objects_to_reconcile
from tap_salesforce_deletes.settings import TapSettings

NOW = datetime(2026, 3, 2, 8, 0, 30, tzinfo=UTC)
READ_AT = "2026-03-02T09:00:00.000000Z"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class World:
    """A mock org over HTTP, and a reconciler of it."""

    def __init__(self, server: Running, session: SalesforceSession) -> None:
        self.server = server
        self.session = session
        self.reconciler = self.make()

    def make(self, *, enrich: bool = True) -> Reconciler:
        log = logging.getLogger("reconcile")
        return Reconciler(self.session, "tap-salesforce-deletes 0", enrich=enrich, now=lambda: READ_AT, log=log)

    def accounts(self, count: int) -> list[str]:
        """Makes accounts, and returns their ids as they are now."""
        before = set(self.live())
        self.act("create", object="Account", count=count, values={"Name": "Brief", "Description": "gone \U0001f600"})
        return sorted(set(self.live()) - before)

    def live(self) -> list[str]:
        found = self.session.get_json("query", {"q": "SELECT Id FROM Account"})
        return [row["Id"] for row in found["records"]]

    def act(self, action: str, **more: object) -> None:
        self.server.control(act=[{"action": action, **more}])

    def later(self, step: timedelta) -> None:
        self.server.control(clock={"advance_seconds": step.total_seconds()})
        self.session.get_bytes("/services/data/")  # whose answer says what time it is

    def calls(self) -> Counter[str]:
        return Counter(self.server.journal().by_kind)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    path = tmp_path / "org"
    Org.create(path, clock=OrgClock(NOW)).close()
    with ExitStack() as stack:
        server = stack.enter_context(serve_in_thread(path))
        session = stack.enter_context(open_session(load(TapSettings, config_for(server.url, path))))
        yield World(server, session)


def read(pages: Iterator[Reconciled]) -> tuple[list[MicroDecisionEvent], datetime | None, list[Any]]:
    events: list[MicroDecisionEvent] = []
    complete, gaps = None, []
    for page in pages:
        events += page.events
        complete = page.complete_to or complete
        if page.gap is not None:
            assert page.events[-1].event_type == "gap"
            gaps.append(page.gap)
    return events, complete, gaps


def of(events: list[MicroDecisionEvent], source: str) -> list[MicroDecisionEvent]:
    return [event for event in events if event.context.source == source and event.event_type != "gap"]


def test_a_delete_is_seen_by_log_and_bin_with_its_deleter_owner_and_last_values(world: World) -> None:
    (account,) = world.accounts(1)
    world.act("delete", ids=[account])
    world.later(2 * MINUTE)
    events, complete, gaps = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert gaps == []
    assert complete == NOW.replace(second=0) + 2 * MINUTE
    (logged,), (binned,) = of(events, "get_deleted"), of(events, "query_all")
    assert logged.event_id == f"{world.session.org_id}:Account:{account}:log:{logged.timestamp_occurred}"
    assert (logged.actor_id, logged.context.metadata) == (None, {})
    assert binned.event_id == f"{world.session.org_id}:Account:{account}:bin:{binned.timestamp_recorded}"
    assert binned.actor_id == world.session.user_id
    values = msgspec.json.decode(binned.context.metadata["payload"])
    assert values["Description"] == "gone \U0001f600"
    assert "attributes" not in values
    assert binned.context.metadata["owner_id"] == values["OwnerId"]
    (deletion,) = resolve(found for event in events if (found := sighting_of(event)) is not None)
    assert (deletion.source, deletion.actor_id, deletion.at) == (
        "query_all",
        binned.actor_id,
        logged.timestamp_occurred,
    )


def test_windows_that_meet_tell_each_delete_once(world: World) -> None:
    accounts = world.accounts(6)
    told: list[str] = []
    since: datetime | None = NOW - HOUR
    for account in accounts:
        world.act("delete", ids=[account])
        world.later(timedelta(seconds=45))
        events, complete, _ = read(world.reconciler.reconcile("Account", since))
        told += [event.event_id for event in of(events, "get_deleted")]
        since = complete or since
    world.later(2 * MINUTE)
    events, _, _ = read(world.reconciler.reconcile("Account", since))
    told += [event.event_id for event in of(events, "get_deleted")]
    assert sorted(event_id.split(":")[2] for event_id in told) == accounts
    assert len(told) == len(set(told))


def test_nothing_deleted_costs_one_call_an_object(world: World) -> None:
    world.session.login()
    before = world.session.usage.calls
    events, complete, gaps = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert (events, gaps) == ([], [])
    assert complete is not None
    assert world.session.usage.calls - before <= 2  # one of them asks for Salesforce's time


def test_no_call_is_made_within_the_minute_that_was_read(world: World) -> None:
    world.session.server_time()
    before = world.session.usage.calls
    assert list(world.reconciler.reconcile("Account", NOW.replace(second=0))) == []
    assert world.session.usage.calls == before


def test_a_hard_deleted_record_is_in_the_log_alone(world: World) -> None:
    (account,) = world.accounts(1)
    world.act("delete", ids=[account])
    world.act("empty_bin", ids=[account])
    world.later(2 * MINUTE)
    events, _, _ = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert [event.context.source for event in events] == ["get_deleted"]


def test_a_record_that_was_undeleted_is_told_by_neither(world: World) -> None:
    (account,) = world.accounts(1)
    world.act("delete", ids=[account])
    world.act("undelete", ids=[account])
    world.later(2 * MINUTE)
    assert read(world.reconciler.reconcile("Account", NOW - HOUR))[0] == []


def test_without_enrich_the_bin_is_not_asked(world: World) -> None:
    (account,) = world.accounts(1)
    world.act("delete", ids=[account])
    world.later(2 * MINUTE)
    events, _, _ = read(world.make(enrich=False).reconcile("Account", NOW - HOUR))
    assert [event.context.source for event in events] == ["get_deleted"]


def test_many_deletes_are_looked_up_by_their_time(world: World) -> None:
    accounts = world.accounts(1_000)
    world.act("delete", ids=accounts)
    world.later(2 * MINUTE)
    world.session.server_time()
    before = world.session.usage.calls
    events, _, _ = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert {event.record_id for event in of(events, "query_all")} == set(accounts)
    assert len(of(events, "get_deleted")) == 1_000
    assert world.session.usage.calls - before == 3  # log, describe, one page of the bin


def test_an_answer_with_too_many_ids_is_halved(world: World) -> None:
    accounts = world.accounts(40)
    for place in range(0, 40, 10):
        world.act("delete", ids=accounts[place : place + 10])
        world.later(10 * MINUTE)
    world.server.control(replication={"id_limit": 12})
    events, complete, gaps = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert {event.record_id for event in of(events, "get_deleted")} == set(accounts)
    assert len(of(events, "get_deleted")) == 40
    assert gaps == []
    assert complete == NOW.replace(second=0) + 40 * MINUTE


def test_more_than_any_answer_holds_in_one_minute_is_taken_from_the_bin_and_a_gap(world: World) -> None:
    accounts = world.accounts(30)
    world.act("delete", ids=accounts)
    world.later(30 * MINUTE)
    world.server.control(replication={"id_limit": 12})
    events, complete, (gap,) = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert {event.record_id for event in of(events, "query_all")} == set(accounts)
    assert gap.start <= NOW < gap.end
    assert gap.end - gap.start < 4 * MINUTE
    assert complete == NOW.replace(second=0) + 30 * MINUTE


@pytest.mark.parametrize("horizon", ["refuse", "answer"])
def test_what_lies_before_the_horizon_of_the_log_is_a_gap(world: World, horizon: str) -> None:
    old, new = world.accounts(2)
    world.act("delete", ids=[old])
    world.later(6 * HOUR)
    world.server.control(replication={"trim_log_to": 0, "before_horizon": horizon})
    world.act("delete", ids=[new])
    world.later(10 * MINUTE)
    events, complete, (gap,) = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert [event.record_id for event in of(events, "get_deleted")] == [new]
    assert {event.record_id for event in of(events, "query_all")} == {old, new}  # the bin fills what it can
    assert gap.start == NOW - HOUR
    assert NOW < gap.end < NOW + 6 * HOUR
    (said,) = [event for event in events if event.event_type == "gap"]
    assert said.timestamp_recorded == timestamps.to_text(gap.end)
    assert complete == NOW.replace(second=0) + 6 * HOUR + 10 * MINUTE


def test_a_state_of_20_days_ago_leaves_a_gap_of_what_the_log_has_lost(world: World) -> None:
    world.later(20 * DAY)
    _, complete, (gap,) = read(world.reconciler.reconcile("Account", NOW))
    assert gap.start == NOW
    assert 4 * DAY < gap.end - gap.start < 7 * DAY
    assert complete is not None


def test_a_first_reading_goes_back_as_far_as_there_is_without_a_gap(world: World) -> None:
    (account,) = world.accounts(1)
    world.act("delete", ids=[account])
    world.later(13 * DAY)
    events, complete, gaps = read(world.reconciler.reconcile("Account", None))
    assert [event.record_id for event in of(events, "get_deleted")] == [account]
    assert gaps == []
    assert complete is not None


@pytest.mark.parametrize("behind", ["refuse", "answer"])
def test_a_long_transaction_holds_the_position_back(world: World, behind: str) -> None:
    first, second = world.accounts(2)
    world.act("delete", ids=[first])
    world.later(10 * MINUTE)
    since = (NOW + 5 * MINUTE).isoformat()
    world.act("delete", ids=[second])
    world.later(10 * MINUTE)
    world.server.control(replication={"behind_open": behind, "open_transaction": {"since": since, "ids": [second]}})
    events, complete, gaps = read(world.reconciler.reconcile("Account", NOW - 2 * HOUR))
    assert gaps == []
    assert complete is not None
    assert complete <= NOW + 5 * MINUTE
    told = [event.record_id for event in of(events, "get_deleted")]
    world.server.control(replication={"close_transaction": True})
    events, _, _ = read(world.reconciler.reconcile("Account", complete))
    told += [event.record_id for event in of(events, "get_deleted")]
    assert sorted(map(str, told)) == sorted([first, second])


def test_a_log_that_tells_nothing_yet_moves_nothing_and_says_so(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.later(10 * MINUTE)
    since = NOW.isoformat()
    world.server.control(replication={"behind_open": "refuse", "open_transaction": {"since": since, "ids": []}})
    assert read(world.reconciler.reconcile("Account", NOW)) == ([], None, [])
    assert "a long transaction may be open" in caplog.text


def test_an_object_without_a_delete_log_is_refused_with_its_code(world: World) -> None:
    with pytest.raises(SalesforceError) as refused:
        read(world.reconciler.reconcile("LoginHistory", NOW - HOUR))
    assert refused.value.code in {"INVALID_TYPE_FOR_OPERATION", "NOT_FOUND"}


def test_a_hidden_description_leaves_the_log_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    (account,) = world.accounts(1)
    world.act("delete", ids=[account])
    world.later(2 * MINUTE)
    world.server.control(forbid={"fields": ["Account.SystemModstamp"]})
    events, _, _ = read(world.reconciler.reconcile("Account", NOW - HOUR))
    assert [event.context.source for event in events] == ["get_deleted"]
    assert caplog.text.count("Deleted rows of Account cannot be queried") == 1


def test_enrich_finds_what_is_still_in_the_bin_at_most_400_ids_a_call(world: World) -> None:
    accounts = world.accounts(500)
    world.act("delete", ids=accounts)
    world.later(2 * MINUTE)
    world.act("empty_bin", ids=accounts[:100])
    list(world.reconciler.enrich("Account", accounts[:1]))  # describes
    before = world.session.usage.calls
    seen = [event for page in world.reconciler.enrich("Account", accounts) for event in page]
    assert {event.record_id for event in seen} <= set(accounts)
    assert len({event.event_id for event in seen}) == len(seen)
    assert {event.record_id for event in seen} >= set(accounts[100:])
    calls = world.session.usage.calls - before
    assert 500 / 400 <= calls <= 4


def test_an_event_of_the_bin_is_the_same_however_many_are_asked_for(world: World) -> None:
    accounts = world.accounts(50)
    world.act("delete", ids=accounts)
    world.later(2 * MINUTE)
    together = {
        event.event_id: event.digest() for page in world.reconciler.enrich("Account", accounts) for event in page
    }
    ((alone,),) = world.reconciler.enrich("Account", accounts[:1])
    assert together[alone.event_id] == alone.digest()


def test_the_default_objects_are_those_with_a_history_and_a_log(world: World) -> None:
    found = world.session.get_json("sobjects")["sobjects"]
    chosen = objects_to_reconcile(msgspec.convert(found, list[ObjectSummary]), ())
    assert {"Account", "Case", "Opportunity", "Lead"} <= set(chosen)
    assert not [name for name in chosen if name.endswith("History")]
