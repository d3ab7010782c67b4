"""Tasks and entries of calendars: one event per version that was seen.

A row holds its last state only. Each change gives it a new SystemModstamp, which is part of the event's id, so that a
version is one event however often it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext
from microdecisions.ids import to_18, version_event_id
from tap_salesforce_temporal.normalise.common import decided, facts, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from microdecisions.actors import Actor
    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.normalise import Extraction

__all__ = ["ActivityRow", "activities"]


class ActivityRow(msgspec.Struct):
    """One row of `Task` or `Event`."""

    id: str = msgspec.field(name="Id")
    last_modified_date: str = msgspec.field(name="LastModifiedDate")
    system_modstamp: str = msgspec.field(name="SystemModstamp")
    status: str | None = msgspec.field(name="Status", default=None)
    who_id: str | None = msgspec.field(name="WhoId", default=None)
    what_id: str | None = msgspec.field(name="WhatId", default=None)
    subject: str | None = msgspec.field(name="Subject", default=None)
    type: str | None = msgspec.field(name="Type", default=None)
    task_subtype: str | None = msgspec.field(name="TaskSubtype", default=None)
    event_subtype: str | None = msgspec.field(name="EventSubtype", default=None)
    priority: str | None = msgspec.field(name="Priority", default=None)
    activity_date: Any = msgspec.field(name="ActivityDate", default=None)
    start: str | None = msgspec.field(name="StartDateTime", default=None)
    location: str | None = msgspec.field(name="Location", default=None)
    last_modified_by_id: str | None = msgspec.field(name="LastModifiedById", default=None)


def activities(
    rows: Sequence[ActivityRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
    *,
    sobject: Literal["Task", "Event"],
) -> Iterator[MicroDecisionEvent]:
    """Turn rows into one event each.

    Args:
        rows: Rows of one object.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        actors: By user id; holds the LastModifiedById of each row.
        extraction: What the events share.
        sobject: The object; an entry of a calendar has no status.
    """
    has_status = sobject == "Task"
    for row in rows:
        actor, row_id = actors[row.last_modified_by_id], to_18(row.id)
        recorded = timestamps.canonical(row.system_modstamp)
        about = row.what_id or row.who_id
        record_type, record_id = record_of(about, objects_by_prefix) if about else (sobject, row_id)
        start = values.canonical(row.start, "datetime")
        yield decided(
            extraction,
            actor,
            event_id=version_event_id(extraction.org_id, sobject, row_id, recorded),
            event_type="activity",
            timestamp_occurred=timestamps.canonical(row.last_modified_date),
            timestamp_recorded=recorded,
            record_type=record_type,
            record_id=record_id,
            field_name="Status" if has_status else None,
            new_value=values.canonical(row.status, "Picklist"),
            context=EventContext(
                source_object=sobject,
                source_record_id=row_id,
                source=extraction.source,
                data_type="Picklist" if has_status else None,
                related_records={"Who": to_18(row.who_id)} if row.what_id and row.who_id else {},
                activity_subject=values.canonical(row.subject, None),
                activity_type=row.type or row.task_subtype or row.event_subtype,
                activity_priority=row.priority,
                activity_due_date=values.canonical(row.activity_date, "date"),
                metadata=facts(start=start, location=row.location),
            ),
        )
