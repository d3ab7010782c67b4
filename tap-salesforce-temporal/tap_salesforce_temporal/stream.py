"""The one loop of every stream: plan a window, read it, normalise it, write it, move the bookmark."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from microdecisions import event, timestamps
from microdecisions.errors import (
    NOT_FOR_THIS_USER,
    ConfigurationError,
    IncompleteReadError,
    ObjectPermissionError,
    SalesforceError,
)
from microdecisions.pages import Checkpoint, PageStream
from tap_salesforce_temporal import bookmarks
from tap_salesforce_temporal.normalise import Extraction, field_change
from tap_salesforce_temporal.normalisers import ApprovalSteps, FieldChanges, OpportunitySnapshots
from tap_salesforce_temporal.reading.plan import Begin, Complete, read_windows
from tap_salesforce_temporal.reading.prefetch import fetched_ahead
from tap_salesforce_temporal.windows import Planner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap

    from microdecisions.errors import MicroDecisionError
    from microdecisions.event import MicroDecisionEvent
    from microdecisions.pages import Page
    from tap_salesforce_temporal.normalisers import Normaliser
    from tap_salesforce_temporal.run import Run
    from tap_salesforce_temporal.sources import Source

__all__ = ["HistoryStream"]

_TARGET_ROWS: Final = 50_000
_MOST_ROWS: Final = 100_000
_PAGE_ROWS: Final = 2_000  # of a window that is normalised whole: written in pages like the others
_BEFORE_SALESFORCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS_DIFFER: Final = timedelta(hours=1)
_NOT_THIS_STREAM: Final = frozenset({408, 420, 429})  # like all from 500 on: the next stream would meet it too


class HistoryStream(PageStream):
    """One history object of the org as a stream of micro-decision events.

    The bookmark is the end of the last window that was read whole, counted and written. Rows become visible late and
    out of order, so a run stays `lag_seconds` behind Salesforce's clock and reads `overlap_seconds` again; what was
    written before is known by id and digest.
    """

    primary_keys: ClassVar[tuple[str, ...]] = ("event_id",)
    replication_key = bookmarks.REPLICATION_KEY
    forced_replication_method = REPLICATION_INCREMENTAL

    def __init__(self, tap: Tap, run: Run, source: Source) -> None:
        self._run = run
        self.source = source
        super().__init__(tap=tap, name=source.stream, schema=event.json_schema())

    def get_pages(self) -> Iterator[Page | Checkpoint]:
        """Yield pages of events, and a checkpoint after each complete window.

        What goes wrong with this stream alone is told at the end of the run, after the other streams.

        Raises:
            MicroDecisionError: no stream can be read.
        """
        try:
            yield from self._windows()
        except (SalesforceError, IncompleteReadError, ObjectPermissionError) as error:
            self._run.failed(self._explained(error))

    def _explained(self, error: SalesforceError | IncompleteReadError | ObjectPermissionError) -> MicroDecisionError:
        """The error as one of this stream.

        Raises:
            SalesforceError: it is none of this stream's.
        """
        if not isinstance(error, SalesforceError):
            return error
        if error.code in NOT_FOR_THIS_USER:
            return ObjectPermissionError(
                f"Stream `{self.name}`: the login user may not read {self.source.sobject} ({error.code}). Grant it "
                f"read access to {self.source.parent or self.source.sobject} and its tracked fields, or deselect "
                "the stream."
            )
        if error.status >= 500 or error.status in _NOT_THIS_STREAM:
            raise error
        named = f"Stream `{self.name}`"
        sentence = str(error) if str(error).startswith(named) else f"{named}: {error}"
        return SalesforceError(sentence, status=error.status, code=error.code)

    def _windows(self) -> Iterator[Page | Checkpoint]:
        org, settings = self._run.org, self._run.settings
        began, calls_before = time.monotonic(), org.session.usage.calls
        bookmark = bookmarks.read(self.name, self.stream_state)
        now = org.session.server_time()
        self._check_readable(bookmark, now)
        limit = timestamps.floor_second(now - timedelta(seconds=settings.lag_seconds))
        if settings.end_date is not None:
            limit = min(limit, _instant(settings.end_date))
        overlap = timedelta(seconds=settings.overlap_seconds)
        start, from_the_first_row = self._start(bookmark, overlap)
        prefix = f"{org.org_id}:{self.source.sobject}:"
        emitted = bookmarks.Emitted(prefix, bookmark.emitted)
        if start is None or start >= limit:
            if bookmark.complete_to is None:
                yield Checkpoint(bookmarks.write(limit, {}))
            self.logger.info("Stream `%s`: nothing before %s.", self.name, timestamps.to_text(limit))
            return
        normaliser = self._normaliser(from_the_first_row=from_the_first_row, emitted=emitted)
        # An increment is small more often than not: it is asked for in one window, and cut if Salesforce counts more.
        width = timedelta(days=1 if bookmark.complete_to is None else 36_500)
        planner = Planner(target_rows=_TARGET_ROWS, most_rows=_MOST_ROWS, first_width=width)
        windows = read_windows(org.reader, self.source, normaliser.row_type, start, limit, planner, self.logger)
        complete_to = "" if bookmark.complete_to is None else timestamps.to_text(bookmark.complete_to)
        total = 0
        with closing(normaliser):
            for page in self._events(fetched_ahead(windows, self.stop), normaliser, emitted, overlap):
                if not isinstance(page, Checkpoint):
                    total += len(page)
                elif page.bookmark["replication_key_value"] < complete_to:
                    continue  # only the overlap was read again: a longer lag than before, or another host's clock
                yield page
        self.logger.info(
            "Stream `%s`: %s events from %s to %s, %s API calls, %.1f s.",
            self.name,
            total,
            timestamps.to_text(start),
            timestamps.to_text(limit),
            org.session.usage.calls - calls_before,
            time.monotonic() - began,
        )

    def _check_readable(self, bookmark: bookmarks.Bookmark, now: datetime) -> None:
        """Refuse what would be a success with events missing.

        Raises:
            ObjectPermissionError: a column that changes are told from is hidden.
            ConfigurationError: the bookmark is in the future.
        """
        if self.source.hidden:
            raise ObjectPermissionError(
                f"Stream `{self.name}`: the login user may not see {', '.join(self.source.hidden)} of "
                f"{self.source.sobject}, and changes would be missed without. Grant it read access to these fields "
                f"of {self.source.parent or self.source.sobject}, or deselect the stream."
            )
        if bookmark.complete_to is not None and bookmark.complete_to > now + _CLOCKS_DIFFER:
            raise ConfigurationError(
                f"The state of stream `{self.name}` says it is complete to {timestamps.to_text(bookmark.complete_to)}, "
                f"but Salesforce's clock shows {timestamps.to_text(now)}: it belongs to another org, or was edited. "
                "Remove the stream's entry to read it again from the start; no event is doubled by that."
            )

    def _events(
        self,
        items: Iterator[Any],
        normaliser: Normaliser,
        emitted: bookmarks.Emitted,
        overlap: timedelta,
    ) -> Iterator[Page | Checkpoint]:
        rows: list[Any] = []
        window = None
        for item in items:
            if isinstance(item, Begin):
                window, rows = item.window, []
                continue
            assert window is not None  # noqa: S101  # the reader begins before it yields
            since = timestamps.to_text(window.end - overlap)
            if isinstance(item, Complete):
                if rows:
                    news = self._news(normaliser.events(rows, window, self._extraction()), emitted, since)
                    yield from (news[place : place + _PAGE_ROWS] for place in range(0, len(news), _PAGE_ROWS))
                yield Checkpoint(bookmarks.write(window.end, emitted.near(since)))
                rows = []
            elif self.source.whole_window:
                rows += item.rows
            else:
                yield self._news(normaliser.events(item.rows, window, self._extraction()), emitted, since)

    @staticmethod
    def _news(events: list[MicroDecisionEvent], emitted: bookmarks.Emitted, since: str) -> list[MicroDecisionEvent]:
        emitted.remember(events, since)
        return emitted.news(events)

    def _start(self, bookmark: bookmarks.Bookmark, overlap: timedelta) -> tuple[datetime | None, bool]:
        """Where to read from, and whether nothing can be earlier."""
        given = self._run.settings.start_date
        earliest = None if given is None else timestamps.floor_second(_instant(given))
        if bookmark.complete_to is not None:
            again = max(timestamps.floor_second(bookmark.complete_to), _BEFORE_SALESFORCE + overlap) - overlap
            return again if earliest is None else max(again, earliest), False
        if earliest is not None:
            return earliest, False
        return self._run.org.reader.oldest(self.source), True

    def _normaliser(self, *, from_the_first_row: bool, emitted: bookmarks.Emitted) -> Normaliser:
        org, settings = self._run.org, self._run.settings
        from_snapshots = settings.opportunity_changes_from == "opportunity_history"
        if self.source.kind == "approval_step":
            return ApprovalSteps(self.source, org.actors, org.objects_by_prefix)
        if self.source.kind == "opportunity_history":
            return OpportunitySnapshots(
                self.source,
                org.reader,
                org.actors,
                from_the_first_row=from_the_first_row,
                primary=from_snapshots,
                already=emitted,
            )
        both = from_snapshots and self.source.sobject == "OpportunityFieldHistory"
        return FieldChanges(self.source, org.actors, field_change.OPPORTUNITY_HISTORY_FIELDS if both else frozenset())

    def _extraction(self) -> Extraction:
        return Extraction(
            org_id=self._run.org.org_id,
            extracted_at=timestamps.to_text(datetime.now(UTC)),
            extractor_version=f"{self._tap.name} {self._tap.plugin_version}",
            source="rest",
        )


def _instant(text: str) -> datetime:
    return timestamps.parse(f"{text}T00:00:00Z" if len(text) == 10 else text)
