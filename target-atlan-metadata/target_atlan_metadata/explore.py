"""The sub-command `explore`: what the token sees in Atlan, and what of the ledger has no asset there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Query, Term

from microdecisions.errors import ConfigurationError, MicroDecisionError
from microdecisions.exploring import explore_command, headed
from target_atlan_metadata.attributes import ATTRIBUTES
from target_atlan_metadata.catalog import Catalog, Organization, find_connections, load_catalog, organizations
from target_atlan_metadata.custom_metadata import MetadataSet, find_sets
from target_atlan_metadata.figures import AssetKey
from target_atlan_metadata.gateway import Gateway
from target_atlan_metadata.ledger import Ledger
from target_atlan_metadata.permissions import Permission, Question, ask_permissions
from target_atlan_metadata.place import ledger_url
from target_atlan_metadata.target import TargetAtlanMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import click

    from target_atlan_metadata.settings import TargetSettings

__all__ = ["Exploration", "command", "explore", "table"]

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
        matched: Objects of the ledger that are in the catalog.
        missing_objects: Objects of the ledger that are not.
        missing_fields: Fields of matched objects that are not.
        silent_objects: Objects of the catalog that the ledger knows no event of.
        ledger: What kept the ledger from being looked at; None where nothing did.
        notes: What else could not be told.
    """

    user: str
    connections: list[ConnectionFound]
    metadata_sets: list[MetadataSet]
    set_name: str
    set_lacks: list[str]
    may: list[Permission] = []
    matched: list[str] = []
    missing_objects: list[str] = []
    missing_fields: list[str] = []
    silent_objects: list[str] = []
    ledger: str | None = None
    notes: list[str] = []


def explore(settings: TargetSettings, environ: Mapping[str, str]) -> Exploration:
    """Look around; nothing is written anywhere.

    Raises:
        MicroDecisionError: Atlan cannot be asked.
    """
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
        chosen = _chosen(gateway, settings, found)
        if chosen is not None:
            set_id = None if ours is None else ours.set_id
            found.may = ask_permissions(gateway, list(_questions(settings, *chosen, set_id)))
            _compare(settings, environ, found, chosen[1])
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


def _chosen(gateway: Gateway, settings: TargetSettings, found: Exploration) -> tuple[ConnectionFound, Catalog] | None:
    """The connection of the settings and what it holds, or None with a note where there is not one."""
    wanted = settings.connection_qualified_name
    chosen = [one for one in found.connections if wanted in {None, one.qualified_name}]
    if len(chosen) != 1:
        found.notes.append("Set `connection_qualified_name`: without it, objects cannot be held against the catalog.")
        return None
    try:
        organization = settings.organization_qualified_name
        return chosen[0], load_catalog(gateway, chosen[0].qualified_name, None, organization)
    except ConfigurationError as error:
        found.notes.append(str(error))
        return None


def _questions(
    settings: TargetSettings, connection: ConnectionFound, catalog: Catalog, set_id: str | None
) -> Iterator[Question]:
    """What a run would do, asked of one asset of each kind."""
    update, create = "ENTITY_UPDATE_BUSINESS_METADATA", "ENTITY_CREATE"
    of_object = next((one.guid for one in catalog.objects.values()), None)
    of_field = next((one.guid for one in catalog.fields.values()), None)
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


def _compare(settings: TargetSettings, environ: Mapping[str, str], found: Exploration, catalog: Catalog) -> None:
    """Hold the objects and fields of the ledger against the catalog."""
    try:
        with Ledger(
            ledger_url(settings.ledger_url, environ), wait_seconds=settings.ledger_wait_seconds, absent="refuse"
        ) as ledger:
            keys, org = [AssetKey(name, field) for name, field in ledger.places()], ledger.org
    except MicroDecisionError as error:
        found.ledger = str(error)
        return
    for key in keys:
        is_there = catalog.find(key) is not None
        if key.field is None:
            (found.matched if is_there else found.missing_objects).append(key.object)
        elif not is_there and catalog.find(AssetKey(key.object)) is not None:
            found.missing_fields.append(key.name)
    told = {name.casefold() for name in found.matched}
    found.silent_objects = sorted(one.api_name for name, one in catalog.objects.items() if name not in told)
    known = [one for connection in found.connections for one in connection.organizations]
    if org and known and not any(one.is_org(org) for one in known):
        found.notes.append(f"The ledger counts events of org {org}, which is none of these organizations: a run stops.")


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
    yield from headed("Ledger against catalog")
    if found.ledger is not None:
        yield f"The ledger was not looked at: {found.ledger}"
    else:
        yield f"{len(found.matched):>8,}  objects with an asset"
        yield f"{len(found.missing_objects):>8,}  objects without: {_some(found.missing_objects)}"
        yield f"{len(found.silent_objects):>8,}  objects without events: {_some(found.silent_objects)}"
        yield f"{len(found.missing_fields):>8,}  fields without: {_some(found.missing_fields)}"
    yield from found.notes


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join([*names[:_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]) or "none"


def command() -> click.Command:
    """The sub-command."""
    return explore_command(
        TargetAtlanMetadata,  # type: ignore[arg-type]  # it is made and configured as a tap is
        lambda target: explore(target.settings, os.environ),
        table,
        "Show who the token is and what it may do, the Salesforce connections, the custom metadata, which objects and "
        "fields of the ledger have no asset in the catalog, and which objects there had no event. Nothing is written.",
    )
