"""Definitions of custom metadata and the values that they take.

Each test quotes what it stands for: the published source of the metadata service (atlanhq/atlas-metastore @54b6021),
its documents, or what the SDK expects.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

HASHED = re.compile(r"[A-Za-z0-9]{22}")
Body = Callable[..., dict[str, Any]]


def sets(catalog: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = catalog.ask("GET", "types/typedefs/", type="BUSINESS_METADATA").json()[
        "businessMetadataDefs"
    ]
    return found


def test_ids_are_made_up_by_the_service(catalog: Any) -> None:
    """`AtlasBusinessMetadataDef.setRandomNameForEntityAndAttributeDefs`: names of sets and attributes are random."""
    made = catalog.define(Count="int", By="string")
    ids = [made["name"], *(one["name"] for one in made["attributeDefs"])]
    assert all(HASHED.fullmatch(one) for one in ids)
    assert len(set(ids)) == 3
    assert made["displayName"] == "Activity"


def test_flags_among_the_options_come_back_as_texts(catalog: Any) -> None:
    """`AtlasAttributeDef.options` is a map of texts."""
    (attribute,) = catalog.define(Count="int")["attributeDefs"]
    assert attribute["options"]["showInOverview"] == "true"


def test_a_display_name_is_taken_once(catalog: Any, body_of: Body) -> None:
    """`validateType`: TYPE_WITH_DISPLAY_NAME_ALREADY_EXISTS, 409-00-012."""
    catalog.define(Count="int")
    answer = catalog.ask("POST", "types/typedefs/", body_of("Activity", By="string"))
    assert catalog.refused(answer) == (409, "ATLAS-409-00-012")


def test_two_attributes_of_one_name_are_refused(catalog: Any, body_of: Body) -> None:
    """TYPE_ATTR_WITH_DISPLAY_NAME_ALREADY_EXISTS, 409-00-013; the SDK takes such a set for a fault (LogicError)."""
    body = body_of("Activity", Count="int")
    body["businessMetadataDefs"][0]["attributeDefs"] *= 2
    assert catalog.refused(catalog.ask("POST", "types/typedefs/", body)) == (409, "ATLAS-409-00-013")


def test_an_update_adds_attributes_and_keeps_the_ids_of_the_old(catalog: Any, body_of: Body) -> None:
    """`setRandomNameForNewAttributeDefs`: only attributes whose name was not there get a new one."""
    made = catalog.define(Count="int")
    made["attributeDefs"] += body_of("x", By="string")["businessMetadataDefs"][0]["attributeDefs"]
    answer = catalog.ask("PUT", "types/typedefs/", {"businessMetadataDefs": [made]}).json()
    changed = answer["businessMetadataDefs"][0]
    assert changed["name"] == made["name"]
    assert changed["attributeDefs"][0]["name"] == made["attributeDefs"][0]["name"]
    assert HASHED.fullmatch(changed["attributeDefs"][1]["name"])
    assert changed["version"] == made["version"] + 1


def test_an_update_takes_no_attribute_away(catalog: Any) -> None:
    """`AtlasStructDefStoreV2.updateVertexPreUpdate`: ATTRIBUTE_DELETION_NOT_SUPPORTED, 400-00-00D."""
    made = catalog.define(Count="int", By="string")
    made["attributeDefs"].pop()
    answer = catalog.ask("PUT", "types/typedefs/", {"businessMetadataDefs": [made]})
    assert catalog.refused(answer) == (400, "ATLAS-400-00-00D")
    assert len(sets(catalog)[-1]["attributeDefs"]) == 2


def test_an_update_of_a_set_that_is_not_there_is_refused(catalog: Any, body_of: Body) -> None:
    """TYPE_NAME_NOT_FOUND, 404-00-001."""
    answer = catalog.ask("PUT", "types/typedefs/", body_of("Nothing", Count="int"))
    assert catalog.refused(answer) == (404, "ATLAS-404-00-001")


def test_a_text_needs_a_longest_length(catalog: Any, body_of: Body) -> None:
    """`AtlasBusinessMetadataType.resolveReferences`: MISSING_MANDATORY_ATTRIBUTE `options.maxStrLength`."""
    body = body_of("Activity", By="string")
    del body["businessMetadataDefs"][0]["attributeDefs"][0]["options"]["maxStrLength"]
    assert catalog.refused(catalog.ask("POST", "types/typedefs/", body)) == (400, "ATLAS-400-00-02B")


def test_a_tenant_defines_so_many_attributes_and_no_more(catalog: Any, body_of: Body) -> None:
    """Atlan's documentation, custom metadata: about 1,000 properties a tenant, deleted ones included."""
    body = body_of("Many", **{f"n{at}": "int" for at in range(1_000)})
    assert catalog.ask("POST", "types/typedefs/", body).status_code == 400
    for at in range(2):
        made = catalog.define(f"Set {at}", **{f"n{n}": "int" for n in range(498)})
        assert catalog.ask("DELETE", f"types/typedef/name/{made['name']}").status_code == 204
    assert catalog.ask("POST", "types/typedefs/", body_of("One more", a="int", b="int")).status_code == 400


def test_a_set_with_values_cannot_be_deleted(catalog: Any) -> None:
    """`checkBusinessMetadataRef`: TYPE_HAS_REFERENCES, 409-00-002."""
    (stewardship,) = sets(catalog)
    answer = catalog.ask("DELETE", f"types/typedef/name/{stewardship['name']}")
    assert catalog.refused(answer) == (409, "ATLAS-409-00-002")
    made = catalog.define(Count="int")
    assert catalog.ask("DELETE", f"types/typedef/name/{made['name']}").status_code == 204
    assert catalog.refused(catalog.ask("GET", f"types/typedef/name/{made['name']}")) == (404, "ATLAS-404-00-001")


def test_definitions_are_asked_for_by_category_and_structs_are_never_missing(catalog: Any) -> None:
    """pyatlan `custom_metadata_cache`: an answer without structs raises EXPIRED_API_TOKEN."""
    answer = catalog.ask("GET", "types/typedefs/", type=["BUSINESS_METADATA", "STRUCT"]).json()
    assert [one["displayName"] for one in answer["businessMetadataDefs"]] == ["Data Stewardship"]
    assert answer["structDefs"]
    assert answer["entityDefs"] == []
    everything = catalog.ask("GET", "types/typedefs/").json()
    assert "SalesforceObject" in {one["name"] for one in everything["entityDefs"]}


def test_values_are_merged_by_guid_without_an_answer_body(catalog: Any) -> None:
    """`EntityREST.addOrUpdateBusinessAttributes(guid, bmName)`: 204, a merge like that of the bulk API."""
    made = catalog.define(Count="int", By="string")
    count, by = (one["name"] for one in made["attributeDefs"])
    case = catalog.asset("SalesforceObject", "Case")
    path = f"entity/guid/{case.guid}/businessmetadata/{made['name']}"
    answer = catalog.ask("POST", path, {count: 1, by: "005"})
    assert (answer.status_code, answer.content) == (204, b"")
    catalog.ask("POST", path, {count: 2})
    catalog.ask("POST", path, {by: None})
    assert catalog.server.custom_metadata("Activity", case.guid) == {"Count": 2}


def test_a_guid_or_set_that_is_not_there_is_refused(catalog: Any) -> None:
    """INSTANCE_GUID_NOT_FOUND; "invalid business-metadata for entity type" of `validateBusinessAttributes`."""
    made = catalog.define(Count="int")
    count = made["attributeDefs"][0]["name"]
    case = catalog.asset("SalesforceObject", "Case")
    answer = catalog.ask("POST", f"entity/guid/nothing/businessmetadata/{made['name']}", {count: 1})
    assert catalog.refused(answer) == (404, "ATLAS-404-00-005")
    answer = catalog.ask("POST", f"entity/guid/{case.guid}/businessmetadata/Activity", {count: 1})
    assert catalog.refused(answer) == (404, "ATLAS-404-00-007")
    assert "Activity: invalid business-metadata for entity type SalesforceObject" in answer.json()["errorMessage"]


def test_an_attribute_that_is_not_defined_is_passed_over(catalog: Any) -> None:
    """`validateBusinessAttributes` and `addOrUpdateBusinessAttributes` go through the defined attributes only."""
    made = catalog.define(Count="int")
    case = catalog.asset("SalesforceObject", "Case")
    answer = catalog.ask("POST", f"entity/guid/{case.guid}/businessmetadata/{made['name']}", {"nothing": 1})
    assert answer.status_code == 204
    assert catalog.server.custom_metadata("Activity", case.guid) == {}


@pytest.mark.parametrize(
    ("type_name", "value", "kept"),
    [
        ("int", 7, 7),
        ("int", "7", 7),
        ("int", 7.9, 7),
        ("int", 2**31, None),
        ("int", "many", None),
        ("int", True, None),
        ("long", 2**31, 2**31),
        ("float", 1.5, 1.5),
        ("float", "1.5", 1.5),
        ("date", 1_700_000_000_000, 1_700_000_000_000),
        ("date", "yesterday", None),
        ("boolean", "true", True),
        ("boolean", 1, None),
        ("string", "005", "005"),
        ("string", 5, "5"),
        ("string", "x" * 32_766, "x" * 32_766),
        ("string", "x" * 32_767, None),
        ("string", "é" * 16_384, None),
        ("array<string>", ["a"], ["a"]),
        ("array<string>", "a", None),
    ],
)
def test_values_are_checked_and_kept_by_their_type(catalog: Any, type_name: str, value: object, kept: object) -> None:
    """`AtlasBuiltInTypes.isValidValue` and `getNormalizedValue`; ELASTICSEARCH_KEYWORD_MAX_BYTES = 32766."""
    made = catalog.define(It=type_name)
    case = catalog.asset("SalesforceObject", "Case")
    path = f"entity/guid/{case.guid}/businessmetadata/{made['name']}"
    answer = catalog.ask("POST", path, {made["attributeDefs"][0]["name"]: value})
    if kept is None:
        assert catalog.refused(answer) == (404, "ATLAS-404-00-007")
    else:
        assert answer.status_code == 204
    found = catalog.server.custom_metadata("Activity", case.guid)
    assert found == ({} if kept is None else {"It": kept})


def test_all_of_an_assets_custom_metadata_comes_with_it(catalog: Any) -> None:
    """GET by GUID and by name show `businessAttributes` by the ids of set and attribute."""
    holder = next(one for one in catalog.server.assets("SalesforceObject") if one.custom_metadata)
    entity = catalog.ask("GET", f"entity/guid/{holder.guid}", ignoreRelationships="true").json()["entity"]
    assert entity["businessAttributes"] == holder.custom_metadata
    assert entity["relationshipAttributes"] == {}
    path = "entity/uniqueAttribute/type/SalesforceObject"
    named = catalog.ask("GET", path, **{"attr:qualifiedName": holder.qualified_name}).json()["entity"]
    assert named["businessAttributes"] == holder.custom_metadata
    assert {one["typeName"] for one in named["relationshipAttributes"]["fields"]} == {"SalesforceField"}
