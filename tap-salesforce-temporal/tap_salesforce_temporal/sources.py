"""What a stream reads, as data: one `Source` per history object, made from describe and never from a list of names."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Literal

import msgspec

from microdecisions import soql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from microdecisions.describe import ObjectDescription, ObjectSummary

__all__ = [
    "Source",
    "approval_step_source",
    "field_history_source",
    "opportunity_history_source",
    "stream_name",
    "stream_names",
]

Kind = Literal["field_history", "opportunity_history", "approval_step"]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One stream and where it reads.

    Attributes:
        stream: Name of the stream: the sObject's in snake case.
        sobject: API name of the sObject that is queried.
        kind: Which normaliser makes events of its rows.
        cursor: Date-time field that windows are cut by; also the time Salesforce recorded the row.
        fields: Fields and paths of the SELECT list.
        parent: sObject whose records the rows are about, where it is one and the same.
        parent_field: Field of the row that holds the parent's id.
        mutable: Whether rows change or vanish, so that a later read may count fewer.
        whole_window: Whether rows of a window are normalised together.
        hidden: Columns that the user may not see and without which changes would be missed: it cannot be read.
    """

    stream: str
    sobject: str
    kind: Kind
    cursor: str
    fields: tuple[str, ...]
    parent: str | None = None
    parent_field: str | None = None
    mutable: bool = False
    whole_window: bool = False
    hidden: tuple[str, ...] = ()


_FIELD_HISTORY = ("Id", "Field", "OldValue", "NewValue", "CreatedById", "CreatedDate")
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
_APPROVAL_STEP = ("Id", "ProcessInstanceId", "StepStatus", "ActorId", "CreatedDate", "SystemModstamp")
_APPROVAL_OWN = ("OriginalActorId", "Comments", "ElapsedTimeInMinutes", "CreatedById")
_APPROVAL_PATHS = (
    "ProcessInstance.TargetObjectId",
    "ProcessInstance.SubmittedById",
    "ProcessInstance.ProcessDefinition.Name",
    "StepNode.Name",
)


def stream_name(sobject: str) -> str:
    """Write an API name in snake case: `OpportunityFieldHistory` is `opportunity_field_history`.

    Underscores of the name stay: `Invoice__History` is `invoice__history`.
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", sobject)
    return parted.lower()


def stream_names(sobjects: Iterable[str]) -> dict[str, str]:
    """Name a stream for each object; objects whose names would be the same keep their API names in lower case."""
    names = {sobject: stream_name(sobject) for sobject in sobjects}
    taken = Counter(names.values())
    return {sobject: name if taken[name] == 1 else sobject.lower() for sobject, name in names.items()}


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
    optional = [name for name in ("DataType",) if name in fields]
    return Source(
        stream=stream_name(summary.name),
        sobject=soql.identifier(summary.name),
        kind="field_history",
        cursor="CreatedDate",
        fields=(*_FIELD_HISTORY, *optional, soql.identifier(parent.name)),
        parent=soql.identifier(parent.reference_to[0]),
        parent_field=parent.name,
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


def approval_step_source(description: ObjectDescription) -> Source:
    """Make the source of `ProcessInstanceStep`, the steps of approvals that somebody acted on."""
    present = {field.name for field in description.fields}
    filterable = {field.name for field in description.fields if field.filterable}
    relations = {field.relationship_name for field in description.fields}
    return Source(
        stream="process_instance_step",
        sobject="ProcessInstanceStep",
        kind="approval_step",
        cursor="SystemModstamp" if "SystemModstamp" in filterable else "CreatedDate",
        fields=(
            *_APPROVAL_STEP,
            *(name for name in _APPROVAL_OWN if name in present),
            *(path for path in _APPROVAL_PATHS if path.split(".")[0] in relations),
        ),
        mutable=True,
        hidden=tuple(name for name in _APPROVAL_STEP if name not in present),
    )
