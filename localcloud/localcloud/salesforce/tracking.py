"""Which changes an org keeps history of, and how a history row names field and value."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import Field, Schema, SObject

TRACKED: dict[str, frozenset[str]] = {
    "Account": frozenset({"Name", "Owner", "Phone", "Website", "Industry", "AnnualRevenue"}),
    "Contact": frozenset({"Account", "Owner", "Title", "Email", "Phone"}),
    "Opportunity": frozenset(
        {"Name", "StageName", "Amount", "Probability", "CloseDate", "Owner", "NextStep", "Description"}
    ),
    "Case": frozenset({"Subject", "Status", "Priority", "Owner", "Description"}),
    "Invoice__c": frozenset(
        {
            "Name", "Owner", "Status__c", "Reference__c", "Amount__c", "Quantity__c", "Approved__c", "Due__c",
            "Sent__c",
        }
    ),
    "Declaration__c": frozenset({"Owner", "Status__c", "Amount__c"}),
    "Lead": frozenset({"Owner", "Status", "Company", "Email", "Phone"}),
    "Contract": frozenset({"Owner", "Status", "StartDate", "ContractTerm"}),
    "Task": frozenset({"Owner", "Status", "Priority", "ActivityDate"}),
    "Event": frozenset({"Owner", "Location", "StartDateTime"}),
}  # fmt: skip
"""Fields with history tracking, by object, as `Field` of a history row names them."""

SNAPSHOT_FIELDS = ("StageName", "Amount", "CloseDate", "Probability", "ForecastCategory")
"""The fields of an opportunity whose change makes an OpportunityHistory row."""

_DATA_TYPES = {
    "picklist": "DynamicEnum",
    "multipicklist": "DynamicEnum",
    "currency": "Currency",
    "double": "Double",
    "int": "Double",
    "percent": "Percent",
    "boolean": "Boolean",
    "date": "DateOnly",
    "datetime": "DateTime",
    "reference": "EntityId",
    "phone": "Phone",
    "email": "Email",
}
_LONGEST_WITH_VALUES = 255
_TRUTH_TYPES = {
    "reference": "lookup",
    "picklist": "picklist",
    "multipicklist": "picklist",
    "currency": "currency",
    "double": "double",
    "int": "double",
    "percent": "percent",
    "boolean": "boolean",
    "date": "date",
    "datetime": "datetime",
}


def history_name(field: Field) -> str:
    """What history and truth log call a field: a look-up by its relationship (`Owner` for `OwnerId`)."""
    if field.type != "reference":
        return field.name
    return field.name.removesuffix("__c") if field.custom else field.name.removesuffix("Id")


def data_type(field: Field) -> str:
    """What `DataType` of a history row says; of a look-up, the row of ids (that of names says `Text`)."""
    return _DATA_TYPES.get(field.type, "Text")


def truth_type(field: Field) -> str:
    """The type of a field as the truth log says it."""
    if is_long(field):
        return "longtext"
    return _TRUTH_TYPES.get(field.type, "text")


def is_long(field: Field) -> bool:
    """Whether history keeps no values of it (text of more than 255 characters, several choices)."""
    return field.type == "multipicklist" or (
        field.type in {"textarea", "string"} and field.length > _LONGEST_WITH_VALUES
    )


def is_tracked(sobject: SObject, field: Field) -> bool:
    """Whether a change of the field makes a history row."""
    return history_name(field) in TRACKED.get(sobject.name, frozenset())


def history_of(schema: Schema, sobject: str) -> tuple[SObject, Field] | None:
    """The object that keeps an object's field history, and its look-up to the record; None without one."""
    for candidate in schema:
        if candidate.associate_type == "History" and candidate.associate_parent == sobject:
            for field in candidate.fields:
                if field.reference_to == (sobject,):
                    return candidate, field
    return None
