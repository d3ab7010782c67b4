"""The types of assets, as data: what each inherits, which attributes it has, and how the index keeps them.

Names and types are those of the metadata service; a test compares them with the definitions of a real tenant.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    Value: TypeAlias = str | int | float | bool | list["Value"] | dict[str, "Value"] | None
else:
    Value = Any
"""A value as JSON carries it."""

Index = Literal["text", "text_exact", "keyword", "normal", "number", "flag"]
"""How the index keeps an attribute: as words, with the whole under `.keyword`, in lower case (`text`) or as it is
(`text_exact`); as the whole, as it is (`keyword`) or in lower case (`normal`), with words under `.text`; as a number or
as a flag."""


class Attribute(msgspec.Struct, frozen=True):
    """An attribute of a type; `type` is the metadata service's (`string`, `long`, `array<string>`, ...)."""

    name: str
    type: str = "string"
    index: Index = "keyword"


class Relation(msgspec.Struct, frozen=True):
    """An attribute that refers to other assets; `inverse` is what they call it, `many` whether it is a list."""

    name: str
    inverse: str
    many: bool = False


class EntityType(msgspec.Struct, frozen=True, dict=True):
    """A type of assets; `parent` is the name of the type it inherits from."""

    name: str
    parent: str | None
    attributes: tuple[Attribute, ...] = ()
    relations: tuple[Relation, ...] = ()

    @cached_property
    def supers(self) -> tuple[str, ...]:
        """The types it inherits from, the nearest first."""
        found: list[str] = []
        parent = self.parent
        while parent is not None:
            found.append(parent)
            parent = TYPES[parent].parent
        return tuple(found)

    @cached_property
    def by_name(self) -> dict[str, Attribute]:
        """All its attributes, also inherited ones."""
        return {attribute.name: attribute for one in self._lineage() for attribute in one.attributes}

    @cached_property
    def relation(self) -> dict[str, Relation]:
        """All its references, also inherited ones."""
        return {relation.name: relation for one in self._lineage() for relation in one.relations}

    def _lineage(self) -> Iterator[EntityType]:
        for name in reversed(self.supers):
            yield TYPES[name]
        yield self


def _each(names: str, type_: str = "string", index: Index = "keyword") -> tuple[Attribute, ...]:
    return tuple(Attribute(name, type_, index) for name in names.split())


_ASSET = (
    *_each("name description", index="text"),
    *_each("displayName", index="text_exact"),
    *_each("userDescription", index="text"),
    Attribute("certificateStatus", "certificate_status", "normal"),
    *_each("certificateStatusMessage certificateUpdatedBy"),
    *_each("certificateUpdatedAt", "date", "number"),
    *_each("announcementTitle announcementMessage announcementType announcementUpdatedBy"),
    *_each("announcementUpdatedAt", "date", "number"),
    *_each("ownerUsers ownerGroups adminUsers adminGroups adminRoles viewerUsers viewerGroups", "array<string>"),
    *_each("connectorName connectionName connectionQualifiedName tenantId subType sourceOwners sourceCreatedBy"),
    *_each("sourceUpdatedBy sourceURL lastSyncWorkflowName lastSyncRun"),
    *_each("lastSyncRunAt sourceCreatedAt sourceUpdatedAt", "date", "number"),
    *_each("__hasLineage isDiscoverable isEditable", "boolean", "flag"),
    *_each("viewScore popularityScore", "float", "number"),
)
_FIELD = (
    *_each("dataType", index="normal"),
    *_each("objectQualifiedName inlineHelpText formula defaultValueFormula"),
    *_each("order precision", "int", "number"),
    *_each("isCalculated isCaseSensitive isEncrypted isNullable isUnique isPolymorphicForeignKey", "boolean", "flag"),
    *_each("maxLength", "long", "number"),
    *_each("numericScale", "float", "number"),
    *_each("picklistValues", "array<string>"),
)
_PLACE = (
    *_each("databaseName schemaName tableName viewName", index="text"),
    *_each("databaseQualifiedName schemaQualifiedName tableQualifiedName viewQualifiedName"),
)
_TABLE = (
    *_each("columnCount rowCount sizeBytes", "long", "number"),
    *_each("alias"),
    *_each("isTemporary", "boolean", "flag"),
)

TYPES: dict[str, EntityType] = {
    one.name: one
    for one in (
        EntityType("Referenceable", None, _each("qualifiedName")),
        EntityType("Asset", "Referenceable", _ASSET),
        EntityType("Catalog", "Asset"),
        EntityType(
            "Connection",
            "Asset",
            (
                *_each("category subCategory host defaultCredentialGuid connectorIcon credentialStrategy"),
                *_each("port", "int", "number"),
                *_each("allowQuery allowQueryPreview", "boolean", "flag"),
                *_each("rowLimit", "long", "number"),
            ),
        ),
        EntityType("SaaS", "Catalog"),
        EntityType(
            "Salesforce",
            "SaaS",
            (Attribute("organizationQualifiedName"), Attribute("apiName", index="text_exact")),
        ),
        EntityType("SalesforceOrganization", "Salesforce", _each("sourceId")),
        EntityType(
            "SalesforceObject",
            "Salesforce",
            (
                *_each("isCustom isMergable isQueryable", "boolean", "flag"),
                *_each("fieldCount", "long", "number"),
            ),
            (Relation("organization", "objects"),),
        ),
        EntityType("SalesforceField", "Salesforce", _FIELD, (Relation("object", "fields"),)),
        EntityType("SQL", "Catalog", _PLACE),
        EntityType("Database", "SQL", _each("schemaCount", "int", "number")),
        EntityType(
            "Schema", "SQL", _each("tableCount viewsCount", "int", "number"), (Relation("database", "schemas"),)
        ),
        EntityType("Table", "SQL", _TABLE, (Relation("atlanSchema", "tables"),)),
        EntityType("View", "SQL", (*_TABLE, *_each("definition")), (Relation("atlanSchema", "views"),)),
        EntityType(
            "Column",
            "SQL",
            (
                *_each("dataType", index="normal"),
                *_each("order", "int", "number"),
                *_each("isNullable isPrimary", "boolean", "flag"),
            ),
            (Relation("table", "columns"), Relation("view", "columns")),
        ),
        EntityType(
            "Dbt",
            "Catalog",
            (
                *_each("dbtAlias dbtMeta dbtUniqueId dbtAccountName dbtProjectName dbtPackageName dbtJobName"),
                *_each("dbtTags", "array<string>"),
            ),
        ),
        EntityType("DbtModel", "Dbt", _each("dbtStatus dbtError dbtRawSQL dbtCompiledSQL dbtMaterializationType")),
        EntityType(
            "Process",
            "Asset",
            _each("code sql ast"),
            (Relation("inputs", "inputToProcesses", many=True), Relation("outputs", "outputFromProcesses", many=True)),
        ),
        EntityType("ColumnProcess", "Process", (), (Relation("process", "columnProcesses"),)),
        EntityType("AtlasGlossary", "Asset"),
    )
}
"""All of them, by name."""

PROCESSES = frozenset(name for name, one in TYPES.items() if "Process" in (name, *one.supers))
"""The types that connect assets in lineage."""
DATASETS = frozenset(name for name, one in TYPES.items() if "Catalog" in (name, *one.supers))
"""The types that lineage leads from and to."""

_BITS = {"int": 31, "long": 63, "float": 0, "double": 0, "date": 63}


def invalid(attribute: Attribute, value: Value) -> bool:
    """Whether the type of an attribute does not take a value, by the rules of the metadata service.

    Whole numbers are taken as text too, an int from any number within its range, a date from any number; a text is
    made of whatever comes.
    """
    if value is None:
        return False
    if attribute.type.startswith("array<"):
        inner = Attribute(attribute.name, attribute.type[6:-1])
        return not isinstance(value, list) or any(invalid(inner, one) for one in value)
    if attribute.type == "boolean":
        return not (isinstance(value, bool) or (isinstance(value, str) and value.lower() in {"true", "false"}))
    if attribute.type not in _BITS:
        return False
    found = _number(value, whole=attribute.type not in {"float", "double"})
    if found is None:
        return attribute.type != "date" or value != ""
    bits = _BITS[attribute.type]
    return bits > 0 and not -(2**bits) <= found < 2**bits


def normal(attribute: Attribute, value: Value) -> Value:
    """A valid value as it is kept: numbers as numbers, flags as flags, texts as texts."""
    if value is None or attribute.type.startswith("array<"):
        return value
    match attribute.type:
        case "boolean":
            return value if isinstance(value, bool) else str(value).lower() == "true"
        case "int" | "long" | "date":
            found = _number(value, whole=True)
            return None if found is None else int(found)
        case "float" | "double":
            return _number(value, whole=False)
        case "string":
            return value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return value


def _number(value: Value, *, whole: bool) -> int | float | None:
    if isinstance(value, (bool, list, dict)) or value is None:
        return None
    if isinstance(value, str):
        try:
            return int(value) if whole else float(value)
        except ValueError:
            return None
    return value
