"""Salesforce ids in 18 characters, and the deterministic event ids."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import ids

LAW = settings(deadline=None, derandomize=True)
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
id15 = st.text(LETTERS, min_size=15, max_size=15)


def _checksum(text: str) -> str:
    """The documented rule, written out: five characters, last one first, as a binary number that counts letters."""
    result = ""
    for begin in (0, 5, 10):
        binary = "".join("1" if char.isupper() else "0" for char in reversed(text[begin : begin + 5]))
        number = int(binary, 2)
        result += chr(ord("A") + number) if number < 26 else str(number - 26)
    return result


@LAW
@given(id15)
def test_the_last_three_characters_tell_the_case_of_the_first_fifteen(text: str) -> None:
    assert ids.to_18(text) == text + _checksum(text)


@LAW
@given(id15)
def test_an_id_of_18_characters_stays_as_it_is(text: str) -> None:
    once = ids.to_18(text)
    assert ids.to_18(once) == once
    assert ids.is_id(text)
    assert ids.is_id(once)


id18 = id15.map(ids.to_18)


@LAW
@given(st.lists(id18) | st.lists(id15 | id18))
def test_many_ids_at_once_are_each_as_alone(texts: list[str]) -> None:
    assert list(ids.all_to_18(texts)) == [ids.to_18(text) for text in texts]


@pytest.mark.parametrize(
    "wrong", ["", "00D00000000006-EAA", "00D0000000000\u00e92EAA", "00D00000000006", "\uff10" * 18]
)
def test_one_wrong_id_among_many_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="15 or 18"):
        ids.all_to_18(["00D000000000062EAA", wrong])


def test_ids_that_differ_in_case_alone_differ_when_case_is_folded() -> None:
    assert ids.to_18("00D000000000062") == "00D000000000062EAA"
    assert ids.to_18("00d000000000062").lower() != ids.to_18("00D000000000062").lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0065g00000Opp1",
        "0065g00000Opp1QA",
        "0065g00000 pp1Q",
        "0065g00000Opp1Q\n",
        "0" * 19,
        "0065g00000Opp1é",
        "0065g00000Opp1QAÉ",
        "0065g00000Opp1\uff15",
        "0065g00000Opp1Q' OR",
    ],
)
def test_what_has_not_the_shape_of_an_id_is_refused(text: str) -> None:
    assert not ids.is_id(text)
    with pytest.raises(ValueError, match="15 or 18 letters and digits"):
        ids.to_18(text)


def test_one_record_seen_by_different_sources_has_different_event_ids() -> None:
    org, record = "00D5g000004AbcDEAS", "0015g00000XyZaBAAV"
    at = "2026-01-03T10:00:01.000000Z"
    seen = {
        ids.row_event_id(org, "Account", record),
        ids.field_event_id(org, "Account", record, "Name"),
        ids.version_event_id(org, "Account", record, at),
        ids.change_event_id(org, "Account", record, "0004ae5c", 1),
        ids.change_event_id(org, "Account", record, "0004ae5c", 2),
        ids.platform_event_id(org, "Account", record, "0004ae5c"),
        ids.delete_log_id(org, "Account", record, at),
        ids.gap_id(org, "Account", record, at, at),
    }
    assert len(seen) == 8
    assert all(event_id.startswith(f"{org}:Account:") for event_id in seen)
