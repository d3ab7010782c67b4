"""What the seeded records look like, as data: fields and their types, tracking, stages, statuses."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import msgspec

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


class Stage(msgspec.Struct, frozen=True):
    """What Salesforce derives from an opportunity's stage."""

    probability: str
    forecast: Literal["Pipeline", "BestCase", "Forecast", "Closed", "Omitted"]
    closed: bool = False
    won: bool = False


def _column(name: str, kind: FieldType, *, custom: bool) -> str:
    if kind != "lookup":
        return name
    return f"{name}__c" if custom and name != "Owner" else f"{name}Id"


def _model(sobject: str, *fields: tuple[str, FieldType, bool]) -> Model:
    custom = sobject.endswith("__c")
    history = f"{sobject[:-1]}History" if custom else f"{sobject}History"
    if sobject == "Opportunity":
        history = "OpportunityFieldHistory"
    return Model(
        sobject,
        history,
        "ParentId" if custom else f"{sobject}Id",
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
            "Declaration__c",
            ("Name", "text", False),
            ("Owner", "lookup", True),
            ("Status__c", "picklist", True),
            ("Amount__c", "currency", True),
        ),
    )
}
"""Every object that decisions are about, by API name."""

SNAPSHOT_FIELDS = ("StageName", "Amount", "CloseDate", "Probability", "ForecastCategory")
"""The fields of an opportunity whose change makes an OpportunityHistory row."""

STAGES: dict[str, Stage] = {
    # the application states of BPI Challenge 2012, as the log names them
    "A_SUBMITTED": Stage("10", "Pipeline"),
    "A_PARTLYSUBMITTED": Stage("20", "Pipeline"),
    "A_PREACCEPTED": Stage("40", "Pipeline"),
    "A_ACCEPTED": Stage("60", "BestCase"),
    "A_FINALIZED": Stage("80", "Forecast"),
    "A_APPROVED": Stage("100", "Closed", closed=True, won=True),
    "A_REGISTERED": Stage("100", "Closed", closed=True, won=True),
    "A_ACTIVATED": Stage("100", "Closed", closed=True, won=True),
    "A_DECLINED": Stage("0", "Omitted", closed=True),
    "A_CANCELLED": Stage("0", "Omitted", closed=True),
    # the standard stages, which a generated org uses
    "Prospecting": Stage("10", "Pipeline"),
    "Qualification": Stage("20", "Pipeline"),
    "Needs Analysis": Stage("40", "Pipeline"),
    "Proposal/Price Quote": Stage("60", "BestCase"),
    "Negotiation/Review": Stage("80", "Forecast"),
    "Closed Won": Stage("100", "Closed", closed=True, won=True),
    "Closed Lost": Stage("0", "Omitted", closed=True),
}
OTHER_STAGE = Stage("50", "Pipeline")
"""A stage of a log that the table does not know: open, half likely."""

CLOSED_STATUSES = frozenset({"Closed", "RESOLVED", "INVALID", "DUPLICATE"})
"""Case statuses that are closed, beside every status that begins with ``Completed``."""


def stage(name: str | None) -> Stage:
    """Return what follows from a stage; an unknown one is open with a probability of 50 %."""
    return STAGES.get(name or "", OTHER_STAGE)


def is_closed_status(status: str | None) -> bool:
    """Say whether a case in this status is closed."""
    return status is not None and (status.startswith("Completed") or status in CLOSED_STATUSES)


def tracked_fields() -> dict[str, list[str]]:
    """Return the fields with history tracking per object, as ``meta.json`` lists them."""
    return {name: [f.name for f in model.fields.values() if f.tracked] for name, model in MODELS.items()}


def stream_name(sobject: str) -> str:
    """Return an object's name in snake case: ``Invoice__History`` becomes ``invoice__history``."""
    out = [sobject[0].lower()]
    for before, char in pairwise(sobject):
        out.append(f"_{char.lower()}" if char.isupper() and before != "_" else char.lower())
    return "".join(out)
