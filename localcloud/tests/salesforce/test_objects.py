"""Objects beside records and their history: what describe says of them, and what a query may not ask of them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]

V64 = "/services/data/v64.0"
NOT_SORTED = "Unsupported order direction on filter column: CREATEDDATE : ASCENDING"


def fields_of(client: Any, sobject: str, version: str = V64) -> dict[str, dict[str, Any]]:
    described = client.get(f"{version}/sobjects/{sobject}/describe").json()
    return {field["name"]: field for field in described["fields"]}


def refusal(client: Any, statement: str, resource: str = "query") -> tuple[str, str]:
    answer = client.get(f"{V64}/{resource}", params={"q": statement})
    assert answer.status_code == 400, answer.text
    (error,) = answer.json()
    return error["errorCode"], error["message"].rsplit("\n", 1)[-1]


def total(client: Any, statement: str, resource: str = "query") -> int:
    answer = client.get(f"{V64}/{resource}", params={"q": statement}).json()
    size: int = answer["totalSize"]
    return size


# Describe


@pytest.mark.parametrize(
    ("sobject", "since"),
    [("ApprovalWorkItem", 61), ("ApprovalSubmission", 62), ("ActivityFieldHistory", 55), ("EventLogFile", 32)],
)
def test_an_object_is_there_from_its_version_on(own_org: Org, serve: Serve, sobject: str, since: int) -> None:
    client = serve(own_org)
    for version, there in ((since - 1, False), (since, True)):
        root = f"/services/data/v{version}.0"
        listed = {one["name"] for one in client.get(f"{root}/sobjects").json()["sobjects"]}
        assert (sobject in listed) is there
        assert client.get(f"{root}/sobjects/{sobject}/describe").status_code == (200 if there else 404)
        answer = client.get(f"{root}/query", params={"q": f"SELECT Id FROM {sobject}"})
        assert answer.status_code == (200 if there else 400)


def test_big_histories_are_not_associated_as_history(own_org: Org, serve: Serve) -> None:
    found = {one["name"]: one for one in serve(own_org).get(f"{V64}/sobjects").json()["sobjects"]}
    for name in ("FieldHistoryArchive", "ActivityFieldHistory"):
        assert (found[name]["associateEntityType"], found[name]["replicateable"]) == (None, False)
    assert found["LeadHistory"]["associateParentEntity"] == "Lead"


@pytest.mark.parametrize(
    ("sobject", "flags"),
    [
        ("Task", {"replicateable": True, "layoutable": True, "undeletable": True, "searchable": True}),
        ("Lead", {"mergeable": True, "createable": True, "undeletable": True}),
        ("User", {"createable": True, "deletable": False, "undeletable": False}),
        ("SetupAuditTrail", {"replicateable": False, "createable": False, "deletable": False, "searchable": False}),
        ("LoginHistory", {"replicateable": False, "undeletable": False, "layoutable": False}),
        ("ApprovalSubmission", {"replicateable": True, "createable": False, "layoutable": True}),
        ("OpportunityHistory", {"replicateable": True, "deletable": False, "undeletable": False}),
    ],
)
def test_describe_tells_what_can_be_done_with_an_object(
    own_org: Org, serve: Serve, sobject: str, flags: dict[str, bool]
) -> None:
    described = serve(own_org).get(f"{V64}/sobjects/{sobject}/describe").json()
    assert {name: described[name] for name in flags} == flags


@pytest.mark.parametrize(
    ("sobject", "field", "filterable", "sortable"),
    [
        ("SetupAuditTrail", "Action", True, True),
        ("SetupAuditTrail", "Section", False, True),
        ("SetupAuditTrail", "Display", False, True),
        ("LoginHistory", "LoginTime", True, True),
        ("LoginHistory", "Status", False, True),
        ("ActivityFieldHistory", "SystemModstamp", False, True),
        ("ActivityFieldHistory", "ChangedDate", True, True),
        ("ActivityFieldHistory", "OldValueText", False, False),
        ("EventLogFile", "LogDate", True, True),
        ("EventLogFile", "LogFile", False, False),
        ("FieldHistoryArchive", "HistoryId", False, True),
    ],
)
def test_describe_tells_which_fields_can_be_filtered(
    own_org: Org, serve: Serve, sobject: str, field: str, filterable: bool, sortable: bool
) -> None:
    found = fields_of(serve(own_org), sobject)[field]
    assert (found["filterable"], found["sortable"]) == (filterable, sortable)


def test_no_field_of_the_setup_audit_trail_can_be_aggregated(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    assert not any(field["aggregatable"] for field in fields_of(client, "SetupAuditTrail").values())
    assert fields_of(client, "Task")["Status"]["aggregatable"]


def test_an_activity_is_about_records_of_many_objects(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    fields = fields_of(client, "Task")
    assert fields["WhoId"]["referenceTo"] == ["Contact", "Lead"]
    assert fields["WhatId"]["polymorphicForeignKey"] is True
    assert "Status" not in fields_of(client, "Event")
    assert {"StartDateTime", "EndDateTime", "IsAllDayEvent"} <= set(fields_of(client, "Event"))


def test_child_relationships_tell_what_is_deleted_along(own_org: Org, serve: Serve) -> None:
    described = serve(own_org).get(f"{V64}/sobjects/Account/describe").json()
    ways = {way["childSObject"]: way["cascadeDelete"] for way in described["childRelationships"]}
    assert {name: ways[name] for name in ("Contact", "Opportunity", "Contract", "Task", "AccountHistory")} == {
        "Contact": True, "Opportunity": True, "Contract": True, "Task": True, "AccountHistory": True,
    }  # fmt: skip
    assert (ways["Account"], ways["Invoice__c"]) == (False, False)


# Compound fields


def test_an_address_is_one_object_made_of_its_parts(own_org: Org, serve: Serve) -> None:
    own_org.load("Lead", [{"LastName": "A", "Company": "C", "City": "Bern", "PostalCode": "3000", "Latitude": 46}])
    own_org.load("Lead", [{"LastName": "B", "Company": "C"}])
    client = serve(own_org)
    first, second = client.records("SELECT Address, City FROM Lead ORDER BY LastName")
    assert first["Address"] == {
        "city": "Bern", "country": None, "geocodeAccuracy": None, "latitude": 46.0, "longitude": None,
        "postalCode": "3000", "state": None, "street": None,
    }  # fmt: skip
    assert (first["City"], second["Address"]) == ("Bern", None)
    fields = fields_of(client, "Lead")
    assert (fields["City"]["compoundFieldName"], fields["Address"]["type"]) == ("Address", "address")
    assert (fields["Address"]["createable"], fields["City"]["createable"]) == (False, True)


def test_an_address_can_be_neither_filtered_nor_sorted(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    code, message = refusal(client, "SELECT Id FROM Account WHERE BillingAddress = 'Bern'")
    assert (code, message) == ("INVALID_FIELD", "Address fields can only be filtered using Distance expressions")
    code, message = refusal(client, "SELECT Id FROM Account ORDER BY BillingAddress")
    assert message == "field 'BillingAddress' can not be sorted in a query call"


# Rows that hide


def test_archived_activities_come_only_in_query_all(own_org: Org, serve: Serve) -> None:
    who = own_org.new_id("Contact", 1)
    own_org.load("Task", [{"Subject": "old", "WhoId": who, "IsArchived": True}, {"Subject": "new", "WhoId": who}])
    client = serve(own_org)
    assert [task["Subject"] for task in client.records("SELECT Subject FROM Task")] == ["new"]
    assert total(client, "SELECT COUNT() FROM Task WHERE IsArchived = true") == 0
    assert total(client, "SELECT COUNT() FROM Task", "queryAll") == 2
    assert total(client, "SELECT COUNT() FROM Task WHERE IsArchived = true ALL ROWS") == 1


@pytest.mark.parametrize(
    ("sobject", "field", "days"),
    [("SetupAuditTrail", "CreatedDate", 180), ("LoginHistory", "LoginTime", 180), ("EventLogFile", "CreatedDate", 30)],
)
def test_rows_are_gone_after_their_retention(own_org: Org, serve: Serve, sobject: str, field: str, days: int) -> None:
    own_org.load(sobject, [{field: own_org.clock.now() - timedelta(days=days - 1)}])
    client = serve(own_org)
    assert total(client, f"SELECT COUNT() FROM {sobject}", "queryAll") == 1
    own_org.clock.advance(timedelta(days=2))
    assert total(client, f"SELECT COUNT() FROM {sobject}", "queryAll") == 0


def test_a_setup_change_of_salesforces_own_has_no_user(own_org: Org, serve: Serve) -> None:
    own_org.load("SetupAuditTrail", [{"Action": "certificateRefresh"}])
    (row,) = serve(own_org).records("SELECT CreatedById, CreatedBy.Name, Display FROM SetupAuditTrail")
    assert (row["CreatedById"], row["CreatedBy"], row["Display"]) == (None, None, None)


# What a query may not ask


def test_the_setup_audit_trail_counts_and_aggregates_nothing(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    assert total(client, "SELECT COUNT() FROM SetupAuditTrail") == 0
    assert refusal(client, "SELECT COUNT(Id) FROM SetupAuditTrail") == (
        "MALFORMED_QUERY",
        "field Id does not support aggregate operator COUNT",
    )
    assert refusal(client, "SELECT MAX(CreatedDate) FROM SetupAuditTrail")[1] == (
        "field CreatedDate does not support aggregate operator MAX"
    )
    assert refusal(client, "SELECT Action FROM SetupAuditTrail GROUP BY Action")[0] == "MALFORMED_QUERY"
    assert refusal(client, "SELECT Id FROM SetupAuditTrail WHERE Section = 'Manage Users'") == (
        "INVALID_FIELD",
        "field 'Section' can not be filtered in a query call",
    )


GAPS = "Filters may not have any gaps within the composite key"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("CreatedDate > 2024-01-01T00:00:00Z", GAPS),
        ("ParentId = '001000000000001'", GAPS),
        ("FieldHistoryType = 'Account' AND Field = 'Name'", GAPS),
        ("FieldHistoryType > 'A' AND CreatedDate > LAST_MONTH", None),
        ("FieldHistoryType LIKE 'Acc%'", None),
        ("FieldHistoryType != 'Account'", None),
        ("NOT FieldHistoryType = 'Account'", None),
        ("FieldHistoryType = 'Account' OR FieldHistoryType = 'Case'", "Disjunctions not supported"),
        ("FieldHistoryType = 'Account' AND ParentId IN (SELECT Id FROM Account)", None),
        ("FieldHistoryType = 'Account' ORDER BY CreatedDate", GAPS),
        ("FieldHistoryType = 'Account' ORDER BY FieldHistoryType, CreatedDate", NOT_SORTED),
    ],
)
def test_the_archive_is_filtered_and_sorted_by_its_index_only(
    own_org: Org, serve: Serve, where: str, message: str | None
) -> None:
    clause = where if where.startswith("ORDER") else f"WHERE {where}"
    code, said = refusal(serve(own_org), f"SELECT Id FROM FieldHistoryArchive {clause}")
    assert code in {"BIG_OBJECT_UNSUPPORTED_OPERATION", "INVALID_FIELD"}
    assert message is None or (code, said) == ("BIG_OBJECT_UNSUPPORTED_OPERATION", message)


def test_a_field_outside_the_index_says_that_it_cannot_be_filtered(own_org: Org, serve: Serve) -> None:
    code, message = refusal(serve(own_org), "SELECT Id FROM ActivityFieldHistory WHERE SystemModstamp > LAST_MONTH")
    assert (code, message) == ("INVALID_FIELD", "field 'SystemModstamp' can not be filtered in a query call")
    code, message = refusal(serve(own_org), "SELECT Id FROM ActivityFieldHistory WHERE ChangedDate > LAST_MONTH")
    assert (code, message) == ("BIG_OBJECT_UNSUPPORTED_OPERATION", GAPS)


@pytest.mark.parametrize("select", ["COUNT()", "COUNT(Id)", "FieldHistoryType, COUNT(Id)"])
def test_big_objects_aggregate_nothing(own_org: Org, serve: Serve, select: str) -> None:
    grouped = " GROUP BY FieldHistoryType" if "," in select else ""
    found = refusal(serve(own_org), f"SELECT {select} FROM FieldHistoryArchive{grouped}")
    assert found == ("BIG_OBJECT_UNSUPPORTED_OPERATION", "Aggregate functions not supported")


def test_the_archive_answers_by_its_index_in_the_order_of_it(own_org: Org, serve: Serve) -> None:
    new = own_org.new_id
    rows = [("Case", 5, 1), ("Account", 1, 2), ("Account", 2, 9), ("Account", 1, 7)]
    own_org.load(
        "FieldHistoryArchive",
        [
            {"FieldHistoryType": kind, "ParentId": new("Account", parent), "Field": "Name", "NewValue": str(day)}
            | {"CreatedDate": f"2020-01-{day:02}T00:00:00Z", "HistoryId": new("AccountHistory", day)}
            for kind, parent, day in rows
        ],
    )
    client = serve(own_org)
    select = "SELECT NewValue, HistoryId FROM FieldHistoryArchive"

    def days(rest: str) -> list[str]:
        return [row["NewValue"] for row in client.records(select + rest)]

    assert days("") == ["7", "2", "9", "1"], "by type, parent, and the latest first"
    account = " WHERE FieldHistoryType = 'Account'"
    assert days(f"{account} AND CreatedDate > 2020-01-01T00:00:00Z") == ["9", "7", "2"]
    assert days(f"{account} AND ParentId = '{new('Account', 1)}' AND CreatedDate < 2020-01-05T00:00:00Z") == ["2"]
    assert days(f"{account} ORDER BY FieldHistoryType, CreatedDate DESC") == ["9", "7", "2"]
    assert client.records(select)[0]["HistoryId"] == new("AccountHistory", 7)


# Permission


def test_what_is_forbidden_is_gone_from_describe_query_and_record_alike(own_org: Org, serve: Serve) -> None:
    key = own_org.new_id("Opportunity", 0)
    client = serve(own_org)
    client.server.control(forbid={"objects": ["LoginHistory"], "fields": ["Opportunity.Amount", "Account.BillingCity"]})
    assert "LoginHistory" not in {one["name"] for one in client.get("sobjects").json()["sobjects"]}
    assert client.get("sobjects/LoginHistory/describe").status_code == 404
    code, message = refusal(client, "SELECT Id FROM LoginHistory")
    assert code == "INVALID_TYPE"
    assert message.startswith("sObject type 'LoginHistory' is not supported.")
    assert "Amount" not in fields_of(client, "Opportunity")
    code, message = refusal(client, "SELECT Amount FROM Opportunity")
    assert code == "INVALID_FIELD"
    assert message.startswith("No such column 'Amount' on entity 'Opportunity'.")
    assert "Amount" not in client.get(f"sobjects/Opportunity/{key}").json()
    assert client.get(f"sobjects/Opportunity/{key}?fields=Amount").json()[0]["errorCode"] == "INVALID_FIELD"
    for field in ("BillingCity", "BillingStreet", "BillingAddress"):  # an address is seen as a whole or not at all
        assert refusal(client, f"SELECT {field} FROM Account")[0] == "INVALID_FIELD"


def test_permissions_can_be_asked_for_and_agree_with_what_is_forbidden(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)

    def readable() -> tuple[set[str], set[str]]:
        objects = client.records("SELECT SobjectType FROM ObjectPermissions WHERE PermissionsRead = true")
        fields = client.records("SELECT Field FROM FieldPermissions WHERE SobjectType = 'Opportunity'")
        return {one["SobjectType"] for one in objects}, {one["Field"] for one in fields}

    objects, fields = readable()
    assert {"Case", "Opportunity", "Task"} <= objects
    assert "Opportunity.Amount" in fields
    client.server.control(forbid={"objects": ["Case"], "fields": ["Opportunity.Amount"]})
    left, fewer = readable()
    assert (objects - left, fields - fewer) == ({"Case"}, {"Opportunity.Amount"})
    (assigned,) = client.records("SELECT AssigneeId, PermissionSet.PermissionsApiEnabled FROM PermissionSetAssignment")
    assert (assigned["AssigneeId"], assigned["PermissionSet"]["PermissionsApiEnabled"]) == (own_org.user_id, True)
