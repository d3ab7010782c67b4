"""All topics of a run: a thread for each, one writer, positions that move behind what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microdecisions.errors import MicroDecisionError, QuotaCeilingError
from tap_salesforce_deletes.draining import PART_BYTES, Drain, Drained, Ended, Message, Surroundings
from tap_salesforce_deletes.handover import Handover
from tap_salesforce_deletes.holes import Holes
from tap_salesforce_deletes.normalise import Normaliser
from tap_salesforce_deletes.planning import start_of
from tap_salesforce_deletes.position import TopicPosition
from tap_salesforce_deletes.pubsub.errors import ReplayIdError
from tap_salesforce_deletes.pubsub.subscription import Earliest
from tap_salesforce_deletes.run import EXTRACTOR_VERSION
from tap_salesforce_deletes.waiting import End, Watch
from tap_salesforce_deletes.writing import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from microdecisions.event import MicroDecisionEvent
    from microdecisions.pages import Checkpoint, Page
    from tap_salesforce_deletes.keeping import KeptPositions
    from tap_salesforce_deletes.planning import Plan, TopicPlan
    from tap_salesforce_deletes.pubsub.subscription import Start
    from tap_salesforce_deletes.run import Run

__all__ = ["Listening"]

_WAITING: Final = 2 * PART_BYTES  # in memory between the threads and the writer
_PAGE: Final = 1_000
_LINGER: Final = 0.02  # seconds; how long a page waits to be full
_TICK: Final = 0.25  # seconds; how soon the writer sees that time is over
_MOST_ENRICHED: Final = 10_000
_JOIN_SECONDS: Final = 5.0


class _Tally:
    """What a run did with one topic, for its line in the log."""

    def __init__(self) -> None:
        self.deliveries = 0
        self.events = 0


class Listening:
    """The topics of a run.

    Args:
        run: The run.
        kept: Its positions.
        plan: Which topics, and from where.
    """

    def __init__(self, run: Run, kept: KeptPositions, plan: Plan) -> None:
        self._run = run
        self._kept = kept
        self._asked = frozenset(plan.asked)
        self._plans = {one.topic.name: one for one in plan.topics}
        self._holes = Holes(run, kept)
        self._handover: Handover[Message] = Handover(_WAITING, enough=PART_BYTES, linger_seconds=_LINGER)
        self._drains: dict[str, Drain] = {}
        self._begun_anew: set[str] = set()
        self._tallies = {name: _Tally() for name in self._plans}
        self._to_enrich: list[MicroDecisionEvent] = []
        self._not_enriched = 0
        self._stopping = False
        self._prefixes = {
            summary.key_prefix: name for name, summary in run.objects.items() if summary.key_prefix is not None
        }

    def pages(self) -> Iterator[Page | Checkpoint]:
        """Pages of what comes, and a checkpoint every few seconds, until each topic is drained or stops.

        What goes wrong with one topic alone is told at the end of the run, after the others.

        Raises:
            TimeCeilingError: `max_run_seconds` are over.
            InterruptedRunError: The run is to stop.
        """
        for one in self._plans.values():
            yield from self._prepare(one)
            if self._kept.moved:
                yield self._kept.checkpoint()
        self._run.allowance.look()
        for name in self._plans:
            self._begin(name, start_of(self._run, self._kept.positions.topics.get(name)))
        while self._drains:
            messages = self._handover.take(_TICK)
            yield from self._write(messages)
            for message in messages:
                if isinstance(message, Ended):
                    yield from self._ended(message)
            if self._kept.due:
                yield self._kept.checkpoint()
            self._run.allowance.look()
            self._run.deadline.check()
        if (error := self._run.allowance.error()) is not None and self._run.ceiling is None:
            self._run.ceiling = error

    def enriched(self) -> Iterator[Page]:
        """Pages of what the recycle bin still tells of records whose deletion was just read."""
        run, pending = self._run, self._kept.positions.pending
        events = [event for event in self._to_enrich if event.record_type not in pending]
        self._to_enrich = []
        if not events:
            return
        before = run.session.usage.calls
        found = run.reconciler.enrich(events)
        yield from pages_of(run, found)
        run.log.info(
            "The recycle bin still held %s of %s deleted records; %s API calls%s.",
            f"{len(found):,}",
            f"{len(events):,}",
            run.session.usage.calls - before,
            f"; {self._not_enriched:,} more were not looked up" if self._not_enriched else "",
        )

    def close(self) -> None:
        """End all threads."""
        self._stopping = True
        self._handover.close()
        for drain in self._drains.values():
            drain.halt()
        for drain in self._drains.values():
            if drain.is_alive():  # a signal may have come before it was started
                drain.join(_JOIN_SECONDS)

    def _prepare(self, one: TopicPlan) -> Iterator[Page]:
        """What is wrong with a topic before it is read."""
        if one.moved:
            for gap in self._holes.moved(one.topic, one.objects):
                yield [gap]
        elif one.too_late:
            for gap in self._holes.expired(one.topic, one.objects):
                yield [gap]
        for sobject in one.hidden:
            for gap in self._holes.hidden(one.topic, sobject):
                yield [gap]

    def _begin(self, name: str, start: Start) -> None:
        run, topic = self._run, self._plans[name].topic
        place = self._kept.positions.topics.get(name)
        watch = Watch.of_position(
            run.rule,
            run.started,
            None if place is None else place.replay_id_at,
            run.clocks.monotonic,
        )
        normaliser = Normaliser(topic, run.org_id, EXTRACTOR_VERSION, self._prefixes)
        drain = Drain(run.client.subscription(name, start), normaliser, watch, self._around())
        self._drains[name] = drain
        drain.start()

    def _around(self) -> Surroundings:
        run = self._run
        return Surroundings(
            run.client.schema, run.allowance, self._handover, self._is_over, run.session.server_time, run.clocks.now
        )

    def _is_over(self) -> bool:
        return self._stopping or self._run.deadline.is_set()

    def _write(self, messages: list[Message]) -> Iterator[Page]:
        """Write what came, in pages of some size, and move positions behind each."""
        events: list[MicroDecisionEvent] = []
        behind: list[Drained] = []
        for message in messages:
            if isinstance(message, Ended):
                continue
            for found in message.dirty:
                events += self._holes.dirty(message.topic, found)
            events += message.events
            behind.append(message)
            if len(events) >= _PAGE:
                yield from pages_of(self._run, events)
                self._move(behind)
                events, behind = [], []
        yield from pages_of(self._run, events)
        self._move(behind)

    def _move(self, behind: list[Drained]) -> None:
        run, kept = self._run, self._kept
        for message in behind:
            before = kept.positions.topics.get(message.topic) or TopicPosition()
            known = before.drained_at
            # The bus is in order: all that lies before a replay id was delivered.
            drained_at = message.at if known is None else max(known, message.at)
            place = TopicPosition(message.replay_id, message.at, drained_at, run.org_id, run.instance)
            kept.become(kept.positions.with_topic(message.topic, place))
            tally = self._tallies[message.topic]
            tally.deliveries += message.deliveries
            tally.events += len(message.events)
            self._remember(message.events)

    def _remember(self, events: list[MicroDecisionEvent]) -> None:
        """Keep deletes that the recycle bin may tell more of."""
        if self._run.settings.enrich == "never":
            return
        for event in events:
            if event.event_type != "record_delete" or event.record_id is None or "owner_id" in event.context.metadata:
                continue
            if event.record_type in self._asked:  # the delete log's turn looks into the bin too
                continue
            if len(self._to_enrich) < _MOST_ENRICHED:
                self._to_enrich.append(event)
            else:
                self._not_enriched += 1

    def _ended(self, message: Ended) -> Iterator[Page | Checkpoint]:
        run, name = self._run, message.topic
        del self._drains[name]
        error = message.error
        if isinstance(error, ReplayIdError) and name not in self._begun_anew:
            self._begun_anew.add(name)
            one = self._plans[name]
            for gap in self._holes.expired(one.topic, one.objects):
                yield [gap]
            yield self._kept.checkpoint()  # at once: a gap that is told twice has another end
            self._begin(name, Earliest())
            return
        tally = self._tallies[name]
        what = f"{tally.deliveries:,} events, {tally.events:,} deletes and undeletes"
        if error is None:
            run.log.info("%s: %s; %s.", name, what, message.end)
            self._note_end(name, message.end)
        elif isinstance(error, QuotaCeilingError):
            run.log.warning("%s: %s; then: %s", name, what, error)
            run.ceiling = error
            self._stopping = True  # the allocation is the org's: no other topic gets more
        elif isinstance(error, MicroDecisionError):
            if name not in str(error):  # one of many topics, and its schemas do not know of which
                error.args = (f"{name}: {error}",)
            run.failed(error)
        else:
            raise error

    def _note_end(self, name: str, end: End | None) -> None:
        """A topic without a position that had nothing is remembered as begun, so that nothing lies between two runs.

        Not one that was stopped before it was drained: what it still holds is not written.
        """
        kept, run = self._kept, self._run
        place = kept.positions.topics.get(name)
        from_now = place is None and run.settings.start_from == "latest"
        if (place is None or place.replay_id is None) and (from_now or end not in {End.STOPPED, End.CEILING}):
            begun = TopicPosition(drained_at=run.started, org_id=run.org_id, instance=run.instance)
            kept.become(kept.positions.with_topic(name, begun))
        if end is End.NO_KEEPALIVE:
            run.log.warning(
                "%s: neither an event nor a keepalive came within %.0f s: its replay id is not renewed.",
                name,
                run.rule.longest_seconds,
            )
