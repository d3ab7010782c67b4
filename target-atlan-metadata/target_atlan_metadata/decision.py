"""What the target reads of an event: the fields that figures are made of, and nothing else of a record's content.

Decoding into these structs is the validation: an event that lacks a field, or holds another type, is refused.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from microdecisions.event import ActorType, EventType, Source  # noqa: TC001  # msgspec evaluates annotations

__all__ = ["NEEDED", "Context", "Decision"]


class Context(msgspec.Struct, gc=False):
    """The part of an event's context that is read."""

    source: Source | None = None
    metadata: dict[str, str] | None = None


class Decision(msgspec.Struct, gc=False):
    """One event, as far as figures need it. The fields are those of `microdecisions.event.MicroDecisionEvent`."""

    event_id: Annotated[str, msgspec.Meta(min_length=1)]
    event_type: EventType
    timestamp_occurred: str
    timestamp_recorded: str
    actor_id: str | None
    actor_type: ActorType | None
    record_type: str | None
    record_id: str | None
    field_name: str | None
    old_value: str | None
    new_value: str | None
    is_primary: bool
    actor_name: str | None = None
    context: Context | None = None
    extracted_at: str | None = None


NEEDED: Final = tuple(field.name for field in msgspec.structs.fields(Decision) if field.required)
"""Fields that a stream must have to be read."""
