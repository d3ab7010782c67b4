"""Snapshots of an opportunity become its true story, in any order of rows, cut anywhere, with rows that come late."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import timestamps, values
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_temporal.actors import Actor
from tap_salesforce_temporal.normalise import Extraction
from tap_salesforce_temporal.normalise.opportunity import (
    COLUMNS,
    OpportunityRow,
    Snapshot,
    by_opportunity,
    in_order,
    opportunity_changes,
)
from tap_salesforce_temporal.reading.rest import QueryPage

LAW = settings(deadline=None, derandomize=True, max_examples=200)
GOLDEN = Path(__file__).parent / "golden"
USERS = ("0055g000007UserAAC", "0055g00000ApproAAB")
EXTRACTION = Extraction(
    org_id="00D5g000004AbcDEAS",
    extracted_at="2026-01-31T12:00:00.000000Z",
    extractor_version="tap-salesforce-temporal 0.1.0",
    source="rest",
)
ACTORS = {user: Actor(user, "user", "Sales User") for user in USERS} | {None: Actor(None, "system", None)}
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


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


# A true story: what people did, save by save, and the rows that Salesforce keeps of it.


class Save(NamedTuple):
    second: int
    values: tuple[str | None, ...]  # in the order of COLUMNS
    user: str


class Change(NamedTuple):
    row_id: str
    field: str
    old: str | None
    new: str | None
    user: str
    second: int


@st.composite
def stories(draw: st.DrawFn, most: int = 9, *, distinct_amounts: bool = False) -> list[Save]:
    """Saves of one opportunity, several of them in the same second."""
    saves = []
    second = 0
    for place in range(draw(st.integers(1, most))):
        second += draw(st.sampled_from([0, 0, 0, 1, 1, 3600]))
        amount = str(place + 1) if distinct_amounts else draw(st.sampled_from([None, "10", "20.5", "30"]))
        saves.append(
            Save(
                second,
                (
                    draw(st.sampled_from(["New", "Open", "Won"])),
                    amount,
                    draw(st.sampled_from(["2026-03-31", "2026-04-30"])),
                    draw(st.sampled_from(["10", "50", None])),
                    draw(st.sampled_from(["Pipeline", "Closed"])),
                ),
                draw(st.sampled_from(USERS)),
            )
        )
    return saves


def _at(second: int) -> str:
    return timestamps.to_text(BEGIN + timedelta(seconds=second))


def _kept(saves: list[Save], numbers: list[int]) -> list[OpportunityRow]:
    """The rows that Salesforce keeps, in true order; their Ids say nothing about it."""
    rows = []
    previous: tuple[str | None, ...] = (None,) * 5
    for save, number in zip(saves, numbers, strict=True):
        stage, amount, close, probability, forecast = save.values
        rows.append(
            OpportunityRow(
                id=f"0085g00000{number:05}AAA",
                opportunity_id="0065g00000Opp1QAAR",
                stage_name=stage,
                amount=None if amount is None else values.Number(f"{amount}0" if "." in amount else f"{amount}.0"),
                close_date=close,
                probability=None if probability is None else int(probability),
                forecast_category=forecast,
                prev_amount=None if previous[1] is None else values.Number(previous[1]),
                prev_close_date=previous[2],
                created_by_id=save.user,
                created_date=_at(save.second)[:23] + "+0000",
            )
        )
        previous = save.values
    return rows


def _truth(saves: list[Save], rows: list[OpportunityRow]) -> list[Change]:
    """What a person would write down: each column that a save changed, the stage alone of the first one."""
    changes = []
    previous: tuple[str | None, ...] | None = None
    for save, row in zip(saves, rows, strict=True):
        for place, field in enumerate(COLUMNS):
            if previous is None and field == "StageName":
                changes.append(Change(row.id, field, None, save.values[place], save.user, save.second))
            elif previous is not None and previous[place] != save.values[place]:
                changes.append(Change(row.id, field, previous[place], save.values[place], save.user, save.second))
        previous = save.values
    return changes


def _told(events: list[MicroDecisionEvent]) -> list[Change]:
    return [
        Change(
            event.context.source_record_id,
            str(event.field_name),
            event.old_value,
            event.new_value,
            str(event.actor_id),
            int((timestamps.parse(event.timestamp_occurred) - BEGIN).total_seconds()),
        )
        for event in events
    ]


def _says(row: OpportunityRow) -> tuple[object, ...]:
    return (*row.values(), row.created_by_id)


def _flagged(event: MicroDecisionEvent) -> bool:
    return event.context.metadata.get("order_within_second") == "ambiguous"


@st.composite
def shuffled(
    draw: st.DrawFn, *, distinct_amounts: bool = False
) -> tuple[list[Save], list[OpportunityRow], list[OpportunityRow]]:
    saves = draw(stories(distinct_amounts=distinct_amounts))
    numbers = draw(st.permutations(range(len(saves))))
    rows = _kept(saves, numbers)
    return saves, rows, draw(st.permutations(rows))


@LAW
@given(shuffled(distinct_amounts=True))
def test_rows_in_any_order_give_the_true_story_where_the_chain_proves_it(
    story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]],
) -> None:
    saves, rows, given_rows = story
    events, after = opportunity_changes(given_rows, None, ACTORS, EXTRACTION)
    crowded = any(len(list(group)) > 8 for _, group in itertools.groupby(saves, key=lambda save: save.second))
    if not crowded:  # each amount is another: exactly one order fits
        assert _told(events) == _truth(saves, rows)
        assert not any(map(_flagged, events))
    assert after.values == saves[-1].values or crowded


@LAW
@given(shuffled())
def test_what_is_not_flagged_is_true(story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]]) -> None:
    saves, rows, given_rows = story
    truth = {(change.row_id, change.field): change for change in _truth(saves, rows)}
    events, _ = opportunity_changes(given_rows, None, ACTORS, EXTRACTION)
    # Rows of a second that say the same may change places: nobody can tell which of them was first.
    same = {(save.second, _says(row)) for save, row in zip(saves, rows, strict=True)}
    unique = len(same) == len(rows)
    told = {
        (change.row_id, change.field): change for change in _told([event for event in events if not _flagged(event)])
    }
    if unique:
        assert told.items() <= truth.items()
    else:
        assert {change[1:] for change in told.values()} <= {change[1:] for change in truth.values()}


@LAW
@given(shuffled())
def test_a_second_that_is_not_flagged_is_in_true_order(
    story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]],
) -> None:
    saves, rows, given_rows = story
    true = {second: [] for second in {_at(save.second) for save in saves}}  # type: dict[str, list[Any]]
    for save, row in zip(saves, rows, strict=True):
        true[_at(save.second)].append(_says(row))
    found: dict[str, list[Any]] = {second: [] for second in true}
    guesses = set()
    for row, _, at, guessed in in_order(given_rows, None):
        found[at].append(_says(row))
        if guessed:
            guesses.add(at)
    assert {at: found[at] for at in found if at not in guesses} == {at: true[at] for at in true if at not in guesses}
    assert {at: sorted(map(repr, said)) for at, said in found.items()} == {
        at: sorted(map(repr, said)) for at, said in true.items()
    }


@LAW
@given(shuffled(), st.randoms(use_true_random=False))
def test_the_order_of_delivery_changes_nothing(
    story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]], chance: Any
) -> None:
    _, rows, given_rows = story
    again = [*rows, *rows[:2]]  # a row may also come twice
    chance.shuffle(again)
    assert opportunity_changes(again, None, ACTORS, EXTRACTION) == opportunity_changes(
        given_rows, None, ACTORS, EXTRACTION
    )


@LAW
@given(shuffled(), st.lists(st.integers(0, 8), max_size=4))
def test_windows_cut_anywhere_tell_the_same_as_all_at_once(
    story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]], cuts: list[int]
) -> None:
    saves, _, given_rows = story
    at_once, after = opportunity_changes(given_rows, None, ACTORS, EXTRACTION)
    seconds = sorted({save.second for save in saves})
    bounds = sorted({seconds[cut % len(seconds)] for cut in cuts} | {0, seconds[-1] + 1})
    by_window: list[MicroDecisionEvent] = []
    before = None
    for start, end in itertools.pairwise(bounds):
        window = [row for row in given_rows if start <= _second(row) < end]
        if window:
            events, before = opportunity_changes(window, before, ACTORS, EXTRACTION)
            before = msgspec.msgpack.decode(msgspec.msgpack.encode(before), type=Snapshot)  # it is kept on disk
            by_window += events
    assert by_window == at_once
    assert before == after


def _second(row: OpportunityRow) -> int:
    return int((timestamps.parse(row.created_date) - BEGIN).total_seconds())


@LAW
@given(shuffled(), st.integers(0, 8), st.integers(0, 8))
def test_a_row_that_comes_late_corrects_what_was_written(
    story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]], late: int, begin: int
) -> None:
    """A table keyed by event id, filled without the late row and then from before it with it, holds the true story."""
    saves, _, given_rows = story
    late_row = given_rows[late % len(given_rows)]
    visible = [row for row in given_rows if row is not late_row]
    table: dict[str, MicroDecisionEvent] = {}
    if visible:
        events, _ = opportunity_changes(visible, None, ACTORS, EXTRACTION)
        table = {event.event_id: event for event in events}
    # The overlap begins anywhere at or before the late row.
    first = min(begin, saves[-1].second, _second(late_row))
    earlier = [row for row in given_rows if _second(row) < first]
    before = opportunity_changes(earlier, None, ACTORS, EXTRACTION)[1] if earlier else None
    events, _ = opportunity_changes(
        [row for row in given_rows if _second(row) >= first], before, ACTORS, EXTRACTION, already=set(table)
    )
    table |= {event.event_id: event for event in events}
    expected, _ = opportunity_changes(given_rows, None, ACTORS, EXTRACTION)
    assert _counted(table.values()) == _counted(expected)
    for event in table.values():
        superseded = event.context.metadata.get("superseded") == "true"
        assert event.is_primary != superseded
        assert not superseded or event.old_value == event.new_value


def _counted(events: Any) -> dict[str, MicroDecisionEvent]:
    return {event.event_id: event for event in events if event.is_primary}


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
        created_date=_at(second)[:23] + "+0000",
    )


BEFORE = Snapshot(("New", "10", "2026-03-31", None, None), _at(-86_400))


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
    assert not any(map(_flagged, events))
    assert after.values[0] == "Won"


def test_an_order_that_nothing_proves_is_flagged_with_the_row_after_it() -> None:
    rows = [_row(1, 5, "Open", "10", "10"), _row(2, 5, "Won", "10", "10"), _row(3, 6, "Lost", "10", "10")]
    events, after = opportunity_changes([*rows, _row(4, 7, "New", "10", "10")], BEFORE, ACTORS, EXTRACTION)
    assert _stages(events) == [("New", "Open"), ("Open", "Won"), ("Won", "Lost"), ("Lost", "New")]
    assert [_flagged(event) for event in events] == [True, True, True, False]
    assert not after.guessed


def test_the_flag_goes_on_into_the_next_window() -> None:
    rows = [_row(1, 5, "Open", "10", "10"), _row(2, 5, "Won", "10", "10")]
    _, before = opportunity_changes(rows, BEFORE, ACTORS, EXTRACTION)
    (event,), after = opportunity_changes([_row(3, 6, "Lost", "10", "10")], before, ACTORS, EXTRACTION)
    assert _flagged(event)
    assert not after.guessed


def test_two_rows_that_say_the_same_do_not_hide_an_order_that_differs() -> None:
    rows = [_row(1, 5, "New", "10", "10"), _row(2, 5, "Open", "10", "10"), _row(3, 5, "Open", "10", "10")]
    events, _ = opportunity_changes(rows, BEFORE, ACTORS, EXTRACTION)
    assert events
    assert all(map(_flagged, events))


def test_rows_of_one_second_that_all_say_the_same_are_no_riddle() -> None:
    events, _ = opportunity_changes([_row(n, 5, "Open", "10", "10") for n in (1, 2, 3)], BEFORE, ACTORS, EXTRACTION)
    assert _stages(events) == [("New", "Open")]
    assert not any(map(_flagged, events))


def test_rows_without_previous_values_are_flagged_within_a_second_and_trusted_across() -> None:
    old = [
        _row(n, second, stage, "10", None, prev_close_date=None) for n, second, stage in ((1, 5, "Open"), (2, 6, "Won"))
    ]
    events, _ = opportunity_changes(old, BEFORE, ACTORS, EXTRACTION)
    assert not any(map(_flagged, events))
    crowded = [_row(n, 5, stage, "10", None, prev_close_date=None) for n, stage in ((1, "Open"), (2, "Won"))]
    events, _ = opportunity_changes(crowded, BEFORE, ACTORS, EXTRACTION)
    assert all(map(_flagged, events))


def test_more_rows_in_a_second_than_are_worth_chaining_go_by_id_and_are_flagged() -> None:
    rows = [_row(n, 5, f"S{n}", str(n), str(n - 1)) for n in range(11, 30)]
    events, _ = opportunity_changes(rows[::-1], BEFORE, ACTORS, EXTRACTION)
    assert [new for _, new in _stages(events)] == [f"S{n}" for n in range(11, 30)]
    assert all(map(_flagged, events))


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
    assert after.stage_since == _at(5 * day)


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
