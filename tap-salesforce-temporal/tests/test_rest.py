"""Pages of answers: decoded without loss, counted, and repaired where a text was cut in an emoji."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest

from microdecisions.errors import IncompleteReadError, SalesforceError
from tap_salesforce_temporal.reading.rest import RestReader


class Row(msgspec.Struct):
    name: str = msgspec.field(name="Name")


@dataclass
class Answer:
    body: bytes


class Answers:
    """A session that gives the same answer to everything."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def query(self, target: str, statement: str) -> Answer:
        del target, statement
        return Answer(self._body)


def rows(names: bytes, total: int) -> list[str]:
    body = b'{"totalSize": %d, "records": [%s]}' % (total, names)
    return [row.name for row in RestReader(Answers(body), "66.0").rows("SELECT Name FROM X", Row)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb"cut \ud83d", "cut �"),
        (rb"cut \uDE00 here", "cut � here"),
        (rb"whole \ud83d\ude00", "whole 😀"),
        (rb"twice \ud83d\ud83d\ude00", "twice �😀"),
        (rb"no escape: \\ud83d", r"no escape: \ud83d"),
        (rb"and one: \\\ud83d", "and one: \\�"),
    ],
    ids=["high half", "low half", "pair", "half and pair", "escaped backslash", "backslash and half"],
)
def test_half_an_emoji_is_the_replacement_character(text: bytes, expected: str) -> None:
    half = rb'{"Name": "\ud83d"}'  # makes every answer one that needs repair
    assert rows(half + b', {"Name": "' + text + b'"}', 2) == ["�", expected]


def test_an_answer_that_is_not_json_is_one_sentence() -> None:
    with pytest.raises(SalesforceError, match="documented form"):
        rows(b'{"Name": 5}', 1)


@pytest.mark.parametrize("total", [0, 2])
def test_rows_that_are_not_what_was_counted_are_an_error(total: int) -> None:
    with pytest.raises(IncompleteReadError, match=f"counts {total} rows .* delivered 1"):
        rows(b'{"Name": "a"}', total)
