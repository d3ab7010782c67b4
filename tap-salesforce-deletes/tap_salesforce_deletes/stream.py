"""The one stream: topics are drained, then the delete log is asked; the position moves behind what is written."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, ClassVar

from singer_sdk import metrics
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from microdecisions import event
from microdecisions.errors import InterruptedRunError, TimeCeilingError
from microdecisions.pages import Checkpoint, PageStream
from microdecisions.taps import KEY_PROPERTIES, REPLICATION_KEY
from microdecisions.telemetry import Meter
from tap_salesforce_deletes import position
from tap_salesforce_deletes.asking import ask_objects
from tap_salesforce_deletes.keeping import KeptPositions
from tap_salesforce_deletes.listening import Listening
from tap_salesforce_deletes.planning import make_plan
from tap_salesforce_deletes.prices import tell_price

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk import Tap

    from microdecisions.pages import Page
    from tap_salesforce_deletes.run import Run

__all__ = ["DeleteEvents"]


class DeleteEvents(PageStream):
    """All sightings of deletes and undeletes, of all topics and of the delete log.

    State holds a replay id for each topic and an instant for each object; both move only behind records that were
    written. A crash at any byte costs a repeat with the same event ids, never a hole.
    """

    primary_keys: ClassVar[tuple[str, ...]] = KEY_PROPERTIES
    replication_key = REPLICATION_KEY
    forced_replication_method = REPLICATION_INCREMENTAL

    def __init__(self, tap: Tap, run: Run) -> None:
        self._run = run
        super().__init__(tap=tap, name=position.STREAM, schema=event.json_schema())

    def get_pages(self) -> Iterator[Page | Checkpoint]:
        """Yield pages of events, and a checkpoint every few seconds and at the end.

        Raises:
            MicroDecisionError: nothing can be read.
            TimeCeilingError: `max_run_seconds` are over before everything is read.
        """
        run = self._run
        with closing(run):
            meter = Meter(self.name, lambda: run.session.usage, run.clocks.monotonic)
            kept = KeptPositions(run.stored, run.clocks.monotonic, run.deadline.moved)
            complete = False
            try:
                for page in self._read(kept):
                    meter.wrote(0 if isinstance(page, Checkpoint) else len(page))
                    yield page
                complete = not run.failures and run.ceiling is None
            except (InterruptedRunError, TimeCeilingError):
                if kept.moved:
                    yield kept.checkpoint()
                raise
            finally:
                self.logger.info("%s", meter.line(complete=complete))
                for point in meter.points():
                    metrics.log(self.metrics_logger, point)

    def _read(self, kept: KeptPositions) -> Iterator[Page | Checkpoint]:
        run = self._run
        plan = make_plan(run, kept.positions)
        first = not kept.positions.objects
        enrich: Iterator[Page] = iter(())
        for one in plan.topics:
            if one.price is not None:
                self.logger.warning("%s", one.price)
        if plan.topics:
            with closing(Listening(run, kept, plan)) as listening:
                yield from listening.pages()
            enrich = listening.enriched()
            yield kept.checkpoint()
        yield from enrich
        yield from ask_objects(run, kept, plan)
        yield kept.checkpoint()
        if not plan.topics and not run.failures:
            tell_price(run, kept.positions, first=first)
