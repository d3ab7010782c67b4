"""The Tooling API: definitions and channels as rows, and what may be asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.fields import ident
from localcloud.salesforce.sobject import Schema, SObject
from localcloud.salesforce.tooling import Tooling

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]

NOT_YET = (
    "The requested operation is not yet supported by this SObject storage type, contact salesforce.com support for "
    "more information."
)
FIELDS_OF = "SELECT QualifiedApiName, DataType FROM FieldDefinition WHERE EntityDefinition.QualifiedApiName = '{}'"


def rows(client: Any, statement: str, resource: str = "tooling/query") -> list[dict[str, Any]]:
    answer = client.query(statement, resource)
    assert answer.status_code == 200, answer.text
    records: list[dict[str, Any]] = answer.json()["records"]
    return records


def error(client: Any, statement: str, resource: str = "tooling/query") -> tuple[str, str]:
    answer = client.query(statement, resource)
    assert answer.status_code == 400, answer.text
    (one,) = answer.json()
    return one["errorCode"], one["message"].rsplit("\n", 1)[-1]


def test_history_tracking_of_an_objects_fields_can_be_asked_for(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    tracked = FIELDS_OF.format("Opportunity") + " AND IsFieldHistoryTracked = true"
    assert {row["QualifiedApiName"] for row in rows(client, tracked)} == {
        "Name", "StageName", "Amount", "Probability", "CloseDate", "OwnerId", "NextStep", "Description",
    }  # fmt: skip


@pytest.mark.parametrize("resource", ["query", "tooling/query"])
def test_both_apis_answer_of_definitions(own_org: Org, serve: Serve, resource: str) -> None:
    client = serve(own_org)
    statement = (
        "SELECT DurableId, KeyPrefix, IsCustomizable FROM EntityDefinition WHERE QualifiedApiName IN ('Account')"
    )
    (row,) = rows(client, statement, resource)
    assert (row["DurableId"], row["KeyPrefix"], row["IsCustomizable"]) == ("Account", "001", True)
    fields = {row["QualifiedApiName"]: row["DataType"] for row in rows(client, FIELDS_OF.format("Account"), resource)}
    assert fields["OwnerId"] == "Lookup(User)"
    assert fields["AnnualRevenue"] == "Currency(18, 0)"
    assert fields["Description"] == "Long Text Area(32000)"


def test_definitions_agree_with_describe_and_with_each_other(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    client.server.control(forbid={"objects": ["Case"], "fields": ["Account.Phone"]})
    entities = rows(
        client, "SELECT QualifiedApiName, DurableId FROM EntityDefinition WHERE IsQueryable = true LIMIT 2000"
    )
    names = {row["QualifiedApiName"] for row in entities}
    assert "Case" not in names
    assert {"Account", "Task", "FieldHistoryArchive"} <= names
    described = {field["name"] for field in client.get("sobjects/Account/describe").json()["fields"]}
    assert {row["QualifiedApiName"] for row in rows(client, FIELDS_OF.format("Account"))} == described
    particles = "SELECT Name, IsComponent FROM EntityParticle WHERE EntityDefinitionId = 'Account'"
    found = {row["Name"]: row["IsComponent"] for row in rows(client, particles)}
    assert set(found) == described
    assert (found["BillingCity"], found["Name"]) == (True, False)


def test_a_custom_object_is_known_by_its_durable_id(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    (entity,) = rows(client, "SELECT DurableId FROM EntityDefinition WHERE QualifiedApiName = 'Invoice__c'")
    durable = entity["DurableId"]
    assert durable.startswith("01I")
    select = "SELECT EntityDefinition.QualifiedApiName, DurableId FROM FieldDefinition"
    (row, *_) = rows(client, f"{select} WHERE EntityDefinitionId = '{durable}'")
    assert row["EntityDefinition"]["QualifiedApiName"] == "Invoice__c"
    assert row["DurableId"].startswith(f"{durable}.")
    custom = rows(client, "SELECT Id, DeveloperName FROM CustomObject WHERE DeveloperName = 'Invoice'")
    assert [one["Id"][:15] for one in custom] == [durable]
    fields = rows(client, f"SELECT DeveloperName FROM CustomField WHERE TableEnumOrId = '{durable}'")
    assert "Status" in {one["DeveloperName"] for one in fields}


@pytest.mark.parametrize(
    ("statement", "code", "message"),
    [
        (
            "SELECT Id FROM FieldDefinition",
            "MALFORMED_QUERY",
            "FieldDefinition: a filter on a reified column is required [EntityDefinitionId,DurableId]",
        ),
        (
            "SELECT Id FROM FieldDefinition WHERE QualifiedApiName = 'Name'",
            "MALFORMED_QUERY",
            "FieldDefinition: a filter on a reified column is required [EntityDefinitionId,DurableId]",
        ),
        (
            "SELECT Id FROM EntityParticle WHERE DataType = 'phone'",
            "MALFORMED_QUERY",
            "EntityParticle: a filter on a reified column is required [EntityDefinitionId,FieldDefinitionId,DurableId]",
        ),
        (
            "SELECT Id FROM EntityDefinition WHERE QualifiedApiName != 'Account'",
            "EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION",
            "Only equals comparisons permitted",
        ),
        (
            "SELECT Id FROM EntityDefinition WHERE IsQueryable = true OR (IsSearchable = false AND KeyPrefix = '001')",
            "EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION",
            "Disjunctions not supported",
        ),
        (
            "SELECT COUNT(QualifiedApiName), IsFeedEnabled FROM EntityDefinition GROUP BY IsFeedEnabled",
            "INVALID_OPERATION",
            NOT_YET,
        ),
    ],
)
@pytest.mark.parametrize("resource", ["query", "tooling/query"])
def test_what_definitions_do_not_answer(
    own_org: Org, serve: Serve, statement: str, code: str, message: str, resource: str
) -> None:
    assert error(serve(own_org), statement, resource) == (code, message)


def test_more_than_one_batch_of_definitions_is_refused(own_org: Org) -> None:
    seen = Schema(SObject(f"Thing{n}__c", "a09", (ident(),), label="Thing") for n in range(2_001))
    tooling = Tooling(own_org)
    try:
        with pytest.raises(SoqlError, match="EntityDefinition does not support queryMore") as refused:
            tooling.run("SELECT Id FROM EntityDefinition", seen, 60.0)
        assert refused.value.code == "EXCEEDED_ID_LIMIT"
        assert tooling.run("SELECT Id FROM EntityDefinition LIMIT 2000", seen, 60.0).rows == 2_000
    finally:
        tooling.close()


def test_channels_and_their_members_are_those_of_change_data_capture(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    statement = "SELECT DeveloperName, EventChannel, SelectedEntity FROM PlatformEventChannelMember ORDER BY Id"
    members = {row["DeveloperName"]: (row["EventChannel"], row["SelectedEntity"]) for row in rows(client, statement)}
    assert members["ChangeEvents_AccountChangeEvent"] == ("ChangeEvents", "AccountChangeEvent")
    assert members["ChangeEvents_Invoice_ChangeEvent"] == ("ChangeEvents", "Invoice__ChangeEvent")
    assert rows(client, "SELECT DeveloperName FROM PlatformEventChannel") == [], "the standard channel is none of them"


def test_each_api_has_objects_that_the_other_has_not(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    for statement, resource in (
        ("SELECT Id FROM Account", "tooling/query"),
        ("SELECT Id FROM PlatformEventChannel", "query"),
        ("SELECT Id FROM CustomField", "query"),
    ):
        assert error(client, statement, resource)[0] == "INVALID_TYPE"


def test_an_answer_has_the_shape_of_the_tooling_api(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    answer = client.query("SELECT Id FROM CustomObject WHERE DeveloperName = 'Invoice'", "tooling/query").json()
    assert {name: answer[name] for name in answer if name != "records"} == {
        "size": 1, "totalSize": 1, "done": True, "queryLocator": None, "entityTypeName": "CustomObject",
    }  # fmt: skip
    (record,) = answer["records"]
    assert record["attributes"]["url"] == f"/services/data/v60.0/tooling/sobjects/CustomObject/{record['Id']}"


def test_the_tooling_api_lists_and_describes_its_objects(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    assert client.get("").json()["tooling"] == "/services/data/v60.0/tooling"
    assert client.get("tooling").json()["query"] == "/services/data/v60.0/tooling/query"
    listed = {one["name"]: one for one in client.get("tooling/sobjects").json()["sobjects"]}
    assert {"EntityDefinition", "FieldDefinition", "PlatformEventChannelMember"} <= set(listed)
    assert listed["FieldDefinition"]["urls"]["describe"].startswith("/services/data/v60.0/tooling/sobjects/")
    fields = client.get("tooling/sobjects/FieldDefinition/describe").json()["fields"]
    look_up = next(field for field in fields if field["name"] == "EntityDefinitionId")
    assert (look_up["referenceTo"], look_up["referenceTargetField"]) == (["EntityDefinition"], "DurableId")
    for path in ("tooling/nothing", "tooling/sobjects/Account/describe"):
        assert client.get(path).status_code == 404
    assert client.query("", "tooling/query").json()[0]["errorCode"] == "MALFORMED_QUERY"
