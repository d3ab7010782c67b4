"""Halves of surrogate pairs in JSON are replaced, and nothing else is touched."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions.surrogates import without_lone_surrogates


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\uDE00 cut"', "\ufffd cut"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (rb'"\ud83d\ude00\ude00"', "\U0001f600\ufffd"),
        (rb'"\\ud83d"', "\\ud83d"),
        (rb'"\\\ud83d"', "\\\ufffd"),
        (rb'"\ud83d\n"', "\ufffd\n"),
        (rb'"\u00e4\uffff"', "\u00e4\uffff"),
        ('"\U0001f600"'.encode(), "\U0001f600"),
    ],
)
def test_halves_become_the_replacement_character_and_pairs_stay(body: bytes, text: str) -> None:
    assert msgspec.json.decode(without_lone_surrogates(body)) == text


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_decoded_and_differs_in_its_halves_alone(text: str) -> None:
    body = without_lone_surrogates(json.dumps(text).encode())
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert msgspec.json.decode(body) == whole


@settings(deadline=None)
@given(st.text())
def test_a_text_without_halves_stays_as_it_is(text: str) -> None:
    body = json.dumps(text).encode()
    assert without_lone_surrogates(body) == body
