"""Mends what a topic cannot bring: decides, puts objects on the list of those to ask, and writes gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from microdecisions import timestamps
from tap_salesforce_deletes.normalise import gap_event
from tap_salesforce_deletes.position import TopicPosition
from tap_salesforce_deletes.reconcile.deciding import (
    AROUND_OVERFLOW,
    BEHIND_OVERFLOW,
    RETENTION,
    Interval,
    Trouble,
    ceil_hour,
    decide,
    floor_hour,
)
from tap_salesforce_deletes.run import EXTRACTOR_VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from microdecisions.event import MicroDecisionEvent
    from microdecisions.event import Source as Witness
    from tap_salesforce_deletes.keeping import KeptPositions
    from tap_salesforce_deletes.normalise import Dirty
    from tap_salesforce_deletes.run import Run
    from tap_salesforce_deletes.topics import Topic

__all__ = ["Holes"]


class Holes:
    """What a run does about holes.

    What is to be asked of the delete log goes into the positions in the same STATE that lets a topic go on: a run that
    is killed before it asks leaves that to the next.

    Args:
        run: The run.
        kept: Its positions.
    """

    def __init__(self, run: Run, kept: KeptPositions) -> None:
        self._run = run
        self._kept = kept
        self._told: set[tuple[str, Interval]] = set()

    def expired(self, topic: Topic, objects: Collection[str]) -> Iterator[MicroDecisionEvent]:
        """The topic's replay id is refused: it begins anew with the oldest event, and loses its position."""
        return self._begins_anew(topic, objects, Trouble.REPLAY_ID_EXPIRED)

    def moved(self, topic: Topic, objects: Collection[str]) -> Iterator[MicroDecisionEvent]:
        """The org has another event bus: the topic begins anew with the oldest event, and loses its position."""
        return self._begins_anew(topic, objects, Trouble.ORG_CHANGED)

    def hidden(self, topic: Topic, sobject: str) -> Iterator[MicroDecisionEvent]:
        """An object of a channel is not visible to the login user; asked for as soon as it is."""
        run, kept = self._run, self._kept
        if sobject in kept.positions.pending:
            run.log.warning(
                "%s is still hidden from the login user, and its deletes are left out of %s without a word: grant View "
                "All Records on it. They are looked up once it is visible.",
                sobject,
                topic.name,
            )
            return
        position = kept.positions.topics.get(topic.name)
        now = run.session.server_time()
        decision = decide(f"{sobject} on {topic.name}", position, Trouble.NO_PERMISSION, now)
        since = now - RETENTION if decision.reconcile is None else decision.reconcile.start
        if decision.gap is None:
            run.log.warning("%s", decision.sentence)
        else:
            yield self._gap(sobject, decision.gap, decision.sentence, "change_event")
            if run.settings.reconcile == "never":  # nobody will be asked for that, so only what comes now is open
                since = decision.gap.end
        kept.become(kept.positions.with_pending(sobject, since))  # behind the gap, which is written by now

    def dirty(self, topic: str, found: Dirty) -> Iterator[MicroDecisionEvent]:
        """A topic told of deletes without naming the records."""
        run, kept = self._run, self._kept
        now = run.session.server_time()
        at = min(found.at, now)  # a publisher's clock may be ahead
        if found.sobject is None:
            yield from self._nameless(topic, at, found.why)
            return
        decision = decide(topic, kept.positions.topics.get(topic), Trouble.OVERFLOW, now, at=at)
        if decision.reconcile is not None and run.settings.reconcile != "never" and self._can_be_asked(found.sobject):
            run.log.warning("%s %s: the delete log is asked for it.", topic, found.why)
            kept.become(kept.positions.with_pending(found.sobject, decision.reconcile.start))
            return
        missing = decision.unasked
        if missing is not None:
            sentence = f"{topic} {found.why} at {timestamps.to_text(at)}, and {self._why_not(found.sobject)}."
            yield self._gap(found.sobject, missing, sentence, "change_event")

    def _nameless(self, topic: str, at: datetime, why: str) -> Iterator[MicroDecisionEvent]:
        """An event that names no object either: nobody can be asked. Whole hours, told once: a trigger fires often."""
        missing = Interval(floor_hour(at - AROUND_OVERFLOW), ceil_hour(at + BEHIND_OVERFLOW))
        if (topic, missing) in self._told:
            return
        self._told.add((topic, missing))
        sentence = (
            f"{topic} {why} at {timestamps.to_text(at)}, and does not name the object either: no delete log can be "
            "asked, so a `gap` event is written. Correct what publishes it, or the `fields` of the topic."
        )
        yield self._gap(topic, missing, sentence, "platform_event")

    def _begins_anew(self, topic: Topic, objects: Collection[str], trouble: Trouble) -> Iterator[MicroDecisionEvent]:
        run, kept = self._run, self._kept
        decision = decide(topic.name, kept.positions.topics.get(topic.name), trouble, run.session.server_time())
        missing = decision.gap
        blank = self._blank(kept.positions.topics.get(topic.name), trouble, missing)
        positions = kept.positions.with_topic(topic.name, blank)
        if decision.reconcile is not None and run.settings.reconcile != "never":
            for sobject in objects:
                if self._can_be_asked(sobject):
                    positions = positions.with_pending(sobject, decision.reconcile.start)
        if missing is None:
            run.log.warning("%s", decision.sentence)
        else:
            yield self._gap(topic.name, missing, decision.sentence, "change_event")
        kept.become(positions)

    def _blank(self, before: TopicPosition | None, trouble: Trouble, missing: Interval | None) -> TopicPosition:
        """A position without a replay id; up to where the topic was written, or was told to be missing, stays known."""
        run = self._run
        told_to = None if missing is None else missing.end
        if before is None or trouble is Trouble.ORG_CHANGED:
            return TopicPosition(drained_at=told_to, org_id=run.org_id, instance=run.instance)
        known = max((at for at in (before.drained_at, before.replay_id_at, told_to) if at is not None), default=None)
        return msgspec.structs.replace(before, replay_id=None, replay_id_at=None, drained_at=known)

    def _can_be_asked(self, sobject: str) -> bool:
        summary = self._run.objects.get(sobject)
        return summary is not None and summary.replicateable

    def _why_not(self, sobject: str) -> str:
        if self._run.settings.reconcile == "never":
            return "`reconcile` is `never`, so a `gap` event is written"
        if not self._can_be_asked(sobject):
            return f"{sobject} has no delete log that the login user may read, so a `gap` event is written"
        return "the delete log does not go back that far, so a `gap` event is written"

    def _gap(self, subject: str, missing: Interval, sentence: str, source: Witness) -> MicroDecisionEvent:
        run = self._run
        run.gap(sentence)
        return gap_event(
            run.org_id,
            subject,
            missing.start,
            missing.end,
            why=sentence,
            source=source,
            extracted_at=run.extracted_at(),
            extractor_version=EXTRACTOR_VERSION,
        )
