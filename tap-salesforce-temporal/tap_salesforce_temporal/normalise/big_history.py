"""Histories that Salesforce keeps as big objects: the field history of activities, and the archive of old history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import is_id, row_event_id, to_18
from tap_salesforce_temporal.normalise.field_change import (
    NOT_RECORDED,
    OPPORTUNITY_HISTORY_FIELDS,
    is_pseudo_field,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from microdecisions.actors import Actor
    from tap_salesforce_temporal.normalise import Extraction

__all__ = ["ActivityHistoryRow", "ArchiveRow", "activity_changes", "archived_changes"]

_NO_ID: Final = "000000000000000"
_DATA_TYPES: Final = {
    "boolean": "Boolean",
    "combobox": "DynamicEnum",
    "currency": "Currency",
    "date": "DateOnly",
    "datetime": "DateTime",
    "double": "Double",
    "email": "Email",
    "encryptedstring": "Text",
    "int": "Double",
    "long": "Double",
    "multipicklist": "MultiEnum",
    "percent": "Percent",
    "phone": "Phone",
    "picklist": "DynamicEnum",
    "string": "Text",
    "textarea": "Text",
    "url": "Text",
}
"""What a history row says in DataType of a field that describe calls so."""


class ActivityHistoryRow(msgspec.Struct, gc=False):
    """One row of `ActivityFieldHistory`; values are in the columns of their kind."""

    id: str = msgspec.field(name="Id")
    activity_id: str = msgspec.field(name="ActivityId")
    changed_date: str = msgspec.field(name="ChangedDate")
    field: str = msgspec.field(name="FieldName")
    changed_by_id: str | None = msgspec.field(name="ChangedById", default=None)
    data_type: str | None = msgspec.field(name="DataType", default=None)
    old_text: str | None = msgspec.field(name="OldValueText", default=None)
    new_text: str | None = msgspec.field(name="NewValueText", default=None)
    old_number: Any = msgspec.field(name="OldValueNumber", default=None)
    new_number: Any = msgspec.field(name="NewValueNumber", default=None)
    old_instant: str | None = msgspec.field(name="OldValueDateTime", default=None)
    new_instant: str | None = msgspec.field(name="NewValueDateTime", default=None)


class ArchiveRow(msgspec.Struct, gc=False):
    """One row of `FieldHistoryArchive`."""

    id: str = msgspec.field(name="Id")
    field: str = msgspec.field(name="Field")
    created_date: str = msgspec.field(name="CreatedDate")
    parent_type: str | None = msgspec.field(name="FieldHistoryType", default=None)
    parent_id: str | None = msgspec.field(name="ParentId", default=None)
    old_value: Any = msgspec.field(name="OldValue", default=None)
    new_value: Any = msgspec.field(name="NewValue", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)
    history_id: str | None = msgspec.field(name="HistoryId", default=None)


def activity_changes(
    rows: Sequence[ActivityHistoryRow],
    objects_by_prefix: Mapping[str, str],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of `ActivityFieldHistory` into one event each.

    Args:
        rows: The rows.
        objects_by_prefix: API name of the sObject by the first three characters of its ids.
        actors: By user id; holds the ChangedById of each row.
        extraction: What the events share.
    """
    for row in rows:
        actor, at = actors[row.changed_by_id], timestamps.canonical(row.changed_date)
        activity = to_18(row.activity_id)
        row_id = to_18(row.id) if row.id[:15] != _NO_ID else f"{activity}.{at}.{row.field}"
        old = _value(row.old_text, row.old_number, row.old_instant, row.data_type)
        new = _value(row.new_text, row.new_number, row.new_instant, row.data_type)
        yield _change(
            row_event_id(extraction.org_id, "ActivityFieldHistory", row_id),
            at,
            actor,
            (objects_by_prefix.get(activity[:3]), activity),
            (row.field, old, new),
            EventContext("ActivityFieldHistory", row_id, extraction.source, row.data_type),
            extraction,
        )


def _value(text: str | None, number: Any, instant: str | None, data_type: str | None) -> str | None:
    """The one of the three that has a value."""
    if text:
        return values.canonical(text, data_type)
    if instant:
        return values.canonical(instant, data_type if data_type in {"DateOnly", "DateTime"} else "DateTime")
    return values.canonical(number, "Double")


def archived_changes(
    rows: Sequence[ArchiveRow],
    histories: Mapping[str, str],
    field_types: Callable[[str], Mapping[str, str]],
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
    *,
    second_witness: bool = False,
) -> Iterator[MicroDecisionEvent]:
    """Turn rows of `FieldHistoryArchive` into one event each, the same one that the live row gives.

    Args:
        rows: The rows.
        histories: API name of the history object by that of the object it is about.
        field_types: Gives describe's type of an object's fields, by the name that history calls them.
        actors: By user id; holds the CreatedById of each row.
        extraction: What the events share.
        second_witness: Whether OpportunityHistory is the first witness of the changes that both record.
    """
    for row in rows:
        actor, at = actors[row.created_by_id], timestamps.canonical(row.created_date)
        parent = row.parent_type
        types = {} if parent is None else field_types(parent)
        kind = _data_type(row, types.get(row.field))
        old, new = values.canonical(row.old_value, kind), values.canonical(row.new_value, kind)
        live = histories.get(parent or "") if row.history_id else None
        row_id = to_18(row.history_id if row.history_id and live else row.id)
        event = _change(
            row_event_id(extraction.org_id, live or "FieldHistoryArchive", row_id),
            at,
            actor,
            (parent, None if row.parent_id is None else to_18(row.parent_id)),
            (row.field, old, new),
            EventContext("FieldHistoryArchive", row_id, extraction.source, kind),
            extraction,
        )
        witnessed = second_witness and parent == "Opportunity" and row.field in OPPORTUNITY_HISTORY_FIELDS
        event.is_primary = kind != "EntityId" and not witnessed
        yield event


def _data_type(row: ArchiveRow, described: str | None) -> str | None:
    """What the live row said in DataType: the archive leaves it out."""
    if is_pseudo_field(row.field):
        return "Text"
    if described != "reference":
        return _DATA_TYPES.get(described or "")
    given = [value for value in (row.old_value, row.new_value) if value]
    return "EntityId" if given and all(_is_record_id(value) for value in given) else "Text"


def _is_record_id(value: Any) -> bool:
    """Whether a text is a whole id: its last three characters follow from the others."""
    return isinstance(value, str) and len(value) == 18 and is_id(value) and to_18(value[:15]) == value


def _change(
    event_id: str,
    at: str,
    actor: Actor,
    record: tuple[str | None, str | None],
    change: tuple[str, str | None, str | None],
    context: EventContext,
    extraction: Extraction,
) -> MicroDecisionEvent:
    field, old, new = change
    if old is None and new is None and not is_pseudo_field(field):
        context.metadata = dict(NOT_RECORDED)
    return MicroDecisionEvent(
        event_id,
        "field_change",
        at,
        at,
        actor.id,
        actor.type,
        actor.name,
        *record,
        field,
        old,
        new,
        True,
        context,
        extraction.extracted_at,
        extraction.extractor_version,
    )
