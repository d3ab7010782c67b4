"""What the catalog holds of Salesforce: found by search, loaded once, matched by API name and never by a built name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from pyatlan.client.common import Search
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Query, Range, Term, Terms

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.errors import AtlanError
from target_atlan_metadata.figures import AssetKey

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

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
    "search",
    "values_on",
]

_PAGE: Final = 250
_PASSES: Final = 3  # of one search


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


def search(
    gateway: Gateway,
    kinds: Sequence[str],
    filters: Sequence[Query],
    attributes: Sequence[str],
    log: logging.Logger | None = None,
) -> Iterator[Asset]:
    """Find live assets, page by page in the order of their GUIDs, whatever is crawled in between.

    A search may leave out, with a good status, what a part of the index did not tell in time (Elasticsearch,
    `allow_partial_search_results`), and it counts documents of assets that are no more, without showing them
    (atlas-metastore, `EntityDiscoveryService.prepareSearchResult`). So where the numbers of the answers do not fit what
    they show, all is asked for again, until nothing comes to light any more.

    Raises:
        AtlanError: each time something else is shown, and not all of it.
    """
    clauses: list[Query] = [
        Terms(field="__typeName.keyword", values=list(kinds)),
        Term(field="__state", value="ACTIVE"),
        *filters,
    ]

    def ask(after: str) -> _Page:
        beyond = [Range(field="__guid", gt=after)] if after else []
        dsl = DSL(query=Bool(filter=[*clauses, *beyond]), from_=0, size=_PAGE, sort=[{"__guid": {"order": "asc"}}])
        request = IndexSearchRequest(dsl=dsl, attributes=["name", "qualifiedName", *attributes])
        return gateway.read("search the catalog", lambda: _page(gateway, request))

    shown: set[str] = set()
    for number in range(_PASSES):
        before = len(shown)
        found = yield from _pass(ask, shown)
        if found.fits or (number and len(shown) >= found.told):  # else something was crawled meanwhile
            return
        if number and len(shown) == before:
            if log is not None:
                log.warning("Atlan's search counts %d assets that it does not show.", found.told - len(shown))
            return
    raise AtlanError(
        f"Atlan's search shows {len(shown):,} of the {found.told:,} assets that it tells of, each time others: what is "
        "counted is kept in the ledger; run again later."
    )


class _Page(NamedTuple):
    """Part of what a search finds, and how much it tells that there is from here on."""

    assets: Sequence[Asset]
    told: int


class _Told(NamedTuple):
    """How many assets there were when a pass began, and whether each number it told since fits what was shown."""

    told: int
    fits: bool


def _pass(ask: Callable[[str], _Page], shown: set[str]) -> Generator[Asset, None, _Told]:
    """All pages once; assets that were shown before are left out, and the others are noted."""
    page = ask("")
    told, fits = page.told, True
    while True:
        for asset in page.assets:
            if str(asset.guid) not in shown:
                shown.add(str(asset.guid))
                yield asset
        left = page.told - len(page.assets)
        if not page.assets or (len(page.assets) < _PAGE and left <= 0):
            return _Told(told, fits and left <= 0)
        page = ask(str(page.assets[-1].guid))
        fits = fits and page.told == left


def _page(gateway: Gateway, request: IndexSearchRequest) -> _Page:
    """One request; pyatlan's own `search` asks anew in another order where there are 100,000 assets (11.6)."""
    endpoint, body = Search.prepare_request(request)  # type: ignore[no-untyped-call]
    found = Search.process_response(gateway.client._call_api(endpoint, request_obj=body), request)
    count = found["count"]
    return _Page(found["assets"], count if isinstance(count, int) else 0)


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
