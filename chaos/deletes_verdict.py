"""Which deletions were told, too often or not at all: from the truth log, without the plugin and without the mock org.

A record is deleted by a line about itself, by one about what it hangs on (`cascade`), or by a merge that it loses
(`losers`). It comes back by an undelete. A line about a record that is in the recycle bin already deletes nothing.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from chaos.verdict import Difference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Gap", "Terms", "Told", "Truth", "compare", "read_deletions"]

_SECOND = 19
_AN_HOUR = timedelta(hours=1)
"""Deletions of a record that are nearer count as one where nobody saw the undelete between them (docs/deletes.md)."""


@dataclass
class Truth:
    """One deletion that happened; instants are texts to the second."""

    sobject: str
    record: str
    at: str
    actor: str
    undeleted_at: str | None = None


@dataclass(frozen=True)
class Told:
    """One deletion that the loaded events tell of; instants in canonical text."""

    sobject: str | None
    record: str
    at: str
    actor: str | None
    undeleted_at: str | None


@dataclass(frozen=True)
class Gap:
    """One interval that was given up, with the objects it is about; instants in canonical text."""

    objects: frozenset[str]
    start: str
    end: str

    def covers(self, sobject: str, at: str) -> bool:
        """Whether something that happened to an object in a second may be missing."""
        return sobject in self.objects and self.start[:_SECOND] <= at <= self.end[:_SECOND]


@dataclass(frozen=True)
class Terms:
    """What may be asked of a story's runs.

    Attributes:
        covered: Objects whose change events are read.
        asked: Objects whose delete log is asked.
        overflowed: From when to when change events did not name all records.
        forgotten: Objects whose delete log forgot what happened up to an instant, before anybody had asked it.
        unread: Up to when change events may have gone before anybody had read them.
        purged: Whether a delete log forgot something.
    """

    covered: frozenset[str]
    asked: frozenset[str]
    overflowed: Sequence[tuple[str, str]] = ()
    forgotten: Mapping[str, str] = field(default_factory=dict)
    unread: str = ""
    purged: bool = False


def read_deletions(org: Path, until: str = "9") -> list[Truth]:
    """All deletions that the truth log tells of, in their order.

    Args:
        org: The org's folder.
        until: Lines behind this instant (text to the second) are left out.
    """
    told: list[Truth] = []
    gone: dict[str, Truth] = {}
    log = org / "truth.jsonl"
    if not log.exists():  # an org made by hand, in which nothing was done yet
        return told
    with log.open(encoding="utf-8") as lines:
        for text in lines:
            line = json.loads(text)
            at = line["at"][:_SECOND]
            if at > until:
                continue
            if line["action"] == "undelete":
                for _, record in _records(line):
                    if record in gone:
                        gone.pop(record).undeleted_at = at
                continue
            for sobject, record in _deleted(line):
                if record not in gone:
                    gone[record] = Truth(sobject, record, at, line["actor"])
                    told.append(gone[record])
    return told


def _deleted(line: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if line["action"] in {"delete", "hard_delete"}:
        return _records(line)
    if line["action"] == "merge":
        return [(line["object"], record) for record in line.get("losers", ())]
    return []


def _records(line: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield line["object"], line["record"]
    yield from line.get("cascade", ())


def compare(
    truth: Iterable[Truth], told: Iterable[Told], gaps: Collection[Gap], terms: Terms, due: str = "9"
) -> Difference:
    """Compare what happened with what is told.

    Args:
        truth: From `read_deletions`.
        told: Resolved from all events that were loaded.
        gaps: All gaps that were loaded.
        terms: What the runs read.
        due: What happened from this instant on (text to the second) need not be told yet.
    """
    happened: dict[str, list[Truth]] = defaultdict(list)
    for one in truth:
        happened[one.record].append(one)
    found: dict[str, list[Told]] = defaultdict(list)
    for telling in told:
        found[telling.record].append(telling)
    judge = _Judge(gaps, terms, due)
    for record in sorted({*happened, *found}):
        judge.record(happened[record], found[record])
    difference = Difference()
    difference.lost += difference.note("deletions", "missing", judge.missing)
    difference.lost += difference.note("deletions", "without their undelete", judge.unended)
    difference.doubled += difference.note("deletions", "that did not happen, or are told twice", judge.invented)
    difference.doubled += difference.note("deletions", "with another actor or undelete", judge.distorted)
    return difference


class _Judge:
    """Judges record by record; counts by object, record, second and what else there is to say."""

    def __init__(self, gaps: Collection[Gap], terms: Terms, due: str) -> None:
        self._gaps = gaps
        self._terms = terms
        self._due = due
        self.missing: Counter[tuple[object, ...]] = Counter()
        self.unended: Counter[tuple[object, ...]] = Counter()
        self.invented: Counter[tuple[object, ...]] = Counter()
        self.distorted: Counter[tuple[object, ...]] = Counter()

    def record(self, happened: Sequence[Truth], told: Sequence[Told]) -> None:
        """Judge one record, whose deletions are in their order."""
        waiting = sorted(told, key=lambda one: one.at)
        before: Truth | None = None
        for one in happened:
            match = next((telling for telling in waiting if telling.at[:_SECOND] == one.at), None)
            if match is not None:
                waiting.remove(match)
                self._matched(one, match)
                before = one
            elif one.at < self._due and not self._may_be_missing(one, before):
                self.missing[one.sobject, one.record, one.at, f"undeleted {one.undeleted_at}"] += 1
        for telling in waiting:
            self.invented[telling.sobject, telling.record, telling.at, f"undeleted {telling.undeleted_at}"] += 1

    def _matched(self, one: Truth, told: Told) -> None:
        seen = None if told.undeleted_at is None else told.undeleted_at[:_SECOND]
        if told.actor not in {None, one.actor} or told.sobject != one.sobject:
            self.distorted[one.sobject, one.record, one.at, f"actor {told.actor}"] += 1
        if seen is None:
            ended = one.undeleted_at
            if ended is not None and ended < self._due and not self._unseen(one.sobject, ended):
                self.unended[one.sobject, one.record, one.at, f"undeleted {ended}"] += 1
        elif seen != one.undeleted_at and not (one.undeleted_at and self._unseen(one.sobject, one.undeleted_at)):
            self.distorted[one.sobject, one.record, one.at, f"undeleted {one.undeleted_at}, not {seen}"] += 1

    def _unseen(self, sobject: str, at: str) -> bool:
        """Whether nobody had to see an undelete."""
        return not self._is_covered(sobject, at) or self._in_gap(sobject, at)

    def _is_covered(self, sobject: str, at: str) -> bool:
        """Whether a change event told of it, and was still there to be read."""
        return sobject in self._terms.covered and at > self._terms.unread

    def _may_be_missing(self, one: Truth, before: Truth | None) -> bool:
        terms = self._terms
        covered = self._is_covered(one.sobject, one.at)
        if not covered and (one.sobject not in terms.asked or one.at <= terms.forgotten.get(one.sobject, "")):
            return True
        in_gap = self._in_gap(one.sobject, one.at)
        if one.undeleted_at is not None:  # the delete log forgets it then
            overflowed = any(start <= one.at <= end for start, end in terms.overflowed)
            if not covered or overflowed or in_gap:
                return True
        if before is not None and before.undeleted_at is not None and self._unseen(one.sobject, before.undeleted_at):
            near = datetime.fromisoformat(one.at) - datetime.fromisoformat(before.at) <= _AN_HOUR
            if near:
                return True
        return in_gap and (terms.purged or one.sobject not in terms.asked)

    def _in_gap(self, sobject: str, at: str) -> bool:
        return any(gap.covers(sobject, at) for gap in self._gaps)
