"""The one loop of every stream: plan a window, read it, normalise it, write it, move the bookmark."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from singer_sdk import metrics
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from microdecisions import event, timestamps
from microdecisions.errors import IncompleteReadError, ObjectPermissionError, QueryTimeoutError, SalesforceError
from microdecisions.pages import Checkpoint, PageStream
from microdecisions.telemetry import Meter
from tap_salesforce_temporal import bookmarks
from tap_salesforce_temporal.corrections import WrittenBefore
from tap_salesforce_temporal.kinds import normaliser_of
from tap_salesforce_temporal.normalise import Extraction, administration
from tap_salesforce_temporal.reading.by_activity import ChangedActivities
from tap_salesforce_temporal.reading.choice import REST, Choice
from tap_salesforce_temporal.reading.plan import Begin, Complete, WindowReader
from tap_salesforce_temporal.reading.rest import RestReader
from tap_salesforce_temporal.reading.side_by_side import in_order
from tap_salesforce_temporal.refusals import check_readable, explained, not_shown, read_before
from tap_salesforce_temporal.verification import (
    CountedRows,
    DayRows,
    Tally,
    count_by_day,
    count_statement,
    day_window,
)
from tap_salesforce_temporal.windows import Planner, Window

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from singer_sdk import Tap

    from microdecisions.event import MicroDecisionEvent
    from microdecisions.event import Source as Api
    from microdecisions.pages import Page
    from tap_salesforce_temporal.normalisers import Normaliser
    from tap_salesforce_temporal.run import Run
    from tap_salesforce_temporal.sources import Source

__all__ = ["HistoryStream"]

_PAGE_ROWS: Final = 2_000  # of a window that is normalised whole: written in pages like the others
_BEFORE_SALESFORCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE_ALL_HISTORY: Final = datetime(1999, 1, 1, tzinfo=UTC)  # Salesforce was founded in March of that year


class _Plan(msgspec.Struct, frozen=True):
    """What a run reads of a stream.

    Attributes:
        bookmark: As it was stored.
        start: From where on; None when the object has no row.
        limit: Up to where.
        from_the_first_row: Whether nothing can be earlier.
        tally: Rows read by day; None of an object that is not verified.
    """

    bookmark: bookmarks.Bookmark
    start: datetime | None
    limit: datetime
    from_the_first_row: bool
    tally: Tally | None

    @property
    def new(self) -> Window | None:
        """What is read, the overlap included; None when that is nothing."""
        return None if self.start is None or self.start >= self.limit else Window(self.start, self.limit)


class HistoryStream(PageStream):
    """One history object of the org as a stream of micro-decision events.

    The bookmark is the end of the last window that was read whole, counted and written. Rows become visible late and
    out of order, so a run stays `lag_seconds` behind Salesforce's clock and reads `overlap_seconds` again; what was
    written before is known by id and digest.
    """

    primary_keys: ClassVar[tuple[str, ...]] = ("event_id",)
    replication_key = bookmarks.REPLICATION_KEY
    forced_replication_method = REPLICATION_INCREMENTAL
    _planned: _Plan | None

    def __init__(self, tap: Tap, run: Run, source: Source) -> None:
        self._run = run
        self.source = source
        self.selected_by_default = source.selected
        self._planned = None
        super().__init__(tap=tap, name=source.stream, schema=event.json_schema())

    def get_pages(self) -> Iterator[Page | Checkpoint]:
        """Yield pages of events, and a checkpoint after each complete window.

        What goes wrong with this stream alone is told at the end of the run, after the other streams.

        Raises:
            MicroDecisionError: no stream can be read.
        """
        meter = Meter(self.name, lambda: self._run.org.session.usage)
        complete = False
        try:
            yield from self._windows(meter)
            complete = True
        except (SalesforceError, IncompleteReadError, ObjectPermissionError) as error:
            self._run.failed(explained(error, self.source))
        finally:
            self.logger.info("%s", meter.line(complete=complete))
            for point in meter.points():
                metrics.log(self.metrics_logger, point)

    def _windows(self, meter: Meter) -> Iterator[Page | Checkpoint]:
        org = self._run.org
        self._run.deadline.check()
        now = org.session.server_time()
        check_readable(self.source, bookmarks.read(self.name, self.stream_state), now)
        self._run.read_together(self)
        plan = self._plan(now) if self._planned is None else self._planned
        if self.source.assumed and not self._is_as_assumed(plan):
            described = org.described(self.source)
            if described is None:
                self._is_gone()
                return
            self.source = described
        bookmark, window = plan.bookmark, plan.new
        complete_to = bookmark.complete_to or _BEFORE_SALESFORCE
        if (gap := self._gap(bookmark, now, plan.limit)) is not None:
            meter.wrote(1)
            yield [administration.gap(self.source, gap, self._extraction("rest"))]
            yield Checkpoint(bookmarks.write(gap.end, {}, org.org_id, bookmarks.DayCounts()))
            complete_to = gap.end
        emitted = bookmarks.Emitted(f"{org.org_id}:{self.source.sobject}:", bookmark.emitted)
        meter.reads(None if window is None else window.start, plan.limit)
        again = WrittenBefore(emitted)
        with closing(self._normaliser(from_the_first_row=plan.from_the_first_row, emitted=again)) as normaliser:
            if plan.tally is not None and plan.tally.due is not None:
                for page in self._verified(plan.tally, plan.tally.due, bookmark, normaliser, again):
                    meter.wrote(0 if isinstance(page, Checkpoint) else len(page))
                    yield page
            if window is None:
                if bookmark.complete_to is None:
                    yield self._checkpoint(plan, plan.limit, {})
                return
            for page in self._news(plan, window, complete_to, normaliser, emitted):
                meter.wrote(0 if isinstance(page, Checkpoint) else len(page))
                yield page

    def statements(self, now: datetime) -> list[str]:
        """What the stream will ask of an increment, and of its daily verification, planned at an instant."""
        if self._planned is None:
            bookmark = bookmarks.read(self.name, self.stream_state)
            if bookmark.complete_to is None or self.source.hidden:
                return []
            self._planned = self._plan(now)
        plan: _Plan = self._planned
        found: list[str] = []
        by_rest = self.source.rest_only or self._run.settings.api_type != "bulk2"
        if plan.new is not None and self._activities is not None:
            found += self._activities.asked(plan.new)
        elif plan.new is not None and by_rest and not self.source.one_by_one:
            found += self.source.statements(plan.new)
        if plan.tally is not None and plan.tally.due is not None:
            found.append(count_statement(self.source, plan.tally.due))
        return found

    def _is_as_assumed(self, plan: _Plan) -> bool:
        """Whether Salesforce has answered a statement that asks for all the columns that were assumed."""
        holds = self._run.org.reader.holds
        return plan.new is not None and all(holds(statement) for statement in self.source.statements(plan.new))

    def _is_gone(self) -> None:
        """Say that the object, or a column of it, is not shown any more.

        Raises:
            ObjectPermissionError: the stream was selected by name.
        """
        if self._tap.input_catalog is not None:
            raise not_shown(self.name)
        self.logger.warning("%s", read_before(self.name))

    def _plan(self, now: datetime) -> _Plan:
        settings = self._run.settings
        bookmark = bookmarks.read(self.name, self.stream_state)
        start, from_the_first_row = self._start(bookmark, self._overlap)
        can_be_counted = self.source.countable and self.source.by_window and not self.source.mutable
        if not (can_be_counted and settings.verify_days):
            return _Plan(bookmark, start, self._limit(now), from_the_first_row, None)
        begin = _BEFORE_SALESFORCE if start is None or from_the_first_row else start
        tally = Tally(bookmark.counts, begin, self._earliest, now.date(), settings.verify_days, self._overlap)
        start = start if begin is _BEFORE_SALESFORCE else tally.start
        return _Plan(bookmark, start, self._limit(now), from_the_first_row, tally)

    def _reading(self, window: Window, normaliser: Normaliser, width: timedelta, *, is_first: bool) -> Iterator[Any]:
        """Items of all windows of a part of time, in order, the next ones fetched ahead."""
        org, settings = self._run.org, self._run.settings
        planner = Planner(target_rows=REST.target_rows, most_rows=REST.most_rows, first_width=width)
        bulk = None if self.source.rest_only else org.bulk
        left = org.session.calls_left
        choice = Choice(settings.api_type, org.reader, bulk, planner, self.name, self.logger, left)
        if is_first and self.source.countable:
            self._expect(window, choice, planner)
        asking = None if is_first or self._activities is None else self._activities.statements
        windows = WindowReader(self.source, normaliser.row_type, choice, planner, self.logger, asking)
        lanes = windows.lanes(window.start, window.end)
        most = settings.max_concurrent_requests
        return in_order(lanes, self._run.deadline, side_by_side=lambda: choice.lanes(most))

    def _news(
        self,
        plan: _Plan,
        window: Window,
        complete_to: datetime,
        normaliser: Normaliser,
        emitted: bookmarks.Emitted,
    ) -> Iterator[Page | Checkpoint]:
        """What was recorded since the last run, and what has become visible since within the overlap."""
        is_first = plan.bookmark.complete_to is None
        # An increment is small more often than not: it is asked for in one window, and cut if Salesforce counts more.
        width = timedelta(days=1 if is_first and self.source.countable else 36_500)
        items = self._reading(window, normaliser, width, is_first=is_first)
        for part, events in self._events(items, normaliser, plan.tally):
            since = timestamps.to_text(part.end - self._overlap)
            if events is not None:
                emitted.remember(events, since)
                yield from _pages(emitted.news(events))
            elif part.end >= complete_to:  # else only the overlap was read again: a longer lag than before
                yield self._checkpoint(plan, part.end, emitted.near(since))
                if part.end < window.end:
                    self._run.deadline.check()

    def _verified(
        self, tally: Tally, due: Window, bookmark: bookmarks.Bookmark, normaliser: Normaliser, again: WrittenBefore
    ) -> Iterator[Page | Checkpoint]:
        """Days of which Salesforce counts more rows than were read, read again; a checkpoint after each."""
        reader = self._run.org.reader
        rows = count_by_day(reader, self.source, due, self.logger)
        if rows is not None and tally.grown(rows):
            # By the bounds of UTC days, whatever Salesforce groups by.
            rows = count_by_day(reader, self.source, due, self.logger, grouped=False)
        if rows is None:
            tally.verified()
            return
        days = tally.grown(rows)
        if days:
            self.logger.warning(
                "Stream `%s`: Salesforce counts %s more rows of %s than were read before: reading them again.",
                self.name,
                f"{tally.missing(rows):,}",
                ", ".join(days),
            )
        tally.shrunk(rows)
        windows = [day_window(day, due) for day in days]
        if self.source.whole_window and windows:  # a row that comes late changes what the ones behind it follow
            windows = [Window(windows[0].start, due.end)]
        for window in windows:
            found = DayRows(window)
            items = self._reading(window, normaliser, window.width, is_first=False)
            with again.of(days):
                for _, events in self._events(items, normaliser, found):
                    if events is not None:
                        yield from _pages(again.corrected(events))
            tally.read_again(found.rows)
            if window is windows[-1]:
                tally.verified()
            if bookmark.complete_to is not None:
                org_id = self._run.org.org_id
                kept = bookmarks.write(bookmark.complete_to, bookmark.emitted, org_id, tally.unchanged())
                yield Checkpoint(kept)
                self._run.deadline.moved()
        tally.verified()

    def _checkpoint(self, plan: _Plan, complete_to: datetime, emitted: dict[str, str]) -> Checkpoint:
        counts = bookmarks.DayCounts() if plan.tally is None else plan.tally.counts(complete_to)
        if complete_to != plan.bookmark.complete_to:
            self._run.deadline.moved()
        return Checkpoint(bookmarks.write(complete_to, emitted, self._run.org.org_id, counts))

    @property
    def _overlap(self) -> timedelta:
        """How much before the bookmark is read again."""
        return max(timedelta(seconds=self._run.settings.overlap_seconds), timedelta(days=self.source.settles_days))

    @cached_property
    def _activities(self) -> ChangedActivities | None:
        """Asks for the history of activities; None of other sources."""
        return None if self.source.by_window else ChangedActivities(self.source, self._run.org.reader)

    def _gap(self, bookmark: bookmarks.Bookmark, now: datetime, limit: datetime) -> Window | None:
        """What Salesforce may have dropped since the bookmark; to the end of a day, so that it has one name."""
        keeps, since = self.source.keeps_days, bookmark.complete_to
        if keeps is None or since is None or since >= (edge := now - timedelta(days=keeps)):
            return None
        end = min(timestamps.floor_second(edge).replace(hour=0, minute=0, second=0) + timedelta(days=1), limit)
        if end <= since:
            return None
        self._run.gap(
            f"Stream `{self.name}`: {self.source.sobject} keeps {keeps} days, and the last run was complete to "
            f"{since:%F}: events up to {end:%F} may be missing, which a `gap` event says."
        )
        return Window(since, end)

    @property
    def _earliest(self) -> datetime | None:
        given = self._run.settings.start_date
        return None if given is None else timestamps.floor_second(_instant(given))

    def _limit(self, now: datetime) -> datetime:
        """Up to where a run reads: behind Salesforce's clock, and not past `end_date`."""
        settings = self._run.settings
        limit = timestamps.floor_second(now - timedelta(seconds=settings.lag_seconds))
        return limit if settings.end_date is None else min(limit, _instant(settings.end_date))

    def _expect(self, window: Window, choice: Choice, planner: Planner) -> None:
        """Count what a first run will read, and say it; a count that takes Salesforce too long is done without."""
        try:
            rows = self._run.org.reader.count(self.source.sobject, self.source.where(window))
        except QueryTimeoutError:
            self.logger.info("Stream `%s`: a first run; too many rows to be counted beforehand.", self.name)
            return
        planner.saw(window, rows)
        choice.counted(rows)
        calls = choice.calls_for(rows)
        self.logger.info(
            "Stream `%s`: a first run, %s rows from %s on, about %s API calls.",
            self.name,
            f"{rows:,}",
            timestamps.to_text(window.start),
            f"{calls:,}",
        )

    def _events(
        self, items: Iterator[Any], normaliser: Normaliser, counts: Tally | DayRows | None
    ) -> Iterator[tuple[Window, list[MicroDecisionEvent] | None]]:
        """Yield windows with events of theirs, and each window with None when it is complete."""
        counter = CountedRows(counts, self.source, normaliser.row_type)
        rows: list[Any] = []
        window: Window | None = None
        api: Api = RestReader.source
        for item in items:
            if isinstance(item, Begin):
                window, api, rows = item.window, item.source, []
                counter.begin(window)
                continue
            assert window is not None  # noqa: S101  # the reader begins before it yields
            if isinstance(item, Complete):
                for events in self._parts(normaliser, rows, window, api) if rows else ():
                    yield window, events
                counter.complete()
                yield window, None
                rows = []
                continue
            counter.add(item.rows)
            if self.source.whole_window:
                rows += item.rows
                continue
            for events in self._parts(normaliser, item.rows, window, api):
                yield window, events

    def _parts(
        self, normaliser: Normaliser, rows: list[Any], window: Window, api: Api
    ) -> Iterable[list[MicroDecisionEvent]]:
        """The events of rows; those of files come a part at a time."""
        events = normaliser.events(rows, window, self._extraction(api))
        return (events,) if isinstance(events, list) else events

    def _start(self, bookmark: bookmarks.Bookmark, overlap: timedelta) -> tuple[datetime | None, bool]:
        """Where to read from, and whether nothing can be earlier."""
        earliest = self._earliest
        if bookmark.complete_to is not None:
            again = max(timestamps.floor_second(bookmark.complete_to), _BEFORE_SALESFORCE + overlap) - overlap
            return again if earliest is None else max(again, earliest), False
        if earliest is not None:
            return earliest, False
        if not self.source.countable:
            return _BEFORE_ALL_HISTORY, True
        return self._run.org.reader.oldest(self.source), True

    def _normaliser(self, *, from_the_first_row: bool, emitted: Container[str]) -> Normaliser:
        org, settings = self._run.org, self._run.settings
        return normaliser_of(self.source, org, settings, from_the_first_row=from_the_first_row, already=emitted)

    def _extraction(self, api: Api) -> Extraction:
        return Extraction(
            org_id=self._run.org.org_id,
            extracted_at=timestamps.to_text(datetime.now(UTC)),
            extractor_version=self._extractor_version,
            source=api,
        )

    @cached_property
    def _extractor_version(self) -> str:
        """Name and version of the tap, which the SDK looks for among the installed packages at each question."""
        return f"{self._tap.name} {self._tap.plugin_version}"


def _instant(text: str) -> datetime:
    return timestamps.parse(f"{text}T00:00:00Z" if len(text) == 10 else text)


def _pages(events: list[MicroDecisionEvent]) -> Iterator[list[MicroDecisionEvent]]:
    """A page as it is; the events of a window that was normalised whole in several."""
    for place in range(0, len(events), _PAGE_ROWS):
        yield events[place : place + _PAGE_ROWS] if len(events) > _PAGE_ROWS else events
