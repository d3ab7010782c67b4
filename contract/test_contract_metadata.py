"""Versions, resources, limits, describe: what an org says of itself."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

from contract.documentation import OBJECTS, REST, SOAP, documented
from contract.orgs import TIMEOUT_S, ContractOrg

FIELDS_OF_A_DESCRIBED_FIELD = {
    "name", "label", "type", "length", "precision", "scale", "nillable", "filterable", "sortable", "groupable",
    "referenceTo", "relationshipName", "custom", "calculated", "createable", "updateable", "picklistValues",
    "restrictedPicklist", "soapType", "compoundFieldName", "nameField", "unique", "externalId",
}  # fmt: skip


@documented(REST, "Versions")
def test_versions_need_no_login_and_name_label_url_and_version(org: ContractOrg) -> None:
    answer = org.http.get(f"{org.url}/services/data/", headers={"Authorization": ""}, timeout=TIMEOUT_S)
    assert answer.status_code == 200
    listed = answer.json()
    assert {"label", "url", "version"} == set(listed[0])
    assert all(one["url"] == f"/services/data/v{one['version']}" for one in listed)
    assert org.version in {one["version"] for one in listed}


@documented(REST, "Resources by Version")
def test_a_version_lists_its_resources_with_their_paths(org: ContractOrg) -> None:
    listed = org.get(f"/services/data/v{org.version}").json()
    for name in ("query", "queryAll", "sobjects", "limits", "composite"):
        assert listed[name].endswith(f"/{name}")


@documented(REST, "API End-of-Life Policy")
def test_a_retired_version_answers_410(org: ContractOrg) -> None:
    answer = org.get("/services/data/v20.0/sobjects")
    assert answer.status_code == 410
    assert answer.json()[0]["errorCode"] in {"UNSUPPORTED_API_VERSION", "GONE"}


@documented(REST, "Limits")
@pytest.mark.parametrize(
    "name",
    ["DailyApiRequests", "DailyBulkV2QueryJobs", "DailyBulkV2QueryFileStorageMB", "DailyDeliveredPlatformEvents"],
)
def test_limits_show_maximum_and_rest(org: ContractOrg, name: str) -> None:
    limit = org.get("limits").json()[name]
    assert isinstance(limit["Max"], int)
    assert 0 <= limit["Remaining"] <= limit["Max"]


@documented(REST, "Limit Info Header")
def test_each_answer_says_how_many_calls_were_made(org: ContractOrg) -> None:
    first, second = (org.get("sobjects/User").headers["Sforce-Limit-Info"] for _ in range(2))
    numbers = [header.split("api-usage=")[1].split(",")[0].split("/") for header in (first, second)]
    assert numbers[0][1] == numbers[1][1]
    assert int(numbers[1][0]) >= int(numbers[0][0])


@documented(REST, "Date and Time Formats")
def test_answers_carry_the_time_of_the_service(org: ContractOrg) -> None:
    assert parsedate_to_datetime(org.get("limits").headers["Date"]).tzinfo is not None


@documented(REST, "Describe Global")
def test_describe_global_lists_objects_with_their_flags(org: ContractOrg) -> None:
    listed = {one["name"]: one for one in org.get("sobjects").json()["sobjects"]}
    account = listed["Account"]
    assert account["keyPrefix"] == "001"
    assert account["queryable"] is True
    assert account["replicateable"] is True
    assert account["custom"] is False
    assert account["urls"]["describe"].endswith("/sobjects/Account/describe")


@documented(SOAP, "DescribeSObjectResult")
@pytest.mark.parametrize(("name", "parent"), [("AccountHistory", "Account"), ("CaseHistory", "Case")])
def test_a_history_object_names_its_parent(org: ContractOrg, name: str, parent: str) -> None:
    listed = {one["name"]: one for one in org.get("sobjects").json()["sobjects"]}
    assert listed[name]["associateEntityType"] == "History"
    assert listed[name]["associateParentEntity"] == parent
    assert listed["Account"]["associateEntityType"] is None


@documented(REST, "sObject Describe")
def test_describe_says_of_each_field_what_it_is(org: ContractOrg) -> None:
    document = org.get("sobjects/Account/describe").json()
    fields = {field["name"]: field for field in document["fields"]}
    assert set(fields["Name"]) >= FIELDS_OF_A_DESCRIBED_FIELD
    assert fields["Id"]["type"] == "id"
    assert fields["OwnerId"]["type"] == "reference"
    assert "User" in fields["OwnerId"]["referenceTo"]
    assert fields["OwnerId"]["relationshipName"] == "Owner"
    assert {child["childSObject"] for child in document["childRelationships"]} >= {"Contact", "Opportunity"}


@documented(OBJECTS, "AccountHistory")
@pytest.mark.parametrize("value", ["OldValue", "NewValue"])
def test_values_of_history_are_of_any_type_and_cannot_be_filtered(org: ContractOrg, value: str) -> None:
    fields = {field["name"]: field for field in org.get("sobjects/AccountHistory/describe").json()["fields"]}
    assert fields[value]["type"] == "anyType"
    assert fields[value]["filterable"] is False
    assert fields["CreatedDate"]["filterable"] is True
    answer = org.query(f"SELECT Id FROM AccountHistory WHERE {value} = 'x'")
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_FIELD"


@documented(REST, "Status Codes and Error Responses")
@pytest.mark.parametrize("path", ["sobjects/NoSuchObject__c/describe", "sobjects/NoSuchObject__c", "nothing"])
def test_what_is_not_there_gives_404_not_found(org: ContractOrg, path: str) -> None:
    answer = org.get(path)
    assert answer.status_code == 404
    assert answer.json()[0]["errorCode"] == "NOT_FOUND"


@documented(REST, "Compression Headers")
def test_large_answers_are_compressed_when_the_caller_can_read_that(org: ContractOrg) -> None:
    assert org.get("sobjects", headers={"Accept-Encoding": "gzip"}).headers.get("Content-Encoding") == "gzip"
    assert "Content-Encoding" not in org.get("sobjects", headers={"Accept-Encoding": "identity"}).headers
