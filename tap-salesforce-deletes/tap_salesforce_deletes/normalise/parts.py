"""What normalising gives, and what change events and platform events share: their stamps and their refusals."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003  # evaluated by what makes structs of annotations
from datetime import datetime  # noqa: TC003  # evaluated by what makes structs of annotations
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import soql, timestamps
from microdecisions.event import MicroDecisionEvent  # noqa: TC001  # evaluated too
from microdecisions.ids import is_id, to_18
from tap_salesforce_deletes.pubsub.errors import PayloadError

if TYPE_CHECKING:
    from tap_salesforce_deletes.pubsub.subscription import Event

__all__ = [
    "MIDNIGHT",
    "MILLISECONDS_FROM",
    "USER",
    "Dirty",
    "Normalised",
    "Stamps",
    "id_or_fact",
    "is_name",
    "not_understood",
]

USER: Final = "005"
"""How ids of users begin."""
MILLISECONDS_FROM: Final = 100_000_000_000
"""A number at least this large is in milliseconds; below, in seconds since 1970, as clients publish it that follow the
official Python example."""
MIDNIGHT: Final = "T00:00:00.000000Z"
"""The end of a date without a time, in canonical text."""


class Dirty(msgspec.Struct, frozen=True):
    """Deletes that a topic told of without naming the records.

    Attributes:
        sobject: API name of their object; None where that was not said either.
        at: When they happened, as far as the event says.
        why: For an operator: the rest of a sentence that begins with the topic.
    """

    sobject: str | None
    at: datetime
    why: str


class Normalised(msgspec.Struct, gc=False):
    """What one event holds.

    Attributes:
        at: When Salesforce stamped it, in milliseconds since 1970, UTC.
        events: One per record that was deleted or undeleted.
        dirty: Objects to be asked.
    """

    at: int
    events: Sequence[MicroDecisionEvent] = ()
    dirty: Sequence[Dirty] = ()


class Stamps:
    """Reads stamps of events; most of a delivery are of the same second, and many of the same transaction.

    Args:
        topic: For messages.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._second = 0
        self._until_second = timestamps.to_text(timestamps.from_epoch_ms(0))[:20]
        self._milliseconds = 0
        self._text = f"{self._until_second}000000Z"

    def text(self, event: Event, name: str, milliseconds: int) -> str:
        """The canonical text of a field's instant.

        Raises:
            PayloadError: it is outside the calendar.
        """
        if milliseconds == self._milliseconds:
            return self._text
        second, rest = divmod(milliseconds, 1000)
        if second != self._second:
            try:
                self._until_second = timestamps.to_text(timestamps.from_epoch_ms(second * 1000))[:20]
            except OverflowError:
                raise not_understood(self._topic, event, f"has a {name} outside the calendar") from None
            self._second = second
        self._milliseconds, self._text = milliseconds, f"{self._until_second}{rest:03d}000Z"
        return self._text


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


def id_or_fact(said: str | None, fact: str, facts: dict[str, str], *, prefix: str = "") -> str | None:
    """An id of 18 characters; what is none is kept as it is among the facts.

    Args:
        said: Text without blanks around it; None where there is none.
        fact: The name under which it is kept.
        facts: Are added to.
        prefix: Of the ids that fit.
    """
    if said is None:
        return None
    if is_id(said) and said.startswith(prefix):
        return to_18(said)
    facts[fact] = said
    return None


def is_name(text: str) -> bool:
    """Whether a text is an API name."""
    try:
        soql.identifier(text)
    except ValueError:
        return False
    return True
