"""An asset as the catalog keeps it, and the forms in which answers show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from localcloud.atlan.types import TYPES, EntityType, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Status = Literal["ACTIVE", "DELETED"]


class Asset(msgspec.Struct, frozen=True):
    """One asset; instants are milliseconds since the epoch.

    `attributes` by their names; `custom_metadata` by the ids of set and attribute; `references` holds GUIDs by the
    name of the relation.
    """

    guid: str
    type_name: str
    attributes: dict[str, Value]
    custom_metadata: dict[str, dict[str, Value]] = {}
    references: dict[str, tuple[str, ...]] = {}
    status: Status = "ACTIVE"
    created_at: int = 0
    updated_at: int = 0
    created_by: str = ""
    updated_by: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.attributes.get("name") or "")

    @property
    def qualified_name(self) -> str:
        """What the catalog knows it by, once per type."""
        return str(self.attributes.get("qualifiedName") or "")

    @property
    def type(self) -> EntityType:
        """Its type."""
        return TYPES[self.type_name]

    @property
    def active(self) -> bool:
        """Whether it is not archived."""
        return self.status == "ACTIVE"


class ObjectId(msgspec.Struct, rename="camel", omit_defaults=True):
    """A reference to another asset: by GUID, or by its qualified name."""

    type_name: str | None = None
    guid: str | None = None
    unique_attributes: dict[str, Value] = {}
    attributes: dict[str, Value] = {}


Find = "Callable[[str], Asset | None]"


def header(asset: Asset, attributes: Mapping[str, Value]) -> dict[str, Value]:
    """The short form: in search results, lineage, and answers to writes."""
    return {
        "typeName": asset.type_name,
        "attributes": dict(attributes),
        "guid": asset.guid,
        "status": asset.status,
        "displayText": asset.name,
        "classificationNames": [],
        "classifications": [],
        "meaningNames": [],
        "meanings": [],
        "isIncomplete": False,
        "labels": [],
        "createdBy": asset.created_by,
        "updatedBy": asset.updated_by,
        "createTime": asset.created_at,
        "updateTime": asset.updated_at,
    }


def reference(asset: Asset, attributes: Iterable[str] = ()) -> dict[str, Value]:
    """The form in which other assets refer to it."""
    return {
        "guid": asset.guid,
        "typeName": asset.type_name,
        "entityStatus": asset.status,
        "displayText": asset.name,
        "uniqueAttributes": {"qualifiedName": asset.qualified_name},
        "attributes": {name: asset.attributes[name] for name in attributes if name in asset.attributes},
    }


def chosen(
    asset: Asset, names: Iterable[str], find: Callable[[str], Asset | None], related: Iterable[str] = ()
) -> dict[str, Value]:
    """The attributes that a caller asked for: own ones, references, and custom metadata as `set.attribute`.

    Args:
        asset: Whose.
        names: What was asked for.
        find: Finds an asset by GUID.
        related: The attributes of referred assets that were asked for.
    """
    found: dict[str, Value] = {"name": asset.name, "qualifiedName": asset.qualified_name}
    for name in names:
        if name in asset.attributes:
            found[name] = asset.attributes[name]
        elif name in asset.references:
            found[name] = references(asset, name, find, related)
        elif "." in name:
            of, _, attribute = name.partition(".")
            value = asset.custom_metadata.get(of, {}).get(attribute)
            if value is not None:
                found[name] = value
    return found


def references(asset: Asset, name: str, find: Callable[[str], Asset | None], related: Iterable[str] = ()) -> Value:
    """What an asset refers to by one relation: an object, or a list of them."""
    others = [reference(one, related) for guid in asset.references.get(name, ()) if (one := find(guid))]
    many = name not in asset.type.relation or asset.type.relation[name].many
    return list[Value](others) if many else (others[0] if others else None)
