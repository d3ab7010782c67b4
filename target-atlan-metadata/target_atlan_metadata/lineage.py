"""Lineage from objects of Salesforce to the tables of their events, and on to dbt models: only between what is there.

A table is found by its name, which a loader makes of the stream's, a model by the compiled SQL that reads the table:
never by a qualified name that is built. The process between the two has an id of its own, so writing it again changes
nothing. Lineage is beside the figures: what cannot be written of it is said in the log, and holds nothing else back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from pyatlan.model.assets import Asset, Process, SalesforceObject, Table
from pyatlan.model.enums import EntityStatus
from pyatlan.model.search import DSL, Bool, IndexSearchRequest, Query, Term, Terms

from target_atlan_metadata.dbt import Reading, models_of
from target_atlan_metadata.errors import AtlanError, AtlanPermissionError, AtlanRefusedError
from target_atlan_metadata.figures import AssetKey
from target_atlan_metadata.halving import halve
from target_atlan_metadata.searching import search

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Mapping, Sequence

    from target_atlan_metadata.catalog import Catalog, CatalogAsset
    from target_atlan_metadata.gateway import Gateway
    from target_atlan_metadata.settings import TargetSettings

__all__ = ["link"]

_CHUNK = 100
_WAREHOUSE = "snowflake"
_PLACE = ("schemaQualifiedName", "schemaName", "databaseName")
_MOST_IN_VAIN: Final = 8
"""Requests that are refused with none taken in between: then it is not single assets, and more would be a waste."""
_TROUBLE: Final = (AtlanError, AtlanPermissionError)


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
        How many processes were written; those that are there already are not written again, nor those that somebody
        archived.
    """
    writing = _Writing(gateway)
    try:
        _link(writing, settings, connection, catalog, links, log)
    except _TROUBLE as error:
        _tell(log, "Lineage is not whole", error)
    else:
        if writing.reason is not None:
            _tell(log, f"{writing.refused} of the processes of lineage are left out", writing.reason)
    return writing.written


class _Writing:
    """Writes processes, and leaves out what is refused.

    Args:
        gateway: To Atlan.

    Attributes:
        written: How many were written.
        refused: How many were left out.
        reason: Why the last one was; None where none was.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.written = 0
        self.refused = 0
        self.reason: Exception | None = None
        self._in_vain = 0

    def write(self, batch: Sequence[Asset]) -> None:
        """Write a batch.

        Raises:
            AtlanError: so many requests are refused that it is not for single assets, or Atlan does not answer.
        """
        self.refused += len(halve(batch, self._send))

    def _send(self, batch: Sequence[Asset]) -> None:
        try:
            self.gateway.write("write lineage", lambda: self.gateway.client.asset.save(list(batch)))
        except (AtlanRefusedError, AtlanPermissionError) as error:
            self.reason = error
            self._in_vain += 1
            if self._in_vain >= _MOST_IN_VAIN:
                raise AtlanError(str(error)) from None
            raise AtlanRefusedError(str(error)) from None
        self._in_vain = 0
        self.written += len(batch)


def _tell(log: logging.Logger, what: str, error: Exception) -> None:
    log.warning("%s, figures are not touched by that: %s Set `lineage` to `never` to do without it.", what, error)


def _link(
    writing: _Writing,
    settings: TargetSettings,
    connection: CatalogAsset,
    catalog: Catalog,
    links: Sequence[tuple[str, str]],
    log: logging.Logger,
) -> None:
    gateway = writing.gateway
    wanted = [(stream, catalog.find(AssetKey(name))) for stream, name in links]
    found = [(stream, asset) for stream, asset in wanted if asset is not None]
    tables = _tables(gateway, sorted({stream for stream, _ in found}), settings.warehouse_schema_qualified_name, log)
    if not tables:
        return
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
        for read in _readings(gateway, tables, owner, log)
    }
    there = _processes(gateway, [f"{owner}/{name}" for name in steps])
    archived = sum(ends is None for ends in there.values())
    if archived:
        log.info(
            "%d of the processes of lineage are archived in Atlan, and stay so: restore them there, or purge them to "
            "have them written again.",
            archived,
        )
    new = [
        _process(owner, name, step)
        for name, step in steps.items()
        if there.get(f"{owner}/{name}", ()) not in {None, step.ends}
    ]
    for start in range(0, len(new), settings.batch_size):
        writing.write(new[start : start + settings.batch_size])


def _readings(gateway: Gateway, tables: Mapping[str, Any], owner: str, log: logging.Logger) -> list[Reading]:
    try:
        return models_of(gateway, tables, owner, log)
    except _TROUBLE as error:
        _tell(log, "Lineage is not led on to dbt models", error)
    return []


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


def _processes(gateway: Gateway, names: Sequence[str]) -> dict[str, tuple[str, ...] | None]:
    """Our processes that are there: the GUIDs of what they lead from and to, by qualified name; None if archived."""
    there: dict[str, tuple[str, ...] | None] = {}
    for start in range(0, len(names), _CHUNK):
        clauses: list[Query] = [
            Term(field="__typeName.keyword", value="Process"),
            Terms(field="qualifiedName", values=list(names[start : start + _CHUNK])),
        ]
        # Archived ones too: written again, they would stay archived, and be written in every run.
        dsl = DSL(query=Bool(filter=clauses), from_=0, size=2 * _CHUNK)
        request = IndexSearchRequest(dsl=dsl, attributes=["qualifiedName", "inputs", "outputs"])
        page = gateway.read("search the catalog", lambda: gateway.client.asset.search(request)).current_page()  # noqa: B023
        for process in page:
            name, ends = str(process.qualified_name), [*(process.inputs or []), *(process.outputs or [])]  # type: ignore[attr-defined]
            if process.status == EntityStatus.DELETED:
                there.setdefault(name, None)
            else:
                there[name] = tuple(str(end.guid) for end in ends)
    return there
