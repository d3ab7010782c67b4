"""What several kinds of rows share: ids, and the record that a decision is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NotRequired, TypedDict, Unpack

from microdecisions.actors import Actor
from microdecisions.event import MicroDecisionEvent
from microdecisions.ids import to_18

if TYPE_CHECKING:
    from collections.abc import Mapping

    from microdecisions.event import EventContext, EventType
    from tap_salesforce_temporal.normalise import Extraction

__all__ = ["UNKNOWN", "decided", "facts", "id_or_none", "record_of"]

UNKNOWN: Final = Actor(None, None, None)
"""Somebody whom the row does not name."""


def id_or_none(record_id: str | None) -> str | None:
    """The 18 characters of an id; None for none."""
    return to_18(record_id) if record_id else None


def record_of(record_id: str | None, objects_by_prefix: Mapping[str, str]) -> tuple[str | None, str | None]:
    """API name and id of a record; the name is None where the org does not show the object."""
    if not record_id:
        return None, None
    return objects_by_prefix.get(record_id[:3]), to_18(record_id)


def facts(**values: str | None) -> dict[str, str]:
    """Facts for `context.metadata`, without the empty ones."""
    return {name: value for name, value in values.items() if value}


class Columns(TypedDict):
    """Columns of an event that its row tells, in canonical form; see `MicroDecisionEvent`."""

    event_id: str
    event_type: EventType
    timestamp_occurred: str
    timestamp_recorded: str
    record_type: str | None
    record_id: str | None
    field_name: str | None
    new_value: str | None
    context: EventContext
    is_primary: NotRequired[bool]


def decided(extraction: Extraction, actor: Actor, **columns: Unpack[Columns]) -> MicroDecisionEvent:
    """The event of a decision whose row does not tell what was before.

    Args:
        extraction: What the events of a page share.
        actor: Who decided.
        columns: The other columns; it is a primary event unless they say otherwise.
    """
    columns.setdefault("is_primary", True)
    return MicroDecisionEvent(
        actor_id=actor.id,
        actor_type=actor.type,
        actor_name=actor.name,
        old_value=None,
        extracted_at=extraction.extracted_at,
        extractor_version=extraction.extractor_version,
        **columns,
    )
