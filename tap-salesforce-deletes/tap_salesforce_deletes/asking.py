"""The delete log and the recycle bin, object by object, after the topics are drained."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from microdecisions.errors import ConfigurationError, SalesforceError
from microdecisions.pages import Checkpoint
from tap_salesforce_deletes.normalise import gap_event
from tap_salesforce_deletes.reconcile.deciding import Interval, ceil_hour
from tap_salesforce_deletes.reconcile.objects import is_wanted
from tap_salesforce_deletes.run import EXTRACTOR_VERSION
from tap_salesforce_deletes.writing import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microdecisions.event import MicroDecisionEvent
    from microdecisions.event import Source as Witness
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
    yield from _vanished(run, kept, plan)
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
            if sobject not in str(error):
                error.args = (f"Delete log and recycle bin of {sobject}: {error}",)
            run.failed(error)
    if objects:
        run.log.info(
            "Delete log and recycle bin of %s: %s sightings of deletes; %s API calls.",
            f"{len(objects)} objects" if len(objects) > 1 else objects[0],
            f"{found:,}",
            run.session.usage.calls - before,
        )


def _vanished(run: Run, kept: KeptPositions, plan: Plan) -> Iterator[Page | Checkpoint]:
    """Objects that were asked before, and that the login user does not see any more: each a gap once.

    Those of topics are told where the topics are. One that is named in full fails the run until it is seen again, as it
    does when it was never there.
    """
    if run.settings.reconcile == "never":
        return
    now, patterns = run.session.server_time(), run.settings.reconcile_objects
    by_topics = {sobject for one in plan.topics for sobject in one.objects}
    for sobject, since in sorted(kept.positions.objects.items()):
        if sobject in run.objects or sobject in by_topics or not is_wanted(sobject, patterns):
            continue
        sentence = (
            f"{sobject} is not visible to the login user any more; its delete log was read up to {since:%F %T} UTC, "
            "and deletes since then may be missing."
        )
        if sobject in patterns:
            run.failed(
                ConfigurationError(f"{sentence} Grant View All Records on it, or take it out of `reconcile_objects`.")
            )
            continue
        remedy = (
            "Grant View All Records on it, and they are looked up; if it is gone for good, take it out of the state."
        )
        pending = kept.positions.pending.get(sobject)
        if pending is not None and pending <= since:
            run.log.warning("%s %s", sentence, remedy)
            continue
        run.gap(f"{sentence} A `gap` event is written. {remedy}")
        yield [_gap_of(run, sobject, Interval(since, ceil_hour(now)), sentence, "get_deleted")]
        kept.become(kept.positions.with_pending(sobject, since))
        yield kept.checkpoint()


def _gap_of(run: Run, sobject: str, missing: Interval, why: str, source: Witness) -> MicroDecisionEvent:
    return gap_event(
        run.org_id,
        sobject,
        missing.start,
        missing.end,
        why=why,
        source=source,
        extracted_at=run.extracted_at(),
        extractor_version=EXTRACTOR_VERSION,
    )


def _may_be_asked(run: Run, sobject: str) -> bool:
    return run.settings.reconcile != "never" and run.objects[sobject].replicateable


def _cannot_ask(run: Run, kept: KeptPositions, objects: Sequence[str]) -> Iterator[Page | Checkpoint]:
    """Objects that can be seen again, and have no delete log that may be asked for what they missed: a gap each."""
    end = ceil_hour(run.session.server_time())
    for sobject in objects:
        since = kept.positions.pending[sobject]
        if since < end:  # else a gap of this hour told of it before
            sentence = (
                f"{sobject} can be seen again, and no delete log may be asked for it: deletes from "
                f"{since:%F %T} UTC to {end:%F %T} UTC may be missing, which a `gap` event says."
            )
            run.gap(sentence)
            yield [_gap_of(run, sobject, Interval(since, end), sentence, "change_event")]
        kept.become(kept.positions.without_pending(sobject, datetime.max.replace(tzinfo=UTC)))
    if objects:
        yield kept.checkpoint()  # at once: a gap that is told twice has another end


def _ask(run: Run, kept: KeptPositions, sobject: str, *, never_before: bool) -> Iterator[Page | Checkpoint]:
    """Ask one object; one that was never asked before from as far back as there is.

    But where that is less far than to what is pending of it, it is a gap.
    """
    asked_to, pending = kept.positions.objects.get(sobject), kept.positions.pending.get(sobject)
    since = None if never_before else min((at for at in (asked_to, pending) if at is not None), default=None)
    complete = None
    for part in run.reconciler.reconcile(sobject, since, pending if never_before else None):
        yield from pages_of(run, part.events)
        if part.gap is not None:
            why = part.events[-1].context.metadata["why"]
            run.gap(
                f"{why} Deletes of {sobject} from {part.gap.start:%F %T} UTC to {part.gap.end:%F %T} UTC may be "
                "missing, which a `gap` event says."
            )
            kept.become(kept.positions.after_gap(sobject, part.gap.end))
        if part.complete_to is not None:
            complete = part.complete_to
            kept.become(kept.positions.with_object(sobject, complete))
            if kept.due:
                yield kept.checkpoint()
    if complete is not None:
        kept.become(kept.positions.without_pending(sobject, complete))
