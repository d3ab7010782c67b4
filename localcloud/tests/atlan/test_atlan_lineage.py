"""Lineage: processes between assets, made again without a change, followed both ways.

Each test quotes what it stands for: the published source of the metadata service (atlanhq/atlas-metastore @54b6021).
"""

from __future__ import annotations

from typing import Any

import pytest


def process(source: Any, target: Any, name: str = "p", **more: Any) -> dict[str, Any]:
    """A process as the SDK makes it: references are attributes."""
    attributes = {
        "qualifiedName": f"default/salesforce/1/{name}",
        "name": name,
        "inputs": [{"typeName": source.type_name, "guid": source.guid}],
        "outputs": [{"typeName": target.type_name, "guid": target.guid}],
    }
    return {"typeName": "Process", "guid": "-1", "attributes": attributes | more}


def follow(catalog: Any, guid: str, direction: str = "OUTPUT", start: int = 0, **more: Any) -> Any:
    asked = {"guid": guid, "direction": direction, "depth": 10, "from": start, "size": 100, **more}
    return catalog.ask("POST", "lineage/list", asked)


def ways(catalog: Any, guid: str, direction: str = "OUTPUT", **more: Any) -> list[tuple[str, int]]:
    return [(one["displayText"], one["depth"]) for one in follow(catalog, guid, direction, **more).json()["entities"]]


@pytest.fixture
def chain(catalog: Any) -> tuple[Any, Any, Any]:
    """Opportunity leads to its history table, and that one to a model."""
    source = catalog.asset("SalesforceObject", "Opportunity")
    table = catalog.asset("Table", "OPPORTUNITY_FIELD_HISTORY")
    attributes = {"qualifiedName": "default/dbt/1/velocity", "name": "velocity"}
    (guid,) = catalog.server.control(add=[{"type_name": "DbtModel", "attributes": attributes}]).added
    model = catalog.server.asset(guid)
    assert catalog.bulk(process(source, table, "load")).status_code == 200
    assert catalog.bulk(process(table, model, "transform")).status_code == 200
    return source, table, model


def test_lineage_is_followed_both_ways_processes_included(catalog: Any, chain: tuple[Any, Any, Any]) -> None:
    """`traverseEdgesUsingBFS`; "client needs processes + nodes for depth 1" (`AtlasLineageListContext.getDepth`)."""
    source, table, model = chain
    down = [("load", 1), (table.name, 1), ("transform", 2), ("velocity", 2)]
    assert ways(catalog, source.guid) == down
    assert ways(catalog, source.guid, depth=1) == down[:2]
    up = [("transform", 1), (table.name, 1), ("load", 2), (source.name, 2)]
    assert ways(catalog, model.guid, "INPUT") == up


def test_lineage_comes_in_pages(catalog: Any, chain: tuple[Any, Any, Any]) -> None:
    """`AtlasLineageListInfo`: `entities`, `hasMore`, `entityCount`, `searchParameters`."""
    answer = follow(catalog, chain[0].guid, size=3).json()
    assert (len(answer["entities"]), answer["hasMore"], answer["entityCount"]) == (3, True, 3)
    answer = follow(catalog, chain[0].guid, size=3, start=3).json()
    assert (len(answer["entities"]), answer["hasMore"]) == (1, False)


def test_archived_assets_are_left_out_where_that_is_asked_for(catalog: Any, chain: tuple[Any, Any, Any]) -> None:
    """`entityTraversalFilters`: what lies behind an asset that is filtered out is not followed."""
    source, table, _ = chain
    catalog.server.control(archive=[table.guid])
    active = {
        "condition": "AND",
        "criterion": [{"attributeName": "__state", "operator": "=", "attributeValue": "ACTIVE"}],
    }
    assert ways(catalog, source.guid, entityTraversalFilters=active) == [("load", 1)]
    assert len(ways(catalog, source.guid, entityFilters=active)) == 3


def test_a_process_is_made_once(catalog: Any) -> None:
    """The same qualified name is the same process: an upsert, and nothing where nothing changed."""
    source, table = catalog.asset("SalesforceObject", "Case"), catalog.asset("Table", "CASE_HISTORY")
    first = catalog.bulk(process(source, table)).json()
    again = catalog.bulk(process(source, table)).json()
    assert len(first["mutatedEntities"]["CREATE"]) == 1
    assert again["mutatedEntities"] == {}
    assert again["guidAssignments"] == first["guidAssignments"]
    assert len(catalog.server.assets("Process")) == 1


def test_assets_on_a_way_say_so(catalog: Any) -> None:
    """`addHasLineage`: the index field `__hasLineage`."""
    source, table = catalog.asset("SalesforceObject", "Case"), catalog.asset("Table", "CASE_HISTORY")
    catalog.bulk(process(source, table))
    found = catalog.found({"term": {"__hasLineage": True}})
    assert sorted(found) == sorted([source.name, table.name])


def test_a_reference_to_nothing_refuses_the_request(catalog: Any) -> None:
    """REFERENCED_ENTITY_NOT_FOUND, by GUID and by qualified name."""
    source, table = catalog.asset("SalesforceObject", "Case"), catalog.asset("Table", "CASE_HISTORY")
    for reference in (
        {"typeName": "Table", "guid": "00000000-1111-4222-8333-444444444444"},
        {"typeName": "Table", "uniqueAttributes": {"qualifiedName": "default/snowflake/1/NO"}},
    ):
        answer = catalog.bulk(process(source, table, outputs=[reference]))
        assert catalog.refused(answer) == (404, "ATLAS-404-00-00A")
    assert catalog.server.assets("Process") == []


def test_references_by_qualified_name_and_to_new_assets_are_resolved(catalog: Any) -> None:
    """`UniqAttrBasedEntityResolver`; made-up GUIDs refer within the request."""
    source = catalog.asset("SalesforceObject", "Case")
    table = {"typeName": "Table", "guid": "-2", "attributes": {"qualifiedName": "default/x/1/new", "name": "new"}}
    flow = process(
        source,
        source,
        inputs=[{"typeName": "SalesforceObject", "uniqueAttributes": {"qualifiedName": source.qualified_name}}],
        outputs=[{"typeName": "Table", "guid": "-2"}],
    )
    assert catalog.bulk(flow, table).status_code == 200
    assert ways(catalog, source.guid) == [("p", 1), ("new", 1)]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"direction": "BOTH"}, (400, "ATLAS-400-00-029")),
        ({"size": -1}, (400, "ATLAS-400-00-029")),
        ({"from": None}, (400, "ATLAS-400-00-029")),
        ({"depth": None}, (400, "ATLAS-400-00-029")),
        ({"guid": "nothing"}, (404, "ATLAS-404-00-005")),
    ],
    ids=str,
)
def test_a_request_that_is_not_right_is_refused(catalog: Any, wrong: dict[str, Any], code: tuple[int, str]) -> None:
    """`LineageListRequestValidator`; BOTH is refused by the SDK before it is sent."""
    case = catalog.asset("SalesforceObject", "Case")
    asked = {"guid": case.guid, "direction": "OUTPUT", "depth": 1, "from": 0, "size": 1, **wrong}
    assert catalog.refused(catalog.ask("POST", "lineage/list", asked)) == code


def test_what_is_no_dataset_has_no_lineage(catalog: Any) -> None:
    """INVALID_LINEAGE_ENTITY_TYPE, 404-00-011."""
    (connection, _) = catalog.server.assets("Connection")
    assert catalog.refused(follow(catalog, connection.guid)) == (404, "ATLAS-404-00-011")
