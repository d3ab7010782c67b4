"""The objects of the stand-in org, as data: standard ones as Salesforce has them, and two custom ones."""

from __future__ import annotations

import msgspec

from localcloud.salesforce.fields import (
    any_value,
    audit,
    created,
    date,
    flag,
    ident,
    instant,
    kind,
    lookup,
    number,
    picklist,
    text,
    whole,
)
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
            lookup(parent_field, parent, down="Histories", nillable=False),
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


STAGES = (
    "Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers",
    "Perception Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost",
)  # fmt: skip
FORECASTS = ("Omitted", "Pipeline", "BestCase", "MostLikely", "Forecast", "Closed")
STEP_STATUS = (
    "Approved", "Fault", "Held", "NoResponse", "Pending", "Reassigned", "Rejected", "Removed", "Started",
)  # fmt: skip
_DECIDED = ("Opportunity", "Case", "Invoice__c", "Declaration__c")
_ACTORS = ("Group", "User")

PEOPLE = (
    SObject(
        "Organization",
        "00D",
        (
            ident(),
            text("Name", 80, nillable=False, name_field=True),
            text("InstanceName", 5),
            picklist("OrganizationType", "Developer Edition", "Enterprise Edition", "Unlimited Edition"),
            picklist("TimeZoneSidKey", "GMT", "America/Los_Angeles", "Europe/Berlin"),
            flag("IsSandbox"),
            *audit(),
        ),
        replicateable=False,
        writable=False,
    ),
    SObject(
        "UserLicense",
        "100",
        (
            ident(),
            text("Name", 40, nillable=False, name_field=True),
            text("LicenseDefinitionKey", 40),
            text("MasterLabel", 40),
            picklist("Status", "Active", "Disabled"),
            instant("CreatedDate", nillable=False),
            instant("LastModifiedDate", nillable=False),
            instant("SystemModstamp", nillable=False),
        ),
        label="User License",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "Profile",
        "00e",
        (
            ident(),
            text("Name", nillable=False, name_field=True),
            lookup("UserLicenseId", "UserLicense", nillable=False),
            picklist("UserType", "Standard", "Guest", "CspLitePortal", "PowerPartner"),
            text("Description"),
            *audit(),
        ),
        replicateable=False,
        writable=False,
    ),
    SObject(
        "User",
        "005",
        (
            ident(),
            text("Username", 80, nillable=False),
            text("LastName", 80, nillable=False),
            text("FirstName", 40),
            text("Name", 121, nillable=False, name_field=True),
            kind("Email", "email", 128),
            text("Alias", 8),
            text("Title", 80),
            text("Department", 80),
            flag("IsActive"),
            lookup("ProfileId", "Profile", down="Users"),
            lookup("ManagerId", "User", down="ManagedUsers"),
            picklist("UserType", "Standard", "Guest", "AutomatedProcess", "CloudIntegrationUser", "CspLitePortal"),
            picklist("TimeZoneSidKey", "GMT", "America/Los_Angeles", "Europe/Berlin"),
            instant("LastLoginDate"),
            *audit(),
        ),
    ),
)

RECORDS = (
    SObject(
        "Account",
        "001",
        (
            ident(),
            flag("IsDeleted"),
            text("Name", nillable=False, name_field=True),
            picklist("Type", "Prospect", "Customer - Direct", "Customer - Channel", "Partner"),
            picklist("Industry", "Banking", "Energy", "Finance", "Government", "Insurance", "Technology"),
            number("AnnualRevenue", "currency", 18, 0),
            whole("NumberOfEmployees"),
            text("BillingCity", 40),
            text("BillingCountry", 80),
            kind("Phone", "phone", 40),
            kind("Website", "url", 255),
            text("Description", 32000),
            lookup("ParentId", "Account", down="ChildAccounts"),
            lookup("OwnerId", "User"),
            *audit(),
        ),
    ),
    SObject(
        "Contact",
        "003",
        (
            ident(),
            flag("IsDeleted"),
            lookup("AccountId", "Account", down="Contacts"),
            text("LastName", 80, nillable=False),
            text("FirstName", 40),
            text("Name", 121, nillable=False, name_field=True),
            kind("Email", "email", 80),
            kind("Phone", "phone", 40),
            text("Title", 128),
            text("Department", 80),
            date("Birthdate"),
            flag("HasOptedOutOfEmail"),
            text("Description", 32000),
            lookup("OwnerId", "User"),
            *audit(),
        ),
    ),
    SObject(
        "Opportunity",
        "006",
        (
            ident(),
            flag("IsDeleted"),
            lookup("AccountId", "Account", down="Opportunities"),
            text("Name", 120, nillable=False, name_field=True),
            text("Description", 32000),
            picklist("StageName", *STAGES, nillable=False),
            number("Amount", "currency", 18, 2),
            number("Probability", "percent", 3, 0),
            number("ExpectedRevenue", "currency", 18, 2),
            date("CloseDate", nillable=False),
            picklist("Type", "Existing Business", "New Business"),
            text("NextStep"),
            picklist("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
            flag("IsClosed"),
            flag("IsWon"),
            picklist("ForecastCategory", *FORECASTS, nillable=False, restricted=True),
            picklist("ForecastCategoryName", "Omitted", "Pipeline", "Best Case", "Most Likely", "Commit", "Closed"),
            lookup("OwnerId", "User"),
            *audit(),
        ),
    ),
    SObject(
        "Case",
        "500",
        (
            ident(),
            flag("IsDeleted"),
            text("CaseNumber", 30, nillable=False, name_field=True),
            lookup("ContactId", "Contact", down="Cases"),
            lookup("AccountId", "Account", down="Cases"),
            picklist("Type", "Mechanical", "Electrical", "Electronic", "Structural", "Other"),
            picklist("Status", "New", "Working", "Escalated", "Closed"),
            picklist("Reason", "Installation", "Equipment Complexity", "Performance", "Breakdown", "Other"),
            picklist("Origin", "Phone", "Email", "Web"),
            text("Subject"),
            picklist("Priority", "High", "Medium", "Low"),
            text("Description", 32000),
            flag("IsClosed"),
            instant("ClosedDate"),
            flag("IsEscalated"),
            lookup("OwnerId", *_ACTORS),
            *audit(),
        ),
    ),
    SObject(
        "Invoice__c",
        "a00",
        (
            ident(),
            lookup("OwnerId", *_ACTORS),
            flag("IsDeleted"),
            text("Name", 80, name_field=True),
            picklist("Status__c", "Draft", "Sent", "Approved", "Paid", "Cancelled"),
            text("Reference__c"),
            number("Amount__c", "currency", 18, 2),
            number("Quantity__c", "double", 18, 4),
            flag("Approved__c"),
            date("Due__c"),
            instant("Sent__c"),
            lookup("Account__c", "Account", down="Invoices__r"),
            *audit(),
        ),
        label="Invoice",
    ),
    SObject(
        "Declaration__c",
        "a01",
        (
            ident(),
            lookup("OwnerId", *_ACTORS),
            flag("IsDeleted"),
            text("Name", 80, name_field=True),
            picklist("Status__c", "Draft", "Submitted", "Approved", "Rejected", "Paid"),
            text("Kind__c"),
            number("Amount__c", "currency", 18, 2),
            *audit(),
        ),
        label="Declaration",
    ),
)

HISTORIES = (
    history("AccountHistory", "Account", "AccountId"),
    history("ContactHistory", "Contact", "ContactId"),
    history("CaseHistory", "Case", "CaseId"),
    history("OpportunityFieldHistory", "Opportunity", "OpportunityId"),
    history("Invoice__History", "Invoice__c", "ParentId"),
    history("Declaration__History", "Declaration__c", "ParentId"),
    SObject(
        "OpportunityHistory",
        "008",
        (
            ident(),
            lookup("OpportunityId", "Opportunity", down="OpportunityHistories", nillable=False),
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
    ),
)


def _elapsed() -> tuple[Field, ...]:
    return (
        number("ElapsedTimeInDays", "double", 18, 2),
        number("ElapsedTimeInHours", "double", 18, 2),
        number("ElapsedTimeInMinutes", "double", 18, 2),
    )


APPROVALS = (
    SObject(
        "ProcessDefinition",
        "04a",
        (
            ident(),
            text("Name", nillable=False, name_field=True),
            text("DeveloperName", 80, nillable=False),
            picklist("Type", "Approval", "State", nillable=False),
            text("Description", 3000),
            text("TableEnumOrId", 40, nillable=False),
            picklist("LockType", "Total", "Admin", "Owner", "Workitem", "Node", "None"),
            picklist("State", "Active", "Inactive", "Obsolete"),
            *audit(),
        ),
        label="Process Definition",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessNode",
        "04b",
        (
            ident(),
            text("Name", nillable=False, name_field=True),
            text("DeveloperName", 80, nillable=False),
            lookup("ProcessDefinitionId", "ProcessDefinition", nillable=False),
            text("Description", 3000),
            instant("SystemModstamp", nillable=False),
        ),
        label="Process Node",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessInstance",
        "04g",
        (
            ident(),
            lookup("ProcessDefinitionId", "ProcessDefinition", nillable=False),
            lookup("TargetObjectId", *_DECIDED, down="ProcessInstances", nillable=False),
            picklist("Status", *STEP_STATUS, nillable=False, restricted=True),
            instant("CompletedDate"),
            lookup("LastActorId", "User"),
            *_elapsed(),
            lookup("SubmittedById", "User"),
            flag("IsDeleted"),
            *audit(),
        ),
        label="Process Instance",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessInstanceStep",
        "04h",
        (
            ident(),
            lookup("ProcessInstanceId", "ProcessInstance", down="Steps", nillable=False),
            picklist("StepStatus", *STEP_STATUS, nillable=False, restricted=True),
            lookup("OriginalActorId", *_ACTORS, nillable=False),
            lookup("ActorId", *_ACTORS, nillable=False),
            text("Comments", 4000),
            lookup("StepNodeId", "ProcessNode"),
            *_elapsed(),
            *created(),
            instant("SystemModstamp", nillable=False),
        ),
        label="Process Instance Step",
        replicateable=False,
        writable=False,
    ),
    SObject(
        "ProcessInstanceWorkitem",
        "04i",
        (
            ident(),
            lookup("ProcessInstanceId", "ProcessInstance", down="Workitems", nillable=False),
            lookup("OriginalActorId", *_ACTORS, nillable=False),
            lookup("ActorId", *_ACTORS, nillable=False),
            *_elapsed(),
            flag("IsDeleted"),
            *created(),
            instant("SystemModstamp", nillable=False),
        ),
        label="Approval Request",
        replicateable=False,
        writable=False,
    ),
)

ACTOR_GROUP = SObject(
    "Group",
    "00G",
    (
        ident(),
        text("Name", 40, nillable=False, name_field=True),
        text("DeveloperName", 80),
        picklist("Type", "Regular", "Role", "Queue", restricted=True),
        kind("Email", "email", 255),
        *audit(),
    ),
    writable=False,
)

OBJECTS: tuple[SObject, ...] = tuple(
    msgspec.structs.replace(sobject, label=sobject.label or sobject.name)
    for sobject in (*PEOPLE, ACTOR_GROUP, *RECORDS, *HISTORIES, *APPROVALS)
)
"""What a new org has."""
