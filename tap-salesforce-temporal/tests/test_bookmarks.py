"""A bookmark reads back as it was written; what was emitted before is left out exactly when nothing about it is new."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from microdecisions.event import EventContext, MicroDecisionEvent
from tap_salesforce_temporal import bookmarks
from tap_salesforce_temporal.bookmarks import Bookmark, Emitted, check_state

LAW = settings(deadline=None, derandomize=True)
PREFIX = "00D5g000004AbcDEAS:AccountHistory:"
BEGIN = datetime(2026, 1, 3, 10, tzinfo=UTC)

instants = st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def _at(second: int) -> str:
    return timestamps.to_text(BEGIN + timedelta(seconds=second))


def _event(number: int, second: int, value: str = "a") -> MicroDecisionEvent:
    return MicroDecisionEvent(
        event_id=f"{PREFIX}{number}",
        event_type="field_change",
        timestamp_occurred=_at(second),
        timestamp_recorded=_at(second),
        actor_id=None,
        actor_type=None,
        actor_name=None,
        record_type="Account",
        record_id=None,
        field_name=None,
        old_value=None,
        new_value=value,
        is_primary=True,
        context=EventContext(source_object="AccountHistory", source_record_id=str(number), source="rest"),
        extracted_at=_at(0),
        extractor_version="1",
    )


some_events = st.lists(
    st.builds(_event, st.integers(0, 30), st.integers(0, 100), st.sampled_from("abc")),
    max_size=30,
    unique_by=lambda event: event.event_id,
)


@LAW
@given(instants, st.dictionaries(st.text(), st.text(), max_size=5))
def test_a_bookmark_reads_back_through_the_state_file(complete_to: datetime, emitted: dict[str, str]) -> None:
    state = {"bookmarks": {"x": bookmarks.write(complete_to, emitted)}}
    stored = json.loads(json.dumps(state))
    assert check_state(stored) == state
    assert bookmarks.read("x", stored["bookmarks"]["x"]) == Bookmark(complete_to, emitted)


def test_a_bookmark_holds_text_and_integers_alone() -> None:
    entry = bookmarks.write(BEGIN, {"a": "b"})
    assert all(type(value) in {str, int, dict} for value in entry.values())
    assert entry["replication_key_value"] == "2026-01-03T10:00:00.000000Z"


def test_no_bookmark_is_the_beginning() -> None:
    assert bookmarks.read("x", {}) == Bookmark(None, {})
    assert bookmarks.read("x", {"emitted": {"a": "b"}}) == Bookmark(None, {})  # without an instant it means nothing


def test_a_bookmark_of_another_form_of_time_is_read() -> None:
    assert bookmarks.read("x", {"replication_key_value": "2026-01-03T12:00:00+02:00"}).complete_to == BEGIN
    assert check_state({}) == {}
    assert check_state({"bookmarks": {}, "other": 1}) == {"bookmarks": {}, "other": 1}


@pytest.mark.parametrize(
    "entry",
    [
        {"version": 2},
        {"version": "1"},
        {"version": None},
        {"emitted": ["a"]},
        {"emitted": {"a": 5}},
        {"emitted": None},
        {"replication_key_value": "yesterday"},
        {"replication_key_value": "2026-01-03"},
        {"replication_key_value": "2026-01-03T10:00:00"},
        {"replication_key_value": "2026-13-03T10:00:00.000000Z"},
        {"replication_key_value": "0001-01-01T00:00:00+05:00"},
        {"replication_key_value": 5},
        {"replication_key_value": {}},
        {"replication_key_value": ""},
    ],
)
def test_a_damaged_bookmark_is_one_sentence_that_names_the_stream(entry: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="`account_history`") as caught:
        bookmarks.read("account_history", entry)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        check_state({"bookmarks": {"account_history": entry}})


@pytest.mark.parametrize("state", [None, [], "x", 5, {"bookmarks": []}, {"bookmarks": {"x": 5}}, {"bookmarks": None}])
def test_what_is_no_state_is_refused(state: object) -> None:
    with pytest.raises(ConfigurationError, match="meltano state"):
        check_state(state)


@LAW
@given(some_events, some_events)
def test_news_is_all_but_what_was_written_with_the_same_content(
    before: list[MicroDecisionEvent], now: list[MicroDecisionEvent]
) -> None:
    first = Emitted(PREFIX, {})
    first.remember(before, _at(0))
    second = Emitted(PREFIX, first.near(_at(0)))
    written = {event.event_id: event.digest() for event in before}
    assert second.news(now) == [event for event in now if written.get(event.event_id) != event.digest()]
    assert [event.event_id in second for event in now] == [event.event_id in written for event in now]


@LAW
@given(some_events)
def test_reading_the_overlap_again_by_another_way_brings_nothing_new(events: list[MicroDecisionEvent]) -> None:
    first = Emitted(PREFIX, {})
    first.remember(events, _at(0))
    again = [
        msgspec.structs.replace(
            event,
            extracted_at=_at(5_000),
            extractor_version="2",
            context=msgspec.structs.replace(event.context, source="bulk"),
        )
        for event in events
    ]
    assert Emitted(PREFIX, first.near(_at(0))).news(again) == []


@LAW
@given(some_events, st.integers(0, 100), st.integers(0, 100))
def test_only_what_is_near_the_bookmark_is_kept(events: list[MicroDecisionEvent], since: int, later: int) -> None:
    emitted = Emitted(PREFIX, {})
    emitted.remember(events, _at(since))
    kept = emitted.near(_at(later))
    expected = {
        event.event_id: event.digest() for event in events if event.timestamp_recorded >= _at(max(since, later))
    }
    assert {f"{PREFIX}{tail}": digest for tail, digest in kept.items()} == expected


def test_the_last_content_of_an_event_is_the_one_that_counts() -> None:
    emitted = Emitted(PREFIX, {})
    emitted.remember([_event(1, 1, "a")], _at(0))
    emitted.remember([_event(1, 1, "b")], _at(0))
    kept = Emitted(PREFIX, emitted.near(_at(0)))
    assert kept.news([_event(1, 1, "b")]) == []
    assert kept.news([_event(1, 1, "a")]) == [_event(1, 1, "a")]


def test_at_most_the_newest_5000_are_kept() -> None:
    emitted = Emitted(PREFIX, {})
    events = [_event(number, number) for number in range(6_000)]
    emitted.remember(events[3_000:], _at(0))
    emitted.remember(events[:3_000], _at(0))
    kept = emitted.near(_at(0))
    assert set(kept) == {str(number) for number in range(1_000, 6_000)}
    assert Emitted(PREFIX, kept).news(events) == events[:1_000]  # written again, with the same id


def test_nothing_is_known_before_the_first_run() -> None:
    emitted = Emitted(PREFIX, {})
    events = [_event(1, 1)]
    emitted.remember(events, _at(0))
    assert emitted.news(events) is events  # what this run wrote is not what an earlier one wrote
    assert events[0].event_id not in emitted
    assert 5 not in Emitted(PREFIX, {"1": "x"})
