"""The event that says that deletes may be missing between two instants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microdecisions import timestamps
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import gap_id

if TYPE_CHECKING:
    from datetime import datetime

    from microdecisions.event import Source

__all__ = ["gap_event"]

_STREAM: Final = "delete_events"


def gap_event(
    org_id: str,
    subject: str,
    start: datetime,
    end: datetime,
    *,
    why: str,
    source: Source,
    extracted_at: str,
    extractor_version: str,
) -> MicroDecisionEvent:
    """Make the event of a gap.

    Args:
        org_id: 18 characters.
        subject: Name of the topic, or API name of the object, whose deletes may be missing.
        start: Of the interval.
        end: Of the interval.
        why: One sentence.
        source: The way of reading that has the hole.
        extracted_at: Canonical text.
        extractor_version: Package and version.
    """
    start_text, end_text = timestamps.to_text(start), timestamps.to_text(end)
    stream = subject if subject.startswith("/") else _STREAM
    event_id = gap_id(org_id, subject.rpartition("/")[2], stream, start_text, end_text)
    context = EventContext(subject, event_id.partition(":gap:")[2], source)
    context.source_record_id = f"gap:{context.source_record_id}"
    context.metadata = {"gap_start": start_text, "gap_end": end_text, "why": why}
    return MicroDecisionEvent(
        event_id,
        "gap",
        end_text,
        end_text,
        None,
        None,
        None,
        subject,
        None,
        None,
        None,
        None,
        True,
        context,
        extracted_at,
        extractor_version,
    )
