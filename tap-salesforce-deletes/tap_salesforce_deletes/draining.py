"""One topic, read in a thread of its own: events are decoded and normalised there, and handed over to be written."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from tap_salesforce_deletes.waiting import End

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_deletes.allowance import Allowance
    from tap_salesforce_deletes.handover import Handover
    from tap_salesforce_deletes.normalise import Dirty, Normalised, Normaliser
    from tap_salesforce_deletes.pubsub.avro import EventSchema
    from tap_salesforce_deletes.pubsub.subscription import Delivery, Event, Subscription
    from tap_salesforce_deletes.waiting import Watch

__all__ = ["PART_BYTES", "Drain", "Drained", "Ended", "Message", "Surroundings"]

_LONG_AGO: Final = -(2**63)  # milliseconds since 1970: before any stamp
_RECORD_BYTES: Final = 1_000  # what a record weighs at least on its way to the writer: about its line
PART_BYTES: Final = 1_000 * _RECORD_BYTES
"""Handed over at once, unless one event weighs more."""
_ID_BYTES: Final = 19  # of an id in a payload


class Drained(msgspec.Struct, frozen=True):
    """What came from a topic: when it is written, the position may move to `replay_id`.

    Attributes:
        topic: Its name.
        events: To be written.
        dirty: Objects whose deletes were not named.
        replay_id: Of the last event in it, or of a keepalive.
        at: The latest time stamped on an event up to that one, or Salesforce's time at the keepalive.
        deliveries: Events of the bus that it stands for.
    """

    topic: str
    events: list[MicroDecisionEvent]
    dirty: list[Dirty]
    replay_id: bytes
    at: datetime
    deliveries: int = 0


class Ended(msgspec.Struct, frozen=True):
    """The reading of a topic is over: why, or what went wrong."""

    topic: str
    end: End | None = None
    error: Exception | None = None


Message = Drained | Ended


class Surroundings(msgspec.Struct, frozen=True):
    """What all topics of a run share.

    Attributes:
        schema: The schema of an event, by its id.
        allowance: Counts deliveries.
        handover: Where what came goes.
        stop: Whether the run is to end.
        server_time: Salesforce's clock.
        now: The wall clock, aware UTC: when events were read.
    """

    schema: Callable[[str], EventSchema]
    allowance: Allowance
    handover: Handover[Message]
    stop: Callable[[], bool]
    server_time: Callable[[], datetime]
    now: Callable[[], datetime]


class Drain(threading.Thread):
    """Reads one topic until its watch, the allowance or the run says stop.

    Args:
        subscription: To the topic; it is closed at the end.
        normaliser: Of this topic.
        watch: When to stop.
        around: What all topics share.
    """

    def __init__(self, subscription: Subscription, normaliser: Normaliser, watch: Watch, around: Surroundings) -> None:
        super().__init__(name=f"drain {subscription.topic}", daemon=True)
        self.topic = subscription.topic
        self._subscription = subscription
        self._normaliser = normaliser
        self._watch = watch
        self._around = around

    def halt(self) -> None:
        """End the reading, also while it waits."""
        self._subscription.close()

    def run(self) -> None:
        """Read, and hand over what came and how it ended."""
        try:
            try:
                ended = Ended(self.topic, self._read(self._subscription))
            finally:
                self._subscription.close()
        except Exception as error:  # noqa: BLE001  # told by the thread that writes, whatever it is
            ended = Ended(self.topic, error=error)
        self._around.handover.put(ended)

    def _read(self, subscription: Subscription) -> End:
        watch = self._watch
        while True:
            if self._around.stop():
                return End.STOPPED
            if self._around.allowance.spent():
                return End.CEILING
            if (end := watch.end(subscription.is_idle)) is not None:
                return end
            delivery = subscription.receive(watch.patience)
            if delivery is None:
                continue
            if not self._take(delivery):
                return End.STOPPED

    def _take(self, delivery: Delivery) -> bool:
        """Hand over what a delivery holds; False when nobody takes it any more."""
        if not delivery.events:
            now = self._around.server_time()
            self._watch.heard(None)
            if not delivery.latest_replay_id:  # a sign of life that names no place
                return True
            return self._around.handover.put(Drained(self.topic, [], [], delivery.latest_replay_id, now))
        around = self._around
        around.allowance.took(len(delivery.events))
        extracted_at = timestamps.to_text(around.now())
        part = _Part(self.topic)
        schema_id, schema = "", None
        decisions: Callable[[Event, EventSchema, str], Normalised] = self._normaliser.decisions
        try:
            for event in delivery.events:
                if schema is None or event.schema_id != schema_id:  # most events of a delivery share their schema
                    schema_id, schema = event.schema_id, around.schema(event.schema_id)
                    decisions = self._normaliser.of(schema)
                part.add(event, decisions(event, schema, extracted_at))
                if part.weight >= PART_BYTES:
                    whole, part = part, _Part(self.topic, part.newest)
                    if not around.handover.put(whole.taken(), whole.weight):
                        return False
        finally:  # what stands before an event that cannot be read is written
            if part.count:
                around.handover.put(part.taken(), part.weight)
        self._watch.heard(part.at)
        return True


class _Part:
    """Events of a delivery that are handed over together.

    Attributes:
        events: To be written.
        count: Events of the bus that they came in.
        newest: The latest time stamped on one of those, in milliseconds since 1970.
        weight: Bytes, roughly, of what is to be written.
    """

    def __init__(self, topic: str, newest: int = _LONG_AGO) -> None:
        self.events: list[MicroDecisionEvent] = []
        self.count = 0
        self.newest = newest
        self.weight = 0
        self._topic = topic
        self._dirty: list[Dirty] = []
        self._replay_id = b""

    def add(self, event: Event, found: Normalised) -> None:
        """Add what one event holds."""
        self.events += found.events
        size = len(event.payload)
        if size <= _RECORD_BYTES:
            self.weight += _RECORD_BYTES
        else:  # each record of a merged event has all of its payload but the other ids
            records = len(found.events)
            self.weight += _RECORD_BYTES + records * max(_RECORD_BYTES, size - records * _ID_BYTES)
        if found.dirty:
            self._dirty += found.dirty
        self.count += 1
        self._replay_id = event.replay_id
        # A duplicate may stand behind newer events: the bus is in order, so all before it is as new as they are.
        if found.at > self.newest:  # noqa: PLR1730  # for each event: a call of `max` takes three times as long
            self.newest = found.at

    @property
    def at(self) -> datetime:
        """The latest time stamped on an event up to its end."""
        return timestamps.from_epoch_ms(self.newest)

    def taken(self) -> Drained:
        """What is handed over."""
        return Drained(self._topic, self.events, self._dirty, self._replay_id, self.at, deliveries=self.count)
