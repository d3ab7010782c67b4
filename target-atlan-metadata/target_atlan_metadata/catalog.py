"""What the catalog holds of Salesforce: found by search, loaded once, matched by API name and never by a built name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from pyatlan.model.search import Query, Term

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.figures import AssetKey
from target_atlan_metadata.searching import search

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyatlan.model.assets import Asset

    from target_atlan_metadata.attributes import Value
    from target_atlan_metadata.custom_metadata import MetadataSet
    from target_atlan_metadata.gateway import Gateway

__all__ = [
    "Catalog",
    "CatalogAsset",
    "Organization",
    "choose_organization",
    "find_connection",
    "find_connections",
    "has_connection",
    "load_assets",
    "organizations",
    "values_on",
]


class CatalogAsset(msgspec.Struct, frozen=True):
    """An asset as the search shows it.

    Attributes:
        guid: Atlan's id of it.
        kind: Its type.
        qualified_name: As the crawler made it.
        name: What users see.
        api_name: Name in Salesforce; empty where the catalog does not tell it.
        parent: Qualified name of the object of a field, or of the organization of an object.
        values: Of our custom metadata, by the attribute's name; without those that are not set.
        announcement: Title of the announcement on it; empty where there is none.
    """

    guid: str
    kind: str
    qualified_name: str
    name: str
    api_name: str
    parent: str
    values: Mapping[str, Value]
    announcement: str = ""


class Organization(msgspec.Struct, frozen=True):
    """An organization of a connection.

    Attributes:
        qualified_name: As the crawler made it.
        name: What users see.
        org: Its id in Salesforce; empty where the catalog does not tell it.
    """

    qualified_name: str
    name: str
    org: str

    def is_org(self, org: str) -> bool:
        """Whether it is an org, by an id of 15 or 18 characters; also where the catalog does not tell."""
        return not self.org or self.org[:15] == org[:15]


class Catalog:
    """The objects and fields of one organization.

    Several assets of one field all stand for it: it was crawled twice. Assets without an API name are left out; where
    no asset of a type has one, their names stand for it.

    Args:
        assets: Found ones.
        organization: Qualified name of the organization; None where the connection has only one.

    Attributes:
        objects: By their API names in small letters.
        fields: By the name of the object and their own.

    Raises:
        ConfigurationError: two objects have one name.
    """

    def __init__(self, assets: Iterable[CatalogAsset], organization: str | None) -> None:
        everything = _named(assets)
        self.objects: dict[str, CatalogAsset] = {}
        names: dict[str, str] = {}
        for asset in everything:
            if asset.kind != "SalesforceObject" or organization not in {None, asset.parent}:
                continue
            name = asset.api_name.casefold()
            if name in self.objects:
                raise ConfigurationError(_twice(self.objects[name], asset))
            self.objects[name] = asset
            names[asset.qualified_name] = name
        self.fields: dict[tuple[str, str], tuple[CatalogAsset, ...]] = {}
        for asset in everything:
            if asset.kind == "SalesforceField" and asset.parent in names:
                key = (names[asset.parent], asset.api_name.casefold())
                self.fields[key] = (*self.fields.get(key, ()), asset)

    def carry(self, written: Mapping[str, Mapping[str, Value]]) -> None:
        """Note what assets carry now, by GUID: the search shows it later."""

        def noted(asset: CatalogAsset) -> CatalogAsset:
            if (values := written.get(asset.guid)) is None:
                return asset
            carried = {key: value for key, value in {**asset.values, **values}.items() if value is not None}
            return msgspec.structs.replace(asset, values=carried)

        self.objects = {name: noted(asset) for name, asset in self.objects.items()}
        self.fields = {key: tuple(noted(asset) for asset in assets) for key, assets in self.fields.items()}

    def places(self) -> Iterator[tuple[AssetKey, CatalogAsset]]:
        """All objects and fields, each with its name."""
        for asset in self.objects.values():
            yield AssetKey(asset.api_name), asset
        for (name, _), assets in self.fields.items():
            for asset in assets:
                yield AssetKey(self.objects[name].api_name, asset.api_name), asset

    def find(self, key: AssetKey) -> CatalogAsset | None:
        """The asset of an object or field, or the first of several."""
        return next(iter(self.find_all(key)), None)

    def find_all(self, key: AssetKey) -> Sequence[CatalogAsset]:
        """The assets of an object or field; history names a look-up without its Id (`Owner` for `OwnerId`)."""
        name = key.object.casefold()
        if key.field is None:
            asset = self.objects.get(name)
            return () if asset is None else (asset,)
        field = key.field.casefold()
        return self.fields.get((name, field)) or self.fields.get((name, f"{field}id"), ())


def _named(assets: Iterable[CatalogAsset]) -> list[CatalogAsset]:
    """Those that tell their API name; all of a type, by what users see, where none of it does."""
    everything = list(assets)
    told = {asset.kind for asset in everything if asset.api_name}
    return [
        asset if asset.api_name else msgspec.structs.replace(asset, api_name=asset.name)
        for asset in everything
        if asset.api_name or asset.kind not in told
    ]


def _twice(first: CatalogAsset, second: CatalogAsset) -> str:
    if first.parent != second.parent:
        return (
            f"The connection has two objects {first.api_name}: name the organization that the events are of in "
            "`organization_qualified_name`; `target-atlan-metadata explore` lists them."
        )
    return (
        f"An organization of the connection has two objects {first.api_name} in Atlan, {first.qualified_name} and "
        f"{second.qualified_name}: archive there the one that is out of date."
    )


def find_connections(gateway: Gateway) -> list[CatalogAsset]:
    """All Salesforce connections that the token can see."""
    filters: list[Query] = [Term(field="connectorName", value="salesforce")]
    return [_asset(one, None) for one in search(gateway, ["Connection"], filters, ["connectorName"])]


def has_connection(gateway: Gateway, qualified_name: str) -> bool:
    """Whether the token can see a connection of any kind."""
    return any(search(gateway, ["Connection"], [Term(field="qualifiedName", value=qualified_name)], []))


def organizations(gateway: Gateway, connection: CatalogAsset) -> list[Organization]:
    """The organizations of a connection."""
    filters: list[Query] = [Term(field="connectionQualifiedName", value=connection.qualified_name)]
    found = search(gateway, ["SalesforceOrganization"], filters, ["sourceId"])
    return [Organization(str(one.qualified_name), str(one.name), _org_id(one)) for one in found]


def find_connection(gateway: Gateway, qualified_name: str | None) -> CatalogAsset:
    """The Salesforce connection.

    Raises:
        ConfigurationError: there is none, or several and no name is given.
    """
    found = find_connections(gateway)
    if qualified_name is not None:
        chosen = [one for one in found if one.qualified_name == qualified_name]
        if not chosen:
            raise ConfigurationError(
                "Setting `connection_qualified_name` names no Salesforce connection that the token can see: "
                "`target-atlan-metadata explore` lists them."
            )
        return chosen[0]
    if not found:
        raise ConfigurationError(
            "Atlan shows the token no Salesforce connection: crawl Salesforce there first, and grant the token access "
            "to the connection."
        )
    if len(found) > 1:
        raise ConfigurationError(
            f"Atlan has {len(found)} Salesforce connections: say which one in `connection_qualified_name`; "
            "`target-atlan-metadata explore` lists them."
        )
    return found[0]


def choose_organization(known: Sequence[Organization], named: str | None, org: str) -> str | None:
    """The organization whose assets get the figures; None stands for all that the connection has.

    Args:
        known: Organizations of the connection.
        named: Qualified name that the settings give.
        org: Id of the org that the events are of; empty where that is not known.

    Raises:
        ConfigurationError: there are several, and their ids do not tell.
    """
    if named is not None or len(known) < 2:
        return named
    of_org = [one for one in known if one.org and one.is_org(org)]
    if len(of_org) != 1:
        raise ConfigurationError(
            f"The Salesforce connection in Atlan has {len(known)} organizations, and their ids do not tell which one "
            "the events are of: name it in `organization_qualified_name`; `target-atlan-metadata explore` lists them."
        )
    return of_org[0].qualified_name


def load_assets(
    gateway: Gateway, connection: str, metadata: MetadataSet | None, log: logging.Logger | None = None
) -> list[CatalogAsset]:
    """Load all objects and fields of a connection, with what they carry of our custom metadata.

    Raises:
        AtlanError: the search shows another part of them each time.
    """
    wanted = ["apiName", "objectQualifiedName", "organizationQualifiedName", "announcementTitle"]
    if metadata is not None:
        wanted += [f"{metadata.set_id}.{attribute}" for attribute in metadata.attribute_ids.values()]
    filters: list[Query] = [Term(field="connectionQualifiedName", value=connection)]
    found = search(gateway, ["SalesforceObject", "SalesforceField"], filters, wanted, log)
    return [_asset(one, metadata) for one in found]


def values_on(asset: Asset, metadata: MetadataSet) -> dict[str, Value]:
    """What an asset carries of a set of custom metadata, by the attribute's name."""
    carried: Mapping[str, Any] = (asset.business_attributes or {}).get(metadata.set_id) or {}
    return {name: carried[key] for name, key in metadata.attribute_ids.items() if carried.get(key) is not None}


def _asset(asset: Asset, metadata: MetadataSet | None) -> CatalogAsset:
    return CatalogAsset(
        str(asset.guid),
        str(asset.type_name),
        str(asset.qualified_name or ""),
        str(asset.name or ""),
        str(getattr(asset, "api_name", None) or ""),
        str(getattr(asset, "object_qualified_name", None) or getattr(asset, "organization_qualified_name", None) or ""),
        {} if metadata is None else values_on(asset, metadata),
        str(asset.announcement_title or ""),
    )


def _org_id(organization: Asset) -> str:
    """The id of an org, or an empty text for whatever else a crawler put in its place."""
    told = str(getattr(organization, "source_id", None) or "")
    return told if re.fullmatch(r"00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?", told) else ""
