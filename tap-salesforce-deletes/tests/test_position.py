"""The tap's state: round trips, old and damaged ones, and what is still to be asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microdecisions.errors import ConfigurationError
from tap_salesforce_deletes.position import STREAM, Positions, TopicPosition, check_state, read, write

AT = datetime(2026, 1, 3, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
TOPIC = TopicPosition(bytes.fromhex("0000000000076f5b0000"), AT, AT + HOUR, "00D5g000004AbcDEAS", "https://x.invalid")
SOME = Positions("00D5g000004AbcDEAS", {"/data/ChangeEvents": TOPIC}, {"Account": AT}, {"Case": AT - HOUR})

INSTANTS = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
TOPICS = st.builds(
    TopicPosition,
    st.none() | st.binary(min_size=1, max_size=64),
    st.none() | INSTANTS,
    st.none() | INSTANTS,
    st.text(max_size=18),
    st.text(max_size=30),
)
OBJECTS = st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,20}", fullmatch=True), INSTANTS, max_size=4)
POSITIONS = st.builds(
    Positions,
    st.text(max_size=18),
    st.dictionaries(st.text(min_size=1, max_size=20), TOPICS, max_size=4),
    OBJECTS,
    OBJECTS,
)


def state(**entry: Any) -> dict[str, Any]:
    return {"bookmarks": {STREAM: {**write(SOME), **entry}}}


@given(POSITIONS)
def test_positions_are_read_as_they_were_written(positions: Positions) -> None:
    written = json.loads(json.dumps({"bookmarks": {STREAM: write(positions)}}))
    assert read(check_state(written)) == positions


def test_a_state_holds_strings_and_integers_and_a_replay_id_byte_for_byte() -> None:
    written = write(SOME)
    assert written["topics"]["/data/ChangeEvents"]["replay_id"] == "0000000000076f5b0000"
    assert written["pending"] == ["Case 2026-01-03T09:00:00.000000Z"]

    def leaves(node: Any) -> Any:
        if isinstance(node, dict):
            node = list(node.values())
        return [leaf for one in node for leaf in leaves(one)] if isinstance(node, list) else [node]

    assert {type(leaf) for leaf in leaves(written)} <= {str, int}


@pytest.mark.parametrize(
    "empty", [{}, {"bookmarks": {}}, {"bookmarks": {"another": {"any": 1}}}, {"bookmarks": {STREAM: {}}}]
)
def test_no_state_is_no_position(empty: dict[str, Any]) -> None:
    assert read(check_state(empty)) == Positions()


def test_positions_change_one_at_a_time() -> None:
    moved = SOME.with_topic("/event/Gone__e", TOPIC).with_object("Account", AT + HOUR).with_object("Lead", AT)
    assert set(moved.topics) == {"/data/ChangeEvents", "/event/Gone__e"}
    assert moved.objects == {"Account": AT + HOUR, "Lead": AT}
    assert moved.with_object("Account", AT).objects["Account"] == AT + HOUR  # never back
    assert SOME.objects == {"Account": AT}


def test_what_is_pending_since_two_instants_is_so_since_the_earlier() -> None:
    assert SOME.with_pending("Case", AT).pending == {"Case": AT - HOUR}
    assert SOME.with_pending("Case", AT - 2 * HOUR).pending == {"Case": AT - 2 * HOUR}
    assert SOME.with_pending("Lead", AT).pending == {"Case": AT - HOUR, "Lead": AT}


def test_what_is_pending_goes_when_the_log_reaches_behind_it() -> None:
    assert SOME.without_pending("Case", AT + timedelta(minutes=1)).pending == {}
    # The overflow was stamped an hour after `since`, and the log is complete to the minute in which that is.
    assert SOME.without_pending("Case", AT).pending == SOME.pending
    assert SOME.without_pending("Lead", AT + 9 * HOUR).pending == SOME.pending


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (state(version="1"), "version"),
        (state(version=True), "version"),
        (state(version=0), "version"),
        (state(org_id=5), "org_id"),
        (state(topics=[]), "topics"),
        (state(topics={"/data/X": 5}), r"topics\./data/X"),
        (state(topics={"/data/X": {"replay_id": 5}}), r"topics\./data/X"),
        (state(topics={"/data/X": {"replay_id": "zz"}}), r"topics\./data/X\.replay_id"),
        (state(topics={"/data/X": {"replay_id": "abc"}}), r"topics\./data/X\.replay_id"),
        (state(topics={"/data/X": {"replay_id": "ab" * 300}}), r"topics\./data/X\.replay_id"),
        (state(topics={"/data/X": {"drained_at": "yesterday"}}), r"topics\./data/X\.drained_at"),
        (state(topics={"/data/X": {"replay_id_at": "2026-01-03T10:00:00"}}), r"topics\./data/X\.replay_id_at"),
        (state(objects=5), "objects"),
        (state(objects={"Account": 5}), r"objects\.Account"),
        (state(objects={"Account": "soon"}), r"objects\.Account"),
        (state(pending={"Account": "x"}), "pending"),
        (state(pending=["Account"]), "pending"),
        (state(pending=["Account soon"]), "pending"),
        (state(pending=[5]), "pending"),
        (state(pending=[" 2026-01-03T10:00:00Z"]), "pending"),
    ],
)
def test_a_damaged_state_is_refused_with_the_place(broken: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigurationError, match=f"damaged at `{where}`") as refused:
        check_state(broken)
    assert "\n" not in str(refused.value)


def test_a_state_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="newer version of this tap"):
        check_state(state(version=2))


@pytest.mark.parametrize(
    "broken", [None, 5, "x", [], {"bookmarks": 5}, {"bookmarks": {STREAM: 5}}, {"value": {"bookmarks": {}}}]
)
def test_what_is_no_state_is_refused(broken: object) -> None:
    with pytest.raises(ConfigurationError, match="not of the form"):
        check_state(broken)


def test_keys_that_are_absent_or_null_are_as_if_empty_and_others_are_left_alone() -> None:
    entry = {
        "version": 1,
        "org_id": None,
        "topics": {"/data/X": {"replay_id": None, "drained_at": None, "more": 1}},
        "objects": None,
        "pending": None,
        "replication_key": "timestamp_recorded",
    }
    assert read(check_state({"bookmarks": {STREAM: entry}})) == Positions(topics={"/data/X": TopicPosition()})


def test_a_replay_id_in_capitals_is_the_same() -> None:
    entry = {"topics": {"/data/X": {"replay_id": "00AB"}}}
    assert read({"bookmarks": {STREAM: entry}}).topics["/data/X"].replay_id == b"\x00\xab"
