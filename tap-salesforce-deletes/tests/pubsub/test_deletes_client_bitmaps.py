"""Bitmap fields of the header."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.salesforce.pubsub.bitmaps import encode
from tap_salesforce_deletes.pubsub.bitmaps import positions
from tap_salesforce_deletes.pubsub.errors import PayloadError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ()),
        (["0x2080"], ((7,), (13,))),
        (["0x650004E0"], ((5,), (6,), (7,), (10,), (24,), (26,), (29,), (30,))),
        (["0x0"], ()),
        (["0x2", "4-0x3"], ((1,), (4, 0), (4, 1))),
        (["12-0x4"], ((12, 2),)),
        (["0x" + "F" * 2048], tuple((n,) for n in range(8192))),
    ],
)
def test_words_name_fields_by_their_bits(words: list[str], expected: object) -> None:
    assert positions(words) == expected


@pytest.mark.parametrize("word", ["", "2080", "0x", "0xG", "-0x1", "1-", "1-2-0x1", "0x" + "F" * 2049, "0x1 "])
def test_a_word_of_another_form_is_an_error(word: str) -> None:
    with pytest.raises(PayloadError):
        positions([word])


@given(st.text(max_size=30))
def test_any_text_is_positions_or_an_error(word: str) -> None:
    with suppress(PayloadError):
        assert all(len(place) in {1, 2} for place in positions([word]))


@given(st.sets(st.integers(0, 900)), st.dictionaries(st.integers(0, 900), st.sets(st.integers(0, 40), min_size=1)))
def test_they_read_what_another_writer_writes(top: set[int], nested: dict[int, set[int]]) -> None:
    expected = {(n,) for n in top} | {(parent, n) for parent, inner in nested.items() for n in inner}
    assert set(positions(encode(top, nested))) == expected
