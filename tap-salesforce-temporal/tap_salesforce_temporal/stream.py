"""The one loop of every stream: plan a window, read it, normalise it, write it, move the bookmark."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import chain
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
from tap_salesforce_temporal.normalising import normalised, paged
from tap_salesforce_temporal.planned import Plan
from tap_salesforce_temporal.reading.by_activity import ChangedActivities
from tap_salesforce_temporal.reading.choice import BULK, BULK_WHOLE, REST, Choice
from tap_salesforce_temporal.reading.plan import WindowReader
from tap_salesforce_temporal.reading.side_by_side import in_order
from tap_salesforce_temporal.refusals import check_readable, explained, not_shown, read_before, renamed
from tap_salesforce_temporal.retention import dropped
from tap_salesforce_temporal.verification import DayRows, Tally, count_by_day, count_statement, day_window
from tap_salesforce_temporal.widening import added, left_out_before, scope_of, widening
from tap_salesforce_temporal.windows import Planner, Window

if TYPE_CHECKING:
    from collections.abc import Container, Generator, Iterator

    from singer_sdk import Tap

    from microdecisions.event import MicroDecisionEvent
    from microdecisions.event import Source as Api
    from microdecisions.pages import Page
    from tap_salesforce_temporal.normalisers import Normaliser
    from tap_salesforce_temporal.run import Run
    from tap_salesforce_temporal.sources import Source

__all__ = ["HistoryStream"]

_ALL_TIME: Final = timedelta(days=36_500)
_BEFORE_SALESFORCE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE_ALL_HISTORY: Final = datetime(1999, 1, 1, tzinfo=UTC)  # Salesforce was founded in March of that year


class HistoryStream(PageStream):
    """One history object of the org as a stream of micro-decision events.

    The bookmark is the end of the last window that was read whole, counted and written. Rows become visible late and
    out of order, so a run stays `lag_seconds` behind Salesforce's clock and reads `overlap_seconds` again; what was
    written before is known by id and digest.
    """

    primary_keys: ClassVar[tuple[str, ...]] = ("event_id",)
    replication_key = bookmarks.REPLICATION_KEY
    forced_replication_method = REPLICATION_INCREMENTAL
    _planned: Plan | None
    _spoken_of: bookmarks.Scope

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
        check_readable(self.source, self._bookmark, now)
        if (was := bookmarks.read(self.name, self.stream_state).scope.sobject) not in {None, self.source.sobject}:
            self.logger.warning("%s", renamed(self.source, was))
        self._run.read_together(self)
        plan = self._plan(now) if self._planned is None else self._planned
        if self.source.assumed and not self._is_as_assumed(plan):
            described = org.described(self.source)
            if described is None:
                self._is_gone()
                return
            self.source = described
        bookmark, window = plan.bookmark, plan.new
        self._spoken_of = bookmark.scope if plan.added else self._scope
        complete_to = bookmark.complete_to or _BEFORE_SALESFORCE
        if (gap := dropped(self.source, bookmark.complete_to, now, plan.limit, self._oldest)) is not None:
            meter.wrote(1)
            self._run.gap(gap.sentence)
            yield [administration.gap(self.source, gap.window, self._extraction("rest"), gap.sentence)]
            complete_to = gap.window.end
            yield self._kept(complete_to, {}, bookmarks.DayCounts())
        emitted = bookmarks.Emitted(f"{org.org_id}:{self.source.sobject}:", bookmark.emitted)
        meter.reads(None if window is None else window.start, max(plan.limit, complete_to))
        again = WrittenBefore(emitted)
        with closing(self._normaliser(from_the_first_row=plan.from_the_first_row, emitted=again)) as normaliser:
            parts = [] if plan.due is None else [self._verified(plan, plan.due, normaliser, again)]
            parts += [self._left_out_before(plan, normaliser)] if plan.added else []
            parts += [] if window is None else [self._news(plan, window, complete_to, normaliser, emitted)]
            for page in chain.from_iterable(parts):
                meter.wrote(0 if isinstance(page, Checkpoint) else len(page))
                yield page
            if window is None and bookmark.complete_to is None:
                yield self._checkpoint(plan, plan.limit, {})

    def statements(self, now: datetime) -> list[str]:
        """What the stream will ask of an increment, and of its daily verification, planned at an instant."""
        if self._planned is None:
            if self._bookmark.complete_to is None or self.source.hidden:
                return []
            self._planned = self._plan(now)
        plan: Plan = self._planned
        found: list[str] = []
        by_rest = self.source.rest_only or self._run.settings.api_type != "bulk2"
        if plan.new is not None and self._activities is not None:
            found += self._activities.asked(plan.new)
        elif plan.new is not None and by_rest and not self.source.one_by_one:
            found += self.source.statements(plan.new)
        if plan.due is not None:
            found.append(count_statement(self.source, plan.due))
        return found

    def _is_as_assumed(self, plan: Plan) -> bool:
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

    def _plan(self, now: datetime) -> Plan:
        settings, bookmark = self._run.settings, self._bookmark
        new = added(bookmark.scope, self._scope)
        if new:  # what was counted is less than what is there
            bookmark = msgspec.structs.replace(bookmark, counts=bookmarks.DayCounts())
        start, from_the_first_row = self._start(bookmark, self._overlap)
        can_be_counted = self.source.countable and self.source.by_window and not self.source.mutable
        if not (can_be_counted and settings.verify_days):
            return Plan(bookmark, start, self._limit(now), from_the_first_row, None, new)
        begin = _BEFORE_SALESFORCE if start is None or from_the_first_row else start
        tally = Tally(bookmark.counts, begin, self._earliest, now.date(), settings.verify_days, self._overlap)
        start = start if begin is _BEFORE_SALESFORCE else tally.start
        return Plan(bookmark, start, self._limit(now), from_the_first_row, tally, new)

    @property
    def _bookmark(self) -> bookmarks.Bookmark:
        """The stored bookmark; none where it is of another object, which had the stream's name before."""
        stored = bookmarks.read(self.name, self.stream_state)
        return stored if stored.scope.sobject in {None, self.source.sobject} else bookmarks.Bookmark(None, {})

    @property
    def _scope(self) -> bookmarks.Scope:
        """What of the org is read."""
        return scope_of(self.source, self._run.org.narrowing)

    def _reading(
        self, source: Source, window: Window, normaliser: Normaliser, width: timedelta, *, is_first: bool
    ) -> Generator[Any]:
        """Items of all windows of a part of time, in order, the next ones fetched ahead."""
        org, settings = self._run.org, self._run.settings
        planner = Planner(target_rows=REST.target_rows, most_rows=REST.most_rows, first_width=width)
        bulk = None if source.rest_only else org.bulk
        left = org.session.calls_left
        size = BULK_WHOLE if source.whole_window else BULK
        choice = Choice(settings.api_type, org.reader, bulk, planner, self.name, self.logger, left, size)
        if is_first and source.countable:
            self._expect(source, window, choice, planner)
        asking = None if is_first or self._activities is None else self._activities.statements
        windows = WindowReader(source, normaliser.row_type, choice, planner, self.logger, asking)
        lanes = windows.lanes(window.start, window.end)
        most = settings.max_concurrent_requests
        return in_order(lanes, self._run.deadline, side_by_side=lambda: choice.lanes(most))

    def _news(
        self,
        plan: Plan,
        window: Window,
        complete_to: datetime,
        normaliser: Normaliser,
        emitted: bookmarks.Emitted,
    ) -> Iterator[Page | Checkpoint]:
        """What was recorded since the last run, and what has become visible since within the overlap."""
        is_first = plan.bookmark.complete_to is None
        # An increment is small more often than not: it is asked for in one window, and cut if Salesforce counts more.
        width = self._first_width if is_first else _ALL_TIME
        items = self._reading(self.source, window, normaliser, width, is_first=is_first)
        for part, events in self._events(items, normaliser, plan.tally):
            since = timestamps.to_text(part.end - self._overlap)
            if events is not None:
                emitted.remember(events, since)
                yield from paged(emitted.news(events))
            elif part.end >= complete_to:  # else only the overlap was read again: a longer lag than before
                yield self._checkpoint(plan, part.end, emitted.near(since))
                if part.end < window.end:
                    self._run.deadline.check()

    def _verified(
        self, plan: Plan, due: Window, normaliser: Normaliser, again: WrittenBefore
    ) -> Iterator[Page | Checkpoint]:
        """Days of which Salesforce counts more rows than were read, read again; a checkpoint after each."""
        bookmark, tally, reader = plan.bookmark, plan.tally, self._run.org.reader
        assert tally is not None  # noqa: S101  # what is due is due by it
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
            items = self._reading(self.source, window, normaliser, window.width, is_first=False)
            with again.of(days):
                for _, events in self._events(items, normaliser, found):
                    if events is not None:
                        yield from paged(again.corrected(events))
            tally.read_again(found.rows)
            if window is windows[-1]:
                tally.verified()
            if bookmark.complete_to is not None:
                yield self._kept(bookmark.complete_to, bookmark.emitted, tally.unchanged())
                self._run.deadline.moved()
        tally.verified()

    def _left_out_before(self, plan: Plan, normaliser: Normaliser) -> Iterator[Page | Checkpoint]:
        """What the bookmark's run left out, up to where this run begins; a checkpoint after each window."""
        bookmark, scope, end = plan.bookmark, self._scope, plan.start
        if bookmark.complete_to is None or end is None or end > plan.limit:  # `end_date` lies before: another time
            return
        source = left_out_before(self.source, bookmark.scope, plan.added)
        begin, _ = self._start(bookmarks.Bookmark(None, {}), self._overlap)
        if begin is not None and bookmark.scope.widened_to is not None and bookmark.scope.widening == scope.parts:
            begin = max(begin, bookmark.scope.widened_to)
        self.logger.warning(
            "Stream `%s`: more is read than before (%s): what was left out until now is read first.",
            self.name,
            ", ".join(plan.added[:5]),
        )
        if begin is not None and begin < end:
            items = self._reading(source, Window(begin, end), normaliser, self._first_width, is_first=True)
            for part, events in normalised(items, source, normaliser, self._extraction, None):
                if events is not None:
                    yield from paged(events)
                elif part.end < end:
                    self._spoken_of = widening(bookmark.scope, scope, part.end)
                    yield self._kept(bookmark.complete_to, bookmark.emitted, bookmark.counts)
                    self._run.deadline.moved()
                    self._run.deadline.check()
        self._spoken_of = scope
        yield self._kept(bookmark.complete_to, bookmark.emitted, bookmark.counts)
        self._run.deadline.moved()

    @property
    def _first_width(self) -> timedelta:
        """How much to ask for at first, where nobody knows how much is there."""
        return timedelta(days=1) if self.source.countable else _ALL_TIME

    def _checkpoint(self, plan: Plan, complete_to: datetime, emitted: dict[str, str]) -> Checkpoint:
        counts = bookmarks.DayCounts() if plan.tally is None else plan.tally.counts(complete_to)
        if complete_to != plan.bookmark.complete_to:
            self._run.deadline.moved()
        return self._kept(complete_to, emitted, counts)

    def _kept(self, complete_to: datetime, emitted: dict[str, str], counts: bookmarks.DayCounts) -> Checkpoint:
        return Checkpoint(bookmarks.write(complete_to, emitted, self._run.org.org_id, counts, self._spoken_of))

    @property
    def _overlap(self) -> timedelta:
        """How much before the bookmark is read again."""
        return max(timedelta(seconds=self._run.settings.overlap_seconds), timedelta(days=self.source.settles_days))

    @cached_property
    def _activities(self) -> ChangedActivities | None:
        """Asks for the history of activities; None of other sources."""
        return None if self.source.by_window else ChangedActivities(self.source, self._run.org.reader)

    def _oldest(self) -> datetime | None:
        return self._run.org.reader.oldest(self.source)

    @property
    def _earliest(self) -> datetime | None:
        return self._run.settings.begins

    def _limit(self, now: datetime) -> datetime:
        """Up to where a run reads: behind Salesforce's clock, and not past `end_date`."""
        settings = self._run.settings
        limit = timestamps.floor_second(now - timedelta(seconds=settings.lag_seconds))
        return limit if settings.ends is None else min(limit, settings.ends)

    def _expect(self, source: Source, window: Window, choice: Choice, planner: Planner) -> None:
        """Count what a first run will read, and say it; a count that takes Salesforce too long is done without."""
        what = "a first run" if source is self.source else "what was left out before"
        try:
            rows = self._run.org.reader.count(source.sobject, source.where(window))
        except QueryTimeoutError:
            self.logger.info("Stream `%s`: %s; too many rows to be counted beforehand.", self.name, what)
            return
        planner.saw(window, rows)
        choice.counted(rows)
        calls = choice.calls_for(rows)
        self.logger.info(
            "Stream `%s`: %s, %s rows from %s on, about %s API calls.",
            self.name,
            what,
            f"{rows:,}",
            timestamps.to_text(window.start),
            f"{calls:,}",
        )

    def _events(
        self, items: Generator[Any], normaliser: Normaliser, counts: Tally | DayRows | None
    ) -> Iterator[tuple[Window, list[MicroDecisionEvent] | None]]:
        return normalised(items, self.source, normaliser, self._extraction, counts)

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
        try:
            return self._run.org.reader.oldest(self.source), True
        except QueryTimeoutError:
            self.logger.info("Stream `%s`: a first run; the oldest row takes Salesforce too long.", self.name)
            return _BEFORE_ALL_HISTORY, True

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
