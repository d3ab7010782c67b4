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
from tap_salesforce_temporal.bookmarks import (
    Bookmark,
    DayCounts,
    Emitted,
    Scope,
    adopt,
    check_state,
    others,
    streams_of,
)

LAW = settings(deadline=None, derandomize=True)
PREFIX = "00D5g000004AbcDEAS:AccountHistory:"
BEGIN = datetime(2026, 1, 3, 10, tzinfo=UTC)
ORG, OTHER = "00D5g000004AbcDEAS", "00D900000000001EAA"
COUNTS = DayCounts(
    BEGIN - timedelta(days=7), {"2026-01-02": 5, "2026-01-03": 71}, BEGIN, {"2026-01-03": 2}, "2026-01-03"
)
SCOPE = Scope("CaseHistory", ("Case.Status",), ("Case",), BEGIN - timedelta(days=30))
VERSION_1 = {
    "replication_key": "timestamp_recorded",
    "replication_key_value": "2026-01-03T10:00:00.000000Z",
    "version": 1,
    "emitted": {"0175e00000abcdeAAA": "9f86d081884c7d65"},
}

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


tails = st.from_regex(r"[0-9A-Za-z]{18}(:[A-Za-z_]{1,9})?", fullmatch=True)
some_days = st.dictionaries(st.dates().map(str), st.integers(1, 10**9), max_size=9)
day_counts = st.builds(DayCounts, st.none() | instants, some_days, st.none() | instants, some_days, st.dates().map(str))
parts = st.lists(st.sampled_from(["Case", "Case.Status", "Lead.Email"]), max_size=3, unique=True).map(tuple)
scopes = st.builds(Scope, st.none() | st.just("CaseHistory"), st.none() | parts, parts, st.none() | instants)


@LAW
@given(instants, st.dictionaries(tails, st.text("0123456789abcdef", min_size=16), max_size=5), day_counts, scopes)
def test_a_bookmark_reads_back_through_the_state_file(
    complete_to: datetime, emitted: dict[str, str], counts: DayCounts, scope: Scope
) -> None:
    state = {"bookmarks": {"x": bookmarks.write(complete_to, emitted, ORG, counts, scope)}}
    stored = json.loads(json.dumps(state))
    assert check_state(stored) == state
    assert bookmarks.read("x", stored["bookmarks"]["x"]) == Bookmark(complete_to, emitted, counts, scope)


def test_a_bookmark_holds_text_integers_and_lists_alone_and_always_the_same_keys() -> None:
    entry = bookmarks.write(BEGIN, {"a": "b"}, ORG, COUNTS, SCOPE)
    assert all(type(value) in {str, int, list} for value in entry.values())
    assert entry["replication_key_value"] == "2026-01-03T10:00:00.000000Z"
    assert entry.keys() == bookmarks.write(BEGIN, {}, ORG, DayCounts()).keys()


def test_a_bookmark_of_version_1_is_read() -> None:
    emitted = {"0175e00000abcdeAAA": "9f86d081884c7d65"}
    assert bookmarks.read("x", VERSION_1) == Bookmark(BEGIN, emitted, DayCounts())
    assert check_state({"bookmarks": {"x": VERSION_1}}) == {"bookmarks": {"x": VERSION_1}}
    assert streams_of({"bookmarks": {"x": VERSION_1}}) == {"x"}
    assert others({"bookmarks": {"x": VERSION_1}}, ORG) == {}  # without an org it is any org's


def merged(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """As Meltano merges states: maps key by key, all else replaced."""
    result = dict(old)
    for key, value in new.items():
        kept = result.get(key)
        result[key] = merged(value, kept if isinstance(kept, dict) else {}) if isinstance(value, dict) else value
    return result


def test_merged_bookmarks_are_the_newer_one() -> None:
    older = bookmarks.write(BEGIN - timedelta(days=9), {"c": "d"}, OTHER, DayCounts())
    newer = bookmarks.write(BEGIN, {"a": "b"}, ORG, COUNTS)
    assert merged(newer, older) == newer
    assert bookmarks.read("x", merged(newer, VERSION_1)) == Bookmark(BEGIN, {"a": "b"}, COUNTS)
    emitted = {"0175e00000abcdeAAA": "9f86d081884c7d65"}
    assert bookmarks.read("x", merged(VERSION_1, older)) == Bookmark(BEGIN, emitted, DayCounts())


def test_who_moves_a_bookmark_by_hand_reads_everything_behind_it_again() -> None:
    moved = bookmarks.write(BEGIN, {"a": "b"}, ORG, COUNTS) | {"replication_key_value": _at(-60)}
    assert bookmarks.read("x", moved) == Bookmark(BEGIN - timedelta(seconds=60), {}, DayCounts())


def test_bookmarks_of_another_org_are_found_and_taken_over_without_what_was_read_there() -> None:
    theirs = bookmarks.write(BEGIN, {"a": "b"}, OTHER, COUNTS)
    ours = bookmarks.write(BEGIN, {"a": "b"}, ORG, COUNTS)
    alien = {"replication_key_value": "2026-01-03", "replication_key": "x", "org_id": OTHER, "theirs": 1}
    noted = {**theirs, "note": "of the old org"}
    bare = {"replication_key_value": "2026-01-03T10:00:00.000000Z", "org_id": OTHER}
    unversioned = {key: value for key, value in theirs.items() if key != "version"}
    state = {
        "bookmarks": {"x": theirs, "y": ours, "z": VERSION_1, "alien": alien, "empty": {}}
        | {"noted": noted, "bare": bare, "unversioned": unversioned}
    }
    foreign = dict.fromkeys(("bare", "noted", "unversioned", "x"), OTHER)
    assert others(state, ORG) == foreign
    assert others(state, ORG[:15]) == foreign  # an id may be written with 15 characters
    adopt(state, ORG)
    assert others(state, ORG) == {}
    assert bookmarks.read("x", state["bookmarks"]["x"]) == Bookmark(BEGIN, {}, DayCounts())
    assert state["bookmarks"]["y"] == ours
    assert state["bookmarks"]["alien"]["org_id"] == OTHER
    assert state["bookmarks"]["noted"]["note"] == "of the old org"


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
        {"version": 3},
        {"org_id": 5},
        {"written": {"a": "b"}},
        {"written": ["a"]},
        {"written": [5]},
        {"counted": ["2026-01-03 many"]},
        {"counted_from": "yesterday"},
        {"overlap_from": 5},
        {"verified": 5},
        {"sobject": 5},
        {"parts": "Case"},
        {"widening": [5]},
        {"widened_to": "soon"},
        {"replication_key": "timestamp_recorded", "note": "mine", "counted": 5},
        {"written_to": "soon", "replication_key_value": "2026-01-03T10:00:00.000000Z"},
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
