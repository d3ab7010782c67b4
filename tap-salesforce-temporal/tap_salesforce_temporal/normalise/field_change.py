"""Rows of field-history objects: one event per row.

A change of a look-up field is two rows, one with names and one with ids; each is an event and the id row is not
primary. A tracked change without values on either side (long text, fields hidden from the reader) is flagged, because
it is no change from empty to empty. Pseudo-fields such as `created` or `locked` stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import to_18

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_salesforce_temporal.actors import Actor
    from tap_salesforce_temporal.normalise import Extraction
    from tap_salesforce_temporal.sources import Source

__all__ = [
    "NOT_RECORDED",
    "OPPORTUNITY_HISTORY_FIELDS",
    "FieldHistoryRow",
    "field_changes",
    "is_pseudo_field",
    "row_type",
]

OPPORTUNITY_HISTORY_FIELDS: Final = frozenset(
    {"StageName", "Amount", "CloseDate", "Probability", "ForecastCategory", "ForecastCategoryName"}
)
"""Fields of Opportunity whose changes `OpportunityHistory` records too."""

NOT_RECORDED: Final = {"values_not_recorded": "true"}
"""The flag of a change whose values Salesforce did not record."""


class FieldHistoryRow(msgspec.Struct, gc=False):
    """One row of any field-history object; `parent_id` is read from the object's own parent field."""

    id: str = msgspec.field(name="Id")
    field: str = msgspec.field(name="Field")
    created_date: str = msgspec.field(name="CreatedDate")
    parent_id: str | None = None
    data_type: str | None = msgspec.field(name="DataType", default=None)
    old_value: Any = msgspec.field(name="OldValue", default=None)
    new_value: Any = msgspec.field(name="NewValue", default=None)
    created_by_id: str | None = msgspec.field(name="CreatedById", default=None)


def row_type(parent_field: str) -> type[FieldHistoryRow]:
    """Make the row type of an object whose parent's id is in `parent_field`."""
    return msgspec.defstruct(  # type: ignore[return-value]
        "FieldHistoryRow",
        [("parent_id", str | None, msgspec.field(name=parent_field, default=None))],
        bases=(FieldHistoryRow,),
        gc=False,
    )


def field_changes(
    rows: Sequence[FieldHistoryRow],
    source: Source,
    actors: Mapping[str | None, Actor],
    extraction: Extraction,
    *,
    second_witness: frozenset[str] = frozenset(),
) -> list[MicroDecisionEvent]:
    """Turn rows into events, in their order.

    Args:
        rows: Rows of one object.
        source: The object.
        actors: By user id; holds the CreatedById of each row.
        extraction: What the events share.
        second_witness: Fields whose changes another stream witnesses first.
    """
    prefix = f"{extraction.org_id}:{source.sobject}:"
    sobject, parent, origin = source.sobject, source.parent, extraction.source
    extracted_at, version = extraction.extracted_at, extraction.extractor_version
    converter, instant = values.converter, timestamps.canonical
    events = []
    for row in rows:
        actor_id, actor_type, actor_name = actors[row.created_by_id]
        at = instant(row.created_date)
        row_id, record_id = to_18(row.id), row.parent_id
        kind, field = row.data_type, row.field
        canonical = converter(kind)
        old, new = canonical(row.old_value), canonical(row.new_value)
        context = EventContext(sobject, row_id, origin, kind)
        if old is None and new is None and not is_pseudo_field(field):
            context.metadata = NOT_RECORDED
        events.append(
            MicroDecisionEvent(
                prefix + row_id,
                "field_change",
                at,
                at,
                actor_id,
                actor_type,
                actor_name,
                parent,
                None if record_id is None else to_18(record_id),
                field,
                old,
                new,
                kind != "EntityId" and field not in second_witness,
                context,
                extracted_at,
                version,
            )
        )
    return events


def is_pseudo_field(field: str) -> bool:
    """Whether the name is an event of the record itself (`created`, `locked`): those begin in lower case."""
    return field[:1].islower() and "__" not in field
