"""The set of custom metadata in Atlan: found, created or extended where that is allowed, never changed otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from pyatlan.model.enums import AtlanCustomAttributePrimitiveType, AtlanTypeCategory
from pyatlan.model.typedef import AttributeDef, CustomMetadataDef

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.attributes import ATTRIBUTES, Attribute
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
        The set, or None where it is not there, or lacks attributes, and nothing may be created.

    Raises:
        ConfigurationError: an attribute is there with another type.
    """
    found = _named(gateway, name)
    if found is None:
        if not may_create:
            return None
        return _create(gateway, name, connections)
    there = _described(found)
    _check_types(there)
    lacking = [attribute for attribute in ATTRIBUTES if attribute.name not in there.attribute_ids]
    if not lacking:
        return there
    if not may_create:
        return None
    found.attribute_defs = [*found.attribute_defs, *_attributes(gateway, lacking, connections)]
    gateway.write(f"extend the custom metadata `{name}`", lambda: gateway.client.typedef.update(found))
    return _complete(gateway, name)


def _create(gateway: Gateway, name: str, connections: Iterable[str]) -> MetadataSet:
    definition = CustomMetadataDef.create(display_name=name, description="What happens to records in Salesforce.")
    definition.attribute_defs = _attributes(gateway, ATTRIBUTES, connections)
    definition.options = CustomMetadataDef.Options.with_logo_as_emoji(emoji="📈", locked=True)
    try:
        gateway.write(f"create the custom metadata `{name}`", lambda: gateway.client.typedef.create(definition))
    except AtlanRefusedError:
        if _named(gateway, name) is None:  # not one that somebody else has just created
            raise
    return _complete(gateway, name)


def _complete(gateway: Gateway, name: str) -> MetadataSet:
    found = _named(gateway, name)
    if found is None or any(attribute.name not in _described(found).attribute_ids for attribute in ATTRIBUTES):
        raise AtlanRefusedError(
            f"Atlan took the custom metadata `{name}` and does not show all of it yet: run again in a minute."
        )
    return _described(found)


def _attributes(gateway: Gateway, attributes: Sequence[Attribute], connections: Iterable[str]) -> list[AttributeDef]:
    return [_attribute(gateway, attribute, set(connections)) for attribute in attributes]


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
    live = [one for one in definition.attribute_defs or [] if not (one.options and one.options.is_archived)]
    return MetadataSet(
        str(definition.display_name),
        definition.name,
        {str(one.display_name): str(one.name) for one in live},
        {str(one.display_name): str(one.type_name or "") for one in live},
    )
