"""The delete log and the recycle bin, object by object, after the topics are drained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microdecisions.errors import SalesforceError
from microdecisions.pages import Checkpoint
from tap_salesforce_deletes.writing import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

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
    pending = kept.positions.pending if run.settings.reconcile != "never" else {}
    visible = [name for name in pending if name in run.objects]
    objects = tuple(dict.fromkeys((*visible, *plan.asked)))
    before, found = run.session.usage.calls, 0
    for sobject in objects:
        run.deadline.check()
        try:
            for page in _ask(run, kept, sobject):
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


def _ask(run: Run, kept: KeptPositions, sobject: str) -> Iterator[Page | Checkpoint]:
    stored = kept.positions
    known = [at for at in (stored.objects.get(sobject), stored.pending.get(sobject)) if at is not None]
    complete = None
    for part in run.reconciler.reconcile(sobject, min(known, default=None)):
        yield from pages_of(run, part.events)
        if part.gap is not None:
            run.gap(_gap_sentence(sobject, part.gap.start, part.gap.end))
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
