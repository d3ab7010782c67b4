"""The metadata of an org as rows: what Setup would show of objects, fields, permissions and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.ids import make_id
from localcloud.salesforce.sobject import COMPOUND_TYPES, DECIMAL_TYPES
from localcloud.salesforce.tracking import is_tracked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.salesforce.org import Org
    from localcloud.salesforce.pubsub.settings import PubSubSettings
    from localcloud.salesforce.sobject import Field, Schema, SObject

    Row = dict[str, object]

_NO_ID = "000000000000000AAA"
"""The id of every row of metadata that Salesforce keeps no record of."""

_SHOWN_TYPES = {
    "id": "Lookup()", "picklist": "Picklist", "boolean": "Checkbox", "date": "Date", "datetime": "Date/Time",
    "email": "Email", "phone": "Phone", "url": "URL(255)", "address": "Address", "anyType": "Text(255)",
    "combobox": "Picklist", "base64": "Base64",
}  # fmt: skip


def rows(org: Org, seen: Schema, channels: PubSubSettings) -> dict[str, list[Row]]:
    """The rows by object.

    Args:
        org: The org, with all it has.
        seen: What the user may see of it.
        channels: What is set up for the event bus.
    """
    custom = [sobject.name for sobject in org.schema if sobject.name.endswith("__c")]
    durable = {name: make_id("01I", number + 1)[:15] for number, name in enumerate(custom)}
    found: dict[str, list[Row]] = {"EntityDefinition": [], "FieldDefinition": [], "EntityParticle": []}
    for sobject in sorted(seen, key=lambda one: one.name):
        found["EntityDefinition"].append(_entity(sobject, durable))
        for field in sobject.fields:
            definition = _field(sobject, field, durable)
            found["FieldDefinition"].append(definition)
            found["EntityParticle"].append(_particle(definition, sobject, field))
    found |= {name: list(_stamped(org, made)) for name, made in _permissions(org, seen).items()}
    found["CustomObject"] = [
        {"Id": durable[name], "DeveloperName": name.removesuffix("__c"), "LastModifiedDate": _made(org)}
        for name in custom
        if seen.get(name) is not None
    ]
    found["CustomField"] = list(_custom_fields(org, seen, durable))
    found["PlatformEventChannel"] = [
        {
            "Id": make_id("0YL", number + 1),
            "DeveloperName": name.removesuffix("__chn"),
            "MasterLabel": name.removesuffix("__chn"),
            "ChannelType": "event" if all(member.entity.endswith("__e") for member in channel.members) else "data",
        }
        for number, channel in enumerate(channels.channels)
        for name in (_short(channel.name),)
    ]
    found["PlatformEventChannelMember"] = list(_members(channels))
    return found


def _entity(sobject: SObject, durable: dict[str, str]) -> Row:
    customizable = sobject.associate_type is None and (sobject.writable or sobject.name == "User")
    return {
        "Id": _NO_ID,
        "DurableId": durable.get(sobject.name, sobject.name),
        "QualifiedApiName": sobject.name,
        "DeveloperName": sobject.name.removesuffix("__c"),
        "MasterLabel": sobject.label,
        "Label": sobject.label,
        "PluralLabel": sobject.plural or f"{sobject.label}s",
        "DeploymentStatus": "Deployed" if sobject.name in durable else None,
        "KeyPrefix": sobject.key_prefix or None,
        "PublisherId": "<local>" if sobject.custom else "System",
        "InternalSharingModel": "ReadWrite",
        "ExternalSharingModel": "Private",
        "IsCustomizable": customizable,
        "IsApexTriggerable": sobject.writable,
        "IsWorkflowEnabled": sobject.writable,
        "IsProcessEnabled": sobject.writable,
        "IsCompactLayoutable": sobject.writable,
        "IsReplicateable": sobject.replicateable,
        "IsRetrieveable": True,
        "IsSearchLayoutable": sobject.is_searched,
        "IsSearchable": sobject.is_searched,
        "IsTriggerable": sobject.writable,
        "IsIdEnabled": True,
        "IsEverCreatable": sobject.writable,
        "IsEverUpdatable": sobject.can_update,
        "IsEverDeletable": sobject.can_delete,
        "IsFeedEnabled": sobject.writable,
        "IsQueryable": sobject.queryable,
        "IsMruEnabled": sobject.writable,
        "IsLayoutable": sobject.has_layout,
    }


def _field(sobject: SObject, field: Field, durable: dict[str, str]) -> Row:
    entity = durable.get(sobject.name, sobject.name)
    developer = field.name.removesuffix("__c") if field.custom else field.name
    if field.type == "reference" and not field.custom:
        developer = developer.removesuffix("Id")
    return {
        "Id": _NO_ID,
        "DurableId": f"{entity}.{developer}",
        "QualifiedApiName": field.name,
        "EntityDefinitionId": entity,
        "DeveloperName": developer,
        "MasterLabel": field.label or field.name,
        "Label": field.label or field.name,
        "Length": field.length,
        "DataType": _shown_type(field),
        "IsNameField": field.name_field,
        "IsNillable": field.nillable,
        "Precision": field.precision,
        "Scale": field.scale,
        "IsFieldHistoryTracked": is_tracked(sobject, field),
        "IsApiFilterable": field.filterable or field.type in COMPOUND_TYPES,
        "IsApiSortable": field.sortable,
        "IsApiGroupable": field.groupable,
        "RelationshipName": field.relationship,
        "IsCompound": field.type in COMPOUND_TYPES,
        "IsIndexed": field.type in {"id", "reference"} or field.name in {"CreatedDate", "SystemModstamp"},
        "IsListVisible": sobject.has_layout,
        "IsPolymorphicForeignKey": field.polymorphic,
        "PublisherId": "<local>" if field.custom else "System",
    }


def _particle(definition: Row, sobject: SObject, field: Field) -> Row:
    system = field.name in {"Id", "IsDeleted", "SystemModstamp"} or field.name.startswith(("Created", "LastModified"))
    settable = not system and not field.read_only
    return definition | {
        "FieldDefinitionId": definition["DurableId"],
        "DataType": field.type,
        "Name": field.name,
        "IsAutonumber": field.auto_number,
        "ByteLength": field.length * 3,
        "IsCreatable": sobject.writable and settable,
        "IsUpdatable": sobject.can_update and settable,
        "IsDefaultedOnCreate": system,
        "IsPermissionable": sobject.writable and settable and field.nillable,
        "IsIdLookup": field.name == "Id",
        "IsComponent": field.compound is not None,
    }


def _shown_type(field: Field) -> str:
    if field.type == "reference":
        return f"Lookup({','.join(field.reference_to)})"
    if field.type in DECIMAL_TYPES:
        name = {"double": "Number"}.get(field.type, field.type.title())
        return f"{name}({field.precision - field.scale}, {field.scale})"
    if field.type == "int":
        return "Number(9, 0)"
    if field.type == "textarea" and field.length > 255:
        return f"Long Text Area({field.length})"
    return _SHOWN_TYPES.get(field.type, f"Text({field.length})")


def _permissions(org: Org, seen: Schema) -> dict[str, list[Row]]:
    """The permissions of the user who logs in, as those of the set that the profile owns."""
    parent = make_id("0PS", 1)
    objects: list[Row] = []
    fields: list[Row] = []
    for sobject in sorted(seen, key=lambda one: one.name):
        if sobject.associate_type is not None or not sobject.writable:
            continue  # permissions are set on objects with records of their own
        objects.append(
            {
                "Id": make_id("110", len(objects) + 1),
                "ParentId": parent,
                "SobjectType": sobject.name,
                "PermissionsRead": True,
                "PermissionsViewAllRecords": True,
                "PermissionsCreate": True,
                "PermissionsEdit": sobject.can_update,
                "PermissionsDelete": sobject.can_delete,
                "PermissionsModifyAllRecords": True,
            }
        )
        for field in sobject.fields:
            if not field.nillable or field.compound or field.name.startswith(("Created", "LastModified")):
                continue  # what a record cannot be without is not a matter of permission
            fields.append(
                {
                    "Id": make_id("01k", len(fields) + 1),
                    "ParentId": parent,
                    "SobjectType": sobject.name,
                    "Field": f"{sobject.name}.{field.name}",
                    "PermissionsRead": True,
                    "PermissionsEdit": not field.read_only,
                }
            )
    whole: Row = {
        "Id": parent,
        "Name": "X00ePROFILE",
        "Label": "00ePROFILE",
        "IsOwnedByProfile": True,
        "PermissionsApiEnabled": True,
        "PermissionsViewAllData": True,
        "PermissionsViewSetup": True,
        "PermissionsViewEventLogFiles": seen.get("EventLogFile") is not None,
        "PermissionsManageUsers": seen.get("LoginHistory") is not None,
        "Type": "Profile",
    }
    assignment: Row = {
        "Id": make_id("0Pa", 1),
        "PermissionSetId": parent,
        "AssigneeId": org.user_id,
        "IsActive": True,
    }
    return {
        "PermissionSet": [whole],
        "PermissionSetAssignment": [assignment],
        "ObjectPermissions": objects,
        "FieldPermissions": fields,
    }


def _stamped(org: Org, made: list[Row]) -> Iterator[Row]:
    at = _made(org)
    stamps = {"CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at}
    for row in made:
        yield {**stamps, "CreatedById": org.user_id, "LastModifiedById": org.user_id, **row}


def _made(org: Org) -> str:
    """When the org was made, as far as its rows tell."""
    row = org.db.execute('SELECT min("CreatedDate") FROM "Organization"').fetchone()
    return str(row[0]) if row and row[0] else "2020-01-01T00:00:00.000+0000"


def _custom_fields(org: Org, seen: Schema, durable: dict[str, str]) -> Iterator[Row]:
    number = 0
    for sobject in org.schema:
        visible = seen.get(sobject.name)
        for field in sobject.fields:
            if not field.custom:
                continue
            number += 1
            if visible is None or field.name.lower() not in visible.by_name:
                continue
            entity = durable.get(sobject.name, sobject.name)
            yield {
                "Id": make_id("00N", number),
                "DeveloperName": field.name.removesuffix("__c"),
                "TableEnumOrId": entity,
                "EntityDefinitionId": entity,
                "Length": field.length,
                "Precision": field.precision,
                "LastModifiedDate": _made(org),
            }


def _members(channels: PubSubSettings) -> Iterator[Row]:
    listed = [("ChangeEvents", entity, "") for entity in channels.selected]
    listed += [
        (_short(channel.name), member.entity, member.filter)
        for channel in channels.channels
        for member in channel.members
    ]
    for number, (channel, entity, condition) in enumerate(listed):
        selected = entity if entity.endswith("__e") else _change_event(entity)
        developer = f"{channel}_{selected}".replace("__", "_")
        yield {
            "Id": make_id("0v8", number + 1),
            "DeveloperName": developer,
            "EventChannel": channel,
            "SelectedEntity": selected,
            "FilterExpression": condition or None,
        }


def _change_event(entity: str) -> str:
    return f"{entity[:-1]}ChangeEvent" if entity.endswith("__c") else f"{entity}ChangeEvent"


def _short(channel: str) -> str:
    """The name of a channel without the path of its topic."""
    return channel.rsplit("/", 1)[-1]
