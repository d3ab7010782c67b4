"""Time is told by Atlan: a machine whose clock is wrong changes no figure, and nothing that is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from event_making import record_line, schema_line, text
from running_target import SET, Machine, Runs, carried

from localcloud.atlan.running import Running

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
EARLY, LATE = NOON.replace(hour=0, minute=30), NOON.replace(hour=23, minute=30)
HOUR, DAY, MONTH, YEARS = timedelta(hours=1), timedelta(days=1), timedelta(days=31), timedelta(days=3 * 365)
EDGES = (0, 0.1, 6, 7, 29, 30)
"""Days before NOON: on both sides of 7 and of 30 days."""


def changes(*days: float, first: int = 1) -> list[str]:
    events = [record_line(number, at=NOON - age * DAY) for number, age in enumerate(days, first)]
    return [schema_line(), *events]


def velocity(atlan: Running) -> tuple[int, int]:
    case = carried(atlan, "Case")
    return case["Changes in 7 days"], case["Changes in 30 days"]


def noted(atlan: Running) -> dict[str, object]:
    """The note on the connection."""
    notes = [atlan.custom_metadata(SET, one.guid).get("Ledger") for one in atlan.assets("Connection")]
    (note,) = [json.loads(str(one)) for one in notes if one]
    return dict(note)


@pytest.mark.parametrize(
    ("there", "off"),
    [(EARLY, -HOUR), (LATE, HOUR), (NOON, -MONTH), (NOON, MONTH)],
    ids=["an hour behind", "an hour ahead", "a month behind", "a month ahead"],
)
def test_a_machine_whose_clock_is_wrong_writes_the_right_figures(
    runs: Runs, atlan: Running, machine: Machine, there: datetime, off: timedelta
) -> None:
    atlan.control(clock={"set": text(there)})
    machine.shows = there + off
    report = runs(changes(*EDGES))
    assert velocity(atlan) == (3, 5)
    assert report.as_of[:10] == str(noted(atlan)["as_of"])[:10] == "2026-03-02"
    machine.shows = there
    assert runs(changes(*EDGES)).writes == 0


def test_without_a_date_the_machine_tells_the_time(runs: Runs, atlan: Running, machine: Machine) -> None:
    atlan.control(clock={"set": text(NOON), "tell": False})
    machine.shows = NOON + DAY
    report = runs(changes(*EDGES))
    assert velocity(atlan) == (2, 4)
    assert report.as_of == noted(atlan)["as_of"] == text(NOON + DAY)


def test_an_operator_is_told_of_a_clock_that_is_wrong(
    runs: Runs, atlan: Running, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    atlan.control(clock={"set": text(NOON)})
    for off, words in ((-HOUR, "behind that of Atlan"), (MONTH, "ahead of that of Atlan")):
        machine.shows = NOON + off
        runs([])
        assert words in caplog.text
        caplog.clear()
    machine.shows = NOON
    runs([])
    assert "that of Atlan" not in caplog.text


def test_a_clock_that_was_ahead_for_one_run_leaves_no_trace(runs: Runs, atlan: Running) -> None:
    atlan.control(clock={"set": text(NOON + MONTH)})
    runs(changes(*EDGES))
    assert velocity(atlan) == (0, 0)
    atlan.control(clock={"set": text(NOON)})
    again = runs(changes(*EDGES))
    assert (velocity(atlan), carried(atlan, "Case")["Changes"], again.counted) == ((3, 5), 6, 0)
    assert str(noted(atlan)["as_of"]) < text(NOON + HOUR)
    assert noted(atlan)["generation"] == 2
    assert runs(changes(*EDGES)).writes == 0


def test_a_note_of_a_time_that_has_not_come_is_written_anew(runs: Runs, atlan: Running) -> None:
    """Without any figure that differs: the changes are too old for that."""
    atlan.control(clock={"set": text(NOON + MONTH)})
    runs(changes(200))
    atlan.control(clock={"set": text(NOON)})
    assert runs([]).writes == 1
    assert str(noted(atlan)["as_of"]) < text(NOON + HOUR)
    assert runs([]).writes == 0


@pytest.mark.parametrize("ahead", ["Atlan", "the machine"])
def test_what_is_forgotten_for_good_goes_by_the_earlier_clock(
    runs: Runs, atlan: Running, machine: Machine, ahead: str
) -> None:
    """Event ids and single days do not come back: one clock that is years ahead must not take them."""
    kept = {"keep_event_ids_days": 60, "keep_daily_days": 90}
    atlan.control(clock={"set": text(NOON + YEARS if ahead == "Atlan" else NOON)})
    machine.shows = NOON if ahead == "Atlan" else NOON + YEARS
    runs(changes(*EDGES), **kept)
    atlan.control(clock={"set": text(NOON)})
    machine.shows = NOON
    again = runs(changes(*EDGES, 40), **kept)
    assert (again.counted, again.too_old) == (1, 0)
    assert (velocity(atlan), carried(atlan, "Case")["Changes"]) == ((3, 5), 7)


def test_a_date_in_retry_after_is_of_atlans_time(runs: Runs, atlan: Running, machine: Machine) -> None:
    atlan.control(clock={"set": text(NOON)})
    machine.shows = NOON + MONTH
    until = "Mon, 02 Mar 2026 12:01:40 GMT"
    atlan.control(fail=[{"pattern": "GET .*users/current", "status": 429, "retry_after": until}])
    runs([])
    assert 90 < machine.naps[0] < 102
