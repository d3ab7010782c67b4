"""Rows of field-history objects: one event per row.

A change of a look-up field is two rows, one with names and one with ids; each is an event and the id row is not
primary. A tracked change without values on either side (long text, fields hidden from the reader) is flagged, because
it is no change from empty to empty. Pseudo-fields such as `created` or `locked` stay as they are.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps, values
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import all_to_18, to_18

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microdecisions.actors import Actor
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
    text_or_null: Any = str | None
    return msgspec.defstruct(  # type: ignore[return-value]
        "FieldHistoryRow",
        [("parent_id", text_or_null, msgspec.field(name=parent_field, default=None))],
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
    if not rows:
        return []
    fields, data_types = [row.field for row in rows], [row.data_type for row in rows]
    row_ids = all_to_18([row.id for row in rows])
    recorded = timestamps.canonical_all([row.created_date for row in rows])
    old_values = values.canonical_all([row.old_value for row in rows], data_types)
    new_values = values.canonical_all([row.new_value for row in rows], data_types)
    actor_ids, actor_types, actor_names = zip(*[actors[row.created_by_id] for row in rows], strict=True)
    contexts = list(map(EventContext, repeat(source.sobject), row_ids, repeat(extraction.source), data_types))
    for context, field, old, new in zip(contexts, fields, old_values, new_values, strict=True):
        if old is None and new is None and not is_pseudo_field(field):
            context.metadata = dict(NOT_RECORDED)  # whoever changes an event changes no other
    prefix = f"{extraction.org_id}:{source.sobject}:"
    # Column by column: a loop over the rows with a call for each cell takes twice as long.
    return list(
        map(
            MicroDecisionEvent,
            [prefix + row_id for row_id in row_ids],
            repeat("field_change"),
            recorded,
            recorded,
            actor_ids,
            actor_types,
            actor_names,
            repeat(source.parent),
            _record_ids(rows),
            fields,
            old_values,
            new_values,
            [
                kind != "EntityId" and field not in second_witness
                for kind, field in zip(data_types, fields, strict=True)
            ],
            contexts,
            repeat(extraction.extracted_at),
            repeat(extraction.extractor_version),
        )
    )


def _record_ids(rows: Sequence[FieldHistoryRow]) -> Sequence[str | None]:
    given = [row.parent_id for row in rows]
    known = [record_id for record_id in given if record_id is not None]
    if len(known) == len(given):
        return all_to_18(known)
    return [None if record_id is None else to_18(record_id) for record_id in given]


def is_pseudo_field(field: str) -> bool:
    """Whether the name is an event of the record itself (`created`, `locked`): those begin in lower case."""
    return field[:1].islower() and "__" not in field
