"""Writes of assets: one transaction, found by GUID or by name, custom metadata by flags.

Each test quotes what it stands for: the published source of the metadata service (atlanhq/atlas-metastore @54b6021),
or its documents.
"""

from __future__ import annotations

from typing import Any

import pytest


def values(catalog: Any, asset: Any, name: str = "Activity") -> dict[str, Any]:
    found: dict[str, Any] = catalog.server.custom_metadata(name, asset.guid)
    return found


@pytest.fixture
def activity(catalog: Any) -> dict[str, Any]:
    """A set of custom metadata and the ids of its attributes by their names."""
    made = catalog.define(Count="int", By="string", Last="date", Score="float", Busy="boolean")
    return {"set": made["name"], **{one["displayName"]: one["name"] for one in made["attributeDefs"]}}


def test_one_bad_entity_refuses_the_whole_request(catalog: Any, activity: dict[str, Any]) -> None:
    """`EntityREST.createOrUpdate` is one graph transaction: "one invalid entity rejects all"."""
    good, bad = catalog.asset("SalesforceObject", "Account"), catalog.asset("SalesforceObject", "Case")
    answer = catalog.merge(
        catalog.update_of(good, businessAttributes={activity["set"]: {activity["Count"]: 1}}),
        catalog.update_of(bad, businessAttributes={activity["set"]: {activity["Count"]: "many"}}),
    )
    assert catalog.refused(answer) == (404, "ATLAS-404-00-007")
    assert values(catalog, good) == values(catalog, bad) == {}


def test_an_unknown_qualified_name_makes_a_ghost(catalog: Any) -> None:
    """docs/api/entity-bulk.md: "if a match exists the entity is updated, otherwise it is created"."""
    ghost = {"typeName": "SalesforceObject", "attributes": {"qualifiedName": "default/salesforce/1/x", "name": "x"}}
    before = len(catalog.server.assets("SalesforceObject"))
    answer = catalog.merge(ghost | {"guid": "-17"}).json()
    made = answer["mutatedEntities"]["CREATE"][0]["guid"]
    assert answer["guidAssignments"] == {"-17": made}
    assert len(catalog.server.assets("SalesforceObject")) == before + 1


def test_a_real_guid_that_is_not_known_makes_no_ghost(catalog: Any) -> None:
    """`IDBasedEntityResolver`: an assigned GUID without a vertex is REFERENCED_ENTITY_NOT_FOUND, 404-00-00A."""
    before = len(catalog.server.assets())
    guid = "00000000-1111-4222-8333-444444444444"
    attributes = {"qualifiedName": "default/salesforce/1/x", "name": "x"}
    answer = catalog.merge({"typeName": "SalesforceObject", "guid": guid, "attributes": attributes})
    assert catalog.refused(answer) == (404, "ATLAS-404-00-00A")
    assert answer.json()["errorMessage"] == f"Referenced entity {guid} is not found"
    assert len(catalog.server.assets()) == before


def test_a_real_guid_that_is_not_known_is_found_by_its_name_if_there_is_one(catalog: Any) -> None:
    """`IDBasedEntityResolver`: "look for the entity in the store using unique-attributes"."""
    case = catalog.asset("SalesforceObject", "Case")
    entity = catalog.update_of(case) | {"guid": "00000000-1111-4222-8333-444444444444"}
    entity["attributes"]["description"] = "found"
    assert catalog.merge(entity).json()["mutatedEntities"]["UPDATE"][0]["guid"] == case.guid


def test_the_guid_rules_where_name_and_guid_disagree(catalog: Any) -> None:
    """`preCreateOrUpdate`: the vertex of the GUID is updated, with the attributes that were given."""
    case = catalog.asset("SalesforceObject", "Case")
    entity = catalog.update_of(case)
    entity["attributes"]["qualifiedName"] = "renamed"
    assert catalog.merge(entity).status_code == 200
    assert catalog.server.asset(case.guid).qualified_name == "renamed"


def test_custom_metadata_of_an_old_asset_is_ignored_without_the_flag(catalog: Any, activity: dict[str, Any]) -> None:
    """`EntityGraphMapper`: `if (bulkRequestContext.isReplaceBusinessAttributes())` guards it all."""
    case = catalog.asset("SalesforceObject", "Case")
    entity = catalog.update_of(case, businessAttributes={activity["set"]: {activity["Count"]: 1}})
    assert catalog.bulk(entity).status_code == 200
    assert values(catalog, case) == {}


def test_a_new_asset_gets_its_custom_metadata_without_the_flag(catalog: Any, activity: dict[str, Any]) -> None:
    """`EntityGraphMapper`, created entities: `addOrUpdateBusinessAttributes` is called whatever the flags say."""
    attributes = {"qualifiedName": "default/x/1/y", "name": "y"}
    entity = {"typeName": "Table", "guid": "-1", "attributes": attributes}
    made = catalog.bulk(entity | {"businessAttributes": {activity["set"]: {activity["Count"]: 3}}}).json()
    guid = made["guidAssignments"]["-1"]
    assert catalog.server.custom_metadata("Activity", guid) == {"Count": 3}


def test_merging_keeps_what_is_not_given_and_takes_away_what_is_null(catalog: Any, activity: dict[str, Any]) -> None:
    """`addOrUpdateBusinessAttributes`: "since overwriteBusinessAttributes is false, ignore in case BM attr is not
    passed at all"; a null value removes the property."""
    case = catalog.asset("SalesforceObject", "Case")

    def put(**given: Any) -> None:
        named = {activity[name]: value for name, value in given.items()}
        assert catalog.merge(catalog.update_of(case, businessAttributes={activity["set"]: named})).status_code == 200

    put(Count=1, By="005", Score=2.5)
    put(Count=2, By=None)
    assert values(catalog, case) == {"Count": 2, "Score": 2.5}


def test_merging_leaves_other_sets_alone_and_overwriting_wipes_them(catalog: Any, activity: dict[str, Any]) -> None:
    """`setBusinessAttributes` goes through all sets of the type; `addOrUpdateBusinessAttributes` through the given."""
    holder = next(one for one in catalog.server.assets("SalesforceObject") if one.custom_metadata)
    others = values(catalog, holder, "Data Stewardship")
    entity = catalog.update_of(holder, businessAttributes={activity["set"]: {activity["Count"]: 1}})
    catalog.merge(entity)
    assert others
    assert values(catalog, holder, "Data Stewardship") == others
    catalog.bulk(
        catalog.update_of(holder, businessAttributes={activity["set"]: {activity["Count"]: 2}}),
        replaceBusinessAttributes=True,
        overwriteBusinessAttributes=True,
    )
    assert values(catalog, holder) == {"Count": 2}
    assert values(catalog, holder, "Data Stewardship") == {}


def test_overwriting_with_nothing_removes_all_custom_metadata(catalog: Any) -> None:
    """`if (MapUtils.isEmpty(...getBusinessAttributes()) && ...isOverwriteBusinessAttributes())` removes all of it."""
    holder = next(one for one in catalog.server.assets("SalesforceObject") if one.custom_metadata)
    catalog.bulk(catalog.update_of(holder), replaceBusinessAttributes=True, overwriteBusinessAttributes=True)
    assert catalog.server.asset(holder.guid).custom_metadata == {}


def test_an_unchanged_asset_is_passed_over(catalog: Any, activity: dict[str, Any]) -> None:
    """`createOrUpdate`: "for existing entities, skip update if incoming entity doesn't have any change"."""
    plain = next(one for one in catalog.server.assets("SalesforceField") if not one.custom_metadata)
    entity = catalog.update_of(plain, businessAttributes={activity["set"]: {activity["Count"]: 1}})
    assert len(catalog.merge(entity).json()["mutatedEntities"]["UPDATE"]) == 1
    assert catalog.merge(entity).json()["mutatedEntities"] == {}


def test_an_unchanged_asset_with_other_sets_is_reported_as_updated(catalog: Any, activity: dict[str, Any]) -> None:
    """`AtlasEntityComparator`: `!Objects.equals(currBusinessMetadata, newBusinessMetadata)` compares whole maps."""
    holder = next(one for one in catalog.server.assets("SalesforceObject") if one.custom_metadata)
    entity = catalog.update_of(holder, businessAttributes={activity["set"]: {activity["Count"]: 1}})
    for _ in range(2):
        assert len(catalog.merge(entity).json()["mutatedEntities"]["UPDATE"]) == 1


def test_the_same_asset_twice_in_one_request_gets_both_changes(catalog: Any, activity: dict[str, Any]) -> None:
    """Both entities are mapped on one vertex, one after another."""
    case = catalog.asset("SalesforceObject", "Case")
    catalog.merge(
        catalog.update_of(case, businessAttributes={activity["set"]: {activity["Count"]: 1}}),
        catalog.update_of(case, businessAttributes={activity["set"]: {activity["By"]: "005"}}),
    )
    assert values(catalog, case) == {"Count": 1, "By": "005"}


def test_more_entities_than_allowed_are_refused(catalog: Any) -> None:
    """`EXCEEDED_MAX_ENTITIES_ALLOWED`, 10,000 by default (docs/api/entity-bulk.md)."""
    entity = {"typeName": "Table", "attributes": {"qualifiedName": "q", "name": "n"}}
    answer = catalog.ask("POST", "entity/bulk/", {"entities": [entity] * 10_001})
    assert catalog.refused(answer) == (400, "ATLAS-400-00-212")


def test_an_empty_request_is_refused(catalog: Any) -> None:
    """`INVALID_PARAMETERS`, "no entities to create/update."."""
    answer = catalog.bulk()
    assert catalog.refused(answer) == (400, "ATLAS-400-00-01A")


@pytest.mark.parametrize(
    ("entity", "code"),
    [
        ({"typeName": "Spaceship", "attributes": {"qualifiedName": "q", "name": "n"}}, (400, "ATLAS-400-00-014")),
        ({"typeName": "Table", "attributes": {"qualifiedName": "q"}}, (404, "ATLAS-404-00-007")),
        (
            {"typeName": "Table", "attributes": {"qualifiedName": "q", "name": "n", "rowCount": "x"}},
            (404, "ATLAS-404-00-007"),
        ),
        (
            {"typeName": "Table", "attributes": {"qualifiedName": "q", "name": "n" * 100_001}},
            (404, "ATLAS-404-00-007"),
        ),
    ],
    ids=["unknown type", "no name", "text for a number", "too long"],
)
def test_an_entity_that_its_type_does_not_allow_is_refused(
    catalog: Any, entity: dict[str, Any], code: tuple[int, str]
) -> None:
    """`AtlasEntityGraphDiscoveryV2.validateAndNormalize`: TYPE_NAME_INVALID, INSTANCE_CRUD_INVALID_PARAMS."""
    assert catalog.refused(catalog.bulk(entity)) == code


def test_an_attribute_that_the_type_does_not_have_is_dropped(catalog: Any) -> None:
    """`AtlasStructType` maps the attributes that it has; others are not kept."""
    case = catalog.asset("SalesforceObject", "Case")
    entity = catalog.update_of(case)
    entity["attributes"] |= {"changeCount": 7, "description": "kept"}
    assert catalog.bulk(entity).status_code == 200
    attributes = catalog.server.asset(case.guid).attributes
    assert "changeCount" not in attributes
    assert attributes["description"] == "kept"


def test_an_archived_asset_comes_back_only_where_that_is_said(catalog: Any) -> None:
    """`preCreateOrUpdate`: `isRestoreRequested` needs the status ACTIVE in the request."""
    case = catalog.asset("SalesforceObject", "Case")
    catalog.ask("DELETE", "entity/bulk", guid=case.guid, deleteType="SOFT")
    assert not catalog.server.asset(case.guid).active
    catalog.bulk(catalog.update_of(case) | {"attributes": {**case.attributes, "description": "x"}})
    assert not catalog.server.asset(case.guid).active
    catalog.bulk(catalog.update_of(case) | {"status": "ACTIVE"})
    assert catalog.server.asset(case.guid).active


def test_purged_assets_are_gone(catalog: Any) -> None:
    """DELETE with `deleteType=PURGE`, as pyatlan's `purge_by_guid` sends it."""
    case = catalog.asset("SalesforceObject", "Case")
    answer = catalog.ask("DELETE", "entity/bulk", guid=case.guid, deleteType="PURGE").json()
    assert [one["guid"] for one in answer["mutatedEntities"]["DELETE"]] == [case.guid]
    assert catalog.refused(catalog.ask("GET", f"entity/guid/{case.guid}")) == (404, "ATLAS-404-00-005")


def test_an_announcement_is_set_by_name_and_custom_metadata_is_not(catalog: Any, activity: dict[str, Any]) -> None:
    """`updateByUniqueAttributes` is a partial update without any of the flags."""
    case = catalog.asset("SalesforceObject", "Case")
    entity = catalog.update_of(case, businessAttributes={activity["set"]: {activity["Count"]: 1}})
    entity["attributes"] |= {"announcementTitle": "Many deletes", "announcementType": "warning"}
    path = "entity/uniqueAttribute/type/SalesforceObject"
    answer = catalog.ask("PUT", path, {"entity": entity}, **{"attr:qualifiedName": case.qualified_name})
    assert [one["guid"] for one in answer.json()["mutatedEntities"]["PARTIAL_UPDATE"]] == [case.guid]
    assert catalog.server.asset(case.guid).attributes["announcementTitle"] == "Many deletes"
    assert values(catalog, case) == {}


def test_an_update_by_a_name_that_is_not_there_is_refused(catalog: Any) -> None:
    """INSTANCE_BY_UNIQUE_ATTRIBUTE_NOT_FOUND, 404-00-009."""
    entity = {"typeName": "SalesforceObject", "attributes": {"qualifiedName": "no", "name": "no"}}
    path = "entity/uniqueAttribute/type/SalesforceObject"
    answer = catalog.ask("PUT", path, {"entity": entity}, **{"attr:qualifiedName": "no"})
    assert catalog.refused(answer) == (404, "ATLAS-404-00-009")
    assert catalog.refused(catalog.ask("GET", path, **{"attr:qualifiedName": "no"})) == (404, "ATLAS-404-00-009")


def test_a_write_moves_the_stamps(catalog: Any) -> None:
    """`updateModificationMetadata`; what does not change keeps its stamps."""
    case, other = catalog.asset("SalesforceObject", "Case"), catalog.asset("SalesforceObject", "Lead")
    catalog.server.control(clock={"advance_seconds": 60})
    entity = catalog.update_of(case)
    entity["attributes"]["description"] = "x"
    catalog.bulk(entity, catalog.update_of(other))
    assert catalog.server.asset(case.guid).updated_at == case.updated_at + 60_000
    assert catalog.server.asset(case.guid).updated_by == "service-account-apikey-localcloud"
    assert catalog.server.asset(other.guid) == other


def test_what_is_written_outlives_the_server(serve: Any, tmp_path: Any) -> None:
    first = serve(tmp_path / "kept")
    made = first.define(Count="int")
    case = first.asset("SalesforceObject", "Case")
    count = made["attributeDefs"][0]["name"]
    first.merge(first.update_of(case, businessAttributes={made["name"]: {count: 4}}))
    first.server.stop()
    second = serve(tmp_path / "kept")
    assert second.server.custom_metadata("Activity", case.guid) == {"Count": 4}
    assert second.server.control().attributes_ever_defined == first_count(second)


def first_count(catalog: Any) -> int:
    sets = catalog.ask("GET", "types/typedefs/", type="BUSINESS_METADATA").json()["businessMetadataDefs"]
    return sum(len(one["attributeDefs"]) for one in sets)


def test_what_a_caller_may_is_told_without_doing_it(catalog: Any) -> None:
    """`AtlasEntityStoreV2.evaluatePolicies`: each question with `allowed`, or with the code of the refusal."""
    case = catalog.asset("SalesforceObject", "Case")
    update = {"action": "ENTITY_UPDATE_BUSINESS_METADATA", "entityGuid": case.guid, "businessMetadata": "x"}
    create = {"action": "ENTITY_CREATE", "typeName": "Process", "entityId": "default/x/1/y"}
    unknown = {"action": "ENTITY_READ", "entityGuid": "nothing"}
    answers = catalog.ask("POST", "entity/evaluator", [update, create, unknown, {"action": "TYPE_CREATE"}]).json()
    assert [one["allowed"] for one in answers] == [True, True, False]
    assert (answers[0]["businessMetadata"], answers[2]["errorCode"]) == ("x", "ATLAS-404-00-005")
    catalog.server.control(privileges={"deny": ["write_custom_metadata"]})
    answers = catalog.ask("POST", "entity/evaluator", [update, create]).json()
    assert [(one["allowed"], one["errorCode"]) for one in answers] == [(False, "ATLAS-403-00-001"), (True, None)]
    assert catalog.refused(catalog.ask("POST", "entity/evaluator", [{}])) == (400, "ATLAS-400-00-029")
