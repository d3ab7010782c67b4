"""The index search: what matches, in which order, in which pages, and how late it knows.

Each test quotes what it stands for: Elasticsearch's reference, the index settings and documents of the metadata service
(atlanhq/atlas-metastore @54b6021), or the definitions of types.
"""

from __future__ import annotations

from typing import Any

import pytest

OBJECTS = {"term": {"__typeName.keyword": "SalesforceObject"}}
ACTIVE = {"term": {"__state": "ACTIVE"}}


def both(*clauses: dict[str, Any]) -> dict[str, Any]:
    return {"bool": {"filter": list(clauses)}}


def one(catalog: Any, **attributes: Any) -> str:
    """A new table with these attributes; its GUID."""
    given = {"qualifiedName": f"q/{attributes.get('name', 'n')}", "name": "n", **attributes}
    (guid,) = catalog.server.control(add=[{"type_name": "Table", "attributes": given}]).added
    return str(guid)


def test_archived_assets_are_found_unless_the_state_is_asked_for(catalog: Any) -> None:
    """docs/api/search-indexsearch.md: "Without it, you'll get deleted entities in results"."""
    named = {"term": {"apiName.keyword": "Opportunity"}}
    assert len(catalog.found(both(OBJECTS, named))) == 2
    assert len(catalog.found(both(OBJECTS, named, ACTIVE))) == 1


def test_type_names_and_names_are_matched_in_any_case(catalog: Any) -> None:
    """es-settings.json: `.keyword` has `atlan_normalizer`, which lower-cases; the SDK searches for "CONNECTION"."""
    names = ["demo-salesforce", "demo-warehouse"]
    assert sorted(catalog.found({"term": {"__typeName.keyword": "CONNECTION"}})) == names
    assert catalog.found({"term": {"name.keyword": "DEMO-Warehouse"}}) == ["demo-warehouse"]


def test_qualified_names_and_api_names_are_matched_as_they_are(catalog: Any) -> None:
    """Definitions of a tenant: `qualifiedName` is a keyword without normalizer, `apiName.keyword` as well."""
    case = catalog.asset("SalesforceObject", "Case")
    assert catalog.found({"term": {"qualifiedName": case.qualified_name}}) == [case.name]
    assert catalog.found({"term": {"qualifiedName": case.qualified_name.upper()}}) == []
    assert catalog.found(both(OBJECTS, {"term": {"apiName.keyword": "case"}})) == []
    folded = {"term": {"apiName.keyword": {"value": "case", "case_insensitive": True}}}
    assert catalog.found(both(OBJECTS, folded)) == [case.name]


def test_a_term_on_words_matches_a_word_and_not_the_whole(catalog: Any) -> None:
    """Reference, term query: "avoid using the term query for text fields"."""
    guid = one(catalog, name="Late Night Orders")
    assert catalog.found({"term": {"name": "night"}}) == ["Late Night Orders"]
    assert catalog.found({"term": {"name": "Late Night Orders"}}) == []
    assert catalog.found({"match": {"name": "orders NIGHT"}}) == ["Late Night Orders"]
    assert catalog.found({"match_phrase": {"name": "night late"}}) == []
    assert catalog.found({"term": {"__guid": guid}}) == ["Late Night Orders"]


def test_a_field_that_the_index_does_not_have_matches_nothing(catalog: Any) -> None:
    """Elasticsearch: an unmapped field matches no documents."""
    assert catalog.found({"term": {"connectionQualifiedName.keyword": "x"}}) == []
    assert catalog.found({"exists": {"field": "nothing"}}) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"term": {"name.keyword": {"value": "alpha"}}}, "alpha"),
        ({"wildcard": {"name.keyword": {"value": "?amma"}}}, "gamma"),
        ({"terms": {"name.keyword": ["ALPHA", "beta_2"]}}, "alpha beta_2"),
        ({"prefix": {"name.keyword": {"value": "Be"}}}, "beta_2"),
        ({"wildcard": {"name.keyword": {"value": "al*a"}}}, "alpha"),
        ({"regexp": {"name.keyword": {"value": "b.*[0-9]"}}}, "beta_2"),
        ({"range": {"rowCount": {"gte": 5, "lt": 10}}}, "alpha"),
        ({"range": {"rowCount": {"gt": 5}}}, "beta_2"),
        ({"exists": {"field": "description"}}, "beta_2"),
        ({"term": {"isTemporary": True}}, "alpha"),
        ({"term": {"isTemporary": "true"}}, "alpha"),
        ({"term": {"ownerUsers": "ann"}}, "alpha"),
        ({"bool": {"must_not": [{"exists": {"field": "rowCount"}}]}}, "gamma"),
        ({"bool": {"should": [{"term": {"rowCount": 5}}, {"term": {"rowCount": 10}}]}}, "alpha beta_2"),
        (
            {"bool": {"should": [{"term": {"rowCount": 5}}], "filter": [{"exists": {"field": "rowCount"}}]}},
            "alpha beta_2",
        ),
        (
            {
                "bool": {
                    "should": [{"term": {"rowCount": 5}}],
                    "filter": [{"exists": {"field": "rowCount"}}],
                    "minimum_should_match": 1,
                }
            },
            "alpha",
        ),
        ({"term": {"__superTypeNames.keyword": "SQL"}}, "alpha beta_2 gamma"),
        ({"match_all": {}}, "alpha beta_2 gamma"),
        ({"match_none": {}}, ""),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:60],
)
def test_what_a_query_matches(catalog: Any, query: dict[str, Any], found: str) -> None:
    """Elasticsearch's reference, query DSL, kind by kind; `should` counts only without `must` and `filter`."""
    one(catalog, name="alpha", rowCount=5, isTemporary=True, ownerUsers=["ann", "bo"])
    one(catalog, name="beta_2", rowCount=10, description="said")
    one(catalog, name="gamma")
    mine = {"terms": {"qualifiedName": ["q/alpha", "q/beta_2", "q/gamma"]}}
    assert " ".join(sorted(catalog.found(both(query, mine)))) == found


@pytest.mark.parametrize(
    "query",
    [
        {"fly": {}},
        {"term": {"a": "b", "c": "d"}},
        {"term": {"name": None}},
        {"terms": {"name": "x"}},
        {"terms": {}},
        {"range": {"__timestamp": {"gte": "now-1d"}}},
        {"a": {}, "b": {}},
    ],
    ids=["unknown kind", "two fields", "null", "no list", "no field", "date math", "two kinds"],
)
def test_a_query_that_is_not_one_is_refused(catalog: Any, query: dict[str, Any]) -> None:
    """INDEX_SEARCH_FAILED_WITH_RESPONSE_CODE, 400-00-503."""
    answer = catalog.ask("POST", "search/indexsearch", {"dsl": {"query": query}})
    assert catalog.refused(answer) == (400, "ATLAS-400-00-503")


@pytest.mark.parametrize(
    "dsl",
    [
        {"sort": [{"name": "asc"}]},
        {"sort": [{"nothing": "asc"}]},
        {"sort": [{"rowCount": "asc", "name.keyword": "asc"}]},
        {"aggs": {"a": {"terms": {"field": "name"}}}},
        {"aggs": {"a": {"terms": {}}}},
        {"aggs": {"a": {"fly": {"field": "name.keyword"}}}},
        {"size": -1},
    ],
    ids=str,
)
def test_words_are_neither_sorted_nor_grouped(catalog: Any, dsl: dict[str, Any]) -> None:
    """Elasticsearch's reference, text type: "Text fields are not used for sorting and seldom for aggregations"."""
    answer = catalog.ask("POST", "search/indexsearch", {"dsl": dsl})
    assert catalog.refused(answer) == (400, "ATLAS-400-00-503")


def test_pages_are_whole_and_the_last_one_has_no_entities(catalog: Any) -> None:
    """pyatlan tells the end by `"entities" in raw_json`; `approximateCount` is that of all pages."""
    query = both({"term": {"__typeName.keyword": "SalesforceField"}}, ACTIVE)
    guids: list[str] = []
    size = 100
    while entities := (page := catalog.search(query, **{"from": len(guids)}, size=size)).get("entities"):
        guids += [found["guid"] for found in entities]
        assert page["approximateCount"] == len(catalog.server.assets("SalesforceField"))
    assert "entities" not in page
    assert sorted(guids) == sorted(asset.guid for asset in catalog.server.assets("SalesforceField"))


def test_no_page_lies_deeper_than_ten_thousand(catalog: Any) -> None:
    """docs/api/search-indexsearch.md: "from + size <= 10000"."""
    answer = catalog.ask("POST", "search/indexsearch", {"dsl": {"from": 9_990, "size": 20}})
    assert catalog.refused(answer) == (400, "ATLAS-400-00-503")
    assert catalog.search(None, **{"from": 9_990}, size=10)["approximateCount"] > 0


def test_results_are_sorted_and_those_without_a_value_come_last(catalog: Any) -> None:
    """Elasticsearch's reference, sort: `missing` is `_last` by default; `search_after` goes on behind."""
    for name, rows in (("a", 2), ("b", 1), ("c", None), ("d", 1)):
        one(catalog, name=name, **({} if rows is None else {"rowCount": rows}))
    mine = {"prefix": {"qualifiedName": "q/"}}
    sort = [{"rowCount": {"order": "asc"}}, {"name.keyword": {"order": "desc"}}]
    assert catalog.found(mine, sort=sort) == ["d", "b", "a", "c"]
    assert catalog.found(mine, sort=[{"rowCount": "desc"}, "name.keyword"]) == ["a", "b", "d", "c"]
    assert catalog.found(mine, sort=sort, search_after=[1, "d"]) == ["b", "a", "c"]


def test_aggregations_count_by_term_in_lower_case(catalog: Any) -> None:
    """Elasticsearch's reference, normalizer: "term aggregations return normalized values"."""
    asked = {"types": {"terms": {"field": "__typeName.keyword", "size": 2}}}
    found = catalog.search(ACTIVE, size=0, aggregations=asked)
    assert "entities" not in found
    types = found["aggregations"]["types"]
    fields = len(catalog.server.assets("SalesforceField"))
    assert types["buckets"][0] == {"key": "salesforcefield", "doc_count": fields}
    assert len(types["buckets"]) == 2
    assert sum(bucket["doc_count"] for bucket in types["buckets"]) + types["sum_other_doc_count"] == len(
        catalog.server.assets()
    )


def test_aggregations_nest_and_measure(catalog: Any) -> None:
    one(catalog, name="a", rowCount=2)
    one(catalog, name="b", rowCount=4)
    asked = {
        "by": {
            "terms": {"field": "qualifiedName"},
            "aggregations": {
                "rows": {"max": {"field": "rowCount"}},
                "how many": {"value_count": {"field": "rowCount"}},
            },
        },
        "mean": {"avg": {"field": "rowCount"}},
        "names": {"cardinality": {"field": "name.keyword"}},
    }
    found = catalog.search({"prefix": {"qualifiedName": "q/"}}, size=0, aggs=asked)["aggregations"]
    assert [(bucket["key"], bucket["rows"]["value"]) for bucket in found["by"]["buckets"]] == [
        ("q/a", 2.0),
        ("q/b", 4.0),
    ]
    assert (found["mean"]["value"], found["names"]["value"]) == (3.0, 2)


def test_only_attributes_that_were_asked_for_come_back(catalog: Any) -> None:
    """docs/api/search-indexsearch.md: "Only the listed attributes are returned"."""
    query = both({"term": {"__typeName.keyword": "SalesforceField"}}, {"term": {"apiName.keyword": "StageName"}})
    entity = catalog.search(query, attributes=["apiName", "object", "nothing"])["entities"][0]
    assert entity["attributes"].keys() == {"name", "qualifiedName", "apiName", "object"}
    assert entity["attributes"]["object"]["typeName"] == "SalesforceObject"


def test_custom_metadata_comes_flat_and_can_be_searched(catalog: Any) -> None:
    """pyatlan `get_attributes_for_search_results`: `set.attribute`; `CustomMetadataField` searches by the attribute."""
    made = catalog.define(Count="int", By="string")
    count, by = (attribute["name"] for attribute in made["attributeDefs"])
    case = catalog.asset("SalesforceObject", "Case")
    catalog.merge(catalog.update_of(case, businessAttributes={made["name"]: {count: 4, by: "ABC"}}))
    flat = f"{made['name']}.{count}"
    (entity,) = catalog.search({"range": {count: {"gte": 4}}}, attributes=[flat])["entities"]
    assert entity["attributes"][flat] == 4
    assert catalog.found({"term": {by: "abc"}}) == [case.name]


def test_the_index_lags_behind_as_long_as_it_is_told_to(catalog: Any) -> None:
    """Writes go to the graph, search asks the index: it is "eventually consistent"."""
    catalog.server.control(index_lag_seconds=30)
    guid = one(catalog, name="new")
    named = {"term": {"name.keyword": "new"}}
    assert catalog.found(named) == []
    assert catalog.ask("GET", f"entity/guid/{guid}").status_code == 200
    catalog.server.control(clock={"advance_seconds": 29})
    assert catalog.found(named) == []
    catalog.server.control(clock={"advance_seconds": 1})
    assert catalog.found(named) == ["new"]
    catalog.server.control(purge=[guid])
    assert catalog.found(named) == ["new"]
    catalog.server.control(index_lag_seconds=0)
    assert catalog.found(named) == []


def test_a_part_of_the_index_may_be_missing_from_an_answer(catalog: Any) -> None:
    """Reference, search, `allow_partial_search_results`: "returns partial results if there are request timeouts"."""
    guids = [one.guid for one in catalog.server.assets("SalesforceObject")][:3]
    whole = catalog.search(both(OBJECTS, ACTIVE))["approximateCount"]
    catalog.server.control(lose=[{"guids": guids}, {"guids": guids, "counted": False}])
    assert catalog.search({"term": {"__typeName.keyword": "SalesforceOrganization"}})["approximateCount"] == 1
    told = []
    for _ in range(4):
        answer = catalog.search(both(OBJECTS, ACTIVE))
        shown = {one["guid"] for one in answer["entities"]}
        told.append((answer["approximateCount"], len(shown), shown.isdisjoint(guids)))
    assert told == [
        (whole - 3, whole - 3, True),
        (whole, whole - 3, True),
        (whole, whole, False),
        (whole, whole, False),
    ]
