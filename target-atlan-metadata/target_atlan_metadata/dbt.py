"""dbt models that read the tables of events: found by the SQL that dbt compiled for them."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyatlan.model.assets import DbtModel
from pyatlan.model.enums import LineageDirection
from pyatlan.model.lineage import FluentLineage

from target_atlan_metadata.errors import AtlanRefusedError
from target_atlan_metadata.searching import search

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from pyatlan.model.assets import Asset

    from target_atlan_metadata.gateway import Gateway

__all__ = ["Reading", "models_of", "relations_in"]

_relations: Final = re.compile(r"[\w$]+(?:\s*\.\s*[\w$]+){1,2}").findall
_PAGE: Final = 100


class Reading(NamedTuple):
    """A model that reads the table of a stream.

    Attributes:
        stream: Whose table it is.
        table: GUID of the table.
        name: The model's.
        digest: Of its qualified name: tells models of one name apart, and outlives a crawl that gives new GUIDs.
        model: Reference to it.
    """

    stream: str
    table: str
    name: str
    digest: str
    model: Asset


def models_of(gateway: Gateway, tables: Mapping[str, Any], owner: str, log: logging.Logger) -> list[Reading]:
    """Find the models that read tables, and that nothing but us links to them: a crawler may have done so.

    Args:
        gateway: To Atlan.
        tables: Table of each stream, with the names of its schema and database.
        owner: Qualified name of the connection that our own processes belong to.
        log: For an operator.

    Raises:
        AtlanPermissionError: the token may not search, or not follow lineage.
        AtlanError: Atlan does not answer.
    """
    places: dict[tuple[str, ...], str] = {}
    for stream, table in tables.items():
        schema, name = str(table.schema_name or "").casefold(), str(table.name).casefold()
        for place in ((schema, name), (str(table.database_name or "").casefold(), schema, name)):
            if all(place):
                places[place] = stream
    linked: dict[str, frozenset[str] | None] = {}
    found: list[Reading] = []
    for model in search(gateway, ["DbtModel"], [], ["dbtCompiledSQL"]):
        sql = str(model.dbt_compiled_s_q_l or "")  # type: ignore[attr-defined]
        for stream in sorted({places[place] for place in relations_in(sql) if place in places}):
            table = str(tables[stream].guid)
            if table not in linked:
                linked[table] = _others(gateway, table, owner)
            others = linked[table]
            if others is not None and str(model.guid) not in others:
                digest = blake2b(str(model.qualified_name).encode(), digest_size=8).hexdigest()
                found.append(Reading(stream, table, str(model.name), digest, DbtModel.ref_by_guid(str(model.guid))))
    refused = [table for table, others in linked.items() if others is None]
    if refused:
        log.warning(
            "No lineage is led on to dbt models from %d tables, because Atlan refuses to tell what they lead to: see "
            "that they are still in the catalog, or set `lineage` to `never` to do without it.",
            len(refused),
        )
    return found


def relations_in(sql: str) -> set[tuple[str, ...]]:
    """Names with a schema, and perhaps a database, in a text of SQL: without quotes, in small letters."""
    plain = re.sub(r'["`\[\]]', "", sql).casefold()
    return {tuple(part.strip() for part in name.split(".")) for name in _relations(plain)}


def _others(gateway: Gateway, table: str, owner: str) -> frozenset[str] | None:
    """GUIDs of what others than us lead a table to; None where Atlan refuses to tell, as of one that is gone."""
    request = FluentLineage(
        starting_guid=table,
        depth=1,
        direction=LineageDirection.DOWNSTREAM,
        size=_PAGE,
        includes_on_results=["qualifiedName", "inputs", "outputs"],
    ).request
    try:
        near = gateway.read("follow lineage", lambda: list(gateway.client.asset.get_lineage_list(request)))
    except AtlanRefusedError:
        return None
    others = (
        one
        for one in near
        if one.type_name == "Process" and not str(one.qualified_name).startswith(f"{owner}/target-atlan-metadata/")
    )
    return frozenset(str(sink.guid) for one in others for sink in one.outputs or [])
