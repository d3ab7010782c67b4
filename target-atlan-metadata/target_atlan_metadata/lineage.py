"""Lineage from objects of Salesforce to the tables of their events, and on to dbt models: only between what is there.

A table is found by its name, which a loader makes of the stream's, a model by the compiled SQL that reads the table:
never by a qualified name that is built. The process between the two has an id of its own, so writing it again changes
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from pyatlan.model.assets import Asset, Process, SalesforceObject, Table
from pyatlan.model.search import Query, Term, Terms

from target_atlan_metadata.catalog import Catalog, CatalogAsset, search
from target_atlan_metadata.dbt import models_of
from target_atlan_metadata.figures import AssetKey

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping, Sequence

    from target_atlan_metadata.gateway import Gateway
    from target_atlan_metadata.settings import TargetSettings

__all__ = ["link"]

_CHUNK = 100
_WAREHOUSE = "snowflake"
_PLACE = ("schemaQualifiedName", "schemaName", "databaseName")


class _Step(msgspec.Struct, frozen=True):
    """One process: its name, and references to what it leads from and to."""

    name: str
    source: Asset
    sink: Asset

    @property
    def ends(self) -> tuple[str, str]:
        return str(self.source.guid), str(self.sink.guid)


def link(
    gateway: Gateway,
    settings: TargetSettings,
    connection: CatalogAsset,
    catalog: Catalog,
    links: Sequence[tuple[str, str]],
    log: logging.Logger,
) -> int:
    """Link each object to the tables of the streams that had events of it, and these to the dbt models that read them.

    Args:
        gateway: To Atlan.
        settings: Of the target.
        connection: The Salesforce connection.
        catalog: Its objects.
        links: Stream and object.
        log: For an operator.

    Returns:
        How many processes were written; those that are there already are not written again.
    """
    wanted = [(stream, catalog.find(AssetKey(name))) for stream, name in links]
    found = [(stream, asset) for stream, asset in wanted if asset is not None]
    tables = _tables(gateway, sorted({stream for stream, _ in found}), settings.warehouse_schema_qualified_name, log)
    if not tables:
        return 0
    steps = {
        f"target-atlan-metadata/{asset.api_name}/{stream}": _Step(
            f"{asset.api_name} history to {stream}",
            SalesforceObject.ref_by_guid(asset.guid),
            Table.ref_by_guid(str(tables[stream].guid)),
        )
        for stream, asset in found
        if stream in tables
    }
    owner = settings.lineage_connection_qualified_name or connection.qualified_name
    steps |= {
        f"target-atlan-metadata/{read.stream}/dbt/{read.digest}": _Step(
            f"{read.stream} to dbt model {read.name}", Table.ref_by_guid(read.table), read.model
        )
        for read in models_of(gateway, tables, owner)
    }
    there = _processes(gateway, [f"{owner}/{name}" for name in steps])
    new = [_process(owner, name, step) for name, step in steps.items() if there.get(f"{owner}/{name}") != step.ends]
    for start in range(0, len(new), settings.batch_size):
        batch = new[start : start + settings.batch_size]
        gateway.write("write lineage", lambda: gateway.client.asset.save(batch))  # noqa: B023
    return len(new)


def _process(owner: str, name: str, step: _Step) -> Asset:
    process: Process = Process.creator(
        name=step.name,
        connection_qualified_name=owner,
        process_id=name,
        inputs=[step.source],
        outputs=[step.sink],
    )
    return process


def _tables(gateway: Gateway, streams: Iterable[str], schema: str | None, log: logging.Logger) -> Mapping[str, Any]:
    """The table of each stream; a stream with several tables has none until a schema is named."""
    by_name: dict[str, list[Any]] = {}
    names = list(streams)
    # Another warehouse may have a `task` of its own: only a schema that is named may be of any kind.
    of_kind = [Term(field="connectorName", value=_WAREHOUSE)] if schema is None else []
    for start in range(0, len(names), _CHUNK):
        # Names are compared without regard to case: loaders write them in capitals on Snowflake.
        chosen = names[start : start + _CHUNK]
        filters: list[Query] = [
            Terms(field="name.keyword", values=sorted({form for name in chosen for form in (name, name.upper())})),
            *of_kind,
        ]
        for table in search(gateway, ["Table", "View"], filters, _PLACE):
            if schema in {None, getattr(table, "schema_qualified_name", None)}:
                by_name.setdefault(str(table.name).casefold(), []).append(table)
    several = sorted(name for name, tables in by_name.items() if len(tables) > 1)
    if several:
        log.warning(
            "No lineage is written for %d tables that are in several schemas of the catalog, such as %s: say in "
            "`warehouse_schema_qualified_name` which schema holds the events.",
            len(several),
            several[0],
        )
    if schema is not None and names and not by_name:
        log.warning("No lineage is written: `warehouse_schema_qualified_name` names no schema with tables of events.")
    return {stream: tables[0] for stream in names if len(tables := by_name.get(stream.casefold(), [])) == 1}


def _processes(gateway: Gateway, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Our processes that are there: the GUIDs of what they lead from and to, by qualified name."""
    there: dict[str, tuple[str, str]] = {}
    for start in range(0, len(names), _CHUNK):
        filters = [Terms(field="qualifiedName", values=list(names[start : start + _CHUNK]))]
        for process in search(gateway, ["Process"], filters, ["inputs", "outputs"]):
            inputs, outputs = process.inputs or [], process.outputs or []  # type: ignore[attr-defined]
            if len(inputs) == len(outputs) == 1:
                there[str(process.qualified_name)] = (str(inputs[0].guid), str(outputs[0].guid))
    return there
