"""Topic names: which events each one shows, and what an org has of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.pubsub.avro import change_event_name
from localcloud.salesforce.pubsub.filters import to_sql
from localcloud.salesforce.pubsub.store import Selection

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from localcloud.salesforce.pubsub.settings import PubSubSettings
    from localcloud.salesforce.sobject import Schema

ALL_CHANGES = "/data/ChangeEvents"


class Part(msgspec.Struct, frozen=True):
    """One entity that a topic shows, and which of its events."""

    entity: str
    where: str = "1"
    parameters: tuple[str | int, ...] = ()
    enriched: bool = False


class Topic(msgspec.Struct, frozen=True):
    """A topic.

    `entity` is the one entity of a topic that has only that one: there the schema is known beforehand and a
    user who may not see it is refused. Topics of several entities have none; what a user may not see is left
    out of them without a word. Source: Change Data Capture guide, "Security Considerations".
    """

    name: str
    parts: tuple[Part, ...]
    entity: str | None = None
    channel: str | None = None

    @property
    def platform(self) -> bool:
        """Whether it carries platform events, which clients may publish."""
        return self.name.startswith("/event/")

    def selection(self, hidden: Container[str] = ()) -> Selection:
        """What it shows to a user who may not see some entities (lower-case names)."""
        parts = [part for part in self.parts if part.entity.lower() not in hidden]
        if not parts:
            return Selection("0", ())
        if self.entity is not None:
            return Selection("entity = ?", (self.entity,))
        where = " OR ".join(f"(+entity = ? AND {part.where})" for part in parts)
        parameters = tuple(value for part in parts for value in (part.entity, *part.parameters))
        enriched = self.channel if any(part.enriched for part in parts) else None
        return Selection(where, parameters, enriched)


def topic_of_entity(name: str) -> str:
    """`/data/AccountChangeEvent`, `/event/Record_Deleted__e`."""
    return f"/event/{name}" if name.endswith("__e") else f"/data/{change_event_name(name)}"


def find(name: str, settings: PubSubSettings, schema: Schema) -> Topic | None:
    """The topic of a name, whose case counts; None where the org has no such topic.

    Raises:
        ValueError: A filter expression of the channel is outside the subset.
    """
    if name == ALL_CHANGES:
        return Topic(name, tuple(Part(entity) for entity in settings.selected if schema.get(entity)))
    kind, _, last = name.removeprefix("/").partition("/")
    if not name.startswith("/") or kind not in {"data", "event"}:
        return None
    if last.endswith("__chn"):
        return _channel(name, last, settings)
    if kind == "event":
        return Topic(name, (Part(last),), last) if settings.platform_event(last) else None
    for sobject in schema:
        if sobject.writable and change_event_name(sobject.name) == last:
            return Topic(name, (Part(sobject.name),), sobject.name)
    return None


def _channel(name: str, last: str, settings: PubSubSettings) -> Topic | None:
    channel = settings.channel(last)
    if channel is None:
        return None
    parts = []
    for member in channel.members:
        if member.entity.endswith("__e") != name.startswith("/event/"):
            return None
        where, parameters = to_sql(member.filter)
        parts.append(Part(member.entity, where, tuple(parameters), bool(member.enrich)))
    return Topic(name, tuple(parts), None, last)


def names(settings: PubSubSettings) -> Iterator[str]:
    """The topics with events: of each captured entity, of all selected, of each channel, of each platform event."""
    for entity in (*settings.selected, *sorted(settings.captured - set(settings.selected))):
        yield topic_of_entity(entity)
    yield ALL_CHANGES
    for channel in settings.channels:
        kind = "event" if any(member.entity.endswith("__e") for member in channel.members) else "data"
        yield f"/{kind}/{channel.name}"
    for event in settings.platform_events:
        yield topic_of_entity(event.name)
