"""Each kind of source with what its pure normaliser needs: actors, and the opportunities' last rows."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from microdecisions import soql
from tap_salesforce_temporal.normalise import approval, field_change, opportunity

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.actors import Actors
    from tap_salesforce_temporal.normalise import Extraction
    from tap_salesforce_temporal.reading.rest import RestReader
    from tap_salesforce_temporal.sources import Source
    from tap_salesforce_temporal.windows import Window

__all__ = ["ApprovalSteps", "FieldChanges", "Normaliser", "OpportunitySnapshots"]


class Normaliser(Protocol):
    """Turns rows of one source into events."""

    row_type: type[Any]

    def events(self, rows: Sequence[Any], window: Window, extraction: Extraction) -> list[MicroDecisionEvent]:
        """Turn rows of one window into events: a page of them, or all where the source says `whole_window`."""
        ...

    def close(self) -> None:
        """Let go of what was kept for the run."""
        ...


class FieldChanges:
    """Field-history objects.

    Args:
        source: The object.
        actors: Who decided.
        second_witness: Fields whose changes another stream witnesses first.
    """

    def __init__(self, source: Source, actors: Actors, second_witness: frozenset[str]) -> None:
        self.row_type = field_change.row_type(source.parent_field or "ParentId")
        self._source = source
        self._actors = actors
        self._second_witness = second_witness

    def events(
        self, rows: Sequence[field_change.FieldHistoryRow], window: Window, extraction: Extraction
    ) -> list[MicroDecisionEvent]:
        """One event per row."""
        del window
        actors = self._actors.known(row.created_by_id for row in rows)
        return field_change.field_changes(rows, self._source, actors, extraction, second_witness=self._second_witness)

    def close(self) -> None:
        """Nothing is kept."""


class ApprovalSteps:
    """`ProcessInstanceStep`.

    Args:
        source: The object.
        actors: Who decided.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
    """

    row_type = approval.ApprovalStepRow

    def __init__(self, source: Source, actors: Actors, objects_by_prefix: Mapping[str, str]) -> None:
        self._source = source
        self._actors = actors
        self._objects_by_prefix = objects_by_prefix

    def events(
        self, rows: Sequence[approval.ApprovalStepRow], window: Window, extraction: Extraction
    ) -> list[MicroDecisionEvent]:
        """One event per row."""
        del window
        actors = self._actors.known(row.actor_id for row in rows)
        return approval.approval_decisions(
            rows, self._objects_by_prefix, actors, extraction, cursor=self._source.cursor
        )

    def close(self) -> None:
        """Nothing is kept."""


class OpportunitySnapshots:
    """`OpportunityHistory`: the state of each opportunity after its last row is kept on disk during a run.

    Args:
        source: The object.
        reader: Fetches earlier rows of opportunities that this run has not met.
        actors: Who decided.
        from_the_first_row: Whether the run reads from the oldest row on, so that nothing is earlier than what it met.
        primary: False when `OpportunityFieldHistory` is the first witness.
        already: Ids of events that an earlier run wrote.
    """

    row_type = opportunity.OpportunityRow

    def __init__(
        self,
        source: Source,
        reader: RestReader,
        actors: Actors,
        *,
        from_the_first_row: bool,
        primary: bool,
        already: Container[str],
    ) -> None:
        self._source = source
        self._reader = reader
        self._actors = actors
        self._from_the_first_row = from_the_first_row
        self._primary = primary
        self._already = already
        # An empty name is a file of SQLite's own, gone with the connection, that spills when it outgrows the cache.
        self._kept = sqlite3.connect("", isolation_level=None)
        self._kept.execute("CREATE TABLE last (opportunity TEXT PRIMARY KEY, snapshot BLOB) WITHOUT ROWID")

    def events(
        self, rows: Sequence[opportunity.OpportunityRow], window: Window, extraction: Extraction
    ) -> list[MicroDecisionEvent]:
        """Compare each row of the window with the one before it."""
        actors = self._actors.known(row.created_by_id for row in rows)
        groups = list(opportunity.by_opportunity(rows))
        before = self._before([opportunity_id for opportunity_id, _ in groups], window, extraction)
        events: list[MicroDecisionEvent] = []
        after: dict[str, opportunity.Snapshot] = {}
        for opportunity_id, group in groups:
            changes, after[opportunity_id] = opportunity.opportunity_changes(
                group,
                before.get(opportunity_id),
                actors,
                extraction,
                primary=self._primary,
                already=self._already,
            )
            events += changes
        self._keep(after)
        events.sort(key=lambda event: event.timestamp_recorded)
        return events

    def close(self) -> None:
        """Drop the file with the last rows."""
        self._kept.close()

    def _before(
        self, opportunity_ids: Sequence[str], window: Window, extraction: Extraction
    ) -> dict[str, opportunity.Snapshot]:
        before = {}
        for opportunity_id in opportunity_ids:
            found = self._kept.execute("SELECT snapshot FROM last WHERE opportunity = ?", (opportunity_id,)).fetchone()
            if found is not None:
                before[opportunity_id] = msgspec.msgpack.decode(found[0], type=opportunity.Snapshot)
        if not self._from_the_first_row:
            unmet = [opportunity_id for opportunity_id in opportunity_ids if opportunity_id not in before]
            before.update(self._fetched(unmet, window, extraction))
        return before

    def _fetched(
        self, opportunity_ids: Iterable[str], window: Window, extraction: Extraction
    ) -> dict[str, opportunity.Snapshot]:
        earlier = f"{self._source.cursor} < {soql.datetime_literal(window.start)}"
        snapshots = {}
        for condition in soql.id_lists("OpportunityId", opportunity_ids):
            statement = soql.select(self._source.fields, self._source.sobject, condition, earlier)
            rows = list(self._reader.rows(statement, opportunity.OpportunityRow))
            actors = self._actors.known(row.created_by_id for row in rows)
            for opportunity_id, group in opportunity.by_opportunity(rows):
                _, snapshots[opportunity_id] = opportunity.opportunity_changes(group, None, actors, extraction)
        return snapshots

    def _keep(self, snapshots: Mapping[str, opportunity.Snapshot]) -> None:
        self._kept.execute("BEGIN")
        self._kept.executemany(
            "INSERT OR REPLACE INTO last VALUES (?, ?)",
            ((opportunity_id, msgspec.msgpack.encode(snapshot)) for opportunity_id, snapshot in snapshots.items()),
        )
        self._kept.execute("COMMIT")
