"""Deletes in the ledger: every sighting kept, deletions resolved by the shared rules, only the difference counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from microdecisions.deletions import Sighting, commit_number_of, resolve
from target_atlan_metadata.counting import day_number
from target_atlan_metadata.errors import InputError
from target_atlan_metadata.ledger.tables import SIGHTING, Row, chunks, put

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from target_atlan_metadata.decision import Decision

__all__ = ["DeletedOn", "SightingStore", "sighting_of"]

DeletedOn = tuple[str, int]
"""API name of an object, and a day."""

_CHUNK: Final = 1_000


def sighting_of(decision: Decision) -> Sighting | None:
    """The sighting that an event is; None for an event of another type, or without a record.

    Who deleted, and whose it was, is no figure, so it is not kept.

    Raises:
        InputError: its commit number is none.
    """
    kind = decision.event_type
    if (kind != "record_delete" and kind != "record_undelete") or decision.record_id is None:  # noqa: PLR1714 - narrows
        return None
    context = decision.context
    number = commit_number_of((context.metadata or {}).get("commit_number", "") if context is not None else "")
    if number is None:
        raise InputError(
            "An event of a delete has a `context.metadata.commit_number` that is larger than 63 bits: Salesforce gives "
            "none that large, the tap must write it as it came, or leave it out."
        )
    return Sighting(
        decision.record_id,
        kind,
        decision.timestamp_recorded,
        (context.source if context is not None else None) or "",
        decision.event_id,
        decision.record_type,
        commit_number=number,
    )


class SightingStore:
    """The sightings in the ledger.

    Args:
        connection: To the ledger.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._known = 0

    def take_known(self) -> int:
        """How many of the sightings since the last call changed nothing."""
        known, self._known = self._known, 0
        return known

    def add(self, sightings: Mapping[str, tuple[Sighting, int]]) -> Counter[DeletedOn]:
        """Keep sightings, and tell by how much the number of deletions changes.

        Args:
            sightings: By event id; each with the quarter of an hour in which it was read: the later version holds.

        Returns:
            What to add to the deletes of an object's day; negative where a deletion turns out to be another's.
        """
        records = {sighting.record_id for sighting, _ in sightings.values()}
        known = self._of_records(records | self._records_of(sightings))
        news = {
            event_id: (sighting, quarter)
            for event_id, (sighting, quarter) in sightings.items()
            if event_id not in known or (quarter >= known[event_id][1] and known[event_id] != (sighting, quarter))
        }
        self._known += sum(
            event_id in known and (event_id not in news or known[event_id][0] == sighting)
            for event_id, (sighting, _) in sightings.items()
        )
        if not news:
            return Counter()
        put(self._connection, SIGHTING, [_row(sighting, quarter) for sighting, quarter in news.values()])
        difference = Counter(_days(sighting for sighting, _ in {**known, **news}.values()))
        difference.subtract(_days(sighting for sighting, _ in known.values()))
        return Counter({key: number for key, number in difference.items() if number})

    def _records_of(self, event_ids: Iterable[str]) -> set[str]:
        """Records that known events are of: a later version may be of another one."""
        found: set[str] = set()
        for chunk in chunks(sorted(event_ids), _CHUNK):
            rows = self._connection.execute(sa.select(SIGHTING.c.record_id).where(SIGHTING.c.event_id.in_(chunk)))
            found.update(record_id for (record_id,) in rows)
        return found

    def _of_records(self, records: Iterable[str]) -> dict[str, tuple[Sighting, int]]:
        found: dict[str, tuple[Sighting, int]] = {}
        for chunk in chunks(sorted(records), _CHUNK):
            rows = self._connection.execute(sa.select(SIGHTING).where(SIGHTING.c.record_id.in_(chunk)))
            for event_id, record_id, record_type, event_type, at, source, number, quarter in rows:
                sighting = Sighting(record_id, event_type, at, source, event_id, record_type, commit_number=number)
                found[event_id] = (sighting, quarter)
        return found


def _row(sighting: Sighting, quarter: int) -> Row:
    return (
        sighting.event_id,
        sighting.record_id,
        sighting.record_type,
        sighting.event_type,
        sighting.at,
        sighting.source,
        sighting.commit_number,
        quarter,
    )


def _days(sightings: Iterable[Sighting]) -> Iterable[DeletedOn]:
    return [(deletion.record_type or "", day_number(deletion.at)) for deletion in resolve(sightings)]
