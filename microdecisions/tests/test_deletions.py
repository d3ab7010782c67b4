"""Sightings become deletions: told cases, any order and repetition, and stories whose truth is known."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microdecisions import timestamps
from microdecisions.deletions import WITNESSES, Deletion, Sighting, resolve, sighting_of
from microdecisions.event import EventContext, MicroDecisionEvent

ORG = "00D5g000004AbcDEAS"
RECORD = "0015g00000XyZaBAAV"
OTHER = "0015g00000XyZaCAAV"
USER = "0055g000007UserAAC"
NOON = datetime(2026, 1, 3, 12, tzinfo=UTC)


def at(seconds: float) -> str:
    return timestamps.to_text(NOON + timedelta(seconds=seconds))


def seen(
    source: str, seconds: float, *, record: str = RECORD, undelete: bool = False, commit: int = 0, **values: str
) -> Sighting:
    kind = {"change_event": "cdc", "platform_event": "pe", "query_all": "bin", "get_deleted": "log"}[source]
    event_id = f"{ORG}:Account:{record}:{kind}:{at(seconds)}:{commit}:{undelete}"
    values = {"event_id": event_id, "record_type": "Account", **values}
    event_type: Literal["record_delete", "record_undelete"] = "record_undelete" if undelete else "record_delete"
    return Sighting(
        record_id=record,
        event_type=event_type,
        at=at(seconds),
        source=source,
        commit_number=commit,
        **values,  # type: ignore[arg-type]
    )


def times(deletions: list[Deletion]) -> list[tuple[str, str | None, bool]]:
    return [(one.at, one.undeleted_at, one.after_missed_undelete) for one in deletions]


def test_nothing_seen_is_nothing_deleted() -> None:
    assert resolve([]) == []


@pytest.mark.parametrize("source", WITNESSES)
def test_one_sighting_of_any_witness_is_a_deletion(source: str) -> None:
    (one,) = resolve([seen(source, 0, actor_id=USER)])
    assert (one.source, one.at, one.actor_id, one.record_type) == (source, at(0), USER, "Account")


def test_witnesses_of_one_delete_are_one_deletion_with_the_best_values_and_the_earliest_time() -> None:
    sightings = [
        seen("get_deleted", 0),
        seen("query_all", 0, actor_id="0055g000007OtherAA", owner_id=OTHER),
        seen("platform_event", 1.2, actor_id="0055g000007ThirdAA"),
        seen("change_event", 1, actor_id=USER, actor_name="Sales User", commit=5),
    ]
    (one,) = resolve(sightings)
    assert one.at == at(0)
    assert (one.source, one.actor_id, one.actor_name) == ("change_event", USER, "Sales User")
    assert one.owner_id == OTHER  # of the best witness that has one
    assert one.sources == WITNESSES
    assert one.event_ids == tuple(sorted(sighting.event_id for sighting in sightings))


def test_a_better_witness_does_not_lend_its_name_to_the_actor_of_another() -> None:
    (one,) = resolve([seen("change_event", 0), seen("query_all", 0, actor_id=USER, actor_name="Sales User")])
    assert (one.actor_id, one.actor_name) == (USER, "Sales User")


def test_an_undelete_ends_a_deletion_and_the_next_delete_is_another() -> None:
    sightings = [
        seen("change_event", 0, commit=1),
        seen("change_event", 60, undelete=True, commit=2),
        seen("change_event", 120, commit=3),
    ]
    assert times(resolve(sightings)) == [(at(0), at(60), False), (at(120), None, False)]


def test_commit_numbers_order_what_happened_within_one_second() -> None:
    sightings = [
        seen("change_event", 0, commit=13),
        seen("change_event", 0, undelete=True, commit=12),
        seen("change_event", 0, commit=11),
        seen("get_deleted", 0),
    ]
    assert times(resolve(sightings)) == [(at(0), at(0), False), (at(0), None, False)]
    # The log no longer names what was undeleted, so it tells of the last delete of the second.
    assert [one.sources for one in resolve(sightings)] == [("change_event",), ("change_event", "get_deleted")]


def test_a_name_is_of_the_same_user_as_the_id() -> None:
    other = seen("query_all", 0, actor_id="0055g000007OtherAA", actor_name="Another User", actor_type="integration")
    (one,) = resolve([seen("change_event", 0, actor_id=USER), other])
    assert (one.actor_id, one.actor_type, one.actor_name) == (USER, None, None)


def test_what_the_log_still_names_in_the_second_of_an_undelete_was_deleted_after_it() -> None:
    sightings = [seen("change_event", -900, commit=1), seen("change_event", 0.3, undelete=True, commit=2)]
    assert times(resolve([*sightings, seen("get_deleted", 0)])) == [(at(-900), at(0.3), False), (at(0), None, False)]


def test_a_platform_event_just_after_an_undelete_tells_of_the_delete_before_it() -> None:
    sightings = [
        seen("change_event", 0, commit=1),
        seen("change_event", 2, undelete=True, commit=2),
        seen("platform_event", 2.5),
    ]
    assert times(resolve(sightings)) == [(at(0), at(2), False)]


def test_undeletes_that_are_told_twice_or_of_nothing_make_no_deletion() -> None:
    assert resolve([seen("change_event", 0, undelete=True, commit=1)]) == []
    sightings = [
        seen("change_event", 0, commit=1),
        seen("change_event", 5, undelete=True, commit=2),
        seen("change_event", 9, undelete=True, commit=3),
    ]
    assert times(resolve(sightings)) == [(at(0), at(5), False)]


@pytest.mark.parametrize("later", ["get_deleted", "change_event"])
@pytest.mark.parametrize("earlier", WITNESSES)
def test_an_exact_witness_long_after_an_earlier_one_proves_a_missed_undelete(earlier: str, later: str) -> None:
    found = resolve([seen(earlier, 0), seen(later, 86_400)])
    assert times(found) == [(at(0), None, False), (at(86_400), None, True)]


@pytest.mark.parametrize("later", ["platform_event", "query_all"])
def test_a_witness_that_may_be_late_proves_nothing(later: str) -> None:
    assert times(resolve([seen("change_event", 0), seen(later, 86_400)])) == [(at(0), None, False)]


def test_a_late_witness_goes_with_the_deletion_that_an_exact_one_proves() -> None:
    found = resolve([seen("change_event", 0), seen("query_all", 86_400, actor_id=USER), seen("get_deleted", 86_400)])
    assert [one.sources for one in found] == [("change_event",), ("query_all", "get_deleted")]
    assert times(found)[1] == (at(86_400), None, True)


def test_a_platform_event_goes_with_the_deletion_of_its_second_that_the_log_proves() -> None:
    found = resolve(
        [seen("change_event", 0), seen("platform_event", 86_400.2, actor_id=USER), seen("get_deleted", 86_400)]
    )
    assert [one.sources for one in found] == [("change_event",), ("platform_event", "get_deleted")]


def test_a_transaction_that_ran_for_half_an_hour_is_one_deletion() -> None:
    assert len(resolve([seen("get_deleted", 0), seen("change_event", 1_800)])) == 1


def test_records_and_orgs_are_apart() -> None:
    sandbox = seen("change_event", 0, event_id="00D5g000004SandBoX:Account:1:cdc:a:1")
    found = resolve([seen("change_event", 0), seen("change_event", 0, record=OTHER), sandbox])
    assert len(found) == 3


def test_one_event_with_two_contents_is_one_sighting() -> None:
    one = seen("platform_event", 0, event_id=f"{ORG}:Account:{RECORD}:pe:1")
    same = seen("platform_event", 3_600 * 5, event_id=one.event_id, owner_id=OTHER)
    for order in ([one, same], [same, one], [same, one, same]):
        (deletion,) = resolve(order)
        assert (deletion.at, deletion.owner_id, len(deletion.event_ids)) == (at(0), OTHER, 1)


def event(event_type: str, source: str, record_id: str | None, **metadata: str) -> MicroDecisionEvent:
    context = EventContext("Account", record_id or "", source, metadata=metadata)
    return MicroDecisionEvent(
        f"{ORG}:Account:x", event_type, at(-5), at(0), USER, "user", "Sales User", "Account", record_id,  # type: ignore[arg-type]
        None, None, None, True, context, at(60), "tap 1",
    )  # fmt: skip


def test_sighting_of_an_event_has_salesforces_own_stamp_owner_and_commit() -> None:
    found = sighting_of(
        event("record_delete", "change_event", RECORD, owner_id=OTHER, commit_number="1709303151782928388")
    )
    assert found == Sighting(
        RECORD, "record_delete", at(0), "change_event", f"{ORG}:Account:x", "Account", USER, "user", "Sales User",
        OTHER, 1709303151782928388,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event_type", "record_id"), [("gap", None), ("field_change", RECORD), ("record_delete", None)]
)
def test_other_events_and_deletes_of_no_record_are_no_sightings(event_type: str, record_id: str | None) -> None:
    assert sighting_of(event(event_type, "rest", record_id)) is None


@pytest.mark.parametrize("number", ["", "x", "-1", "\u0661", "9" * 19, "9" * 5_000])
def test_a_commit_number_that_is_none_counts_as_unknown(number: str) -> None:
    found = sighting_of(event("record_delete", "change_event", RECORD, commit_number=number))
    assert found is not None
    assert found.commit_number == 0


# -- any order, any repetition

SIGHTINGS = st.lists(
    st.builds(
        seen,
        st.sampled_from(WITNESSES),
        st.sampled_from([0, 0.25, 1, 2, 9, 60, 3_599, 3_601, 86_400, 90_000.5]),
        record=st.sampled_from([RECORD, OTHER]),
        undelete=st.booleans(),
        commit=st.integers(0, 4),
        actor_id=st.sampled_from([USER, "0055g000007OtherAA"]),
    ),
    max_size=9,
)


@given(SIGHTINGS, st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_any_order_and_repetition_gives_the_same_deletions(sightings: list[Sighting], chance: random.Random) -> None:
    expected = resolve(sightings)
    again = [*sightings, *chance.choices(sightings, k=len(sightings))] if sightings else []
    chance.shuffle(again)
    assert resolve(again) == expected
    assert resolve(iter(again)) == expected


@given(SIGHTINGS)
@settings(max_examples=200, deadline=None)
def test_every_sighting_of_a_delete_is_in_one_deletion(sightings: list[Sighting]) -> None:
    told = [event_id for deletion in resolve(sightings) for event_id in deletion.event_ids]
    assert sorted(told) == sorted({one.event_id for one in sightings if one.event_type == "record_delete"})


@given(SIGHTINGS)
@settings(max_examples=100, deadline=None)
def test_records_are_resolved_alone_as_among_others(sightings: list[Sighting]) -> None:
    alone = [
        one
        for record in (RECORD, OTHER)
        for one in resolve([sighting for sighting in sightings if sighting.record_id == record])
    ]
    assert sorted(alone, key=repr) == sorted(resolve(sightings), key=repr)


# -- stories: what was done is known, and each witness stamps it its own way


@dataclass
class Life:
    """One delete, when it was undone, and who saw both."""

    deleted: float
    undeleted: float | None = None
    witnesses: list[str] = field(default_factory=list)


class Story:
    """Deletes and undeletes of one record. All undeletes are seen, each delete by some witnesses.

    Stamps are as Salesforce makes them: change events with whole seconds of the end of their transaction, rows with
    whole seconds of when they were written, platform events when they were published.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._clock = 0.0
        self._commit = 0
        self.lives: list[Life] = []
        self.sightings: list[Sighting] = []

    def delete(self, witnesses: set[str]) -> None:
        draw = self._draw
        # In the second of an undelete nothing but a change event can tell a new delete from the one before.
        pauses = [30.0, 4_000.0, 200_000.0] if "change_event" not in witnesses else [0.2, 0.5, 1.0, 30.0, 200_000.0]
        self._clock += draw(st.sampled_from(pauses))
        written = self._clock
        self._commit += 1
        self.lives.append(Life(written, None, sorted(witnesses)))
        self._clock += draw(st.sampled_from([0.0, 0.0, 3.0, 600.0]))
        stamps = {
            "change_event": float(int(self._clock)),
            "platform_event": self._clock + draw(st.sampled_from([0.0, 0.1, 0.15])),
            "query_all": float(int(written)),
            "get_deleted": float(int(written)),
        }
        for source in witnesses:
            self.sightings.append(seen(source, stamps[source], commit=self._commit * (source == "change_event")))

    def undelete(self) -> None:
        known = "change_event" in self.lives[-1].witnesses
        self._clock += self._draw(st.sampled_from([0.2, 1.0, 60.0, 90_000.0])) if known else 15.0
        self._commit += 1
        self.lives[-1].undeleted = self._clock
        self.sightings.append(seen("change_event", float(int(self._clock)), undelete=True, commit=self._commit))


@st.composite
def stories(draw: st.DrawFn) -> Story:
    story = Story(draw)
    for _ in range(draw(st.integers(0, 4))):
        story.delete(draw(st.sets(st.sampled_from(["change_event", "platform_event"]), min_size=1)))
        story.undelete()
    # What is undeleted is no longer among the deleted rows and in the log: only of the last delete do they tell.
    story.delete(draw(st.sets(st.sampled_from(WITNESSES), min_size=1)))
    if draw(st.booleans()):
        story.undelete()
    return story


@given(stories(), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_a_story_is_told_as_it_happened(story: Story, chance: random.Random) -> None:
    lives, sightings = story.lives, story.sightings
    told = [*sightings, *chance.choices(sightings, k=3)]
    chance.shuffle(told)
    found = resolve(told)
    assert len(found) == len(lives)
    assert not any(one.after_missed_undelete for one in found)
    for life, one in zip(lives, found, strict=True):
        assert one.undeleted_at == (None if life.undeleted is None else at(int(life.undeleted)))
        if "change_event" in life.witnesses:
            assert one.source == "change_event"


def test_ten_thousand_sightings_are_resolved_in_moments() -> None:
    sightings = [
        seen(source, float(number), record=f"{number:015d}AAA") for number in range(2_500) for source in WITNESSES
    ]
    assert len(resolve(sightings)) == 2_500
