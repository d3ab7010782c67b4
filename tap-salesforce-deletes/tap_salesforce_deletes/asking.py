"""The delete log and the recycle bin, object by object, after the topics are drained."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from microdecisions.errors import SalesforceError
from microdecisions.pages import Checkpoint
from tap_salesforce_deletes.normalise import gap_event
from tap_salesforce_deletes.run import EXTRACTOR_VERSION
from tap_salesforce_deletes.writing import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microdecisions.pages import Page
    from tap_salesforce_deletes.keeping import KeptPositions
    from tap_salesforce_deletes.planning import Plan
    from tap_salesforce_deletes.run import Run

__all__ = ["ask_objects"]


def ask_objects(run: Run, kept: KeptPositions, plan: Plan) -> Iterator[Page | Checkpoint]:
    """Ask for the deletes of the planned objects, and of those that topics could not name.

    What goes wrong with one object alone is told at the end of the run, after the other objects.

    Raises:
        MicroDecisionError: no object can be asked.
    """
    visible = [name for name in kept.positions.pending if name in run.objects]
    yield from _cannot_ask(run, kept, [name for name in visible if not _may_be_asked(run, name)])
    objects = tuple(dict.fromkeys((*(name for name in visible if _may_be_asked(run, name)), *plan.asked)))
    never_asked = set(plan.asked) - set(kept.positions.objects)
    before, found = run.session.usage.calls, 0
    for sobject in objects:
        run.deadline.check()
        try:
            for page in _ask(run, kept, sobject, never_before=sobject in never_asked):
                found += 0 if isinstance(page, Checkpoint) else len(page)
                yield page
        except SalesforceError as error:
            run.failed(error)
    if objects:
        run.log.info(
            "Delete log and recycle bin of %s: %s sightings of deletes; %s API calls.",
            f"{len(objects)} objects" if len(objects) > 1 else objects[0],
            f"{found:,}",
            run.session.usage.calls - before,
        )


def _may_be_asked(run: Run, sobject: str) -> bool:
    return run.settings.reconcile != "never" and run.objects[sobject].replicateable


def _cannot_ask(run: Run, kept: KeptPositions, objects: Sequence[str]) -> Iterator[Page | Checkpoint]:
    """Objects that can be seen again, and have no delete log that may be asked for what they missed: a gap each."""
    now = run.session.server_time()
    for sobject in objects:
        since = kept.positions.pending[sobject]
        sentence = (
            f"{sobject} can be seen again, and no delete log may be asked for it: deletes from {since:%F %T} UTC to "
            f"{now:%F %T} UTC may be missing, which a `gap` event says."
        )
        run.gap(sentence)
        yield [
            gap_event(
                run.org_id,
                sobject,
                since,
                now,
                why=sentence,
                source="change_event",
                extracted_at=run.extracted_at(),
                extractor_version=EXTRACTOR_VERSION,
            )
        ]
        kept.become(kept.positions.without_pending(sobject, datetime.max.replace(tzinfo=UTC)))
    if objects:
        yield kept.checkpoint()  # at once: a gap that is told twice has another end


def _ask(run: Run, kept: KeptPositions, sobject: str, *, never_before: bool) -> Iterator[Page | Checkpoint]:
    """Ask one object; one that was never asked before from as far back as there is, whatever is pending."""
    stored = kept.positions
    instants = () if never_before else (stored.objects.get(sobject), stored.pending.get(sobject))
    known = [at for at in instants if at is not None]
    complete = None
    for part in run.reconciler.reconcile(sobject, min(known, default=None)):
        yield from pages_of(run, part.events)
        if part.gap is not None:
            run.gap(_gap_sentence(sobject, part.gap.start, part.gap.end))
            kept.become(kept.positions.after_gap(sobject, part.gap.end))
        if part.complete_to is not None:
            complete = part.complete_to
            kept.become(kept.positions.with_object(sobject, complete))
            if kept.due:
                yield kept.checkpoint()
    if complete is not None:
        kept.become(kept.positions.without_pending(sobject, complete))


def _gap_sentence(sobject: str, start: datetime, end: datetime) -> str:
    return (
        f"{sobject}: the delete log does not reach back to {start:%F %T} UTC: deletes up to {end:%F %T} UTC may be "
        "missing, which a `gap` event says."
    )
