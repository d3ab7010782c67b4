"""When a topic has been read far enough: silence, the run's start, old replay ids, keepalives that mean little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tap_salesforce_deletes.waiting import End, IdleRule, Watch

STARTED = datetime(2026, 3, 2, 8, tzinfo=UTC)
RULE = IdleRule(idle_seconds=10.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def idle(_seconds: float) -> bool:
    return True


def busy(_seconds: float) -> bool:
    return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch(clock: Clock, replay_id_at: datetime | None = STARTED) -> Watch:
    return Watch.of_position(RULE, STARTED, replay_id_at, clock)


def test_silence_on_a_living_connection_ends_it(clock: Clock) -> None:
    one = watch(clock)
    assert one.end(busy) is None
    assert one.end(idle) is End.IDLE


@pytest.mark.parametrize(("seconds", "end"), [(-1, None), (0, End.RUN_START), (1, End.RUN_START)])
def test_an_event_of_the_runs_start_or_later_ends_it(clock: Clock, seconds: int, end: End | None) -> None:
    one = watch(clock)
    one.heard(STARTED + timedelta(seconds=seconds))
    assert one.end(busy) is end


def test_a_stamp_of_a_time_to_come_ends_nothing_and_renews_nothing_until_minutes_have_passed(clock: Clock) -> None:
    one = watch(clock, STARTED - timedelta(days=2))
    for _ in range(3):
        one.heard(STARTED + timedelta(days=1))
        assert one.end(idle) is None
        clock.now += 99.0
    clock.now += 3.0
    one.heard(STARTED + timedelta(days=1))
    assert one.end(busy) is End.AHEAD


def test_a_stamp_counts_that_the_time_of_the_run_has_reached(clock: Clock) -> None:
    one = watch(clock)
    clock.now += 120.0
    one.heard(STARTED + timedelta(minutes=2))
    assert one.end(busy) is End.RUN_START


@pytest.mark.parametrize("hours", [25, 60])
def test_an_old_replay_id_is_waited_for_though_the_topic_is_silent_but_300_seconds_at_most(
    clock: Clock, hours: int
) -> None:
    one = watch(clock, STARTED - timedelta(hours=hours))
    clock.now += 299.0
    assert one.end(idle) is None
    clock.now += 1.0
    assert one.end(idle) is End.NO_KEEPALIVE


def test_a_replay_id_of_today_is_not_waited_for(clock: Clock) -> None:
    assert watch(clock, STARTED - timedelta(hours=23)).end(idle) is End.IDLE


def test_events_of_days_ago_are_read_for_as_long_as_they_come(clock: Clock) -> None:
    one = watch(clock, None)
    for _ in range(9):
        one.heard(STARTED - timedelta(hours=48))
        clock.now += 99.0
        assert one.end(busy) is None


@pytest.mark.parametrize("newest", [None, STARTED - timedelta(hours=1)], ids=["keepalive", "event"])
def test_one_response_renews_an_old_replay_id(clock: Clock, newest: datetime | None) -> None:
    one = watch(clock, STARTED - timedelta(days=2))
    one.heard(newest)
    assert one.end(busy) is None
    assert one.end(idle) is End.IDLE


def test_a_topic_without_a_replay_id_is_waited_for(clock: Clock) -> None:
    assert watch(clock, None).end(idle) is None


def test_an_old_event_gives_an_old_replay_id_and_a_keepalive_is_waited_for(clock: Clock) -> None:
    one = watch(clock, None)
    one.heard(STARTED - timedelta(hours=25))
    assert one.end(idle) is None
    one.heard(None)
    assert one.end(idle) is End.IDLE


def test_the_first_keepalive_ends_nothing_and_one_after_silence_does(clock: Clock) -> None:
    one = watch(clock)
    one.heard(None)
    assert one.end(busy) is None
    clock.now += 9.0
    one.heard(None)
    assert one.end(busy) is None
    clock.now += 1.0
    one.heard(None)
    assert one.end(busy) is End.IDLE


def test_events_begin_the_silence_anew(clock: Clock) -> None:
    one = watch(clock)
    one.heard(None)
    clock.now += 60.0
    one.heard(STARTED - timedelta(hours=1))
    one.heard(None)
    assert one.end(busy) is None


def test_a_waiting_thread_looks_up_every_second_at_least(clock: Clock) -> None:
    assert 0 < watch(clock).patience <= 1.0
