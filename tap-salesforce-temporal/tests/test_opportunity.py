"""Snapshots of an opportunity become its true story, in any order of rows, cut anywhere, with rows that come late."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import msgspec
from golden_run import ACTORS, EXTRACTION
from hypothesis import given, settings
from hypothesis import strategies as st
from opportunities import BEGIN, USERS, flagged, text_at

from microdecisions import timestamps, values
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_temporal.normalise.opportunity import (
    COLUMNS,
    OpportunityRow,
    Snapshot,
    in_order,
    opportunity_changes,
)

LAW = settings(deadline=None, derandomize=True, max_examples=200)


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
                created_date=text_at(save.second)[:23] + "+0000",
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
        assert not any(map(flagged, events))
    assert after.values == saves[-1].values or crowded


@LAW
@given(shuffled())
def test_what_is_notflagged_is_true(story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]]) -> None:
    saves, rows, given_rows = story
    truth = {(change.row_id, change.field): change for change in _truth(saves, rows)}
    events, _ = opportunity_changes(given_rows, None, ACTORS, EXTRACTION)
    # Rows of a second that say the same may change places: nobody can tell which of them was first.
    same = {(save.second, _says(row)) for save, row in zip(saves, rows, strict=True)}
    unique = len(same) == len(rows)
    told = {
        (change.row_id, change.field): change for change in _told([event for event in events if not flagged(event)])
    }
    if unique:
        assert told.items() <= truth.items()
    else:
        assert {change[1:] for change in told.values()} <= {change[1:] for change in truth.values()}


@LAW
@given(shuffled())
def test_a_second_that_is_notflagged_is_in_true_order(
    story: tuple[list[Save], list[OpportunityRow], list[OpportunityRow]],
) -> None:
    saves, rows, given_rows = story
    true = {second: [] for second in {text_at(save.second) for save in saves}}  # type: dict[str, list[Any]]
    for save, row in zip(saves, rows, strict=True):
        true[text_at(save.second)].append(_says(row))
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
