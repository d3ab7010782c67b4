"""Sources of what Salesforce remembers of records: field histories, stages, and the two big objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from microdecisions import soql
from tap_salesforce_temporal.sources.source import Source, source_of, stream_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microdecisions.describe import ObjectDescription, ObjectSummary

__all__ = [
    "activity_field_history_source",
    "assumed_field_history_source",
    "field_history_archive_source",
    "field_history_source",
    "opportunity_history_source",
]

_FIELD_HISTORY = ("Id", "Field", "OldValue", "NewValue", "CreatedById", "CreatedDate")
_FIELD_HISTORY_OPTIONAL = ("DataType",)
_OPPORTUNITY_HISTORY = (
    "Id",
    "OpportunityId",
    "StageName",
    "Amount",
    "CloseDate",
    "Probability",
    "ForecastCategory",
    "CreatedById",
    "CreatedDate",
)
_ACTIVITY_HISTORY = ("Id", "ActivityId", "ChangedById", "ChangedDate", "FieldName", "DataType")
_ACTIVITY_VALUES = (
    "OldValueText",
    "NewValueText",
    "OldValueNumber",
    "NewValueNumber",
    "OldValueDateTime",
    "NewValueDateTime",
)
_ARCHIVE = ("Id", "FieldHistoryType", "ParentId", "Field", "OldValue", "NewValue", "CreatedDate")
_ARCHIVED_LATE_DAYS: Final = 640
"""History is archived after 18 months unless a policy says sooner, in a job once a month, and that job may be late."""


def field_history_source(summary: ObjectSummary, description: ObjectDescription) -> Source | None:
    """Make the source of a field-history object, or None when the object is none.

    A field-history object has the history columns, a filterable CreatedDate, and one reference to its parent.
    """
    fields = {field.name: field for field in description.fields}
    created = fields.get("CreatedDate")
    if any(name not in fields for name in _FIELD_HISTORY) or created is None or not created.filterable:
        return None
    parents = [
        field
        for field in description.fields
        if field.reference_to and field.name != "CreatedById" and _is_parent(field.reference_to, summary)
    ]
    if len(parents) != 1:
        return None
    (parent,) = parents
    optional = [name for name in _FIELD_HISTORY_OPTIONAL if name in fields]
    return Source(
        stream=stream_name(summary.name),
        sobject=soql.identifier(summary.name),
        kind="field_history",
        cursor="CreatedDate",
        fields=(*_FIELD_HISTORY, *optional, soql.identifier(parent.name)),
        parent=soql.identifier(parent.reference_to[0]),
        parent_field=parent.name,
    )


def assumed_field_history_source(summary: ObjectSummary) -> Source | None:
    """Make the source of a field-history object with the columns that such objects have, or None without a parent.

    It asks for all columns that a described source may ask for, so what answers its statement has that shape; what has
    another refuses the statement, and is to be described.
    """
    parent = summary.associate_parent_entity
    if parent is None:
        return None
    is_custom = summary.name.endswith("__History")
    parent_field = soql.identifier("ParentId" if is_custom else f"{parent}Id")
    return Source(
        stream=stream_name(summary.name),
        sobject=soql.identifier(summary.name),
        kind="field_history",
        cursor="CreatedDate",
        fields=(*_FIELD_HISTORY, *_FIELD_HISTORY_OPTIONAL, parent_field),
        parent=soql.identifier(parent),
        parent_field=parent_field,
        assumed=True,
    )


def _is_parent(reference_to: Iterable[str], summary: ObjectSummary) -> bool:
    targets = list(reference_to)
    expected = summary.associate_parent_entity
    return targets == [expected] if expected else len(targets) == 1


def opportunity_history_source(description: ObjectDescription) -> Source:
    """Make the source of `OpportunityHistory`; `PrevAmount` and `PrevCloseDate` exist from API version 50.0 on."""
    present = {field.name for field in description.fields}
    chain = [name for name in ("PrevAmount", "PrevCloseDate") if name in present]
    return Source(
        stream="opportunity_history",
        sobject="OpportunityHistory",
        kind="opportunity_history",
        cursor="CreatedDate",
        fields=(*(name for name in _OPPORTUNITY_HISTORY if name in present), *chain),
        parent="Opportunity",
        parent_field="OpportunityId",
        whole_window=True,
        hidden=tuple(name for name in _OPPORTUNITY_HISTORY if name not in present),
    )


def activity_field_history_source(description: ObjectDescription) -> Source:
    """Make the source of `ActivityFieldHistory`, the field history of tasks and events.

    It is a big object that is filtered by ActivityId first, so its rows cannot be asked for by time: a first run reads
    all of it, later ones the history of the activities that were changed meanwhile (Object Reference,
    ActivityFieldHistory; SOQL with Big Objects).
    """
    source = source_of(description, "activity_history", "ChangedDate", _ACTIVITY_HISTORY, optional=(*_ACTIVITY_VALUES,))
    about = next((field.reference_to for field in description.fields if field.name == "ActivityId"), ())
    return replace(
        source,
        parent_field="ActivityId",
        parents=tuple(soql.identifier(name) for name in about),
        countable=False,
        by_window=False,
    )


def field_history_archive_source(description: ObjectDescription, parents: Iterable[str]) -> Source:
    """Make the source of `FieldHistoryArchive`, off by default.

    Its filters are FieldHistoryType by equality and then CreatedDate (Field Audit Trail Implementation Guide, SOQL
    with FieldHistoryArchive), so a window is read once for each object. A row keeps the time of its change and appears
    some 18 months later.

    Args:
        description: The object.
        parents: Objects that have a field history.
    """
    source = source_of(
        description, "field_history_archive", "CreatedDate", _ARCHIVE, optional=("HistoryId", "CreatedById")
    )
    names = tuple(soql.identifier(name) for name in parents)
    return replace(
        source,
        parent_field="ParentId",
        parents=names,
        one_by_one=tuple(f"FieldHistoryType = {soql.quote(name)}" for name in names),
        selected=False,
        countable=False,
        settles_days=_ARCHIVED_LATE_DAYS,
    )
