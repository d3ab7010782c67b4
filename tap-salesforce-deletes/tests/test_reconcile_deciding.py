"""Decisions about holes, a test per row of the table; windows of the delete log; objects to ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions.describe import ObjectSummary
from microdecisions.errors import ConfigurationError
from tap_salesforce_deletes.position import TopicPosition
from tap_salesforce_deletes.reconcile.deciding import MARGIN, RETENTION, Decision, Interval, Trouble, decide
from tap_salesforce_deletes.reconcile.objects import objects_to_reconcile
from tap_salesforce_deletes.reconcile.windows import SHORTEST, halves, window

NOW = datetime(2026, 3, 2, 8, 0, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FULL_HOUR = datetime(2026, 3, 2, 9, tzinfo=UTC)
TOPIC = "/data/ChangeEvents"


def written(ago: timedelta | None, *, event: timedelta | None = None) -> TopicPosition:
    return TopicPosition(
        b"\x01", None if event is None else NOW - event, None if ago is None else NOW - ago, "00D", "https://x.invalid"
    )


def decided(position: TopicPosition | None, trouble: Trouble, at: datetime | None = None) -> Decision:
    decision = decide(TOPIC, position, trouble, NOW, at=at)
    assert TOPIC in decision.sentence
    assert decision.sentence.endswith(".")
    if decision.gap is not None:
        assert decision.gap.start < decision.gap.end
    return decision


@pytest.mark.parametrize("ago", [timedelta(0), HOUR, 71 * HOUR])
def test_an_expired_id_of_a_topic_that_was_written_within_72_hours_loses_nothing(ago: timedelta) -> None:
    decision = decided(written(ago), Trouble.REPLAY_ID_EXPIRED)
    assert (decision.reconcile, decision.gap) == (None, None)


@pytest.mark.parametrize("ago", [72 * HOUR, 80 * HOUR, 30 * DAY])
def test_an_expired_id_past_72_hours_asks_the_log_and_is_a_gap(ago: timedelta) -> None:
    decision = decided(written(ago), Trouble.REPLAY_ID_EXPIRED)
    assert decision.reconcile == Interval(NOW - ago, NOW)
    assert decision.gap is not None
    assert decision.gap.start == NOW - ago
    assert NOW - RETENTION < decision.gap.end <= NOW - RETENTION + MARGIN + HOUR


@given(st.integers(0, 59), st.integers(0, 59))
def test_a_gap_of_an_expired_id_has_one_name_whenever_in_an_hour_it_is_told(one: int, other: int) -> None:
    position = TopicPosition(b"\x01", None, NOW - 30 * DAY, "00D", "")
    first, again = (
        decide(TOPIC, position, Trouble.REPLAY_ID_EXPIRED, NOW.replace(minute=45) + minute * MINUTE).gap
        for minute in (one, other)
    )
    assert first == again
    assert first is not None
    assert first.end.minute == first.end.second == 0


def test_the_gap_of_an_overflow_that_nobody_can_be_asked_about_has_one_name() -> None:
    at = NOW - 3 * HOUR
    first, again = (decide(TOPIC, None, Trouble.OVERFLOW, now, at=at).unasked for now in (NOW, NOW + 5 * HOUR + MINUTE))
    assert first == again == Interval(at - HOUR, at + MINUTE)


def test_an_id_that_expired_before_anything_was_written_reads_what_is_kept() -> None:
    for position in (None, written(None)):
        decision = decided(position, Trouble.REPLAY_ID_EXPIRED)
        assert (decision.reconcile, decision.gap) == (None, None)


def test_the_newer_of_the_last_event_and_the_last_drain_counts() -> None:
    assert decided(written(80 * HOUR, event=HOUR), Trouble.REPLAY_ID_EXPIRED).gap is None
    assert decided(written(HOUR, event=80 * HOUR), Trouble.REPLAY_ID_EXPIRED).gap is None
    assert decided(written(80 * HOUR, event=90 * HOUR), Trouble.REPLAY_ID_EXPIRED).gap is not None


@pytest.mark.parametrize("trouble", [one for one in Trouble if one is not Trouble.OVERFLOW])
def test_an_instant_of_this_hour_counts_as_now_and_a_later_one_for_nothing(trouble: Trouble) -> None:
    decision = decided(written(-HOUR), trouble)
    assert (decision.reconcile, decision.gap) == (None, None)
    decision = decided(written(-2 * HOUR), trouble)
    assert (decision.reconcile, decision.gap) == (None, None)
    gap = decided(written(-2 * HOUR, event=80 * HOUR), trouble).gap
    assert gap is not None
    assert gap.start == NOW - 80 * HOUR


@pytest.mark.parametrize("ago", [HOUR, 80 * HOUR])
def test_a_migrated_org_is_a_gap_also_within_72_hours(ago: timedelta) -> None:
    decision = decided(written(ago), Trouble.ORG_CHANGED)
    assert decision.reconcile == Interval(NOW - ago, NOW)
    assert decision.gap == Interval(NOW - ago, FULL_HOUR)


def test_a_migrated_org_of_which_nothing_was_written_is_no_gap() -> None:
    decision = decided(None, Trouble.ORG_CHANGED)
    assert (decision.reconcile, decision.gap) == (None, None)


def test_an_overflow_asks_the_log_around_its_instant() -> None:
    at = NOW - 3 * HOUR
    decision = decided(written(HOUR), Trouble.OVERFLOW, at)
    assert decision.gap is None
    assert decision.reconcile is not None
    assert decision.reconcile.start == at - HOUR
    assert decision.reconcile.end == NOW
    assert decided(written(HOUR), Trouble.OVERFLOW).reconcile is not None


def test_an_overflow_before_the_log_begins_is_a_gap() -> None:
    decision = decided(written(HOUR), Trouble.OVERFLOW, NOW - 16 * DAY)
    assert decision.reconcile is None
    assert decision.gap == Interval(NOW - 16 * DAY - HOUR, NOW - 16 * DAY + MINUTE)


def test_an_object_that_is_hidden_is_a_gap_until_it_is_visible() -> None:
    decision = decided(written(5 * HOUR), Trouble.NO_PERMISSION)
    assert decision.reconcile == Interval(NOW - 5 * HOUR, NOW)
    assert decision.gap == Interval(NOW - 5 * HOUR, FULL_HOUR)
    first = decided(None, Trouble.NO_PERMISSION)
    assert (first.reconcile, first.gap) == (None, None)


@given(
    st.sampled_from(Trouble),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=400)),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=40)),
)
def test_a_gap_never_ends_behind_this_hour_and_never_begins_before_what_was_written(
    trouble: Trouble, ago: timedelta | None, at: timedelta | None
) -> None:
    decision = decide(TOPIC, written(ago), trouble, NOW, at=None if at is None else NOW - at)
    for interval in (decision.gap, decision.reconcile):
        if interval is not None:
            assert interval.end <= NOW + HOUR
            assert trouble is Trouble.OVERFLOW or (ago is not None and interval.start == NOW - ago)


# -- windows


def test_a_window_is_of_whole_minutes_up_to_now() -> None:
    assert window(NOW - HOUR, NOW) == Interval(NOW.replace(second=0) - HOUR, NOW.replace(second=0))


def test_a_window_of_one_minute_begins_a_minute_earlier() -> None:
    end = NOW.replace(second=0)
    assert window(end - MINUTE, NOW) == Interval(end - SHORTEST, end)


@pytest.mark.parametrize("since", [NOW, NOW.replace(second=0), NOW + DAY])
def test_within_the_minute_there_is_nothing_to_ask(since: datetime) -> None:
    assert window(since, NOW) is None


@pytest.mark.parametrize("since", [None, NOW - 20 * DAY])
def test_a_window_goes_back_less_than_15_days(since: datetime | None) -> None:
    found = window(since, NOW)
    assert found is not None
    assert 14 * DAY < NOW - found.start < 15 * DAY


@given(st.datetimes(datetime(2026, 2, 20), datetime(2026, 3, 3), timezones=st.just(UTC)))  # noqa: DTZ001
@settings(deadline=None)
def test_halves_meet_and_each_can_be_asked(since: datetime) -> None:
    whole = window(since, NOW)
    if whole is None:
        return
    waiting, parts = [whole], []
    while waiting:
        one = waiting.pop()
        two = halves(one)
        if two is None:
            parts.append(one)
        else:
            waiting += reversed(two)
    assert parts[0].start == whole.start
    assert parts[-1].end == whole.end
    assert all(before.end == after.start for before, after in pairwise(parts))
    assert all(SHORTEST <= part.end - part.start < 2 * SHORTEST for part in parts)


# -- objects


def summary(name: str, *, log: bool = True, history_of: str | None = None) -> ObjectSummary:
    return ObjectSummary(
        name=name,
        queryable=True,
        replicateable=log,
        associate_entity_type="History" if history_of else None,
        associate_parent_entity=history_of,
    )


OBJECTS = [
    summary("Account"),
    summary("AccountHistory", history_of="Account"),
    summary("Invoice__c"),
    summary("Invoice__History", history_of="Invoice__c"),
    summary("Untracked__c"),
    summary("LoginHistory", log=False),
    summary("Odd", log=False),
    summary("OddHistory", history_of="Odd"),
    summary("AccountShare"),
]


def test_by_default_every_object_with_a_tracked_history_and_a_log_is_asked() -> None:
    assert objects_to_reconcile(OBJECTS, ()) == ("Account", "Invoice__c")


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (("Account",), ("Account",)),
        (("*__c",), ("Invoice__c", "Untracked__c")),
        (("Account", "Acc*unt", "Untracked__c"), ("Account", "Untracked__c")),
    ],
)
def test_patterns_choose_among_all_objects_with_a_log(patterns: tuple[str, ...], chosen: tuple[str, ...]) -> None:
    assert objects_to_reconcile(OBJECTS, patterns) == chosen


def test_a_pattern_that_fits_only_what_was_asked_before_is_told_elsewhere() -> None:
    assert objects_to_reconcile(OBJECTS, ("Account", "Gone*", "Gone__c"), {"Gone__c", "Account"}) == ("Account",)
    with pytest.raises(ConfigurationError, match=r"'Odd'.*no delete log"):
        objects_to_reconcile(OBJECTS, ("Odd",), {"Odd"})


@pytest.mark.parametrize(
    ("pattern", "why"),
    [("Odd", "no delete log"), ("Nobody", "no object"), ("X*", "no object"), ("account", "no object")],
)
def test_a_pattern_of_nothing_is_told(pattern: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"`reconcile_objects` has '{pattern.replace('*', '.')}'.*{why}"):
        objects_to_reconcile(OBJECTS, ("Account", pattern))
