"""Canonical text: numbers by their tokens, text verbatim, one form for the rest."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from microdecisions import values

LAW = settings(deadline=None, derandomize=True)
NUMERIC = ["Currency", "currency", "Double", "Percent", "int", "Number", "long"]
TEXTUAL = ["Text", "DynamicEnum", "Picklist", "EntityId", "Email", "Phone", "TextArea", "Url", "something new", None]
PLAIN = re.compile(r"0|-?(?:[1-9][0-9]*(?:\.[0-9]*[1-9])?|0\.[0-9]*[1-9])")

digits = st.text("0123456789", min_size=1, max_size=40)
json_integers = st.integers(-(10**40), 10**40).map(str)
fractions = digits.map(lambda text: f".{text}") | st.just("")
exponents = st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 350))
json_numbers = st.builds("{}{}{}".format, json_integers, fractions, exponents | st.just(""))


class _Row(msgspec.Struct):
    value: Any


DECODER = values.page_decoder(_Row)


def _decoded(json: str) -> Any:
    return DECODER.decode(f'{{"value":{json}}}').value


@LAW
@given(json_numbers | st.just("-0") | st.just("-0.0") | st.just("0e5"), st.sampled_from([*NUMERIC, *TEXTUAL]))
def test_a_number_keeps_its_exact_value_in_the_one_plain_form(token: str, data_type: str | None) -> None:
    decoded = _decoded(token)
    assert not isinstance(decoded, float)
    text = values.canonical(decoded, data_type)
    assert text is not None
    assert Fraction(text) == Fraction(token)
    assert PLAIN.fullmatch(text)
    assert values.canonical_number(text) == text


@LAW
@given(json_numbers, st.sampled_from(NUMERIC))
def test_a_number_in_a_cell_of_text_is_the_number_of_json(token: str, data_type: str) -> None:
    assert values.canonical(token, data_type) == values.canonical(_decoded(token), data_type)


@pytest.mark.parametrize(
    ("token", "text"),
    [
        ("5.0", "5"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("1.0E7", "10000000"),
        ("1e-7", "0.0000001"),
        ("1234567890.12", "1234567890.12"),
        ("0.10", "0.1"),
        ("-100", "-100"),
        ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
        ("007", "7"),
        ("1E+0003", "1000"),
    ],
)
def test_numbers_of_numeric_types(token: str, text: str) -> None:
    assert values.canonical_number(token) == text
    assert values.canonical(token, "Currency") == text


@pytest.mark.parametrize("data_type", NUMERIC)
@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "nan",
        "sNaN",
        "Infinity",
        "-inf",
        "1_000",
        "1,000",
        "1.5 EUR",
        " 5",
        "5 ",
        "+5",
        "\uff15",
        "\u0665",
        "0x10",
        "1e",
        "-",
        ".",
        "5\n",
        "--5",
        "1e999999999",
        "NA",
        "true",
        "=1+1",
    ],
)
def test_what_is_no_plain_decimal_stays_verbatim_in_a_numeric_type(text: str, data_type: str) -> None:
    assert values.canonical(text, data_type) == text
    with pytest.raises(ValueError, match="decimal number"):
        values.canonical_number(text)


def test_a_json_number_beyond_reason_stays_verbatim() -> None:
    assert values.canonical(_decoded("1e999999999"), "Double") == "1e999999999"
    assert values.canonical(_decoded("1.5E-500"), None) == "1.5E-500"


def test_a_compound_value_is_its_json() -> None:
    address = _decoded('{"street": "x", "city": null}')
    assert values.canonical(address, "Address") == '{"city":null,"street":"x"}'
    assert values.canonical_all([address, "x"], ["Address", "Text"]) == ['{"city":null,"street":"x"}', "x"]


@LAW
@given(st.text(min_size=1, max_size=255), st.sampled_from(TEXTUAL))
def test_text_stays_verbatim(text: str, data_type: str | None) -> None:
    assert values.canonical(_decoded(msgspec.json.encode(text).decode()), data_type) == text


@pytest.mark.parametrize("data_type", TEXTUAL)
@pytest.mark.parametrize(
    "text",
    [
        "007",
        "02134",
        "1e5",
        "5.0",
        "NaN",
        "NA",
        "null",
        "true",
        "TRUE",
        "2024-01-15T10:30:00.000+0000",
        " ",
        "😀",
        "a\r\nb",
        "\"'\\",
        "x" * 255,
    ],
)
def test_text_that_looks_like_something_else_stays_text(text: str, data_type: str | None) -> None:
    assert values.canonical(text, data_type) == text


@pytest.mark.parametrize("data_type", [*NUMERIC, *TEXTUAL, "Boolean", "DateOnly", "DateTime"])
@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_value_is_none_whatever_its_type(empty: str | None, data_type: str | None) -> None:
    assert values.canonical(empty, data_type) is None


def test_booleans_are_the_same_from_json_and_from_a_cell() -> None:
    for data_type in ("Boolean", "boolean", "Checkbox"):
        assert values.canonical(True, data_type) == values.canonical("True", data_type) == "true"
        assert values.canonical(False, data_type) == values.canonical("FALSE", data_type) == "false"
    assert values.canonical(True, None) == "true"
    assert values.canonical("yes", "Boolean") == "yes"
    assert values.canonical(1, "Boolean") == "1"


def test_times_and_dates_have_one_form() -> None:
    assert values.canonical("2024-01-15T10:30:00.000+0000", "DateTime") == "2024-01-15T10:30:00.000000Z"
    assert values.canonical("2024-01-15T10:30:00.000Z", "datetime") == "2024-01-15T10:30:00.000000Z"
    assert values.canonical("2024-01-15", "DateOnly") == "2024-01-15"
    assert values.canonical("2024-01-15T00:00:00.000+0000", "date") == "2024-01-15"


@pytest.mark.parametrize("data_type", ["DateTime", "DateOnly"])
@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "2024-02-30",
        "2024-02-30T10:30:00.000+0000",
        "2024-02-30T10:30:00.000Z",
        "0001-01-01T00:00:00+05:00",
        "2024-01-15Tea-time",
    ],
)
def test_what_is_no_time_stays_verbatim(text: str, data_type: str) -> None:
    assert values.canonical(text, data_type) == text


any_value = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | json_numbers.map(_decoded)
TYPES = [*NUMERIC, *TEXTUAL, "Boolean", "DateOnly", "DateTime"]
TELLING = [None, "", "0.50", "True", "007", "2024-01-15T00:00:00.000+0000", 7, True, _decoded("0.50")]


@LAW
@given(st.lists(st.tuples(any_value, st.sampled_from(TYPES))))
@example(list(product(TELLING, TYPES)))
def test_the_values_of_a_page_are_each_as_alone(cells: list[tuple[Any, str | None]]) -> None:
    together = values.canonical_all([value for value, _ in cells], [data_type for _, data_type in cells])
    assert together == [values.canonical(value, data_type) for value, data_type in cells]
