"""What seeded and later decisions leave beside the rows: the delete log, and change events of the last days."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.salesforce.actions.truth import MARK, heal, remember_size
from localcloud.salesforce.changes import Change, Transaction
from localcloud.salesforce.ledger import note_deleted
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.seed.model import ACTIVITIES, MODELS, stage
from localcloud.seed.values import api_instant, typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from localcloud.salesforce.org import Org
    from localcloud.seed.decisions import Decision

RETAINED = timedelta(hours=72)
"""Change events older than this cannot be replayed, so none is made."""
_TOLD = "events_told"
_KINDS: dict[str, Literal["CREATE", "UPDATE", "DELETE"]] = {"create": "CREATE", "update": "UPDATE", "delete": "DELETE"}


class _Acted(msgspec.Struct):
    """What the line of an action says about which records it touched."""

    record: str
    cascade: list[tuple[str, str]] = []
    losers: list[str] = []
    cleared: list[tuple[str, str, str]] = []
    restored: list[tuple[str, str, str]] = []
    reparented: list[tuple[str, str, str]] = []


class Deletes:
    """Remembers the deletions among decisions that pass by, for the delete log and the recycle bin."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str, str]] = []

    def watch(self, decisions: Iterable[Decision]) -> Iterator[Decision]:
        """Yield the decisions."""
        for decision in decisions:
            if decision.action == "delete":
                self._found.append((decision.object, decision.record, api_instant(decision.at)))
            yield decision

    def log(self, org: Org) -> None:
        """Put the deletions into the org's books, each by its own time."""
        with org.lock, org.db:
            note_deleted(org.db, self._found)


def publish(org: Org, decisions: Iterable[Decision], *, start: int) -> None:
    """Publish the change events of decisions that subscribers can still replay, once.

    Args:
        org: the org, whose clock shows what it shows after the decisions.
        decisions: in time order.
        start: epoch second at which they begin; what begins no later than the last published is left out.
    """
    row = org.db.execute("SELECT value FROM settings WHERE key = ?", (_TOLD,)).fetchone()
    if row is not None and json.loads(row[0]) >= start:
        return
    oldest = org.clock.now() - RETAINED
    bus = Bus(org)
    with org.lock, org.db:
        org.db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_TOLD, json.dumps(start)))
        for number, decision in enumerate(decisions):
            at = datetime.fromisoformat(decision.at)
            change = _change(decision) if at >= oldest else None
            if change is not None:
                key = f"{start:08x}-{number >> 16 & 0xFFFF:04x}-4{number >> 12 & 0xFFF:03x}-8000-{number & 0xFFF:012x}"
                bus.publish(Transaction(key, at, decision.actor or org.user_id, "", (change,)))
    bus.wake()


def _change(decision: Decision) -> Change | None:
    """What a decision does to its record; None where no change event tells of it."""
    model = MODELS.get(decision.object) or ACTIVITIES.get(decision.object)
    kind = _KINDS.get(decision.action)
    if model is None or kind is None:
        return None
    values: dict[str, object] = {}
    before: dict[str, object] = {}
    for change in decision.changes:
        field = model.fields.get(change.field)
        if field is None or (change.old is None and change.new is None):  # long text: its values are not kept
            continue
        values[field.column] = typed(change.new, change.type)
        before[field.column] = typed(change.old, change.type)
    if kind == "DELETE":
        return Change(decision.object, decision.record, kind)
    if decision.object == "Opportunity" and isinstance(values.get("StageName"), str):
        follows = stage(str(values["StageName"]))
        values |= {"IsClosed": follows.closed, "IsWon": follows.won}
    values |= {"LastModifiedDate": api_instant(decision.at), "LastModifiedById": decision.actor}
    if kind == "CREATE":
        values |= {"CreatedDate": api_instant(decision.at), "CreatedById": decision.actor}
    return Change(decision.object, decision.record, kind, values, before)


def begin(org: Org, truth: Path) -> None:
    """Take back what a killed action left in the truth log, before anything is added to it."""
    with org.lock, org.db:
        heal(org.db, truth)


def end(org: Org, truth: Path) -> None:
    """Remember how far the truth log is whole."""
    with org.lock, org.db:
        remember_size(org.db, truth.stat().st_size)


def take_back(truth: Path, size: int | None, decisions: int) -> None:
    """Take back what an interrupted ``advance`` wrote: its days come again, the same, and replace its rows.

    What actions wrote meanwhile stays.
    """
    with truth.open("r+b") as lines:
        size = sum(len(line) for line in islice(lines, decisions)) if size is None else size
        lines.seek(size)
        acted = [line for line in lines if MARK in line]
        lines.seek(size)
        lines.truncate()
        lines.writelines(acted)


def _acted_lines(truth: Path) -> list[bytes]:
    with truth.open("rb") as lines:
        return [line for line in lines if MARK in line]


def spared(org: Org, truth: Path, decisions: list[Decision]) -> list[Decision]:
    """The decisions that can still be taken: none about a record that an action has touched.

    A record that somebody changed, deleted or restored has a life of its own from then on, so its generated
    future does not happen; nor does that of a new record that would belong to a deleted one.
    """
    touched = set().union(*(_touched(line) for line in _acted_lines(truth)), set())
    if not touched:
        return decisions
    gone = touched - _living(org, touched)
    born = {decision.record for decision in decisions if decision.action == "create"}
    known = _living(org, {decision.record for decision in decisions} - born) | born
    kept = []
    for decision in decisions:
        leads = {change.new for change in decision.changes if change.type == "lookup"}
        ours = decision.object in MODELS or decision.object in ACTIVITIES
        if decision.record in touched or not gone.isdisjoint(leads) or (ours and decision.record not in known):
            known.discard(decision.record)
            touched.add(decision.record)
        else:
            kept.append(decision)
    return kept


def _touched(line: bytes) -> Iterator[str]:
    acted = msgspec.json.decode(line, type=_Acted)
    yield acted.record
    yield from acted.losers
    yield from (key for _, key in acted.cascade)
    yield from (key for _, _, key in (*acted.cleared, *acted.restored, *acted.reparented))


def _living(org: Org, ids: set[str]) -> set[str]:
    """Those of some records that are there and not deleted."""
    prefixes = {key[:3] for key in ids}
    wanted = json.dumps(sorted(ids))
    return {
        key
        for sobject in org.schema
        if sobject.key_prefix in prefixes and sobject.storage == "table"
        for (key,) in org.db.execute(
            f'SELECT "Id" FROM "{sobject.name}" WHERE "IsDeleted" = 0 AND "Id" IN (SELECT value FROM json_each(?))',
            (wanted,),
        )
    }
