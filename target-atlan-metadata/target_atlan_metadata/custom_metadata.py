"""The set of custom metadata in Atlan: found, created or extended where that is allowed, never changed otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from pyatlan.model.enums import AtlanCustomAttributePrimitiveType, AtlanTypeCategory
from pyatlan.model.typedef import AttributeDef, CustomMetadataDef

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.attributes import ATTRIBUTES, LEDGER, Attribute
from target_atlan_metadata.errors import AtlanRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_atlan_metadata.gateway import Gateway

__all__ = ["MetadataSet", "ensure_set", "find_sets"]


class MetadataSet(msgspec.Struct, frozen=True):
    """A set of custom metadata, as Atlan knows it.

    Attributes:
        name: What users see.
        set_id: Atlan's own name of it.
        attribute_ids: Atlan's own name of each attribute, by what users see.
        types: Type of each attribute.
    """

    name: str
    set_id: str
    attribute_ids: Mapping[str, str]
    types: Mapping[str, str]


def find_sets(gateway: Gateway) -> list[MetadataSet]:
    """All sets of the tenant, without archived attributes."""
    return [_described(one) for one in _definitions(gateway)]


def ensure_set(gateway: Gateway, name: str, connections: Iterable[str], *, may_create: bool) -> MetadataSet | None:
    """Find the set, and see to it that it has all attributes.

    Args:
        gateway: To Atlan.
        name: Display name of the set.
        connections: Qualified names of the connections whose assets may carry it.
        may_create: Whether it may be created or extended.

    Returns:
        The set, or None where it is not there, lacks attributes, or is not for the connections, and nothing may be
        created.

    Raises:
        ConfigurationError: an attribute is there with another type, or the set is somebody else's.
    """
    wanted = set(connections)
    found = _named(gateway, name)
    if found is None:
        return _create(gateway, name, wanted) if may_create else None
    there = _described(found)
    _check_types(there)
    if _is_complete(found, wanted):
        return there
    if LEDGER not in there.attribute_ids:
        raise ConfigurationError(
            f"The custom metadata `{name}` is not of this target, for it has no attribute `{LEDGER}`, and it lacks "
            "others: give another `custom_metadata_name`, and the set is made."
        )
    return _extend(gateway, found, wanted) if may_create else None


def _extend(gateway: Gateway, found: CustomMetadataDef, connections: set[str]) -> MetadataSet:
    """Add what the set lacks: attributes, and connections that its attributes are for."""
    ours = _ours(found)
    everywhere = connections.union(*(_connections(one) for one in ours))
    for one in ours:
        if _lacks(one, connections):
            one.applicable_connections = _connections(one) | connections
    names = {one.display_name for one in ours}
    lacking = [attribute for attribute in ATTRIBUTES if attribute.name not in names]
    found.attribute_defs = [*found.attribute_defs, *_attributes(gateway, lacking, everywhere)]
    name = str(found.display_name)
    try:
        gateway.write(f"extend the custom metadata `{name}`", lambda: gateway.client.typedef.update(found))
    except AtlanRefusedError:
        now = _named(gateway, name)
        if now is None or not _is_complete(now, connections):  # not by a request whose answer was lost
            raise
    return _complete(gateway, name, connections)


def _create(gateway: Gateway, name: str, connections: set[str]) -> MetadataSet:
    definition = CustomMetadataDef.create(display_name=name, description="What happens to records in Salesforce.")
    definition.attribute_defs = _attributes(gateway, ATTRIBUTES, connections)
    definition.options = CustomMetadataDef.Options.with_logo_as_emoji(emoji="📈", locked=True)
    try:
        gateway.write(f"create the custom metadata `{name}`", lambda: gateway.client.typedef.create(definition))
    except AtlanRefusedError:
        if _named(gateway, name) is None:  # not one that somebody else has just created
            raise
    return _complete(gateway, name, connections)


def _complete(gateway: Gateway, name: str, connections: set[str]) -> MetadataSet:
    found = _named(gateway, name)
    if found is None or not _is_complete(found, connections):
        raise AtlanRefusedError(
            f"Atlan took the custom metadata `{name}` and does not show all of it yet: run again in a minute."
        )
    return _described(found)


def _is_complete(found: CustomMetadataDef, connections: set[str]) -> bool:
    """Whether a set has all our attributes, each of them for some connections."""
    ours = _ours(found)
    lacking = {attribute.name for attribute in ATTRIBUTES} - {one.display_name for one in ours}
    return not lacking and not any(_lacks(one, connections) for one in ours)


def _ours(found: CustomMetadataDef) -> list[AttributeDef]:
    names = {attribute.name for attribute in ATTRIBUTES}
    return [one for one in _live(found) if one.display_name in names]


def _live(found: CustomMetadataDef) -> list[AttributeDef]:
    return [one for one in found.attribute_defs or [] if not (one.options and one.options.is_archived)]


def _connections(attribute: AttributeDef) -> set[str]:
    """The connections whose assets may show an attribute; none of a list that is empty: it is for all."""
    return set(attribute.applicable_connections or ())


def _lacks(attribute: AttributeDef, connections: set[str]) -> bool:
    listed = _connections(attribute)
    return bool(listed) and not connections <= listed


def _attributes(gateway: Gateway, attributes: Sequence[Attribute], connections: set[str]) -> list[AttributeDef]:
    return [_attribute(gateway, attribute, connections) for attribute in attributes]


def _attribute(gateway: Gateway, attribute: Attribute, connections: set[str]) -> AttributeDef:
    definition = AttributeDef.create(
        client=gateway.client,
        display_name=attribute.name,
        attribute_type=AtlanCustomAttributePrimitiveType[attribute.kind],
        description=attribute.description,
        applicable_asset_types={"Connection", "SalesforceObject", "SalesforceField"},
        applicable_connections=connections,
        applicable_glossaries={"none"},  # of an empty one pyatlan makes all, by two searches an attribute
    )
    definition.applicable_glossaries = set()
    definition.applicable_glossary_types = set()
    definition.applicable_domains = set()
    definition.applicable_domain_types = set()
    definition.applicable_other_asset_types = set()
    if attribute.kind == "DATE" and definition.options is not None:
        definition.options.has_time_precision = True
    return definition


def _check_types(there: MetadataSet) -> None:
    for attribute in ATTRIBUTES:
        kind = there.types.get(attribute.name, "").upper()
        if kind not in {"", attribute.kind, *_ALSO.get(attribute.kind, ())}:
            raise ConfigurationError(
                f"The custom metadata `{there.name}` has an attribute `{attribute.name}` of another type: give another "
                "`custom_metadata_name`, or rename that attribute in Atlan."
            )


_ALSO: Mapping[str, tuple[str, ...]] = {"INTEGER": ("INT", "LONG"), "STRING": ("RICH_TEXT",)}


def _named(gateway: Gateway, name: str) -> CustomMetadataDef | None:
    return next((one for one in _definitions(gateway) if one.display_name == name), None)


def _definitions(gateway: Gateway) -> list[CustomMetadataDef]:
    answer = gateway.read(
        "read the definitions of custom metadata",
        lambda: gateway.client.typedef.get([AtlanTypeCategory.CUSTOM_METADATA]),
    )
    return list(answer.custom_metadata_defs or [])


def _described(definition: CustomMetadataDef) -> MetadataSet:
    live = _live(definition)
    return MetadataSet(
        str(definition.display_name),
        definition.name,
        {str(one.display_name): str(one.name) for one in live},
        {str(one.display_name): str(one.type_name or "") for one in live},
    )
