"""What the seeded records look like, as data: fields and their types, tracking, stages, statuses."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import msgspec

from localcloud.salesforce.derived import OTHER_STAGE, STAGES, Stage, is_closed_status, stage
from localcloud.salesforce.tracking import SNAPSHOT_FIELDS

__all__ = [
    "ACTIVITIES",
    "MODELS",
    "OTHER_STAGE",
    "SNAPSHOT_FIELDS",
    "STAGES",
    "DataType",
    "Field",
    "FieldType",
    "Model",
    "Stage",
    "is_closed_status",
    "stage",
    "stream_name",
    "tracked_fields",
]

FieldType = Literal[
    "picklist", "text", "longtext", "currency", "double", "percent", "boolean", "date", "datetime", "lookup"
]
DataType = Literal[
    "DynamicEnum", "Text", "Phone", "Email", "Currency", "Double", "Percent", "Boolean", "DateOnly", "DateTime",
    "EntityId",
]  # fmt: skip

_DATA_TYPES: dict[FieldType, DataType] = {
    "picklist": "DynamicEnum",
    "text": "Text",
    "longtext": "Text",
    "currency": "Currency",
    "double": "Double",
    "percent": "Percent",
    "boolean": "Boolean",
    "date": "DateOnly",
    "datetime": "DateTime",
    "lookup": "EntityId",
}
_OWN_DATA_TYPES: dict[str, DataType] = {"Phone": "Phone", "Email": "Email"}


class Field(msgspec.Struct, frozen=True):
    """A field of a record as the truth log names it.

    ``column`` is the API name of the column on the record: for a look-up the field is named as its
    history names it (``Owner``) and the column carries the id (``OwnerId``). ``data_type`` is what
    the history row says (a look-up's row of names says ``Text``).
    """

    name: str
    type: FieldType
    column: str
    tracked: bool
    data_type: DataType


class Model(msgspec.Struct, frozen=True):
    """An sObject whose records decisions are about, with the object that keeps its history."""

    sobject: str
    history: str
    parent_column: str
    fields: dict[str, Field]

    @property
    def tracked(self) -> list[str]:
        """The names of the fields with history tracking."""
        return [field.name for field in self.fields.values() if field.tracked]


def _column(name: str, kind: FieldType, *, custom: bool) -> str:
    if kind != "lookup":
        return name
    return f"{name}__c" if custom and name != "Owner" else f"{name}Id"


def _model(sobject: str, *fields: tuple[str, FieldType, bool]) -> Model:
    custom = sobject.endswith("__c")
    history = f"{sobject[:-1]}History" if custom else f"{sobject}History"
    parent = "ParentId" if custom else f"{sobject}Id"
    if sobject == "Opportunity":
        history = "OpportunityFieldHistory"
    elif sobject in {"Task", "Event"}:
        history, parent = "ActivityFieldHistory", "ActivityId"
    return Model(
        sobject,
        history,
        parent,
        {
            n: Field(n, kind, _column(n, kind, custom=custom), tracked, _OWN_DATA_TYPES.get(n, _DATA_TYPES[kind]))
            for n, kind, tracked in fields
        },
    )


MODELS: dict[str, Model] = {
    model.sobject: model
    for model in (
        _model(
            "Account",
            ("Name", "text", True),
            ("Owner", "lookup", True),
            ("Phone", "text", True),
            ("Website", "text", True),
            ("Industry", "picklist", True),
            ("AnnualRevenue", "currency", True),
        ),
        _model(
            "Contact",
            ("LastName", "text", False),
            ("Account", "lookup", True),
            ("Owner", "lookup", True),
            ("Title", "text", True),
            ("Email", "text", True),
            ("Phone", "text", True),
        ),
        _model(
            "Opportunity",
            ("Name", "text", True),
            ("Account", "lookup", False),
            ("StageName", "picklist", True),
            ("Amount", "currency", True),
            ("Probability", "percent", True),
            ("ForecastCategory", "picklist", False),
            ("CloseDate", "date", True),
            ("Owner", "lookup", True),
            ("NextStep", "text", True),
            ("Description", "longtext", True),
        ),
        _model(
            "Case",
            ("Subject", "text", True),
            ("Account", "lookup", False),
            ("Contact", "lookup", False),
            ("Status", "picklist", True),
            ("Priority", "picklist", True),
            ("Origin", "picklist", False),
            ("Owner", "lookup", True),
            ("Description", "longtext", True),
        ),
        _model(
            "Invoice__c",
            ("Name", "text", True),
            ("Owner", "lookup", True),
            ("Status__c", "picklist", True),
            ("Reference__c", "text", True),
            ("Amount__c", "currency", True),
            ("Quantity__c", "double", True),
            ("Approved__c", "boolean", True),
            ("Due__c", "date", True),
            ("Sent__c", "datetime", True),
            ("Account", "lookup", False),
        ),
        _model(
            "Lead",
            ("LastName", "text", False),
            ("Company", "text", True),
            ("Owner", "lookup", True),
            ("Status", "picklist", True),
            ("LeadSource", "picklist", False),
            ("Email", "text", True),
            ("Phone", "text", True),
            ("IsConverted", "boolean", False),
            ("ConvertedDate", "date", False),
            ("ConvertedAccount", "lookup", False),
            ("ConvertedContact", "lookup", False),
        ),
        _model(
            "Contract",
            ("Account", "lookup", False),
            ("Owner", "lookup", True),
            ("Status", "picklist", True),
            ("StartDate", "date", True),
            ("ContractTerm", "double", True),
            ("ActivatedDate", "datetime", False),
        ),
        _model(
            "Declaration__c",
            ("Name", "text", False),
            ("Owner", "lookup", True),
            ("Status__c", "picklist", True),
            ("Amount__c", "currency", True),
        ),
    )
}
"""Every object with a field history of its own that decisions are about, by API name."""

ACTIVITIES: dict[str, Model] = {
    model.sobject: model
    for model in (
        _model(
            "Task",
            ("Subject", "text", False),
            ("Who", "lookup", False),
            ("What", "lookup", False),
            ("Owner", "lookup", True),
            ("Status", "picklist", True),
            ("Priority", "picklist", True),
            ("ActivityDate", "date", True),
        ),
        _model(
            "Event",
            ("Subject", "text", False),
            ("Who", "lookup", False),
            ("What", "lookup", False),
            ("Owner", "lookup", True),
            ("Location", "text", True),
            ("StartDateTime", "datetime", True),
            ("DurationInMinutes", "double", False),
        ),
    )
}
"""Tasks and events: what changes of them is in ActivityFieldHistory."""

ARCHIVED_OBJECTS = ("Account", "Invoice__c")
"""Objects whose old field history is copied into FieldHistoryArchive."""

ARCHIVE_DAYS = 548
"""How old a history row is when it is copied: 18 months, the default of Field Audit Trail."""


def tracked_fields() -> dict[str, list[str]]:
    """Return the fields with history tracking per object, as ``meta.json`` lists them."""
    return {name: model.tracked for name, model in MODELS.items()}


def stream_name(sobject: str) -> str:
    """Return an object's name in snake case: ``Invoice__History`` becomes ``invoice__history``."""
    out = [sobject[0].lower()]
    for before, char in pairwise(sobject):
        out.append(f"_{char.lower()}" if char.isupper() and before != "_" else char.lower())
    return "".join(out)
