"""Each kind of source with what its pure normaliser needs: actors, and the opportunities' last rows."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

import msgspec

from microdecisions import soql, timestamps
from microdecisions.errors import SalesforceError
from tap_salesforce_temporal.normalise import big_history, field_change, log_file, opportunity

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from microdecisions.actors import Actor, Actors
    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.normalise import Extraction
    from tap_salesforce_temporal.reading.rest import RestReader
    from tap_salesforce_temporal.sources import Narrowing, Source
    from tap_salesforce_temporal.windows import Window

__all__ = ["ActivityChanges", "FieldChanges", "LogFiles", "Normaliser", "OpportunitySnapshots", "RowByRow", "ToEvents"]

_SECOND: Final = timedelta(seconds=1)
_PAGE_LINES: Final = 2_000  # of an event log file
_PAGE_CHARACTERS: Final = 1_000_000


class ToEvents(Protocol):
    """Makes events of rows; a pure function."""

    def __call__(
        self,
        rows: Sequence[Any],
        objects_by_prefix: Mapping[str, str],
        actors: Mapping[str | None, Actor],
        extraction: Extraction,
        /,
    ) -> Iterable[MicroDecisionEvent]:
        """The events of a page of rows."""
        ...


class Normaliser(Protocol):
    """Turns rows of one source into events."""

    row_type: type[Any]

    def events(
        self, rows: Sequence[Any], window: Window, extraction: Extraction
    ) -> list[MicroDecisionEvent] | Iterator[list[MicroDecisionEvent]]:
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
        actors = self._actors.known({row.created_by_id for row in rows})
        return field_change.field_changes(rows, self._source, actors, extraction, second_witness=self._second_witness)

    def close(self) -> None:
        """Nothing is kept."""


class RowByRow:
    """Objects whose rows become events each by itself.

    Args:
        row_type: The type of the rows.
        people: Ids of the users whom a row's events name as actors.
        actors: Who decided.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        to_events: Makes the events of rows, given `objects_by_prefix` and actors by user id.
    """

    def __init__(
        self,
        row_type: type[Any],
        people: Callable[[Any], Iterable[str | None]],
        actors: Actors,
        objects_by_prefix: Mapping[str, str],
        to_events: ToEvents,
    ) -> None:
        self.row_type = row_type
        self._people = people
        self._actors = actors
        self._objects_by_prefix = objects_by_prefix
        self._to_events = to_events

    def events(self, rows: Sequence[Any], window: Window, extraction: Extraction) -> list[MicroDecisionEvent]:
        """The events of a page of rows."""
        del window
        actors = self._actors.known(person for row in rows for person in self._people(row))
        return list(self._to_events(rows, self._objects_by_prefix, actors, extraction))

    def close(self) -> None:
        """Nothing is kept."""


class ActivityChanges(RowByRow):
    """`ActivityFieldHistory`: its rows are asked for by activity, so those of other times are left out here.

    Args:
        actors: Who decided.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        narrowing: What the user wants of field histories.
    """

    def __init__(self, actors: Actors, objects_by_prefix: Mapping[str, str], narrowing: Narrowing) -> None:
        super().__init__(
            big_history.ActivityHistoryRow,
            lambda row: (row.changed_by_id,),
            actors,
            objects_by_prefix,
            big_history.activity_changes,
        )
        self._narrowing = narrowing

    def events(
        self, rows: Sequence[big_history.ActivityHistoryRow], window: Window, extraction: Extraction
    ) -> list[MicroDecisionEvent]:
        """The events of the rows that are of the window and wanted."""
        start, end = timestamps.to_text(window.start), timestamps.to_text(window.end)
        kept = [row for row in rows if start <= timestamps.canonical(row.changed_date) < end and self._wants(row)]
        return super().events(kept, window, extraction)

    def _wants(self, row: big_history.ActivityHistoryRow) -> bool:
        parent = self._objects_by_prefix.get(row.activity_id[:3])
        taken = self._narrowing.takes("ActivityFieldHistory", parent)
        return taken and self._narrowing.takes_field(parent, row.field)


class LogFiles:
    """`EventLogFile`: the lines of each file, page by page.

    Args:
        actors: Who did it.
        opened: Gives the content of a file by its id.
    """

    row_type = log_file.LogFileRow

    def __init__(self, actors: Actors, opened: Callable[[str], AbstractContextManager[IO[bytes]]]) -> None:
        self._actors = actors
        self._opened = opened

    def events(
        self, rows: Sequence[log_file.LogFileRow], window: Window, extraction: Extraction
    ) -> Iterator[list[MicroDecisionEvent]]:
        """The events of the files, a page of lines at a time.

        Raises:
            SalesforceError: a file is no CSV.
        """
        del window
        for row in rows:
            for page in _paged(self._lines(row)):
                actors = self._actors.known(log_file.user_of(line) for _, line in page)
                yield [log_file.logged(row, number, line, actors, extraction) for number, line in page]

    def _lines(self, row: log_file.LogFileRow) -> Iterator[log_file.Line]:
        try:
            with self._opened(row.id) as content:
                yield from log_file.lines_of(content)
        except ValueError as error:  # names lines and columns, never a value
            what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        else:
            return
        written = timestamps.floor_second(timestamps.parse(row.created_date))
        raise SalesforceError(
            f"The event log file {row.id} of {written:%FT%TZ} is not of the documented form: {what}. To go on without "
            f"it, read this stream alone, once with `end_date` {written:%FT%TZ}, and then with `start_date` "
            f"{written + _SECOND:%FT%TZ} until a run ends with 0."
        )

    def close(self) -> None:
        """Nothing is kept."""


def _paged(lines: Iterable[log_file.Line]) -> Iterator[list[tuple[int, log_file.Line]]]:
    """Lines with their places, page by page: lines may be long."""
    page: list[tuple[int, log_file.Line]] = []
    size = 0
    for numbered in enumerate(lines):
        page.append(numbered)
        size += sum(map(len, numbered[1].values()))
        if len(page) == _PAGE_LINES or size >= _PAGE_CHARACTERS:
            yield page
            page, size = [], 0
    if page:
        yield page


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
        # Whoever uses the library may take its events in other threads, one at a time.
        self._kept = sqlite3.connect("", isolation_level=None, check_same_thread=False)
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
