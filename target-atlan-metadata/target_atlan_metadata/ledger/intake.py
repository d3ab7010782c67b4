"""Taking events in: what each is about and counts as, kept in memory until the ledger writes it. Does no I/O."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from target_atlan_metadata import counting
from target_atlan_metadata.counting import day_number, mark_of, quarter_of
from target_atlan_metadata.errors import InputError
from target_atlan_metadata.ledger.deletes import sighting_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microdecisions.deletions import Sighting
    from target_atlan_metadata.decision import Decision
    from target_atlan_metadata.ledger.tables import Row

__all__ = ["Intake", "Pending", "Place", "Received"]

Pending = tuple[int, str, str | None, str | None]
"""An event that is not written yet: what is kept of it, when it happened, id and name of who did it."""

Place = tuple[str, str | None]
"""API name of an object, and of one of its fields; None for what is about the object itself."""

_DELETES: Final = frozenset({"record_delete", "record_undelete"})
_MOST_TEXTS: Final = 100_000
_NO_TIME: Final = (
    "An event's time is no date-time with an offset, such as 2024-01-15T10:30:00.000000Z: see docs/event.md."
)
_NO_WITNESS: Final = (
    "An event of a delete has no `context.source`: what counts as one deletion is told by who saw it, see "
    "docs/event.md. Where a loader took the context apart, keep its column `context__source` in the stream."
)
_is_canonical: Final = re.compile(r"\d{4}-[01]\d-[0-3]\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z", re.ASCII).fullmatch


class Received(msgspec.Struct):
    """What became of events, since the ledger was opened.

    Attributes:
        events: All that came.
        known: Of them, those that were counted before and changed nothing.
        secondary: Second witnesses of a decision, which are not counted.
        too_old: Events of days whose ids the ledger no longer keeps; not counted.
        unplaced: Events without an object; not counted.
        gaps: Events that say that others may be missing.
    """

    events: int = 0
    known: int = 0
    secondary: int = 0
    too_old: int = 0
    unplaced: int = 0
    gaps: int = 0

    @property
    def counted(self) -> int:
        """Those that changed a count."""
        return self.events - self.known - self.secondary - self.too_old - self.unplaced - self.gaps


class Intake:
    """Events that are not written yet.

    Args:
        cells: Number of each object and field that the ledger knows; new ones are added.
        closed_values: Values that end a record's life, by `Object.Field`.
        keep_names: Whether names of actors are kept beside their ids.
        org: Org whose events the ledger counts; empty while there is none.
        kept_from: Day from which on the ledger knows events by their ids.
        deletes_from: The same of deletes, by the time that the ledger keeps of them.
    """

    def __init__(
        self,
        cells: dict[Place, int],
        closed_values: Mapping[str, frozenset[str]],
        *,
        keep_names: bool,
        org: str,
        kept_from: int,
        deletes_from: int,
    ) -> None:
        self.received = Received()
        self.events: dict[bytes, Pending] = {}
        self.sightings: dict[str, tuple[Sighting, int]] = {}
        self.new_cells: list[Row] = []
        self.org = org
        self.kept_from = kept_from
        self.deletes_from = deletes_from
        self._cells = cells
        self._found = dict(cells)  # by every spelling that came
        self._spelled: dict[Place, Place] = {}  # by names in small letters
        for place in cells:
            self._spell(place)
        self._closed = closed_values
        self._keep_names = keep_names
        self._days: dict[str, int] = {}
        self._quarters: dict[str | None, int] = {None: 0}

    def take(self, decisions: Sequence[Decision]) -> None:
        """Take events.

        Raises:
            InputError: an event is of another org, or cannot be placed.
        """
        self.received.events += len(decisions)
        for decision in decisions:
            if decision.event_id[:18] != self.org:
                self._check_org(decision.event_id)
            if decision.record_type is None or decision.event_type == "gap":
                self._leave_out(decision)
                continue
            occurred = decision.timestamp_occurred
            if not _is_canonical(occurred):
                occurred = _canonical(occurred)
            day = self._days.get(occurred[:10])
            if day is None:
                day = self._day(occurred)
            quarter = self._quarters.get(decision.extracted_at)
            if quarter is None:
                quarter = self._quarter(decision.extracted_at)
            if decision.event_type in _DELETES and (sighting := sighting_of(decision)) is not None:
                self._see(sighting, quarter, is_primary=decision.is_primary)
            elif day < self.kept_from:
                self.received.too_old += 1
            else:
                self._keep(decision, occurred, day, quarter)

    def _keep(self, decision: Decision, occurred: str, day: int, quarter: int) -> None:
        # A warehouse that knows no null in a text has a field of no name: it is no field.
        place = (decision.record_type or "", counting.field_of(decision) or None)
        cell = self._found.get(place)
        if cell is None:
            cell = self._cell(place)
        key = blake2b(decision.event_id.encode(), digest_size=10).digest()
        before = self.events.get(key)
        if before is not None:
            self.received.known += 1
            if quarter_of(before[0]) > quarter:
                return
        mark = mark_of(cell, day, counting.flags_of(decision, self._closed), quarter)
        self.events[key] = (mark, occurred, decision.actor_id, decision.actor_name if self._keep_names else None)

    def _check_org(self, event_id: str) -> None:
        """One ledger is of one org: figures of two would be sums that mean nothing.

        Raises:
            InputError: the event is of another org than those before.
        """
        if not (event_id.startswith("00D") and event_id[18:19] == ":"):
            return  # not an id of ours, or a gap
        org = event_id[:18]
        if self.org:
            raise InputError(
                f"The events are of org {org}, but this ledger counts those of {self.org}: give each org a "
                "`ledger_url` of its own, and an `organization_qualified_name` if both are in one Atlan connection."
            )
        self.org = org

    def _leave_out(self, decision: Decision) -> None:
        if decision.event_type == "gap":
            self.received.gaps += 1
        else:
            self.received.unplaced += 1

    def _see(self, sighting: Sighting, quarter: int, *, is_primary: bool) -> None:
        if not is_primary:
            self.received.secondary += 1
            return
        if not sighting.source:
            raise InputError(_NO_WITNESS)
        if not _is_canonical(sighting.at):
            sighting = msgspec.structs.replace(sighting, at=_canonical(sighting.at))
        if self._day(sighting.at) < self.deletes_from:
            self.received.too_old += 1
            return
        place = (sighting.record_type or "", None)
        if place not in self._cells:
            self._cell(place)
            sighting = msgspec.structs.replace(sighting, record_type=self.spelling(place[0]))
        before = self.sightings.get(sighting.event_id)
        if before is not None:
            self.received.known += 1
        if before is None or before[1] <= quarter:
            self.sightings[sighting.event_id] = (sighting, quarter)

    def spelling(self, name: str) -> str:
        """The first spelling that came of an object: Salesforce tells no names apart by capitals."""
        return self._spelled.get((name.casefold(), None), (name, None))[0]

    def _spell(self, place: Place) -> Place:
        name, field = place
        folded = name.casefold()
        spelled = self._spelled.setdefault((folded, None), (name, None))
        if field is not None:
            return self._spelled.setdefault((folded, field.casefold()), (spelled[0], field))
        return spelled

    def _cell(self, place: Place) -> int:
        """The cell of a place in a spelling that did not come before; it is remembered."""
        if len(self._found) > len(self._cells) + _MOST_TEXTS:
            self._found = dict(self._cells)
        spelled = self._spell(place)
        cell = self._cells.get(spelled)
        if cell is None:
            cell = self._new_cell(spelled)
        self._found[place] = cell
        return cell

    def _day(self, text: str) -> int:
        if len(self._days) > _MOST_TEXTS:
            self._days.clear()
        try:
            day = self._days[text[:10]] = day_number(text)
        except ValueError:
            raise InputError(_NO_TIME) from None
        return day

    def _quarter(self, text: str | None) -> int:
        if len(self._quarters) > _MOST_TEXTS:
            self._quarters = {None: 0}
        try:
            quarter = self._quarters[text] = counting.quarter_hour(text)
        except (ValueError, OverflowError):
            raise InputError(_NO_TIME) from None
        return quarter

    def _new_cell(self, place: Place) -> int:
        name, field = place
        if not 0 < len(name) <= 255 or len(field or "") > 255 or "\0" in f"{name}{field}":
            raise InputError("An event names an object or field whose name is empty or longer than 255 characters.")
        cell = len(self._cells) + 1
        if cell >= counting.MOST_CELLS:
            raise ConfigurationError(
                f"The events are about more than {counting.MOST_CELLS - 1:,} objects and fields, more than a ledger "
                "holds: give each part of the objects a `ledger_url` of its own."
            )
        self._cells[place] = cell
        self.new_cells.append((cell, name, field or "", 0))
        return cell


def _canonical(text: str) -> str:
    try:
        return timestamps.canonical(text)
    except (ValueError, IndexError, OverflowError):
        raise InputError(_NO_TIME) from None
