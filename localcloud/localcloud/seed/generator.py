"""A made-up org that moves as the measured logs do: an endless stream of decisions, the same for a seed."""

from __future__ import annotations

from datetime import datetime
from heapq import heappop, heappush
from itertools import chain
from random import Random
from typing import TYPE_CHECKING

import msgspec

from localcloud.seed.decisions import Decision, events_of, instant_text
from localcloud.seed.people import Ids, People
from localcloud.seed.sidelines import Sidelines
from localcloud.seed.stories import SHARES, Storyteller, staff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.seed.people import NewId

GENERATOR_VERSION = 2
"""Changes whenever the same plan gives other decisions: an org can only live on as it began."""

SPAN_SECONDS = 730 * 86_400
"""How far back a generated org's history reaches."""

_FIRST = ("Account", "Account", "Contact", "Account", "Contact", "Opportunity", "Case", "Invoice__c")
_SAMPLE = 1_500


class Plan(msgspec.Struct, frozen=True):
    """What to generate: ``events`` expected events up to ``end`` (epoch seconds, inclusive)."""

    seed: int
    events: int
    end: int


def roster(plan: Plan, new_id: NewId) -> People:
    """Return the users of a generated org."""
    people = People(new_id)
    staff(people, plan.events)
    return people


def generate(plan: Plan, new_id: NewId, *, doomed: set[str] | None = None) -> Iterator[Decision]:
    """Yield decisions in time order, for ever: what lies beyond ``plan.end`` is the org's future.

    A new record begins whenever the events of those before it have used up their part of the time, so
    the number of events up to the end comes out as planned; what happens beside the records (tasks, logins,
    setup changes, log files) makes no events of that number. Memory holds the decisions of records that
    are under way, not the org.

    Args:
        plan: seed, size and end.
        new_id: gives the n-th id of an object.
        doomed: receives the records that are deleted up to the end, each before its first decision is yielded.
    """
    rate = plan.events / (1 - _lost_share(plan, new_id)) / SPAN_SECONDS
    ids = Ids(new_id)
    teller, random = _teller(plan, ids, new_id)
    begin = plan.end - SPAN_SECONDS
    sidelines = Sidelines(plan.seed, teller, ids, begin=begin, end=plan.end, events=plan.events)
    last = instant_text(plan.end)
    waiting: list[tuple[str, int, Decision]] = []
    number = events = 0
    for kind in _kinds(random):
        start = begin + int(events / rate)
        for decision in sidelines.days_until(start):
            number += 1
            heappush(waiting, (decision.at, number, decision))
        until = instant_text(start)
        while waiting and waiting[0][0] < until:
            yield heappop(waiting)[2]
        decisions = teller.tell(kind, start).finish()
        events += events_of(decisions)
        for decision in chain(decisions, sidelines.beside(kind, start)):
            number += 1
            heappush(waiting, (decision.at, number, decision))
            if doomed is not None and decision.action == "delete" and decision.at <= last:
                doomed.add(decision.record)


def _teller(plan: Plan, ids: Ids, new_id: NewId) -> tuple[Storyteller, Random]:
    random = Random(plan.seed)  # noqa: S311 - a made-up org, nothing secret
    teller = Storyteller(random, ids, roster(plan, new_id), events=plan.events, end=plan.end)
    return teller, random


def _kinds(random: Random) -> Iterator[str]:
    yield from _FIRST
    kinds, weights = list(SHARES), list(SHARES.values())
    while True:
        yield from random.choices(kinds, weights, k=64)


def _lost_share(plan: Plan, new_id: NewId) -> float:
    """Return the part of all events that falls beyond the end, from a sample of stories.

    Stories begin evenly over the span, so an event that comes some time after its story's beginning is
    lost with that time's share of the span.
    """
    teller, random = _teller(plan, Ids(new_id), new_id)
    start = plan.end - SPAN_SECONDS
    lost = total = 0.0
    kinds = _kinds(random)
    for _ in range(_SAMPLE):
        for decision in teller.tell(next(kinds), start).finish():
            events = events_of([decision])
            later = datetime.fromisoformat(decision.at).timestamp() - start
            lost += events * min(later / SPAN_SECONDS, 1.0)
            total += events
    return lost / total
