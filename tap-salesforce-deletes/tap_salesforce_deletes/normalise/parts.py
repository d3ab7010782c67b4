"""What normalising gives, and what change events and platform events share: their stamps and their refusals."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # evaluated by what makes structs of annotations
from typing import TYPE_CHECKING

import msgspec

from microdecisions import soql, timestamps
from microdecisions.event import MicroDecisionEvent  # noqa: TC001  # evaluated too
from tap_salesforce_deletes.pubsub.errors import PayloadError

if TYPE_CHECKING:
    from tap_salesforce_deletes.pubsub.subscription import Event

__all__ = ["Dirty", "Normalised", "Stamps", "is_name", "not_understood"]


class Dirty(msgspec.Struct, frozen=True):
    """Deletes of an object that a topic did not name.

    Attributes:
        sobject: API name.
        at: When they happened, as far as the event says.
        why: For an operator: the rest of a sentence that begins with the topic.
    """

    sobject: str
    at: datetime
    why: str


class Normalised(msgspec.Struct, gc=False):
    """What one event holds.

    Attributes:
        at: When Salesforce stamped it.
        events: One per record that was deleted or undeleted.
        dirty: Objects to be asked.
    """

    at: datetime
    events: list[MicroDecisionEvent] = []
    dirty: list[Dirty] = []


class Stamps:
    """Reads stamps of events; most of a delivery are of the same second.

    Args:
        topic: For messages.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._second = 0
        self._instant = timestamps.from_epoch_ms(0)
        self._text = timestamps.to_text(self._instant)[:20]

    def read(self, event: Event, name: str, milliseconds: int) -> tuple[datetime, str]:
        """The instant of a field, and its canonical text.

        Raises:
            PayloadError: it is outside the calendar.
        """
        second, rest = divmod(milliseconds, 1000)
        if second != self._second:
            try:
                instant = timestamps.from_epoch_ms(second * 1000)
            except OverflowError:
                raise not_understood(self._topic, event, f"has a {name} outside the calendar") from None
            self._second, self._instant, self._text = second, instant, timestamps.to_text(instant)[:20]
        if not rest:
            return self._instant, f"{self._text}000000Z"
        return timestamps.from_epoch_ms(milliseconds), f"{self._text}{rest:03d}000Z"


def not_understood(topic: str, event: Event, what: str) -> PayloadError:
    """The error for an event that is no delete anybody could write down.

    Args:
        topic: Its name.
        event: As it came.
        what: Is wrong with it; follows the words "An event of the topic".
    """
    return PayloadError(
        f"An event of {topic} {what} (replay id {event.replay_id.hex()}): the topic stops before it and keeps its "
        "position. Report it with the event's definition; to go on without the event, set `start_from` to latest and "
        "remove the topic's entry from the state."
    )


def is_name(text: str) -> bool:
    """Whether a text is an API name."""
    try:
        soql.identifier(text)
    except ValueError:
        return False
    return True
