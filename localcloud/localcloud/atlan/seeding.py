"""A catalog that matches an org and its warehouse: what Atlan's crawlers would have found there.

Qualified names of Salesforce assets come in several forms, drawn by the seed, because the real one is not
published: whoever builds one instead of searching for it finds nothing.
"""

from __future__ import annotations

import random
import re
import uuid
from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan.assets import Asset
from localcloud.atlan.definitions import AttributeDef, SetDef, build_id
from localcloud.atlan.store import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from localcloud.atlan.store import Store
    from localcloud.atlan.types import Value
    from localcloud.salesforce.sobject import Field, SObject

DATABASE = "RAW"
SCHEMA = "SALESFORCE"
OTHER_SCHEMA = "SALESFORCE_DEV"
DELETES = "DELETE_EVENTS"
STEWARDSHIP = "Data Stewardship"
"""A set of custom metadata of somebody else, with values on some of the assets."""
_FIRST_CONNECTION = 1_680_000_000  # seconds since the epoch
CRAWLER = "service-account-atlan-argo"
_STREAMS = (
    "OpportunityHistory", "ProcessInstance", "ProcessInstanceStep", "ProcessInstanceWorkitem", "ApprovalWorkItem",
    "Task", "Event", "SetupAuditTrail", "LoginHistory",
)  # fmt: skip
_NOT_CRAWLED = frozenset({"EventLogFile", "FieldHistoryArchive", "ActivityFieldHistory"})
_EVENT_COLUMNS = (
    "EVENT_ID", "EVENT_TYPE", "TIMESTAMP_OCCURRED", "TIMESTAMP_RECORDED", "ACTOR_ID", "ACTOR_TYPE", "ACTOR_NAME",
    "RECORD_TYPE", "RECORD_ID", "FIELD_NAME", "OLD_VALUE", "NEW_VALUE", "IS_PRIMARY", "CONTEXT", "EXTRACTED_AT",
    "EXTRACTOR_VERSION",
)  # fmt: skip


class Sources(msgspec.Struct, frozen=True):
    """What there is to catalogue: an org's name and id, and its objects."""

    organization: str
    organization_id: str
    objects: Sequence[SObject]


class Builder:
    """Makes assets with names and ids that one seed decides.

    Args:
        seed: The same seed gives the same catalog.
        now_ms: When the crawlers ran, in milliseconds since the epoch.
    """

    def __init__(self, seed: int, now_ms: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a made-up catalog
        self.now_ms = now_ms
        self.assets: list[Asset] = []

    def guid(self) -> str:
        """A new GUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def hashed_id(self) -> str:
        """A new id of custom metadata."""
        return build_id(self._random.choice)

    def epoch(self) -> int:
        """When a connection was made, in seconds: a part of its qualified name."""
        return _FIRST_CONNECTION + self._random.randrange(40_000_000)

    def chance(self, share: float) -> bool:
        """True for a share of the cases."""
        return self._random.random() < share

    def add(
        self, type_name: str, qualified_name: str, name: str, connection: Asset | None = None, /, **more: Value
    ) -> Asset:
        """An asset of a connection; `references` in `more` are GUIDs by relation."""
        kept: dict[str, Value] = {"qualifiedName": qualified_name, "name": name, "__hasLineage": False}
        if connection is not None:
            of = connection.attributes
            kept |= {"connectorName": of["connectorName"], "connectionName": of["name"]}
            kept |= {"connectionQualifiedName": of["qualifiedName"], "lastSyncRun": "crawl-1"}
            kept |= {"lastSyncRunAt": self.now_ms}
        kept |= {key: value for key, value in more.items() if value is not None}
        asset = Asset(
            self.guid(), type_name, kept, created_at=self.now_ms, updated_at=self.now_ms, created_by=CRAWLER,
            updated_by=CRAWLER,
        )  # fmt: skip
        self.assets.append(asset)
        return asset

    def refer(self, **to: Asset) -> Asset:
        """The asset that was made last, with references to others."""
        last = self.assets.pop()
        self.assets.append(msgspec.structs.replace(last, references={name: (one.guid,) for name, one in to.items()}))
        return self.assets[-1]

    def child_name(self, parent: str, root: str, name: str) -> str:
        """A qualified name below a parent's, in one of the forms that this stand-in knows."""
        tail = name.lower().replace("__c", "").replace("_", "-")
        forms: tuple[Callable[[], str], ...] = (
            lambda: f"{parent}/{name}",
            lambda: f"{parent}/{tail}",
            lambda: f"{root}/{self._random.getrandbits(48):012x}",
            lambda: f"{parent}/{name}@{self._random.randrange(10_000, 99_999)}",
        )
        return self._random.choice(forms)()


def seed_catalog(store: Store, sources: Sources, *, seed: int) -> None:
    """Fill an empty catalog.

    Args:
        store: Where to.
        sources: What there is.
        seed: The same seed gives the same catalog.
    """
    build = Builder(seed, store.clock.now_ms())
    salesforce(build, sources)
    snowflake(build, sources.objects)
    _stewardship(store, build)
    store.commit(Change(build.assets))


def salesforce(build: Builder, sources: Sources) -> Asset:
    """The Salesforce connection, its organization, objects and fields; one object was there under another name."""
    connection = _connection(build, "salesforce", "demo-salesforce", "saas")
    root = connection.qualified_name
    name = build.child_name(root, root, sources.organization_id)
    organization = build.add(
        "SalesforceOrganization", name, sources.organization, connection, sourceId=sources.organization_id
    )
    for sobject in crawled(sources.objects):
        add_object(build, connection, organization, sobject.name, sobject.label, sobject.fields)
    old = build.add("SalesforceObject", f"{root}/old/Opportunity", "Opportunity", connection, apiName="Opportunity")
    build.assets[-1] = msgspec.structs.replace(old, status="DELETED")
    return connection


def add_object(
    build: Builder, connection: Asset, organization: Asset, api_name: str, label: str, fields: Iterable[Field]
) -> Asset:
    """An object with its fields."""
    root, above = connection.qualified_name, organization.qualified_name
    columns = list(fields)
    shown = label or api_name
    sobject = build.add(
        "SalesforceObject",
        build.child_name(above, root, api_name),
        shown if build.chance(0.5) else api_name,
        connection,
        apiName=api_name,
        organizationQualifiedName=above,
        isCustom=api_name.endswith("__c"),
        isQueryable=True,
        fieldCount=len(columns),
    )
    build.refer(organization=organization)
    for order, field in enumerate(columns):
        add_field(build, connection, sobject, field, order)
    return sobject


def add_field(build: Builder, connection: Asset, sobject: Asset, field: Field, order: int) -> Asset:
    """A field of an object."""
    of = sobject.attributes
    build.add(
        "SalesforceField",
        build.child_name(sobject.qualified_name, connection.qualified_name, field.name),
        field.label or field.name if build.chance(0.5) else field.name,
        connection,
        apiName=field.name,
        dataType=field.type,
        objectQualifiedName=sobject.qualified_name,
        organizationQualifiedName=of.get("organizationQualifiedName"),
        order=order,
        isNullable=field.nillable,
        maxLength=field.length or None,
        precision=field.precision or None,
        picklistValues=list(field.values) or None,
    )
    return build.refer(object=sobject)


def snowflake(build: Builder, objects: Iterable[SObject]) -> Asset:
    """The Snowflake connection: the schema that the pipeline loads, and one of developers with the same tables."""
    connection = _connection(build, "snowflake", "demo-warehouse", "warehouse")
    root = connection.qualified_name
    names = table_names(objects)
    database = build.add("Database", f"{root}/{DATABASE}", DATABASE, connection, schemaCount=2)
    for schema_name in (SCHEMA, OTHER_SCHEMA):
        below = f"{root}/{DATABASE}/{schema_name}"
        place: dict[str, Value] = {"databaseName": DATABASE, "databaseQualifiedName": database.qualified_name}
        build.add("Schema", below, schema_name, connection, tableCount=len(names), **place)
        schema = build.refer(database=database)
        place |= {"schemaName": schema_name, "schemaQualifiedName": below}
        for name in names:
            build.add("Table", f"{below}/{name}", name, connection, columnCount=len(_EVENT_COLUMNS), **place)
            table = build.refer(atlanSchema=schema)
            within: dict[str, Value] = {**place, "tableName": name, "tableQualifiedName": table.qualified_name}
            for order, column in enumerate(_EVENT_COLUMNS if schema_name == SCHEMA else ()):
                build.add("Column", f"{below}/{name}/{column}", column, connection, order=order, **within)
                build.refer(table=table)
    return connection


def crawled(objects: Iterable[SObject]) -> list[SObject]:
    """The objects that a crawler lists: neither histories nor what only the tooling knows."""
    return [one for one in objects if one.associate_type is None and one.name not in _NOT_CRAWLED]


def table_names(objects: Iterable[SObject]) -> list[str]:
    """The tables that the pipeline loads: one for each stream, named after its object."""
    names = [one.name for one in objects if one.associate_type == "History" or one.name in _STREAMS]
    return [*sorted(_table(name) for name in names), DELETES]


def _table(name: str) -> str:
    """`OpportunityFieldHistory` as `OPPORTUNITY_FIELD_HISTORY`, `Invoice__History` as `INVOICE__HISTORY`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def _connection(build: Builder, connector: str, name: str, category: str) -> Asset:
    qualified_name = f"default/{connector}/{build.epoch()}"
    return build.add(
        "Connection", qualified_name, name, None, connectorName=connector, category=category, adminUsers=["admin"]
    )


def _stewardship(store: Store, build: Builder) -> None:
    """Custom metadata of somebody else, on about a third of the objects."""
    options: dict[str, Value] = {
        "customMetadataVersion": "v2",
        "applicableEntityTypes": '["Asset"]',
        "maxStrLength": "100000000",
        "isEnum": "false",
        "multiValueSelect": "false",
    }
    attributes = [
        AttributeDef(
            name=build.hashed_id(), display_name=shown, type_name=kind, options={**options, "primitiveType": kind}
        )
        for shown, kind in (("Steward", "string"), ("Reviewed on", "date"), ("Retention (years)", "int"))
    ]
    values: tuple[Value, ...] = ("data-office", store.clock.now_ms() - 30 * 86_400_000, 7)
    made = SetDef(
        guid=build.guid(), name=build.hashed_id(), display_name=STEWARDSHIP, created_by="admin", updated_by="admin",
        create_time=store.clock.now_ms(), update_time=store.clock.now_ms(), attribute_defs=attributes,
    )  # fmt: skip
    store.definitions.adopt(made)
    store.save_definitions()
    given = {one.name: value for one, value in zip(attributes, values, strict=True)}
    for at, asset in enumerate(build.assets):
        if asset.type_name in {"SalesforceObject", "Table"} and build.chance(0.35):
            build.assets[at] = msgspec.structs.replace(asset, custom_metadata={made.name: dict(given)})
