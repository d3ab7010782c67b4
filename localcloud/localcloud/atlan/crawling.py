"""A crawl of the Salesforce connection while the catalog runs: what is new comes, what is gone is archived."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan.seeding import CRAWLER, Builder, add_field, add_object
from localcloud.atlan.store import Change
from localcloud.salesforce.sobject import Field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.atlan.assets import Asset
    from localcloud.atlan.store import Store


class Crawl(msgspec.Struct, forbid_unknown_fields=True):
    """What the crawler finds: objects with fields that are new, and what is gone (`Object`, `Object.Field`).

    All other assets of the connection are refreshed: their stamps move, their custom metadata stays. With
    `new_guids` they are forgotten and made again instead, and what hung on them is lost. `organization` names a
    second organization of the connection, which is made if it is not there.
    """

    objects: dict[str, list[str]] = {}
    remove: list[str] = []
    new_guids: bool = False
    organization: str | None = None


def crawl(store: Store, asked: Crawl) -> int:
    """Crawl.

    Returns:
        How many assets were made.

    Raises:
        ValueError: What is to be removed is not there.
    """
    build = Builder(uuid.uuid4().int & 0xFFFF_FFFF, store.clock.now_ms())
    connection = next(one for one in store.assets("Connection") if one.attributes["connectorName"] == "salesforce")
    organization = _organization(store, build, connection, asked.organization)
    gone = {guid for name in asked.remove for guid in _named(store, organization, name)}
    archived = [_stamped(one, build, "DELETED") for guid in gone if (one := store.get(guid))]
    for name, fields in asked.objects.items():
        found = next(_objects(store, organization, name), None)
        columns = [Field(field, "string") for field in fields]
        if found is None:
            add_object(build, connection, organization, name, name, columns)
            continue
        known = {one.attributes.get("apiName") for one in _fields(store, found)}
        for order, column in enumerate(columns):
            if column.name not in known:
                add_field(build, connection, found, column, len(known) + order)
    made = len(build.assets)
    kept = [
        one
        for one in (*store.assets("SalesforceObject"), *store.assets("SalesforceField"))
        if one.active and one.guid not in gone
    ]
    purged: list[str] = []
    if asked.new_guids:
        purged = [one.guid for one in kept]
        kept = _reborn(kept, build)
    refreshed = [_stamped(one, build, "ACTIVE") for one in kept]
    store.commit(Change([*archived, *refreshed, *build.assets], purged))
    return made


def _organization(store: Store, build: Builder, connection: Asset, name: str | None) -> Asset:
    known = sorted(
        (one for one in store.assets("SalesforceOrganization") if one.active),
        key=lambda one: (one.created_at, one.guid),
    )
    found = known[0] if name is None else next((one for one in known if one.name == name), None)
    if found is not None:
        return found
    root = connection.qualified_name
    return build.add("SalesforceOrganization", build.child_name(root, root, name or ""), name or "", connection)


def _objects(store: Store, organization: Asset, name: str) -> Iterator[Asset]:
    return (
        one
        for one in store.assets("SalesforceObject")
        if one.active
        and one.attributes.get("apiName") == name
        and one.attributes.get("organizationQualifiedName") == organization.qualified_name
    )


def _fields(store: Store, sobject: Asset) -> Iterator[Asset]:
    return (one for one in store.assets("SalesforceField") if one.references.get("object") == (sobject.guid,))


def _named(store: Store, organization: Asset, name: str) -> list[str]:
    api_name, _, field = name.partition(".")
    found: list[str] = []
    for sobject in _objects(store, organization, api_name):
        fields = [one for one in _fields(store, sobject) if not field or one.attributes.get("apiName") == field]
        found += [one.guid for one in fields] if field else [sobject.guid, *(one.guid for one in fields)]
    if not found:
        raise ValueError(f"there is no {name} to remove")
    return found


def _stamped(asset: Asset, build: Builder, status: str) -> Asset:
    attributes = {**asset.attributes, "lastSyncRunAt": build.now_ms, "lastSyncRun": f"crawl-{build.now_ms}"}
    return msgspec.structs.replace(
        asset, attributes=attributes, status=status, updated_at=build.now_ms, updated_by=CRAWLER
    )


def _reborn(assets: list[Asset], build: Builder) -> list[Asset]:
    """The same assets as if the crawler had never seen them: new GUIDs, no custom metadata."""
    guids = {one.guid: build.guid() for one in assets}
    return [
        msgspec.structs.replace(
            one,
            guid=guids[one.guid],
            custom_metadata={},
            created_at=build.now_ms,
            references={name: tuple(guids.get(to, to) for to in of) for name, of in one.references.items()},
        )
        for one in assets
    ]
