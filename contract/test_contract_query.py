"""Queries by REST: pages, locators, deleted rows, errors, and what SOQL promises."""

from __future__ import annotations

import re

import pytest

from contract.documentation import OBJECTS, REST, SOQL, documented
from contract.orgs import ContractOrg

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")


@documented(REST, "Query")
def test_a_query_answers_records_with_type_and_address(org: ContractOrg) -> None:
    page = org.query("SELECT Id, Username FROM User LIMIT 1").json()
    assert page["totalSize"] == 1
    assert page["done"] is True
    record = page["records"][0]
    assert record["attributes"]["type"] == "User"
    assert record["attributes"]["url"] == f"/services/data/v{org.version}/sobjects/User/{record['Id']}"
    assert len(record["Id"]) == 18


@documented(REST, "Query")
def test_names_of_fields_come_back_as_the_org_spells_them(org: ContractOrg) -> None:
    record = org.query("select id, USERNAME from user limit 1").json()["records"][0]
    assert {"Id", "Username"} <= set(record)


@documented(REST, "Query More Results")
def test_a_further_page_can_be_read_twice_and_covers_the_rest(org: ContractOrg) -> None:
    statement = "SELECT Id FROM OpportunityFieldHistory"
    first = org.query(statement, "queryAll", **{"Sforce-Query-Options": "batchSize=200"}).json()
    if first["done"]:
        pytest.skip("the org has no more than a page of this history")
    again = [org.get(first["nextRecordsUrl"]).json() for _ in range(2)]
    assert again[0] == again[1]
    assert again[0]["totalSize"] == first["totalSize"]
    ids = [record["Id"] for record in org.records(statement, "queryAll")]
    assert len(ids) == len(set(ids)) == first["totalSize"]


@documented(REST, "Query Options Header")
def test_a_page_holds_no_fewer_than_200_records_whatever_is_asked(org: ContractOrg) -> None:
    statement = "SELECT Id FROM OpportunityFieldHistory"
    page = org.query(statement, "queryAll", **{"Sforce-Query-Options": "batchSize=1"}).json()
    assert len(page["records"]) == min(200, page["totalSize"])


@documented(REST, "Query More Results")
def test_an_unknown_locator_gives_invalid_query_locator(org: ContractOrg) -> None:
    answer = org.get("query/01g000000000000AAA-2000")
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


@documented(REST, "QueryAll")
@pytest.mark.writes
def test_deleted_records_are_in_query_all_alone(org: ContractOrg) -> None:
    made = org.request("POST", "sobjects/Account", json={"Name": "Contract test, deleted"}).json()["id"]
    assert org.request("DELETE", f"sobjects/Account/{made}").status_code == 204
    statement = f"SELECT Id, IsDeleted FROM Account WHERE Id = '{made}'"
    assert org.query(statement).json()["totalSize"] == 0
    assert [record["IsDeleted"] for record in org.records(statement, "queryAll")] == [True]


@documented(SOQL, "ALL ROWS")
def test_query_all_shows_no_fewer_rows_than_query(org: ContractOrg) -> None:
    counts = [
        org.query("SELECT COUNT() FROM OpportunityHistory", one).json()["totalSize"] for one in ("query", "queryAll")
    ]
    assert counts[0] <= counts[1]


@documented(SOQL, "COUNT()")
def test_count_has_no_records_and_count_of_a_field_is_an_aggregate(org: ContractOrg) -> None:
    plain = org.query("SELECT COUNT() FROM User").json()
    assert plain["records"] == []
    grouped = org.query("SELECT COUNT(Id) FROM User").json()["records"][0]
    assert grouped["attributes"] == {"type": "AggregateResult"}
    assert grouped["expr0"] == plain["totalSize"]


@documented(SOQL, "Date Formats and Date Literals")
def test_instants_have_milliseconds_and_an_offset(org: ContractOrg) -> None:
    record = org.query("SELECT CreatedDate FROM User LIMIT 1").json()["records"][0]
    assert INSTANT.fullmatch(record["CreatedDate"])


@documented(SOQL, "Date Formats and Date Literals")
@pytest.mark.parametrize(
    "literal", ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000Z", "2020-01-01T01:00:00%2B01:00", "LAST_N_DAYS:9000"]
)
def test_instants_are_compared_in_each_documented_form(org: ContractOrg, literal: str) -> None:
    statement = f"SELECT COUNT() FROM OpportunityHistory WHERE CreatedDate >= {literal.replace('%2B', '+')}"
    assert org.query(statement).status_code == 200


@documented(SOQL, "Understanding Relationship Names")
def test_parent_fields_come_nested_with_attributes_of_their_own(org: ContractOrg) -> None:
    record = org.query("SELECT CreatedBy.Username FROM OpportunityHistory LIMIT 1").json()["records"]
    if not record:
        pytest.skip("the org has no opportunity history")
    assert record[0]["CreatedBy"]["attributes"]["type"] == "User"
    assert record[0]["CreatedBy"]["Username"]


@documented(SOQL, "GROUP BY")
def test_groups_carry_the_alias_or_expr_and_their_fields(org: ContractOrg) -> None:
    page = org.query("SELECT StageName, COUNT(Id) many FROM OpportunityHistory GROUP BY StageName").json()
    assert all({"StageName", "many"} <= set(record) for record in page["records"])


@documented(SOQL, "FIELDS()")
def test_all_fields_need_a_limit_of_200(org: ContractOrg) -> None:
    assert org.query("SELECT FIELDS(ALL) FROM User LIMIT 200").status_code == 200
    refused = org.query("SELECT FIELDS(ALL) FROM User")
    assert refused.status_code == 400
    assert refused.json()[0]["errorCode"] == "MALFORMED_QUERY"


@documented(SOQL, "OFFSET")
def test_an_offset_above_2000_is_refused(org: ContractOrg) -> None:
    answer = org.query("SELECT Id FROM User ORDER BY Id LIMIT 10 OFFSET 2001")
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "NUMBER_OUTSIDE_VALID_RANGE"


@documented(REST, "Status Codes and Error Responses")
@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT Id FROM NoSuchObject__c", "INVALID_TYPE"),
        ("SELECT NoSuchField__c FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Id = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Account WHERE CreatedDate = 'yesterday'", "INVALID_FIELD"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
    ],
)
def test_a_wrong_statement_names_its_error(org: ContractOrg, statement: str, code: str) -> None:
    answer = org.query(statement)
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code
    assert answer.json()[0]["message"]


@documented(OBJECTS, "SetupAuditTrail")
@pytest.mark.parametrize(("what", "status"), [("COUNT()", 200), ("COUNT(Id)", 400)])
def test_the_setup_audit_trail_counts_rows_but_takes_no_aggregate(org: ContractOrg, what: str, status: int) -> None:
    assert org.query(f"SELECT {what} FROM SetupAuditTrail").status_code == status


@documented(REST, "Composite")
def test_a_composite_runs_up_to_five_queries_in_one_call(org: ContractOrg) -> None:
    part = {"method": "GET", "url": f"/services/data/v{org.version}/query?q=SELECT+COUNT()+FROM+User"}
    parts = [{**part, "referenceId": f"part{number}"} for number in range(5)]
    answer = org.request("POST", "composite", json={"compositeRequest": parts})
    assert answer.status_code == 200
    found = answer.json()["compositeResponse"]
    assert [one["referenceId"] for one in found] == [one["referenceId"] for one in parts]
    assert {one["httpStatusCode"] for one in found} == {200}
    six = [{**part, "referenceId": f"part{number}"} for number in range(6)]
    assert org.request("POST", "composite", json={"compositeRequest": six}).status_code == 400


@documented(REST, "Composite Batch")
def test_a_batch_answers_each_part_with_its_status(org: ContractOrg) -> None:
    version = f"v{org.version}"
    parts = [
        {"method": "GET", "url": f"{version}/sobjects/User/describe"},
        {"method": "GET", "url": f"{version}/sobjects/NoSuchObject__c/describe"},
    ]
    answer = org.request("POST", "composite/batch", json={"batchRequests": parts}).json()
    assert answer["hasErrors"] is True
    assert [part["statusCode"] for part in answer["results"]] == [200, 404]
