"""What is remembered of records: field histories, the stages of opportunities, the archive of old history."""

from __future__ import annotations

from localcloud.salesforce.fields import (
    any_value,
    created,
    date,
    flag,
    ident,
    instant,
    lookup,
    number,
    picklist,
    shown_only,
    text,
)
from localcloud.salesforce.schema.records import FORECASTS, STAGES
from localcloud.salesforce.sobject import Field, SObject

DATA_TYPES = (
    "Text", "EntityId", "DynamicEnum", "Currency", "Double", "Percent", "Boolean", "DateOnly", "DateTime", "Email",
    "Phone",
)  # fmt: skip
"""What `DataType` of a history row says of its values."""


def history(name: str, parent: str, parent_field: str) -> SObject:
    """The field history of an object: one row per tracked field and save."""
    parent_label = parent.removesuffix("__c")
    return SObject(
        name,
        "017",
        (
            ident(),
            flag("IsDeleted"),
            lookup(parent_field, parent, down="Histories", nillable=False, cascade=True),
            *created(),
            picklist("Field", nillable=False, restricted=True),
            picklist("DataType", *DATA_TYPES, restricted=True),
            any_value("OldValue"),
            any_value("NewValue"),
        ),
        label=f"{parent_label} History",
        plural=f"{parent_label} History",
        associate_type="History",
        associate_parent=parent,
        writable=False,
    )


def ident_of_index() -> Field:
    """The id of a big object's row, which nothing can be filtered by."""
    return shown_only(ident(), sortable=False)


def lookup_of_any(name: str, *to: str, filterable: bool = True) -> Field:
    """A reference to a record of many objects, with no relationship that a query could follow."""
    return Field(name, "reference", length=18, filterable=filterable, groupable=False, reference_to=to)


TRACKED = ("Account", "Case", "Contact", "Contract", "Declaration__c", "Invoice__c", "Lead", "Opportunity")
"""Objects whose fields can have history tracking."""

HISTORIES: tuple[SObject, ...] = (
    history("AccountHistory", "Account", "AccountId"),
    history("ContactHistory", "Contact", "ContactId"),
    history("CaseHistory", "Case", "CaseId"),
    history("LeadHistory", "Lead", "LeadId"),
    history("ContractHistory", "Contract", "ContractId"),
    history("OpportunityFieldHistory", "Opportunity", "OpportunityId"),
    history("Invoice__History", "Invoice__c", "ParentId"),
    history("Declaration__History", "Declaration__c", "ParentId"),
    SObject(
        "OpportunityHistory",
        "008",
        (
            ident(),
            lookup("OpportunityId", "Opportunity", down="OpportunityHistories", nillable=False, cascade=True),
            *created(),
            picklist("StageName", *STAGES),
            number("Amount", "currency", 18, 2),
            number("ExpectedRevenue", "currency", 18, 2),
            date("CloseDate"),
            number("Probability", "percent", 3, 0),
            picklist("ForecastCategory", *FORECASTS, restricted=True),
            number("PrevAmount", "currency", 18, 2, since=50.0),
            date("PrevCloseDate", since=50.0),
            instant("SystemModstamp", nillable=False),
            flag("IsDeleted"),
        ),
        label="Opportunity: Stage History",
        writable=False,
        shows="Opportunity",
    ),
)

BIG_HISTORIES: tuple[SObject, ...] = (
    SObject(
        "FieldHistoryArchive",
        "9Fh",
        (
            ident_of_index(),
            lookup_of_any("ParentId", *TRACKED),
            instant("CreatedDate"),
            shown_only(lookup("CreatedById", "User")),
            picklist("Field", restricted=True),
            picklist("FieldHistoryType", *TRACKED, restricted=True),
            any_value("OldValue"),
            any_value("NewValue"),
            shown_only(text("ArchiveParentType")),
            shown_only(text("ArchiveFieldName")),
            shown_only(instant("ArchiveTimestamp")),
            shown_only(text("ArchiveParentName")),
            lookup_of_any("HistoryId", *(one.name for one in HISTORIES if one.associate_type), filterable=False),
        ),
        label="Field History Archive",
        replicateable=False,
        writable=False,
        storage="big_object",
        indexes=(("FieldHistoryType", "ParentId", "-CreatedDate"), ("FieldHistoryType", "-CreatedDate")),
        aggregates=False,
        since=29.0,
    ),
    SObject(
        "ActivityFieldHistory",
        "9Af",
        (
            ident_of_index(),
            shown_only(lookup("CreatedById", "User", nillable=False)),
            shown_only(instant("CreatedDate", nillable=False)),
            shown_only(lookup("LastModifiedById", "User", nillable=False)),
            shown_only(instant("LastModifiedDate", nillable=False)),
            shown_only(instant("SystemModstamp", nillable=False)),
            lookup("ActivityId", "Event", "Task", nillable=False),
            instant("ChangedDate", nillable=False),
            lookup("ChangedById", "User", nillable=False),
            shown_only(text("FieldName", nillable=False)),
            shown_only(picklist("DataType", *DATA_TYPES, nillable=False, restricted=True), sortable=False),
            shown_only(picklist("Operation", "Change", nillable=False, restricted=True), sortable=False),
            shown_only(flag("IsDataAvailable"), sortable=False),
            shown_only(instant("OldValueDateTime"), sortable=False),
            shown_only(instant("NewValueDateTime"), sortable=False),
            shown_only(number("OldValueNumber", "double", 18, 9), sortable=False),
            shown_only(number("NewValueNumber", "double", 18, 9), sortable=False),
            shown_only(text("OldValueText"), sortable=False),
            shown_only(text("NewValueText"), sortable=False),
        ),
        label="Activity Field History",
        plural="Activity Field History",
        replicateable=False,
        writable=False,
        storage="big_object",
        indexes=(("ActivityId", "-ChangedDate", "ChangedById"),),
        aggregates=False,
        since=55.0,
    ),
)
"""Histories that Salesforce keeps as big objects: describe does not associate them, and filters are few."""
