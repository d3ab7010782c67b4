"""All topics of a run: a thread for each, one writer, positions that move behind what was written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microdecisions import timestamps
from microdecisions.errors import MicroDecisionError, QuotaCeilingError, SalesforceError
from tap_salesforce_deletes.draining import PART_BYTES, Drain, Drained, Ended, Message, Surroundings
from tap_salesforce_deletes.handover import Handover
from tap_salesforce_deletes.holes import Holes
from tap_salesforce_deletes.normalise import Normaliser
from tap_salesforce_deletes.planning import start_of
from tap_salesforce_deletes.position import TopicPosition
from tap_salesforce_deletes.pubsub.errors import ReplayIdError
from tap_salesforce_deletes.pubsub.subscription import Earliest
from tap_salesforce_deletes.reconcile.deciding import is_of_past, oldest_kept
from tap_salesforce_deletes.run import EXTRACTOR_VERSION
from tap_salesforce_deletes.waiting import End, Watch
from tap_salesforce_deletes.writing import pages_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

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
        self._to_enrich: dict[str, dict[str, str]] = {}  # instants (canonical text) by record, by object
        self._enrichable = _MOST_ENRICHED
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
        wanted = {name: records for name, records in sorted(self._to_enrich.items()) if name not in pending}
        self._to_enrich = {}
        if not wanted:
            return
        before, found = run.session.usage.calls, 0
        for sobject, records in wanted.items():
            try:
                for known in run.reconciler.enrich(sobject, list(records)):
                    found += len(known)
                    yield from pages_of(run, known)
            except SalesforceError as error:
                error.args = (f"Recycle bin of {sobject}: {error}",)
                run.failed(error)
                self._ask_later(sobject, timestamps.parse(min(records.values())))
        run.log.info(
            "The recycle bin still held %s of %s deleted records; %s API calls%s.",
            f"{found:,}",
            f"{sum(map(len, wanted.values())):,}",
            run.session.usage.calls - before,
            f"; {self._not_enriched:,} more were not looked up" if self._not_enriched else "",
        )

    def _ask_later(self, sobject: str, since: datetime) -> None:
        """Let the delete log be asked of an object whose deleted rows were refused: it looks into the bin again."""
        run, kept = self._run, self._kept
        summary = run.objects.get(sobject)
        if summary is not None and summary.replicateable and run.settings.reconcile != "never":
            kept.become(kept.positions.with_pending(sobject, since))

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
            before = kept.positions.topics.get(message.topic)
            replay_id_at, drained_at = self._read_to(before, message.at)
            place = TopicPosition(message.replay_id, replay_id_at, drained_at, run.org_id, run.instance)
            kept.become(kept.positions.with_topic(message.topic, place))
            tally = self._tallies[message.topic]
            tally.deliveries += message.deliveries
            tally.events += len(message.events)
            self._remember(message.events)

    def _read_to(self, before: TopicPosition | None, at: datetime) -> tuple[datetime | None, datetime]:
        """When the event that was read last was published, and up to when the topic is read.

        The bus is in order: all that lies before a replay id was delivered. A stamp that is still to come is of a
        publisher whose clock is ahead, and says nothing of either.
        """
        stored, is_ahead = before or TopicPosition(), self._run.is_ahead(at)
        now = self._run.session.server_time()
        replay_id_at, drained_at = (
            one if one is not None and is_of_past(one, now) else None
            for one in (stored.replay_id_at, stored.drained_at)
        )
        if not is_ahead:
            return at, at if drained_at is None else max(drained_at, at)
        if drained_at is None:
            drained_at = replay_id_at or self._promised_from(before)
        return replay_id_at, drained_at

    def _promised_from(self, before: TopicPosition | None) -> datetime:
        """Since when nothing of a topic may be missing without a gap that was never read."""
        run = self._run
        is_from_now = before is None and run.settings.start_from == "latest"
        return run.started if is_from_now else oldest_kept(run.started)

    def _remember(self, events: list[MicroDecisionEvent]) -> None:
        """Keep deletes that the recycle bin may tell more of."""
        if self._run.settings.enrich == "never":
            return
        for event in events:
            sobject, record_id = event.record_type, event.record_id
            if event.event_type != "record_delete" or not record_id or "owner_id" in event.context.metadata:
                continue
            if not sobject or sobject in self._asked:  # the delete log's turn looks into the bin too
                continue
            records = self._to_enrich.setdefault(sobject, {})
            if record_id in records:
                continue
            if self._enrichable:
                records[record_id] = event.timestamp_recorded
                self._enrichable -= 1
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

        Not one that was stopped before it was drained: what it still holds is not written. One that said nothing at all
        may hold whatever the bus keeps.
        """
        kept, run = self._kept, self._run
        place = kept.positions.topics.get(name)
        from_now = place is None and run.settings.start_from == "latest"
        if (place is None or place.replay_id is None) and (from_now or end not in {End.STOPPED, End.CEILING}):
            drained_at = run.started
            if end is End.NO_KEEPALIVE:
                known = None if place is None else place.drained_at
                drained_at = known or self._promised_from(place)
            begun = TopicPosition(drained_at=drained_at, org_id=run.org_id, instance=run.instance)
            kept.become(kept.positions.with_topic(name, begun))
        if end is End.NO_KEEPALIVE:
            run.log.warning(
                "%s: neither an event nor a keepalive came within %.0f s: its replay id is not renewed.",
                name,
                run.rule.longest_seconds,
            )
