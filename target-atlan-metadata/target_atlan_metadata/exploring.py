"""Exploring: what the token sees in Atlan, and what of Salesforce has no asset there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Query, Term

from microdecisions.errors import ConfigurationError
from microdecisions.exploring import headed
from target_atlan_metadata.attributes import ATTRIBUTES
from target_atlan_metadata.catalog import (
    Catalog,
    CatalogAsset,
    Organization,
    choose_organization,
    find_connections,
    load_assets,
    organizations,
)
from target_atlan_metadata.comparing import Comparison, Known, compare, known_to_ledger, known_to_tap
from target_atlan_metadata.custom_metadata import MetadataSet, find_sets
from target_atlan_metadata.gateway import Gateway
from target_atlan_metadata.permissions import Permission, Question, ask_permissions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from target_atlan_metadata.settings import TargetSettings

__all__ = ["Exploration", "explore", "table"]

_WORDS: Final = {True: "yes", False: "no", None: "not known"}
_SHOWN: Final = 20


class ConnectionFound(msgspec.Struct):
    """A Salesforce connection, and how many live assets of each type it has."""

    guid: str
    qualified_name: str
    name: str
    assets: dict[str, int]
    organizations: list[Organization]


class Exploration(msgspec.Struct):
    """What was found.

    Attributes:
        user: Who the token is.
        connections: Salesforce connections.
        metadata_sets: Sets of custom metadata, with Atlan's own names of their attributes.
        set_name: The set that figures go to.
        set_lacks: Its attributes that are not there; all of them where it is not there.
        may: What the token may do of what a run does.
        ledger: What the ledger has events of, held against the catalog.
        org: What the tap found in the org, held against the catalog; None where that was not asked for.
        notes: What could not be told, and what would stop a run.
    """

    user: str
    connections: list[ConnectionFound]
    metadata_sets: list[MetadataSet]
    set_name: str
    set_lacks: list[str]
    may: list[Permission] = []
    ledger: Comparison = msgspec.field(default_factory=Comparison)
    org: Comparison | None = None
    notes: list[str] = []


def explore(settings: TargetSettings, environ: Mapping[str, str], org: Path | None = None) -> Exploration:
    """Look around; nothing is written anywhere.

    Args:
        settings: Checked settings.
        environ: The environment, for the place of the ledger in a Meltano project.
        org: What `tap-salesforce-temporal explore --output` wrote.

    Raises:
        MicroDecisionError: Atlan cannot be asked, or the file cannot be read.
    """
    of_tap = None if org is None else known_to_tap(org)
    if settings.base_url is None:
        raise ConfigurationError("Setting `base_url` is missing: give the address of the Atlan tenant.")
    gateway = Gateway(settings)
    try:
        user = gateway.read("tell who the token is", gateway.client.user.get_current)
        sets = find_sets(gateway)
        ours = next((one for one in sets if one.name == settings.custom_metadata_name), None)
        there = {} if ours is None else ours.attribute_ids
        found = Exploration(
            user=str(user.username),
            connections=[
                ConnectionFound(
                    one.guid,
                    one.qualified_name,
                    one.name,
                    _counts(gateway, one.qualified_name),
                    organizations(gateway, one),
                )
                for one in find_connections(gateway)
            ],
            metadata_sets=sets,
            set_name=settings.custom_metadata_name,
            set_lacks=[attribute.name for attribute in ATTRIBUTES if attribute.name not in there],
        )
        chosen = _chosen(settings, found)
        if chosen is not None:
            set_id = None if ours is None else ours.set_id
            assets = load_assets(gateway, chosen.qualified_name, None)
            found.may = ask_permissions(gateway, list(_questions(settings, chosen, assets, set_id)))
            held = _Held(chosen, assets, settings.organization_qualified_name)
            found.ledger = _compared(known_to_ledger(settings, environ), "ledger", held, found)
            found.org = None if of_tap is None else _compared(of_tap, "file", held, found)
        if settings.create_custom_metadata == "auto":
            found.may.append(Permission("make or extend the set: an admin's token", None))
    finally:
        gateway.close()
    return found


def _counts(gateway: Gateway, connection: str) -> dict[str, int]:
    counts = {}
    for kind in ("SalesforceOrganization", "SalesforceObject", "SalesforceField", "SalesforceReport"):
        clauses: list[Query] = [
            Term(field="__typeName.keyword", value=kind),
            Term(field="__state", value="ACTIVE"),
            Term(field="connectionQualifiedName", value=connection),
        ]
        request = IndexSearchRequest(dsl=DSL(query=Bool(filter=clauses), from_=0, size=1), attributes=["name"])
        counts[kind] = int(
            gateway.read("search the catalog", lambda: gateway.client.asset.search(request)).count or 0  # noqa: B023
        )
    return counts


class _Held(NamedTuple):
    """What is held against Salesforce: a connection, its objects and fields, and the organization that is named."""

    connection: ConnectionFound
    assets: Sequence[CatalogAsset]
    named: str | None


def _chosen(settings: TargetSettings, found: Exploration) -> ConnectionFound | None:
    """The connection of the settings, or None with a note where there is not one."""
    wanted = settings.connection_qualified_name
    chosen = [one for one in found.connections if wanted in {None, one.qualified_name}]
    if len(chosen) != 1:
        found.notes.append("Set `connection_qualified_name`: without it, objects cannot be held against the catalog.")
        return None
    return chosen[0]


def _questions(
    settings: TargetSettings, connection: ConnectionFound, assets: Sequence[CatalogAsset], set_id: str | None
) -> Iterator[Question]:
    """What a run would do, asked of one asset of each kind."""
    update, create = "ENTITY_UPDATE_BUSINESS_METADATA", "ENTITY_CREATE"
    of_object = next((one.guid for one in assets if one.kind == "SalesforceObject"), None)
    of_field = next((one.guid for one in assets if one.kind == "SalesforceField"), None)
    grant = "update on the connection and its assets"
    for what, guid in (
        ("note the ledger on the connection", connection.guid),
        ("write figures on objects", of_object if "object" in settings.asset_levels else None),
        ("write figures on fields", of_field if "field" in settings.asset_levels else None),
    ):
        if guid is not None:
            yield Question(f"{what}: {grant}, custom metadata included", update, guid, business_metadata=set_id)
    if settings.delete_burst is not None and of_object is not None:
        yield Question(f"put announcements on objects: {grant}", "ENTITY_UPDATE", of_object)
    if settings.lineage == "auto":
        owner = settings.lineage_connection_qualified_name or connection.qualified_name
        name = f"{owner}/target-atlan-metadata/explore"
        yield Question("make processes of lineage: create on their connection", create, None, "Process", name)


def _compared(known: Known | str, of: str, held: _Held, found: Exploration) -> Comparison:
    """Hold what is known against the catalog, or say why that cannot be."""
    if isinstance(known, str):
        return Comparison(problem=known)
    there = [one for one in held.connection.organizations if held.named in {None, one.qualified_name}]
    if known.org and there and not any(one.is_org(known.org) for one in there):
        found.notes.append(f"The {of} is of org {known.org}, which is none of these organizations: a run stops.")
    try:
        catalog = Catalog(held.assets, choose_organization(there, held.named, known.org))
    except ConfigurationError as error:
        return Comparison(problem=str(error))
    return compare(known, catalog)


def table(found: Exploration) -> str:
    """Write it for people."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Exploration) -> Iterator[str]:
    yield f"Atlan, as {found.user}"
    yield from headed("Salesforce connections")
    for connection in found.connections:
        yield f"{connection.qualified_name}  {connection.name}"
        for kind, number in connection.assets.items():
            yield f"    {number:>8,}  {kind}"
        for one in connection.organizations:
            yield f"    organization {one.name}{f', org {one.org}' if one.org else ''}: {one.qualified_name}"
    if not found.connections:
        yield "None that the token can see."
    yield from headed("Custom metadata")
    for each in found.metadata_sets:
        yield f"{each.name}  ({each.set_id})"
        for name, identity in each.attribute_ids.items():
            yield f"    {name}  {each.types.get(name, '')}  ({identity})"
    lacks = "complete" if not found.set_lacks else f"lacks {', '.join(found.set_lacks)}"
    yield f"The set `{found.set_name}` of this target: {lacks}."
    yield from headed("What the token may do, and what it needs for that")
    for permission in found.may:
        yield f"{_WORDS[permission.allowed]:<9} {permission.what}"
    yield from headed("Ledger against catalog: what had events")
    yield from _comparison(found.ledger)
    if found.org is not None:
        yield from headed("Org against catalog: what the tap found, and fields whose history is tracked")
        yield from _comparison(found.org)
    yield from found.notes


def _comparison(one: Comparison) -> Iterator[str]:
    if one.problem is not None:
        yield f"Not compared: {one.problem}"
        return
    yield f"{len(one.matched):>8,}  objects with an asset"
    yield f"{len(one.missing_objects):>8,}  objects without: {_some(one.missing_objects)}"
    yield f"{len(one.missing_fields):>8,}  fields without: {_some(one.missing_fields)}"
    yield f"{len(one.other_objects):>8,}  other objects in the catalog: {_some(one.other_objects)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join([*names[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]) or "none"
