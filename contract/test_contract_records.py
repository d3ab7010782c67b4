"""Records that are made, changed and deleted, and what getDeleted, getUpdated and history say of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from contract.documentation import OBJECTS, REST, SOAP, documented
from contract.orgs import ContractOrg


def now(org: ContractOrg) -> datetime:
    """The time by the org's clock, in whole seconds."""
    return parsedate_to_datetime(org.get("limits").headers["Date"]).astimezone(UTC)


def window(org: ContractOrg, resource: str, start: datetime, end: datetime, sobject: str = "Account") -> Any:
    span = {"start": start.isoformat(), "end": end.isoformat()}
    return org.get(f"sobjects/{sobject}/{resource}/", params=span)


def make(org: ContractOrg, **values: object) -> str:
    answer = org.request("POST", "sobjects/Account", json={"Name": "Contract test", **values})
    assert answer.status_code == 201, answer.text
    document = answer.json()
    assert document["success"] is True
    assert document["errors"] == []
    return str(document["id"])


@documented(REST, "sObject Get Deleted")
@pytest.mark.writes
def test_a_deleted_record_is_in_the_delete_log(org: ContractOrg) -> None:
    record = make(org)
    assert org.request("DELETE", f"sobjects/Account/{record}").status_code == 204
    end = now(org) + timedelta(minutes=2)
    document = window(org, "deleted", end - timedelta(hours=1), end).json()
    assert {"deletedRecords", "earliestDateAvailable", "latestDateCovered"} == set(document)
    found = [one for one in document["deletedRecords"] if one["id"] == record]
    assert len(found) == 1
    assert abs(datetime.fromisoformat(found[0]["deletedDate"]) - end) < timedelta(minutes=5)
    assert datetime.fromisoformat(document["latestDateCovered"]) <= end


@documented(REST, "sObject Get Updated")
@pytest.mark.writes
def test_a_changed_record_is_in_get_updated_until_it_is_deleted(org: ContractOrg) -> None:
    record = make(org)
    end = now(org) + timedelta(minutes=2)
    assert record in window(org, "updated", end - timedelta(hours=1), end).json()["ids"]
    assert org.request("DELETE", f"sobjects/Account/{record}").status_code == 204
    assert record not in window(org, "updated", end - timedelta(hours=1), end).json()["ids"]


@documented(SOAP, "getDeleted()")
@pytest.mark.parametrize(
    ("start", "end"),
    [(timedelta(days=-20), timedelta()), (timedelta(), timedelta(hours=-1)), (timedelta(seconds=-20), timedelta())],
    ids=["older than 15 days", "backwards", "under a minute"],
)
def test_a_window_that_cannot_be_replicated_is_refused(org: ContractOrg, start: timedelta, end: timedelta) -> None:
    base = now(org).replace(second=30)
    answer = window(org, "deleted", base + start, base + end)
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


@documented(REST, "sObject Get Deleted")
def test_an_object_that_is_not_replicateable_has_no_delete_log(org: ContractOrg) -> None:
    end = now(org)
    answer = window(org, "deleted", end - timedelta(hours=1), end, "ProcessInstance")
    assert answer.status_code in {400, 404}
    assert answer.json()[0]["errorCode"]


@documented(OBJECTS, "AccountHistory")
@pytest.mark.writes
def test_a_tracked_change_leaves_history_with_both_values(org: ContractOrg) -> None:
    record = make(org, Phone="0001")
    statement = (
        f"SELECT Field, DataType, OldValue, NewValue, CreatedById FROM AccountHistory WHERE AccountId = '{record}'"
    )
    if not org.records(statement, "queryAll"):
        pytest.skip("the org does not track the history of accounts")
    assert org.request("PATCH", f"sobjects/Account/{record}", json={"Phone": "0002"}).status_code == 204
    found = [row for row in org.records(statement, "queryAll") if row["Field"] == "Phone"]
    assert [(row["OldValue"], row["NewValue"], row["CreatedById"]) for row in found] == [("0001", "0002", org.user_id)]
    assert org.request("DELETE", f"sobjects/Account/{record}").status_code == 204
    assert org.records(statement) == []
    assert org.records(statement, "queryAll")


@documented(OBJECTS, "EntityHistory")
@pytest.mark.writes
def test_a_changed_look_up_leaves_a_row_of_names_and_a_row_of_ids(org: ContractOrg) -> None:
    others = [one["Id"] for one in org.records("SELECT Id FROM User WHERE IsActive = true LIMIT 5")]
    other = next((one for one in others if one != org.user_id), None)
    if other is None:
        pytest.skip("the org has no second active user")
    record = make(org)
    answer = org.request("PATCH", f"sobjects/Account/{record}", json={"OwnerId": other})
    if answer.status_code != 204:
        pytest.skip("the other user cannot own an account here")
    statement = f"SELECT Field, DataType, NewValue FROM AccountHistory WHERE AccountId = '{record}' AND Field = 'Owner'"
    found = {row["DataType"]: row["NewValue"] for row in org.records(statement)}
    org.request("DELETE", f"sobjects/Account/{record}")
    assert set(found) == {"Text", "EntityId"}
    assert found["EntityId"] == other


@documented(REST, "sObject Rows")
@pytest.mark.writes
def test_a_record_is_read_with_the_fields_that_are_asked(org: ContractOrg) -> None:
    record = make(org, Phone="0003")
    document = org.get(f"sobjects/Account/{record}", params={"fields": "Name,Phone"}).json()
    org.request("DELETE", f"sobjects/Account/{record}")
    assert document["attributes"]["type"] == "Account"
    assert (document["Name"], document["Phone"]) == ("Contract test", "0003")
    assert "OwnerId" not in document


@documented(REST, "Status Codes and Error Responses")
@pytest.mark.writes
@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"Name": None}, "REQUIRED_FIELD_MISSING"),
        ({"NoSuchField__c": 1}, "INVALID_FIELD"),
        ({"Name": "x" * 300}, "STRING_TOO_LONG"),
        ({"Name": "x", "OwnerId": "nonsense"}, "MALFORMED_ID"),
    ],
)
def test_a_record_that_cannot_be_is_refused(org: ContractOrg, values: dict[str, object], code: str) -> None:
    answer = org.request("POST", "sobjects/Account", json=values)
    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == code


@documented(REST, "Status Codes and Error Responses")
@pytest.mark.writes
def test_a_deleted_record_cannot_be_changed_or_deleted_again(org: ContractOrg) -> None:
    record = make(org)
    path = f"sobjects/Account/{record}"
    assert org.request("DELETE", path).status_code == 204
    for answer in (org.request("PATCH", path, json={"Phone": "1"}), org.request("DELETE", path), org.get(path)):
        assert answer.status_code == 404
        assert answer.json()[0]["errorCode"] in {"ENTITY_IS_DELETED", "NOT_FOUND"}
