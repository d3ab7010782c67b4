"""The sub-command `explore`: what the token sees in Atlan, and what of the ledger has no asset there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Query, Term

from microdecisions.errors import ConfigurationError, MicroDecisionError
from microdecisions.exploring import explore_command, headed
from target_atlan_metadata.attributes import ATTRIBUTES
from target_atlan_metadata.catalog import Catalog, find_connections, load_catalog, organizations
from target_atlan_metadata.custom_metadata import MetadataSet, find_sets
from target_atlan_metadata.figures import AssetKey
from target_atlan_metadata.gateway import Gateway
from target_atlan_metadata.ledger import Ledger
from target_atlan_metadata.place import ledger_url
from target_atlan_metadata.target import TargetAtlanMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import click

    from target_atlan_metadata.settings import TargetSettings

__all__ = ["Exploration", "command", "explore", "table"]


class ConnectionFound(msgspec.Struct):
    """A Salesforce connection, and how many live assets of each type it has."""

    qualified_name: str
    name: str
    assets: dict[str, int]
    organizations: dict[str, str]


class Exploration(msgspec.Struct):
    """What was found.

    Attributes:
        user: Who the token is.
        connections: Salesforce connections.
        metadata_sets: Sets of custom metadata, with Atlan's own names of their attributes.
        set_name: The set that figures go to.
        set_lacks: Its attributes that are not there; all of them where it is not there.
        matched: Objects of the ledger that are in the catalog.
        missing_objects: Objects of the ledger that are not.
        missing_fields: Fields of matched objects that are not.
        ledger: What kept the ledger from being looked at; None where nothing did.
        notes: What else could not be told.
    """

    user: str
    connections: list[ConnectionFound]
    metadata_sets: list[MetadataSet]
    set_name: str
    set_lacks: list[str]
    matched: list[str] = []
    missing_objects: list[str] = []
    missing_fields: list[str] = []
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
                    one.qualified_name, one.name, _counts(gateway, one.qualified_name), organizations(gateway, one)
                )
                for one in find_connections(gateway)
            ],
            metadata_sets=sets,
            set_name=settings.custom_metadata_name,
            set_lacks=[attribute.name for attribute in ATTRIBUTES if attribute.name not in there],
        )
        _compare(gateway, settings, environ, found)
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


def _compare(gateway: Gateway, settings: TargetSettings, environ: Mapping[str, str], found: Exploration) -> None:
    """Hold the objects and fields of the ledger against the catalog."""
    try:
        with Ledger(
            ledger_url(settings.ledger_url, environ), wait_seconds=settings.ledger_wait_seconds, create=False
        ) as ledger:
            keys = [AssetKey(name, field) for name, field in ledger.places()]
    except MicroDecisionError as error:
        found.ledger = str(error)
        return
    wanted = settings.connection_qualified_name
    names = [one.qualified_name for one in found.connections if wanted in {None, one.qualified_name}]
    if len(names) != 1:
        found.notes.append("Set `connection_qualified_name`: without it, objects cannot be held against the catalog.")
        return
    try:
        catalog: Catalog = load_catalog(gateway, names[0], None, settings.organization_qualified_name)
    except ConfigurationError as error:
        found.notes.append(str(error))
        return
    for key in keys:
        is_there = catalog.find(key) is not None
        if key.field is None:
            (found.matched if is_there else found.missing_objects).append(key.object)
        elif not is_there and catalog.find(AssetKey(key.object)) is not None:
            found.missing_fields.append(f"{key.object}.{key.field}")


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
        for qualified_name, name in connection.organizations.items():
            yield f"    organization {name}: {qualified_name}"
    if not found.connections:
        yield "None that the token can see."
    yield from headed("Custom metadata")
    for one in found.metadata_sets:
        yield f"{one.name}  ({one.set_id})"
        for name, identity in one.attribute_ids.items():
            yield f"    {name}  {one.types.get(name, '')}  ({identity})"
    lacks = "complete" if not found.set_lacks else f"lacks {', '.join(found.set_lacks)}"
    yield f"The set `{found.set_name}` of this target: {lacks}."
    yield from headed("Ledger against catalog")
    if found.ledger is not None:
        yield f"The ledger was not looked at: {found.ledger}"
    else:
        yield f"{len(found.matched):>8,}  objects with an asset"
        yield f"{len(found.missing_objects):>8,}  objects without: {', '.join(found.missing_objects) or 'none'}"
        yield f"{len(found.missing_fields):>8,}  fields without: {', '.join(found.missing_fields) or 'none'}"
    yield from found.notes


def command() -> click.Command:
    """The sub-command."""
    return explore_command(
        TargetAtlanMetadata,  # type: ignore[arg-type]  # it is made and configured as a tap is
        lambda target: explore(target.settings, os.environ),
        table,
        "Show who the token is, the Salesforce connections, the custom metadata, and which objects and fields of the "
        "ledger have no asset in the catalog. Nothing is written.",
    )
