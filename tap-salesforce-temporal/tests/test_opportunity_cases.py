"""Golden rows of opportunities, and single cases of what their snapshots tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden_run import ACTORS, EXTRACTION
from opportunities import USERS, flagged, text_at

from microdecisions import values
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_temporal.normalise.opportunity import (
    OpportunityRow,
    Snapshot,
    by_opportunity,
    opportunity_changes,
)
from tap_salesforce_temporal.reading.rest import QueryPage

GOLDEN = Path(__file__).parent / "golden"


# Golden files


class Golden(msgspec.Struct, forbid_unknown_fields=True):
    what: str
    before: list[msgspec.Raw]
    row: msgspec.Raw
    event: dict[str, Any]


def _rows(rows: list[msgspec.Raw]) -> list[OpportunityRow]:
    body = b'{"totalSize":%d,"done":true,"records":[%s]}' % (len(rows), b",".join(map(bytes, rows)))
    return values.page_decoder(QueryPage[OpportunityRow]).decode(body).rows


@pytest.mark.parametrize("kind", ["first_row", "stage_change", "amount_change"])
def test_golden_row_becomes_its_golden_event(kind: str) -> None:
    golden = msgspec.json.decode((GOLDEN / f"opportunity_history_{kind}.json").read_bytes(), type=Golden)
    before = None
    if golden.before:
        _, before = opportunity_changes(_rows(golden.before), None, ACTORS, EXTRACTION)
    (event,), _ = opportunity_changes(_rows([golden.row]), before, ACTORS, EXTRACTION)
    assert event.to_json() == msgspec.json.encode(golden.event)


# Single cases


def _row(number: int, second: int, stage: str, amount: str | None, previous: str | None, **rest: Any) -> OpportunityRow:
    return OpportunityRow(
        id=f"0085g00000{number:05}AAA",
        opportunity_id=rest.pop("opportunity_id", "0065g00000Opp1QAAR"),
        stage_name=stage,
        amount=amount,
        close_date="2026-03-31",
        prev_amount=previous,
        prev_close_date=rest.pop("prev_close_date", "2026-03-31"),
        created_by_id=USERS[0],
        created_date=text_at(second)[:23] + "+0000",
    )


BEFORE = Snapshot(("New", "10", "2026-03-31", None, None), text_at(-86_400))


def _stages(events: list[MicroDecisionEvent]) -> list[tuple[str | None, str | None]]:
    return [(event.old_value, event.new_value) for event in events if event.field_name == "StageName"]


def test_the_successor_of_a_late_row_has_the_same_id_and_new_content() -> None:
    first, late, last = _row(1, 10, "Open", "10", "10"), _row(2, 20, "Won", "10", "10"), _row(3, 30, "Lost", "10", "10")
    (_, without), _ = opportunity_changes([first, last], BEFORE, ACTORS, EXTRACTION)
    (_, inserted, successor), _ = opportunity_changes([first, late, last], BEFORE, ACTORS, EXTRACTION)
    assert successor.event_id == without.event_id
    assert successor.digest() != without.digest()
    assert (without.old_value, inserted.old_value, successor.old_value) == ("Open", "Open", "Won")
    assert successor.context.stage_duration_days == round(10 / 86_400, 6)


def test_a_change_that_a_late_row_disproves_is_superseded_once_it_was_written() -> None:
    late, last = _row(1, 10, "Open", "10", "10"), _row(2, 20, "Open", "10", "10")
    (written,), _ = opportunity_changes([last], BEFORE, ACTORS, EXTRACTION)
    changes, _ = opportunity_changes([late, last], BEFORE, ACTORS, EXTRACTION, already={written.event_id})
    assert [(event.old_value, event.new_value, event.is_primary) for event in changes] == [
        ("New", "Open", True),
        ("Open", "Open", False),
    ]
    assert changes[1].event_id == written.event_id
    assert changes[1].context.metadata == {"superseded": "true"}
    unwritten, _ = opportunity_changes([late, last], BEFORE, ACTORS, EXTRACTION)
    assert len(unwritten) == 1


def test_rows_of_one_second_follow_the_chain_and_not_their_ids() -> None:
    rows = [_row(1, 5, "Won", "30", "20"), _row(2, 5, "Open", "20", "10")]
    events, after = opportunity_changes(rows, BEFORE, ACTORS, EXTRACTION)
    assert _stages(events) == [("New", "Open"), ("Open", "Won")]
    assert not any(map(flagged, events))
    assert after.values[0] == "Won"


def test_an_order_that_nothing_proves_isflagged_with_the_row_after_it() -> None:
    rows = [_row(1, 5, "Open", "10", "10"), _row(2, 5, "Won", "10", "10"), _row(3, 6, "Lost", "10", "10")]
    events, after = opportunity_changes([*rows, _row(4, 7, "New", "10", "10")], BEFORE, ACTORS, EXTRACTION)
    assert _stages(events) == [("New", "Open"), ("Open", "Won"), ("Won", "Lost"), ("Lost", "New")]
    assert [flagged(event) for event in events] == [True, True, True, False]
    assert not after.guessed


def test_the_flag_goes_on_into_the_next_window() -> None:
    rows = [_row(1, 5, "Open", "10", "10"), _row(2, 5, "Won", "10", "10")]
    _, before = opportunity_changes(rows, BEFORE, ACTORS, EXTRACTION)
    (event,), after = opportunity_changes([_row(3, 6, "Lost", "10", "10")], before, ACTORS, EXTRACTION)
    assert flagged(event)
    assert not after.guessed


def test_two_rows_that_say_the_same_do_not_hide_an_order_that_differs() -> None:
    rows = [_row(1, 5, "New", "10", "10"), _row(2, 5, "Open", "10", "10"), _row(3, 5, "Open", "10", "10")]
    events, _ = opportunity_changes(rows, BEFORE, ACTORS, EXTRACTION)
    assert events
    assert all(map(flagged, events))


def test_rows_of_one_second_that_all_say_the_same_are_no_riddle() -> None:
    events, _ = opportunity_changes([_row(n, 5, "Open", "10", "10") for n in (1, 2, 3)], BEFORE, ACTORS, EXTRACTION)
    assert _stages(events) == [("New", "Open")]
    assert not any(map(flagged, events))


def test_rows_without_previous_values_areflagged_within_a_second_and_trusted_across() -> None:
    old = [
        _row(n, second, stage, "10", None, prev_close_date=None) for n, second, stage in ((1, 5, "Open"), (2, 6, "Won"))
    ]
    events, _ = opportunity_changes(old, BEFORE, ACTORS, EXTRACTION)
    assert not any(map(flagged, events))
    crowded = [_row(n, 5, stage, "10", None, prev_close_date=None) for n, stage in ((1, "Open"), (2, "Won"))]
    events, _ = opportunity_changes(crowded, BEFORE, ACTORS, EXTRACTION)
    assert all(map(flagged, events))


def test_more_rows_in_a_second_than_are_worth_chaining_go_by_id_and_areflagged() -> None:
    rows = [_row(n, 5, f"S{n}", str(n), str(n - 1)) for n in range(11, 30)]
    events, _ = opportunity_changes(rows[::-1], BEFORE, ACTORS, EXTRACTION)
    assert [new for _, new in _stages(events)] == [f"S{n}" for n in range(11, 30)]
    assert all(map(flagged, events))


def test_a_stage_that_is_entered_again_lasts_from_its_last_entry() -> None:
    day = 86_400
    rows = [
        _row(1, 0, "Open", "10", None, prev_close_date=None),
        _row(2, day, "Won", "10", "10"),
        _row(3, 2 * day, "Open", "10", "10"),
        _row(4, 3 * day, "Open", "20", "10"),
        _row(5, 5 * day, "Lost", "20", "20"),
    ]
    events, after = opportunity_changes(rows, None, ACTORS, EXTRACTION)
    durations = [e.context.stage_duration_days for e in events if e.event_type == "stage_change"]
    assert durations == [None, 1.0, 1.0, 3.0]
    previous = [e.context.previous_stage for e in events if e.event_type == "stage_change"]
    assert previous == [None, "Open", "Won", "Open"]
    assert after.stage_since == text_at(5 * day)


def test_the_second_witness_is_not_primary() -> None:
    events, _ = opportunity_changes([_row(1, 5, "Open", "20", "10")], BEFORE, ACTORS, EXTRACTION, primary=False)
    assert len(events) == 2
    assert not any(event.is_primary for event in events)


def test_opportunities_are_told_apart() -> None:
    rows = [_row(n, n, "Open", "10", "10", opportunity_id=f"0065g00000{n % 3:05}AAA") for n in range(9)]
    groups = dict(by_opportunity(rows))
    assert list(groups) == sorted(groups)
    assert sorted(row.id for group in groups.values() for row in group) == [row.id for row in rows]
    assert all(len({row.opportunity_id for row in group}) == 1 for group in groups.values())


def test_nothing_is_no_opportunity() -> None:
    with pytest.raises(ValueError, match="without rows"):
        opportunity_changes([], None, ACTORS, EXTRACTION)
    assert opportunity_changes([], BEFORE, ACTORS, EXTRACTION) == ([], BEFORE)
