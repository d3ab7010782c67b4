"""What administrators and logins leave behind: the setup audit trail, the login history, event log files."""

from __future__ import annotations

from localcloud.salesforce.fields import (
    audit,
    blob,
    flag,
    ident,
    instant,
    lookup,
    number,
    picklist,
    shown_only,
    text,
    whole,
)
from localcloud.salesforce.sobject import Field, SObject

EVENT_TYPES = ("API", "ApexExecution", "Login", "Logout", "Report", "RestApi", "URI")
"""Some of the event types that log files are written of."""

AUDIT_DAYS = 180
"""How long the setup audit trail and logins are kept; Salesforce says at least."""

LOG_FILE_DAYS = 30
"""How long event log files are kept with the Event Monitoring licence."""

ADMINISTRATION: tuple[SObject, ...] = (
    SObject(
        "SetupAuditTrail",
        "0Ym",
        (
            ident(),
            Field("Action", "string", length=40, nillable=False, groupable=False),
            shown_only(text("Section")),
            instant("CreatedDate", nillable=False),
            lookup("CreatedById", "User"),
            shown_only(Field("Display", "string", length=1333)),
            Field("DelegateUser", "string", length=255, groupable=False, since=35.0),
            text("ResponsibleNamespacePrefix", 15),
            Field("CreatedByContext", "string", length=255, since=48.0),
            Field("CreatedByIssuer", "string", length=255, since=48.0),
        ),
        label="Setup Audit Trail Entry",
        plural="Setup Audit Trail",
        replicateable=False,
        writable=False,
        aggregates=False,
        retention=("CreatedDate", AUDIT_DAYS),
    ),
    SObject(
        "LoginHistory",
        "0Ya",
        (
            ident(),
            Field("UserId", "reference", length=18),
            instant("LoginTime", nillable=False),
            picklist(
                "LoginType", "Application", "Remote Access 2.0", "Other Apex API", nillable=False, restricted=True
            ),
            shown_only(text("SourceIp", 39), groupable=True),
            text("LoginUrl", 120),
            Field("AuthenticationServiceId", "reference", length=18, since=34.0),
            lookup("LoginGeoId", "LoginGeo", since=34.0),
            picklist("TlsProtocol", "TLS 1.2", "TLS 1.3", restricted=True, since=37.0),
            picklist("CipherSuite", restricted=True, since=37.0),
            shown_only(flag("OptionsIsGet", since=37.0), groupable=True),
            shown_only(flag("OptionsIsPost", since=37.0), groupable=True),
            shown_only(text("Browser", 64), groupable=True),
            shown_only(text("Platform", 64), groupable=True),
            shown_only(text("Status", 128), groupable=True),
            shown_only(text("Application", 64), groupable=True),
            shown_only(text("ClientVersion", 64), groupable=True),
            shown_only(text("ApiType", 64), groupable=True),
            shown_only(text("ApiVersion", 32), groupable=True),
            Field("CountryIso", "string", length=3, since=37.0),
            Field("AuthMethodReference", "string", length=255, since=51.0),
            picklist("LoginSubType", restricted=True, since=50.0),
        ),
        label="Login History",
        plural="Login History",
        replicateable=False,
        writable=False,
        retention=("LoginTime", AUDIT_DAYS),
    ),
    SObject(
        "EventLogFile",
        "0AT",
        (
            ident(),
            flag("IsDeleted"),
            *audit(),
            picklist("EventType", *EVENT_TYPES, nillable=False, restricted=True),
            instant("LogDate", nillable=False),
            number("LogFileLength", "double", 18, 0, nillable=False),
            text("LogFileContentType", 255, nillable=False),
            number("ApiVersion", "double", 18, 1, nillable=False),
            whole("Sequence", nillable=False, since=37.0),
            picklist("Interval", "Hourly", "Daily", restricted=True, since=37.0),
            shown_only(Field("LogFileFieldNames", "string", length=1333), sortable=False),
            shown_only(Field("LogFileFieldTypes", "string", length=1333), sortable=False),
            blob("LogFile"),
        ),
        label="Event Log File",
        replicateable=False,
        writable=False,
        since=32.0,
        retention=("CreatedDate", LOG_FILE_DAYS),
    ),
)
