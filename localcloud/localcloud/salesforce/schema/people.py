"""Who works in an org: the org itself, its users, their profiles and licences, groups and queues."""

from __future__ import annotations

from localcloud.salesforce.fields import (
    audit,
    flag,
    ident,
    instant,
    kind,
    lookup,
    picklist,
    text,
)
from localcloud.salesforce.sobject import SObject

ACTORS = ("Group", "User")
"""Who can own or decide: a user, or a queue."""

PEOPLE: tuple[SObject, ...] = (
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
            text("Name", 121, nillable=False, name_field=True, read_only=True),
            kind("Email", "email", 128),
            text("Alias", 8),
            text("Title", 80),
            text("Department", 80),
            flag("IsActive"),
            lookup("ProfileId", "Profile", down="Users"),
            lookup("ManagerId", "User", down="ManagedUsers"),
            picklist("UserType", "Standard", "Guest", "AutomatedProcess", "CloudIntegrationUser", "CspLitePortal"),
            picklist("TimeZoneSidKey", "GMT", "America/Los_Angeles", "Europe/Berlin"),
            instant("LastLoginDate", read_only=True),
            *audit(),
        ),
        deletable=False,
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
