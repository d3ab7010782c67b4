"""Makes an org: the truth log first, then the rows that follow from it, and nothing half done."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, TypeVar

import msgspec

from localcloud.clock import OrgClock
from localcloud.salesforce.filling import filling
from localcloud.salesforce.org import Org
from localcloud.seed.aftermath import Deletes, publish, spared, take_back
from localcloud.seed.aftermath import begin as begin_truth
from localcloud.seed.aftermath import end as end_truth
from localcloud.seed.archive import archive_activities, archive_history
from localcloud.seed.decisions import Decision, Expectation, instant_text, read_truth, write_truth
from localcloud.seed.errors import SeedError
from localcloud.seed.event_log import read_cases
from localcloud.seed.extra_rows import ExtraRows
from localcloud.seed.generator import GENERATOR_VERSION, SPAN_SECONDS, Plan, generate, roster
from localcloud.seed.mapping import decisions_from
from localcloud.seed.measured import load as measured_table
from localcloud.seed.meta import Days, Meta, citation_of, read_meta, write_meta
from localcloud.seed.model import tracked_fields
from localcloud.seed.people import Ids, People
from localcloud.seed.rows import RowMaker
from localcloud.seed.telling import Telling, Written
from localcloud.seed.values import api_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from localcloud.seed.mapping import Target
    from localcloud.seed.people import Row

    Progress = Callable[[int, int | None], None]
    """Called with how many decisions are done, and of how many where that is known."""

T = TypeVar("T")

TRUTH = "truth.jsonl"
GENERATED_CLOCK = datetime(2026, 3, 2, 8, tzinfo=UTC)
"""What the clock of a generated org shows when it is made."""

QUIET = timedelta(hours=1)
"""Between the last decision and the org's clock, so that every reader's lag is over."""

_DAY_SECONDS = 86_400
_CHUNK_ROWS = 20_000
_ASIDE_FROM = 100_000
"""Events from which on a process of its own is worth its start."""
_REPORT_EVERY = 2_000


class SeedReport(msgspec.Struct, frozen=True):
    """What was put into an org: decisions taken, events that readers must find, rows loaded, per-stream events.

    ``also`` counts what is there beside those events, per stream, as `Meta.also_expected` does.
    """

    decisions: int
    events: int
    rows: int
    streams: dict[str, int]
    also: dict[str, int] = {}


def seed_org(
    org_dir: Path,
    *,
    event_log: Path | None = None,
    as_: Target | None = None,
    events: int = 20_000,
    seed: int = 7,
    progress: Callable[[str, int, int], None] | None = None,
) -> SeedReport:
    """Make an org from an event log, or a made-up one where none is given.

    Args:
        org_dir: the org's folder; it must hold no org yet.
        event_log: XES, XES.gz or CSV.
        as_: what a case of the log becomes.
        events: expected events of a made-up org, met within 2 % from some thousands on.
        seed: the same seed and size give the same decisions and rows.
        progress: called with a step's name, how much of it is done, and of how much (0: not known).

    Raises:
        SeedError: one sentence; nothing is left behind.
    """
    told: Progress | None = None
    if progress is not None:
        say = progress

        def told(done: int, total: int | None = None) -> None:
            say("loading" if total else "deciding", done, total or 0)

    if (event_log is None) != (as_ is None):
        raise SeedError("An event log and what its cases become (opportunity, case or approval) go together.")
    if event_log is not None and as_ is not None:
        return seed_event_log(org_dir, event_log, as_, seed=seed, progress=told)
    return seed_generated(org_dir, events=events, seed=seed, progress=told)


def seed_event_log(
    org_dir: Path, event_log: Path, target: Target, *, seed: int = 7, progress: Progress | None = None
) -> SeedReport:
    """Make an org of an event log by the documented mapping; its clock shows an hour after the last event.

    Args:
        org_dir: the org's folder; it must hold no org yet.
        event_log: XES, XES.gz or CSV.
        target: what a case becomes.
        seed: written into ``meta.json``; nothing is left to chance here.
        progress: called with cases read, then with decisions loaded.

    Raises:
        SeedError: one sentence; nothing is left behind.
    """
    with _staged(org_dir) as (stage, org):
        people, ids = People(org.new_id), Ids(org.new_id)
        decisions = decisions_from(_counted(read_cases(event_log), progress), target, ids, people)
        clock = datetime.fromisoformat(decisions[-1].at) + QUIET
        first = int(datetime.fromisoformat(decisions[0].at).timestamp())
        meta = Meta(event_log.name, citation_of(event_log.name), seed, "", 0, {}, tracked_fields(), target=target)
        written = Written(stage / TRUTH, decisions)
        return _fill(stage, org, meta, written, people, since=first, clock=clock, progress=progress)


def seed_generated(
    org_dir: Path,
    *,
    events: int = 20_000,
    seed: int = 7,
    progress: Progress | None = None,
    aside: bool | None = None,
) -> SeedReport:
    """Make an org that moves as the measured logs do, with two years of history.

    Args:
        org_dir: the org's folder; it must hold no org yet.
        events: expected events, met within 2 % from some thousands on.
        seed: the same seed and size give the same decisions and rows.
        progress: called with decisions taken, then with decisions loaded.
        aside: whether decisions are taken in a process of their own while rows are made of them, which gives
            the same org sooner; None leaves that to the size.

    Raises:
        SeedError: one sentence; nothing is left behind.
    """
    end = int((GENERATED_CLOCK - QUIET).timestamp())
    plan = Plan(seed, events, end)
    with _staged(org_dir) as (stage, org):
        citation = "; ".join(measured_table().citations.values())
        meta = Meta(
            "generated", citation, seed, "", 0, {}, tracked_fields(), None, events, end, generator=GENERATOR_VERSION
        )
        people = roster(plan, org.new_id)
        since, clock = end - SPAN_SECONDS, GENERATED_CLOCK
        if events >= _ASIDE_FROM if aside is None else aside:
            with Telling(plan, stage / TRUTH, org.series()) as telling:
                return _fill(stage, org, meta, telling, people, since=since, clock=clock, progress=progress)
        last = instant_text(end)
        decisions = takewhile(lambda decision: decision.at <= last, generate(plan, org.new_id))
        written = Written(stage / TRUTH, _counted(decisions, progress))
        return _fill(stage, org, meta, written, people, since=since, clock=clock, progress=progress)


def advance(org_dir: Path, *, days: int = 1, progress: Progress | None = None) -> SeedReport:
    """Let days pass in an org: its clock moves on, and a generated org's next decisions happen.

    Everything new is dated after what the org's clock showed before, and at least an hour before what it
    shows afterwards; the clock moves last. An org of an event log gets no new decisions. Days that were
    interrupted, by a kill for instance, are finished first, just as they were meant.

    Args:
        org_dir: a seeded org.
        days: how many, at least one.
        progress: called when the truth is written, and when the rows are loaded.

    Raises:
        SeedError: the folder holds no seeded org, or a part of it is missing or damaged.
    """
    if days < 1:
        raise SeedError("The org can only move forward, by one day or more.")
    meta, expectation, rows = read_meta(org_dir), Expectation(), 0
    if meta.planned_events is not None and meta.generator != GENERATOR_VERSION:
        raise SeedError(f"The org in {org_dir} was made by another version of localcloud: seed a new one.")
    try:
        with Org.open(org_dir) as org:
            if meta.under_way is not None:
                rows += _live(org_dir, org, meta, meta.under_way, expectation, progress)
            # The first whole second that the org has not shown yet.
            begin_truth(org, org_dir / TRUTH)
            size = (org_dir / TRUTH).stat().st_size
            meta.under_way = Days(int(org.clock.now().timestamp()) + 1, days, size)
            write_meta(org_dir, meta)
            rows += _live(org_dir, org, meta, meta.under_way, expectation, progress)
    except (OSError, sqlite3.DatabaseError, msgspec.DecodeError) as error:
        raise SeedError(f"The org in {org_dir} could not be advanced: {error}.") from error
    return SeedReport(expectation.decisions, expectation.events, rows, expectation.streams, expectation.also)


def _live(org_dir: Path, org: Org, meta: Meta, span: Days, expectation: Expectation, progress: Progress | None) -> int:
    """Bring truth, rows, clock and ``meta.json``, in this order, to the end of a span of days."""
    new, rows, decisions = Expectation(), 0, list[Decision]()
    if meta.planned_events is not None and meta.generated_until is not None:
        take_back(org_dir / TRUTH, span.truth, meta.decisions)
        deletes = Deletes()
        decisions = list(deletes.watch(spared(org, org_dir / TRUTH, list(_future(meta, org, span)))))
        rows = _continue(org_dir, org, decisions, new, progress)
        deletes.log(org)
        meta.generated_until += span.days * _DAY_SECONDS - int(QUIET.total_seconds())
    org.clock.set(datetime.fromtimestamp(span.start, UTC) + timedelta(days=span.days))
    archive_activities(org)
    publish(org, decisions, start=span.start)
    end_truth(org, org_dir / TRUTH)
    meta.clock = instant_text(int(org.clock.now().timestamp()))
    meta.decisions += new.decisions
    for stream, events in new.streams.items():
        meta.events_expected[stream] = meta.events_expected.get(stream, 0) + events
    for stream, events in new.also.items():
        meta.also_expected[stream] = meta.also_expected.get(stream, 0) + events
    meta.under_way = None
    write_meta(org_dir, meta)
    expectation.merge(new)
    return rows


def _fill(
    stage: Path,
    org: Org,
    meta: Meta,
    told: Written | Telling,
    people: People,
    *,
    since: int,
    clock: datetime,
    progress: Progress | None,
) -> SeedReport:
    """Load what follows from the truth."""
    created = api_instant(instant_text(since - _DAY_SECONDS))
    rows, deletes = 0, Deletes()
    with filling(org):
        for sobject, users in people.rows(created, org.user_id, org.settings.username).items():
            rows += org.load(sobject, users)
        rows += org.load("Organization", [_organization(org, created)])
        rows += _play(org, RowMaker(org.new_id, told.deleted), deletes.watch(told), told.total, progress)
    expectation = told.expectation
    if not expectation.decisions:
        raise SeedError("That would be an org without a single decision.")
    rows += _archive(org, expectation)
    deletes.log(org)
    org.clock.set(clock)
    archive_activities(org)
    meta.decisions, meta.events_expected = expectation.decisions, dict(sorted(expectation.streams.items()))
    meta.clock = instant_text(int(clock.timestamp()))
    meta.also_expected = dict(sorted(expectation.also.items()))
    write_meta(stage, meta)
    return SeedReport(expectation.decisions, expectation.events, rows, meta.events_expected, meta.also_expected)


def _play(
    org: Org, maker: RowMaker, decisions: Iterable[Decision], total: int | None, progress: Progress | None
) -> int:
    extra = ExtraRows(org.new_id, org.org_id, org.user_id)
    done = loaded = 0
    for done, decision in enumerate(decisions, 1):
        if extra.takes(decision):
            extra.play(decision)
        else:
            maker.play(decision)
        if maker.count >= _CHUNK_ROWS:
            loaded += _load(org, maker.take())
        if extra.count >= _CHUNK_ROWS:
            loaded += _load(org, extra.take_finished())
        if progress is not None and done % _REPORT_EVERY == 0:
            progress(done, total)
    maker.finish()
    loaded += _load(org, maker.take())
    loaded += _load(org, extra.take())
    if progress is not None:
        progress(done, done)
    return loaded


def _archive(org: Org, expectation: Expectation) -> int:
    """Copy old history as the truth says; how many copies there are is known only now."""
    copied = sum(archive_history(org, sobject, at) for sobject, at in expectation.archived)
    if copied:
        expectation.also["field_history_archive"] = copied
    return copied


def _load(org: Org, taken: Mapping[str, list[Row]], *, replace: bool = False) -> int:
    loaded = 0
    for sobject, rows in taken.items():
        if replace:
            latest: dict[object, Row] = {row["Id"]: row for row in rows}
            # The delete opens the transaction that the load commits.
            org.db.executemany(f'DELETE FROM "{sobject}" WHERE "Id" = ?', [(key,) for key in latest])
            loaded += org.load(sobject, latest.values())
        else:
            loaded += org.load(sobject, rows)
    return loaded


def _future(meta: Meta, org: Org, span: Days) -> Iterator[Decision]:
    """Yield the generated decisions of the next days, moved to begin after the span's start."""
    if meta.planned_events is None or meta.generated_until is None:
        return
    end = int((GENERATED_CLOCK - QUIET).timestamp())
    known, until = meta.generated_until, meta.generated_until + span.days * _DAY_SECONDS - int(QUIET.total_seconds())
    stream = generate(Plan(meta.seed, meta.planned_events, end), org.new_id)
    first, last = instant_text(known), instant_text(until)
    for decision in takewhile(lambda d: d.at <= last, dropwhile(lambda d: d.at <= first, stream)):
        second = int(datetime.fromisoformat(decision.at).timestamp())
        decision.at = instant_text(second - known + span.start)
        yield decision


def _continue(
    org_dir: Path, org: Org, decisions: list[Decision], expectation: Expectation, progress: Progress | None
) -> int:
    """Append to the truth, then bring the org's rows to where the decisions lead."""
    truth = org_dir / TRUTH
    before = truth.stat().st_size
    write_truth(truth, decisions, expectation)
    newly: AbstractSet[str] = expectation.deleted
    deleted = newly | {d.record for d in read_truth(truth, end=before) if d.action == "delete"}
    maker, extra = RowMaker(org.new_id, deleted), ExtraRows(org.new_id, org.org_id, org.user_id)
    maker.replay(_others(read_truth(truth, end=before), extra), newly)
    extra.take()  # these rows are there already
    for decision in _others(decisions, extra):
        maker.play(decision)
    maker.finish()
    if progress is not None:
        progress(0, len(decisions))
    rows = _load(org, maker.take(), replace=True) + _load(org, extra.take(), replace=True)
    rows += _archive(org, expectation)
    if progress is not None:
        progress(len(decisions), len(decisions))
    return rows


def _others(decisions: Iterable[Decision], extra: ExtraRows) -> Iterator[Decision]:
    """Play what ``extra`` takes, and yield the rest."""
    for decision in decisions:
        if extra.takes(decision):
            extra.play(decision)
        else:
            yield decision


@contextmanager
def _staged(org_dir: Path) -> Iterator[tuple[Path, Org]]:
    """Make the org in a folder beside its place, and move it there only when it is complete."""
    if (org_dir / "org.sqlite").exists():
        raise SeedError(f"{org_dir} holds an org already.")
    stage = org_dir.with_name(f".{org_dir.name}.seeding")
    shutil.rmtree(stage, ignore_errors=True)
    try:
        with Org.create(stage, clock=OrgClock(GENERATED_CLOCK)) as org:
            yield stage, org
        org_dir.mkdir(parents=True, exist_ok=True)
        # The database last: its presence says that there is an org.
        for file in sorted(stage.iterdir(), key=lambda path: path.name.startswith("org.sqlite")):
            file.replace(org_dir / file.name)
    except OSError as error:
        raise SeedError(f"The org could not be written to {org_dir}: {error.strerror or error}.") from error
    except sqlite3.OperationalError as error:
        raise SeedError(f"The org could not be written to {org_dir}: {error}.") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _organization(org: Org, created: str) -> Row:
    stamps = {"CreatedDate": created, "LastModifiedDate": created, "SystemModstamp": created}
    names = {"Name": org.settings.name, "InstanceName": "LOCAL", "OrganizationType": "Developer Edition"}
    return {"Id": org.org_id, **names, "TimeZoneSidKey": "GMT", "IsSandbox": False, **stamps}


def _counted(items: Iterable[T], progress: Progress | None) -> Iterator[T]:
    for n, item in enumerate(items, 1):
        if progress is not None and n % _REPORT_EVERY == 0:
            progress(n, None)
        yield item
