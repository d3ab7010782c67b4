"""Objects whose rows are the org's own metadata: definitions, permissions, channels; never kept as rows."""

from __future__ import annotations

from localcloud.salesforce.fields import audit, flag, ident, instant, lookup, number, picklist, text, whole
from localcloud.salesforce.sobject import Field, SObject


def _definition(name: str, prefix: str, label: str, *fields: Field, required: tuple[str, ...] = ()) -> SObject:
    return SObject(
        name,
        prefix,
        (ident(), text("DurableId"), text("QualifiedApiName", 70, nillable=False), *fields),
        label=label,
        replicateable=False,
        writable=False,
        storage="metadata",
        aggregates=False,
        required_filters=required,
        since=32.0,
    )


def _names() -> tuple[Field, ...]:
    return (
        text("NamespacePrefix", 15),
        text("DeveloperName", 70),
        text("MasterLabel", 80, nillable=False),
        text("Label", 80),
    )


def _entity() -> Field:
    """The look-up to an EntityDefinition, which holds its durable id: an API name, of custom objects an id."""
    return Field(
        "EntityDefinitionId",
        "string",
        length=255,
        reference_to=("EntityDefinition",),
        relationship="EntityDefinition",
        target="DurableId",
    )


ENTITY_FLAGS = (
    "IsCustomizable", "IsApexTriggerable", "IsWorkflowEnabled", "IsProcessEnabled", "IsCompactLayoutable",
    "IsCustomSetting", "IsDeprecatedAndHidden", "IsReplicateable", "IsRetrieveable", "IsSearchLayoutable",
    "IsSearchable", "IsTriggerable", "IsIdEnabled", "IsEverCreatable", "IsEverUpdatable", "IsEverDeletable",
    "IsFeedEnabled", "IsQueryable", "IsMruEnabled", "IsLayoutable",
)  # fmt: skip

_PROPERTIES = (
    whole("Length"),
    text("DataType"),
    flag("IsCalculated"),
    flag("IsHighScaleNumber"),
    flag("IsHtmlFormatted"),
    flag("IsNameField"),
    flag("IsNillable"),
    whole("Precision"),
    whole("Scale"),
    flag("IsFieldHistoryTracked"),
    flag("IsApiFilterable"),
    flag("IsApiSortable"),
    flag("IsApiGroupable"),
    text("RelationshipName", 80),
    text("ReferenceTargetField", 80),
    flag("IsCompound"),
)

DEFINITIONS: tuple[SObject, ...] = (
    _definition(
        "EntityDefinition",
        "4ie",
        "Entity Definition",
        instant("LastModifiedDate"),
        *_names(),
        text("PluralLabel", 80),
        picklist("DeploymentStatus", "Deployed", "InDevelopment", restricted=True),
        text("KeyPrefix", 3),
        text("PublisherId", 15),
        picklist("InternalSharingModel", "Private", "Read", "ReadWrite", nillable=False, restricted=True),
        picklist("ExternalSharingModel", "Private", "Read", "ReadWrite", nillable=False, restricted=True),
        *(flag(name) for name in ENTITY_FLAGS),
    ),
    _definition(
        "FieldDefinition",
        "4fe",
        "Field Definition",
        _entity(),
        *_names(),
        *_PROPERTIES,
        flag("IsIndexed"),
        flag("IsListVisible"),
        flag("IsPolymorphicForeignKey"),
        text("PublisherId", 15),
        instant("LastModifiedDate"),
        required=("EntityDefinitionId", "DurableId"),
    ),
    _definition(
        "EntityParticle",
        "0Nv",
        "Entity Particle",
        _entity(),
        text("FieldDefinitionId"),
        *_names(),
        *_PROPERTIES,
        text("Name", 70),
        flag("IsAutonumber"),
        whole("ByteLength"),
        flag("IsCreatable"),
        flag("IsUpdatable"),
        flag("IsDefaultedOnCreate"),
        flag("IsPermissionable"),
        flag("IsIdLookup"),
        flag("IsComponent"),
        required=("EntityDefinitionId", "FieldDefinitionId", "DurableId"),
    ),
)
"""Queried through the Tooling API and, by equality, through the data API too."""


def _setup(name: str, prefix: str, label: str, *fields: Field, since: float = 0.0) -> SObject:
    return SObject(name, prefix, (ident(), *fields), label=label, replicateable=False, writable=False, since=since)


PERMISSIONS: tuple[SObject, ...] = (
    _setup(
        "PermissionSet",
        "0PS",
        "Permission Set",
        text("Name", 80, nillable=False, name_field=True),
        text("Label", 80, nillable=False),
        lookup("ProfileId", "Profile"),
        flag("IsOwnedByProfile"),
        flag("IsCustom"),
        flag("PermissionsApiEnabled"),
        flag("PermissionsViewAllData"),
        flag("PermissionsViewSetup"),
        flag("PermissionsViewEventLogFiles"),
        flag("PermissionsManageUsers"),
        *audit(),
        picklist("Type", "Regular", "Standard", "Session", "Profile", "Group", restricted=True),
    ),
    _setup(
        "PermissionSetAssignment",
        "0Pa",
        "Permission Set Assignment",
        lookup("PermissionSetId", "PermissionSet", down="Assignments"),
        lookup("AssigneeId", "User", nillable=False),
        flag("IsActive"),
        instant("SystemModstamp", nillable=False),
    ),
    _setup(
        "ObjectPermissions",
        "110",
        "Object Permissions",
        lookup("ParentId", "PermissionSet", down="ObjectPerms", nillable=False),
        picklist("SobjectType", nillable=False, restricted=True),
        *(
            flag(f"Permissions{name}")
            for name in ("Create", "Read", "Edit", "Delete", "ViewAllRecords", "ModifyAllRecords")
        ),
        *audit(),
    ),
    _setup(
        "FieldPermissions",
        "01k",
        "Field Permissions",
        lookup("ParentId", "PermissionSet", down="FieldPerms", nillable=False),
        picklist("SobjectType", nillable=False, restricted=True),
        picklist("Field", nillable=False, restricted=True),
        flag("PermissionsEdit"),
        flag("PermissionsRead"),
        instant("SystemModstamp", nillable=False),
    ),
)
"""What the user may see, as the data API shows it."""

TOOLING: tuple[SObject, ...] = (
    _setup(
        "CustomObject",
        "01I",
        "Custom Object",
        text("DeveloperName", 70, nillable=False),
        text("NamespacePrefix", 15),
        text("Description", 1000),
        instant("LastModifiedDate", nillable=False),
    ),
    _setup(
        "CustomField",
        "00N",
        "Custom Field",
        text("DeveloperName", 70, nillable=False),
        text("TableEnumOrId", 40, nillable=False),
        text("NamespacePrefix", 15),
        _entity(),
        whole("Length"),
        number("Precision", "double", 18, 0),
        instant("LastModifiedDate", nillable=False),
    ),
    _setup(
        "PlatformEventChannel",
        "0YL",
        "Platform Event Channel",
        text("DeveloperName", 80, nillable=False),
        text("MasterLabel", 255, nillable=False),
        picklist("ChannelType", "data", "event", nillable=False, restricted=True),
        text("NamespacePrefix", 15),
        since=47.0,
    ),
    _setup(
        "PlatformEventChannelMember",
        "0v8",
        "Platform Event Channel Member",
        text("DeveloperName", 80, nillable=False),
        text("EventChannel", 255, nillable=False),
        text("SelectedEntity", 255, nillable=False),
        Field("FilterExpression", "textarea", length=4000, filterable=False, sortable=False, groupable=False),
        text("NamespacePrefix", 15),
        since=47.0,
    ),
)
"""Queried through the Tooling API only."""
