"""What the catalog holds of Salesforce: found by search, loaded once, matched by API name and never by a built name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Query, Range, Term, Terms

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.figures import AssetKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyatlan.model.assets import Asset

    from target_atlan_metadata.attributes import Value
    from target_atlan_metadata.custom_metadata import MetadataSet
    from target_atlan_metadata.gateway import Gateway

__all__ = [
    "Catalog",
    "CatalogAsset",
    "Organization",
    "find_connection",
    "find_connections",
    "has_connection",
    "load_catalog",
    "organizations",
    "search",
    "values_on",
]

_PAGE: Final = 250


class CatalogAsset(msgspec.Struct, frozen=True):
    """An asset as the search shows it.

    Attributes:
        guid: Atlan's id of it.
        kind: Its type.
        qualified_name: As the crawler made it.
        name: What users see.
        api_name: Name in Salesforce.
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

    Args:
        assets: Found ones.
        organization: Qualified name of the organization; None where the connection has only one.

    Raises:
        ConfigurationError: two objects have one name, and no organization is named.
    """

    def __init__(self, assets: Iterable[CatalogAsset], organization: str | None) -> None:
        everything = list(assets)
        self.objects: dict[str, CatalogAsset] = {}
        names: dict[str, str] = {}
        for asset in everything:
            if asset.kind != "SalesforceObject" or organization not in {None, asset.parent}:
                continue
            name = asset.api_name.casefold()
            if name in self.objects:
                raise ConfigurationError(
                    f"The connection has two objects {asset.api_name}: name the organization that the events are of in "
                    "`organization_qualified_name`; `target-atlan-metadata explore` lists them."
                )
            self.objects[name] = asset
            names[asset.qualified_name] = name
        self.fields = {
            (names[asset.parent], asset.api_name.casefold()): asset
            for asset in everything
            if asset.kind == "SalesforceField" and asset.parent in names
        }

    def carry(self, written: Mapping[str, Mapping[str, Value]]) -> None:
        """Note what assets carry now, by GUID: the search shows it later."""
        for found in (self.objects, self.fields):
            for name, asset in found.items():
                if (values := written.get(asset.guid)) is not None:
                    carried = {key: value for key, value in {**asset.values, **values}.items() if value is not None}
                    found[name] = msgspec.structs.replace(asset, values=carried)  # type: ignore[index]

    def places(self) -> Iterator[tuple[AssetKey, CatalogAsset]]:
        """All objects and fields, each with its name."""
        for asset in self.objects.values():
            yield AssetKey(asset.api_name), asset
        for (name, _), asset in self.fields.items():
            yield AssetKey(self.objects[name].api_name, asset.api_name), asset

    def find(self, key: AssetKey) -> CatalogAsset | None:
        """The asset of an object or field; history names a look-up without its Id (`Owner` for `OwnerId`)."""
        name = key.object.casefold()
        if key.field is None:
            return self.objects.get(name)
        field = key.field.casefold()
        return self.fields.get((name, field)) or self.fields.get((name, f"{field}id"))


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


def load_catalog(
    gateway: Gateway,
    connection: str,
    metadata: MetadataSet | None,
    organization: str | None,
    kinds: Sequence[str] = ("SalesforceObject", "SalesforceField"),
) -> Catalog:
    """Load all objects and fields of a connection, with what they carry of our custom metadata."""
    wanted = ["apiName", "objectQualifiedName", "organizationQualifiedName", "announcementTitle"]
    if metadata is not None:
        wanted += [f"{metadata.set_id}.{attribute}" for attribute in metadata.attribute_ids.values()]
    filters: list[Query] = [Term(field="connectionQualifiedName", value=connection)]
    return Catalog((_asset(one, metadata) for one in search(gateway, kinds, filters, wanted)), organization)


def search(
    gateway: Gateway, kinds: Sequence[str], filters: Sequence[Query], attributes: Sequence[str]
) -> Iterator[Asset]:
    """Find live assets, page by page in the order of their GUIDs, whatever is crawled in between."""
    after = ""
    while True:
        clauses: list[Query] = [
            Terms(field="__typeName.keyword", values=list(kinds)),
            Term(field="__state", value="ACTIVE"),
            *filters,
        ]
        if after:
            clauses.append(Range(field="__guid", gt=after))
        dsl = DSL(query=Bool(filter=clauses), from_=0, size=_PAGE, sort=[{"__guid": {"order": "asc"}}])
        request = IndexSearchRequest(dsl=dsl, attributes=["name", "qualifiedName", *attributes])
        page = gateway.read("search the catalog", lambda: gateway.client.asset.search(request)).current_page()  # noqa: B023
        yield from page
        if len(page) < _PAGE:
            return
        after = str(page[-1].guid)


def values_on(asset: Asset, metadata: MetadataSet) -> dict[str, Value]:
    """What an asset carries of a set of custom metadata, by the attribute's name."""
    carried: Mapping[str, Any] = (asset.business_attributes or {}).get(metadata.set_id) or {}
    return {name: carried[key] for name, key in metadata.attribute_ids.items() if carried.get(key) is not None}


def _asset(asset: Asset, metadata: MetadataSet | None) -> CatalogAsset:
    name = str(asset.name or "")
    return CatalogAsset(
        str(asset.guid),
        str(asset.type_name),
        str(asset.qualified_name or ""),
        name,
        str(getattr(asset, "api_name", None) or name),
        str(getattr(asset, "object_qualified_name", None) or getattr(asset, "organization_qualified_name", None) or ""),
        {} if metadata is None else values_on(asset, metadata),
        str(asset.announcement_title or ""),
    )


def _org_id(organization: Asset) -> str:
    """The id of an org, or an empty text for whatever else a crawler put in its place."""
    told = str(getattr(organization, "source_id", None) or "")
    return told if re.fullmatch(r"00D[A-Za-z0-9]{12}([A-Za-z0-9]{3})?", told) else ""
