"""The verdict on a stranger's client: it must see what is missing, doubled, foreign and changed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from conformance.verdict import Value, judge, same

HELD: dict[str, Mapping[str, Value]] = {
    "a": {"At": "2026-01-01T10:00:00.000+0000", "Old": "007", "New": None},
    "b": {"At": "2026-01-01T10:00:01.000+0000", "Old": Decimal("10.0"), "New": True},
}
CAME: list[dict[str, Value]] = [
    {"Id": "a", "At": "2026-01-01T10:00:00Z", "Old": "007", "New": ""},
    {"Id": "b", "At": "2026-01-01T11:00:01+01:00", "Old": "10", "New": "true"},
]


def test_rows_that_came_once_and_whole_are_well() -> None:
    verdict = judge(HELD, CAME, faithful=True)
    assert verdict.figures() == {"expected": 2, "got": 2, "duplicates": 0, "damaged": 0, "ok": True}


@pytest.mark.parametrize(
    ("rows", "figures"),
    [
        (CAME[:1], (1, 0, 0)),
        ([*CAME, CAME[0], CAME[0]], (2, 2, 0)),
        ([*CAME, {"Id": "c"}], (2, 0, 0)),
        ([CAME[0], CAME[1] | {"Old": 10.5}], (2, 0, 1)),
        ([CAME[0] | {"Old": 7.0}, CAME[1]], (2, 0, 1)),
        ([], (0, 0, 0)),
    ],
    ids=["missing", "doubled", "foreign", "another number", "a number for text", "nothing"],
)
def test_what_is_wrong_is_seen(rows: list[dict[str, Value]], figures: tuple[int, int, int]) -> None:
    verdict = judge(HELD, rows, faithful=True)
    assert (verdict.got, verdict.duplicates, verdict.damaged) == figures
    assert not verdict.ok
    assert verdict.why


def test_values_that_a_client_changes_itself_are_counted_and_not_judged() -> None:
    verdict = judge(HELD, [CAME[0] | {"Old": 7.0}, CAME[1]], faithful=False)
    assert (verdict.damaged, verdict.ok) == (1, True)


def test_an_empty_org_proves_nothing() -> None:
    assert not judge({}, [], faithful=True).ok


@pytest.mark.parametrize(
    ("wanted", "got", "equal"),
    [
        ("007", "007", True),
        ("007", 7, False),
        ("1e5", "100000.0", False),
        ("a\r\nb", "a\nb", False),
        ("true", True, False),
        (True, 1, False),
        (Decimal(1), True, False),
        (Decimal("1E+2"), "100", True),
        (Decimal(1), "one", False),
        (None, None, True),
        (None, "0", False),
        ("2026-01-01T10:00:00.000+0000", "2026-01-01T10:00:00.001Z", False),
        ("2026-01-01", "2026-01-01", True),
    ],
)
def test_text_is_compared_exactly_and_numbers_and_instants_by_meaning(wanted: Value, got: Value, equal: bool) -> None:
    assert same(wanted, got) is equal
