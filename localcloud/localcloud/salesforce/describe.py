"""The metadata answers of the REST API: versions, resources, describeGlobal, describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.sobject import DECIMAL_TYPES, ID_TYPES

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import Field, Schema, SObject

    Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]

OLDEST, NEWEST = 31, 68
"""API versions that answer: older ones are retired, newer ones are not there yet."""
_SUPPORTED_FROM = 41
_SEASONS = ("Winter", "Spring", "Summer")
_SOAP_TYPES = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double",
    "currency": "xsd:double", "percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime",
    "anyType": "xsd:anyType",
}  # fmt: skip


def versions() -> bytes:
    """The supported API versions, oldest first."""
    listed: list[Json] = []
    for number in range(_SUPPORTED_FROM, NEWEST + 1):
        year, season = divmod(number - 41, 3)
        label = f"{_SEASONS[season]} '{18 + year}"
        listed.append({"label": label, "url": f"/services/data/v{number}.0", "version": f"{number}.0"})
    return msgspec.json.encode(listed)


def resources(version: float) -> bytes:
    """What a version offers, by name."""
    root = f"/services/data/v{version:.1f}"
    names = ("composite", "jobs", "limits", "query", "queryAll", "sobjects", "tooling")
    return msgspec.json.encode({name: f"{root}/{name}" for name in names})


def describe_global(schema: Schema, version: float) -> bytes:
    """All objects that the user may see."""
    found: list[Json] = [
        dict(_object(sobject, version))
        for sobject in sorted(schema, key=lambda one: one.name)
        if sobject.since <= version
    ]
    return msgspec.json.encode({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": found})


def describe_basic(sobject: SObject, version: float) -> bytes:
    """What an object is, without its fields."""
    return msgspec.json.encode({"objectDescribe": _object(sobject, version), "recentItems": []})


def describe(sobject: SObject, schema: Schema, version: float) -> bytes:
    """An object with its fields and the ways down from it."""
    children: list[Json] = [
        {
            "cascadeDelete": relation.cascade,
            "childSObject": relation.child,
            "deprecatedAndHidden": False,
            "field": relation.field,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": relation.name,
            "restrictedDelete": False,
        }
        for relation in schema.children(sobject.name).values()
        if _since(schema, relation.child) <= version
    ]
    document = {
        **_object(sobject, version),
        "actionOverrides": [],
        "childRelationships": children,
        "compactLayoutable": sobject.has_layout,
        "fields": [_field(field, sobject) for field in sobject.fields if field.since <= version],
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [],
        "searchLayoutable": sobject.is_searched,
        "supportedScopes": [{"label": "All records", "name": "everything"}],
    }
    return msgspec.json.encode(document)


def _since(schema: Schema, name: str) -> float:
    found = schema.get(name)
    return found.since if found else 0.0


def _object(sobject: SObject, version: float) -> dict[str, Json]:
    name, writable = sobject.name, sobject.writable
    root = f"/services/data/v{version:.1f}/sobjects/{name}"
    urls: dict[str, Json] = {"rowTemplate": f"{root}/{{ID}}", "describe": f"{root}/describe", "sobject": root}
    document: dict[str, Json] = {
        "activateable": False,
        "createable": writable,
        "custom": sobject.custom,
        "customSetting": False,
        "deepCloneable": False,
        "deletable": sobject.can_delete,
        "deprecatedAndHidden": False,
        "feedEnabled": writable,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": sobject.key_prefix,
        "label": sobject.label,
        "labelPlural": sobject.plural or f"{sobject.label}s",
        "layoutable": sobject.has_layout,
        "mergeable": sobject.mergeable,
        "mruEnabled": writable,
        "name": name,
        "queryable": sobject.queryable,
        "replicateable": sobject.replicateable,
        "retrieveable": True,
        "searchable": sobject.is_searched,
        "triggerable": writable,
        "undeletable": sobject.can_undelete,
        "updateable": sobject.can_update,
        "urls": urls,
    }
    if version >= 50.0:  # the version that brought them
        document["associateEntityType"] = sobject.associate_type
        document["associateParentEntity"] = sobject.associate_parent
    return document


def _field(field: Field, sobject: SObject) -> dict[str, Json]:
    audit = field.name in {"Id", "IsDeleted", "SystemModstamp"} or field.name.startswith(("Created", "LastModified"))
    writable = sobject.writable and not audit and not field.read_only
    text = field.type not in DECIMAL_TYPES and field.type not in {"int", "boolean", "date", "datetime"}
    return {
        "aggregatable": sobject.aggregates and field.filterable and field.type != "boolean",
        "aiPredictionField": False,
        "autoNumber": field.auto_number,
        "byteLength": field.length * 3 if text and field.type not in ID_TYPES else field.length,
        "calculated": False,
        "calculatedFormula": None,
        "cascadeDelete": field.cascade,
        "caseSensitive": False,
        "compoundFieldName": field.compound,
        "controllerName": None,
        "createable": writable,
        "custom": field.custom,
        "defaultValue": False if field.type == "boolean" else None,
        "defaultValueFormula": None,
        "defaultedOnCreate": audit or field.type == "boolean",
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": 9 if field.type == "int" else 0,
        "displayLocationInDecimal": False,
        "encrypted": False,
        "externalId": False,
        "extraTypeInfo": None,
        "filterable": field.filterable or field.type == "address",
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": field.groupable,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "idLookup": field.name == "Id" or field.name_field,
        "inlineHelpText": None,
        "label": field.label or field.name,
        "length": field.length,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": field.polymorphic,
        "nillable": field.nillable,
        "permissionable": writable and field.nillable,
        "picklistValues": [
            {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
            for value in field.values
        ],
        "polymorphicForeignKey": field.polymorphic,
        "precision": field.precision,
        "queryByDistance": False,
        "referenceTargetField": None if field.target == "Id" else field.target,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": field.type in ID_TYPES,
        "soapType": _SOAP_TYPES.get(field.type, "xsd:string"),
        "sortable": field.sortable,
        "type": field.type,
        "unique": False,
        "updateable": writable,
        "writeRequiresMasterRead": False,
    }
