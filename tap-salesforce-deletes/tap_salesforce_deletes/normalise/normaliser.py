"""One normaliser per topic: tells change events from platform events by their schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_salesforce_deletes.normalise.change_events import ChangeEvents
from tap_salesforce_deletes.normalise.platform_events import PlatformEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_salesforce_deletes.normalise.parts import Normalised
    from tap_salesforce_deletes.pubsub.avro import EventSchema
    from tap_salesforce_deletes.pubsub.subscription import Event
    from tap_salesforce_deletes.topics import Topic

__all__ = ["Normaliser"]


class Normaliser:
    """Turns the events of one topic into decisions, and keeps what can be made once for many of them.

    Args:
        topic: The topic.
        org_id: 18 characters.
        extractor_version: Package and version.
        objects_by_prefix: API names by the first three characters of ids: for platform events that do not say whose
            record was deleted.
    """

    def __init__(
        self, topic: Topic, org_id: str, extractor_version: str, objects_by_prefix: Mapping[str, str] | None = None
    ) -> None:
        self._changes = ChangeEvents(topic.name, org_id, extractor_version)
        self._others = PlatformEvents(topic, org_id, extractor_version, objects_by_prefix or {})

    def decisions(self, event: Event, schema: EventSchema, extracted_at: str) -> Normalised:
        """What one event holds.

        Args:
            event: As it came.
            schema: Of the event's schema id.
            extracted_at: Canonical text.

        Raises:
            PayloadError: the event cannot be decoded or understood.
            ConfigurationError: a field that the setting maps is not in the schema.
        """
        return self.of(schema)(event, schema, extracted_at)

    def of(self, schema: EventSchema) -> Callable[[Event, EventSchema, str], Normalised]:
        """What `decisions` does with events of a schema, for those who have many of them."""
        return self._changes.decisions if schema.is_change_event else self._others.decisions
