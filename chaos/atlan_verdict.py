"""What figures must be on which asset, by the truth log and docs/atlan.md: without the plugin and without the mock."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from chaos.atlan_truth import delivered
from chaos.verdict import Difference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from chaos.atlan_truth import Decided, Message, Truth

__all__ = ["Counted", "Shown", "compare", "counted", "due", "figures", "lasting", "unsettled"]

Place = tuple[str, str | None]
"""An object, and one of its fields."""

_CLOSED: Final = {("Opportunity", "StageName"): {"Closed Won", "Closed Lost"}, ("Case", "Status"): {"Closed"}}
_REJECTED: Final = {"Rejected", "Removed", "Recalled"}
_FRESHNESS: Final = ((7, 100), (30, 75), (90, 50), (365, 25))
_WEIGHTS: Final = (30, 25, 10, 20, 15)
_COUNTS: Final = ("Changes", "Deletes", "Stage changes", "Approval decisions", "Approvals rejected")
_LASTING: Final = {*_COUNTS, "Last change", "Last changed field", "Last changed by"}
"""Figures that hold until something new is told, whatever the day."""


@dataclass(frozen=True)
class Shown:
    """What an asset carries of the set.

    Attributes:
        sobject: API name of its object.
        field: API name of the field; None of an object.
        values: By the attribute's name.
    """

    sobject: str
    field: str | None
    values: Mapping[str, Any]

    def lasting(self) -> Shown:
        """Of it the figures that no day changes."""
        return Shown(self.sobject, self.field, {name: self.values[name] for name in _LASTING & self.values.keys()})


@dataclass
class Counted:
    """One decision as it counts; of a deletion the earliest witness that was heard."""

    decided: Decided
    at: datetime


@dataclass
class _Sums:
    """What is about an object, or about a field."""

    changes: list[Decided] = field(default_factory=list)
    approvals: list[Decided] = field(default_factory=list)
    deletions: list[datetime] = field(default_factory=list)


def counted(truth: Truth, messages: Iterable[Message]) -> list[Counted]:
    """The decisions that some messages tell of, each once, without those that were taken back."""
    heard: dict[int, Counted] = {}
    void: set[int] = set()
    for message in messages:
        decided = truth.decisions[message.decision]
        before = heard.get(decided.number)
        at = message.at or decided.at
        heard[decided.number] = Counted(decided, at if before is None else min(at, before.at))
        if message.void:
            void.add(decided.number)
    return [one for number, one in heard.items() if number not in void and one.decided.kind != "other"]


def unsettled(truth: Truth, messages: Collection[Message]) -> set[str]:
    """Objects some of whose deletions cannot be told apart yet: a record was deleted again, and not all was heard."""
    told = {id(message) for message in messages}
    return {
        truth.decisions[message.decision].sobject
        for source in truth.sources
        for message in source
        if id(message) not in told and truth.decisions[message.decision].record in truth.again
    }


def due(truth: Truth, read: Sequence[int]) -> tuple[list[Counted], set[str]]:
    """What both sources had told up to their bookmarks, and the objects whose deletions that does not settle."""
    messages = delivered(truth, read)
    return counted(truth, messages), unsettled(truth, messages)


def figures(decisions: Iterable[Counted], today: date, *, names: bool = False) -> dict[Place, dict[str, set[Any]]]:
    """What each object and field must show: to each attribute the values that are right, None for no value.

    Args:
        decisions: That count.
        today: The UTC day of the run.
        names: Actors are shown by name.
    """
    sums: dict[Place, _Sums] = defaultdict(_Sums)
    for one in decisions:
        decided = one.decided
        of_object = sums[decided.sobject, None]
        if decided.kind == "deletion":
            of_object.deletions.append(one.at)
        elif decided.kind == "approval":
            of_object.approvals.append(decided)
        else:
            of_object.changes.append(decided)
            sums[decided.sobject, decided.field].changes.append(decided)
    return {place: _shown(place, of, today, names=names) for place, of in sums.items()}


def lasting(wanted: Mapping[Place, Mapping[str, set[Any]]]) -> dict[Place, dict[str, set[Any]]]:
    """Of figures those that no day changes."""
    return {place: {name: of[name] for name in _LASTING & of.keys()} for place, of in wanted.items()}


def _shown(place: Place, of: _Sums, today: date, *, names: bool) -> dict[str, set[Any]]:
    is_object = place[1] is None
    newest = max((one.at for one in of.changes), default=None)
    last = [one for one in of.changes if one.at == newest]
    stages = sum(one.kind == "stage" for one in of.changes)
    return {
        "Last change": {None if newest is None else int(newest.timestamp()) * 1000},
        "Last changed field": {one.field for one in last} or {None} if is_object else {None},
        "Last changed by": {one.actor_name if names else one.actor for one in last} or {None},
        "Changes": {len(of.changes)},
        "Deletes": {len(of.deletions) if is_object else None},
        "Changes in 7 days": {_within(of, today, 7)},
        "Changes in 30 days": {_within(of, today, 30)},
        "Stage changes": {stages or None},
        "Approval decisions": {len(of.approvals) or None},
        "Approvals rejected": {sum(one.new in _REJECTED for one in of.approvals) if of.approvals else None},
        "Quality score": {_score(of, newest, today)},
    }


def _within(of: _Sums, today: date, days: int) -> int:
    return sum(today - timedelta(days) < one.at.astimezone(UTC).date() <= today for one in of.changes)


def _score(of: _Sums, newest: datetime | None, today: date) -> int | None:
    if newest is None:
        return None
    first = today - timedelta(90)
    changes = [one for one in of.changes if first < one.at.date() <= today]
    approvals = [one for one in of.approvals if first < one.at.date() <= today]
    deletions = [at for at in of.deletions if first < at.date() <= today]
    stages = sum(one.kind == "stage" for one in changes)
    bad = sum(one.new in _REJECTED for one in approvals) + sum(map(_reopened, changes))
    quiet = max(0, (today - newest.date()).days)
    parts = (
        next((part for days, part in _FRESHNESS if quiet < days), 0),
        _share(sum(not (one.new is None and one.old is not None) for one in changes), len(changes)),
        _share(sum(not one.automated for one in changes), len(changes)),
        _share(max(0, len(approvals) + stages - bad), len(approvals) + stages),
        _share(len(changes), len(changes) + len(deletions)),
    )
    judged = [(part, weight) for part, weight in zip(parts, _WEIGHTS, strict=True) if part is not None]
    mean = sum(part * weight for part, weight in judged) / sum(weight for _, weight in judged)
    return int(mean + 0.5)


def _reopened(one: Decided) -> bool:
    closed = _CLOSED.get((one.sobject, str(one.field)), set())
    return one.old in closed and one.new is not None and one.new not in closed


def _share(good: int, of: int) -> int | None:
    return 100 * good // of if of else None


def compare(
    wanted: Mapping[Place, Mapping[str, Collection[Any]]], shown: Iterable[Shown], unsettled: Collection[str] = ()
) -> Difference:
    """Compare what must be shown with what is; assets about which nothing was decided show nothing.

    Args:
        wanted: By object and field as history names it.
        shown: All objects and fields of the catalog.
        unsettled: Objects whose deletions are not judged.
    """
    difference = Difference()
    for one in shown:
        found = wanted.get((one.sobject, one.field))
        if found is None and one.field is not None and one.field.endswith("Id"):
            found = wanted.get((one.sobject, one.field[:-2]))  # history's name of a look-up
        for name in sorted({*one.values, *(found or {})}):
            right, value = (found or {}).get(name, {None}), one.values.get(name)
            if value in right or (found is None and not value):
                continue
            if one.field is None and one.sobject in unsettled and name in {"Deletes", "Quality score"}:
                continue
            if found is not None and not any(number for of in found.values() for number in of) and not value:
                continue
            right_number = max((number or 0 for number in right), default=0) if name in _COUNTS else 0
            if name in _COUNTS and isinstance(value, int | None):
                difference.lost += max(0, right_number - (value or 0))
                difference.doubled += max(0, (value or 0) - right_number)
            place = ".".join(filter(None, (one.sobject, one.field)))
            difference.wrong.append(f"{place}: {name} is {value}, and should be {' or '.join(map(str, right))}")
    return difference
