"""Records that are made, changed and deleted over HTTP: the REST API's answers and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from localcloud.salesforce.org import Org

Serve = Callable[..., Any]
NOT_WRITABLE = (
    "Unable to create/update fields: IsClosed, CreatedDate. Please check the security settings of this field and "
    "verify that it is read/write for your profile or permission set."
)


def send(client: Any, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
    """A request to a path under the data API of version 60.0."""
    url = f"{client.server.url}/services/data/v60.0/{path}"
    answer: requests.Response = client.http.request(method, url, json=body, headers=headers, timeout=30)
    return answer


def error(answer: requests.Response) -> tuple[int, str, str, list[str]]:
    """Status, code, message and fields of the only error of an answer."""
    (only,) = answer.json()
    return answer.status_code, only["errorCode"], only["message"], only.get("fields")


@pytest.fixture
def client(serve: Serve, own_org: Org) -> Any:
    return serve(own_org)


def made(client: Any, sobject: str, **values: object) -> str:
    answer = send(client, "POST", f"sobjects/{sobject}", values)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


def test_a_new_record_answers_with_its_id_and_can_be_read(client: Any, own_org: Org) -> None:
    answer = send(client, "POST", "sobjects/Account", {"Name": "New", "AnnualRevenue": 1500, "Website": ""})
    assert answer.status_code == 201
    body = answer.json()
    assert (len(body["id"]), body["success"], body["errors"]) == (18, True, [])
    record = client.get(f"sobjects/Account/{body['id']}").json()
    assert (record["Name"], record["AnnualRevenue"], record["Website"]) == ("New", 1500.0, None)
    assert record["OwnerId"] == record["CreatedById"] == record["LastModifiedById"] == own_org.user_id
    assert record["CreatedDate"] == record["LastModifiedDate"] == "2024-03-15T12:00:00.000+0000"


def test_a_changed_record_answers_nothing_and_shows_the_change(client: Any) -> None:
    account = made(client, "Account", Name="Old", Phone="1")
    answer = send(client, "PATCH", f"sobjects/Account/{account}", {"name": "New", "Phone": None})
    assert (answer.status_code, answer.content) == (204, b"")
    record = client.get(f"sobjects/Account/{account}", params={"fields": "Name,Phone"}).json()
    assert (record["Name"], record["Phone"]) == ("New", None)


def test_a_deleted_record_is_gone_from_query_and_marked_in_query_all(client: Any) -> None:
    account = made(client, "Account", Name="Brief")
    assert send(client, "DELETE", f"sobjects/Account/{account[:15]}").status_code == 204
    assert client.get(f"sobjects/Account/{account}").status_code == 404
    assert client.records(f"SELECT Id FROM Account WHERE Id = '{account}'") == []
    (row,) = client.records(f"SELECT IsDeleted, LastModifiedById FROM Account WHERE Id = '{account}'", "queryAll")
    assert row["IsDeleted"] is True


@pytest.mark.parametrize(
    ("sobject", "values", "expected"),
    [
        ("Account", {}, ("REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]", ["Name"])),
        (
            "Opportunity",
            {"Name": None},
            (
                "REQUIRED_FIELD_MISSING",
                "Required fields are missing: [Name, StageName, CloseDate]",
                ["Name", "StageName", "CloseDate"],
            ),
        ),
        ("Account", {"Name": "x", "Nix": 1}, ("INVALID_FIELD", "No such column 'Nix' on sobject of type Account", [])),
        (
            "Account",
            {"Name": "x" * 256},
            ("STRING_TOO_LONG", f"Name: data value too large: {'x' * 256} (max length=255)", ["Name"]),
        ),
        (
            "Account",
            {"Name": 5},
            ("INVALID_TYPE_ON_FIELD_IN_RECORD", "Name: value not of required type: 5", ["Name"]),
        ),
        (
            "Account",
            {"Name": "x", "AnnualRevenue": "a lot"},
            ("INVALID_TYPE_ON_FIELD_IN_RECORD", "AnnualRevenue: value not of required type: a lot", ["AnnualRevenue"]),
        ),
        (
            "Opportunity",
            {"Name": "x", "StageName": "Prospecting", "CloseDate": "soon"},
            ("INVALID_TYPE_ON_FIELD_IN_RECORD", "CloseDate: value not of required type: soon", ["CloseDate"]),
        ),
        (
            "Opportunity",
            {"Name": "x", "StageName": "Prospecting", "CloseDate": "2024-05-01", "ForecastCategory": "Great"},
            (
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                "ForecastCategory: bad value for restricted picklist field: Great",
                ["ForecastCategory"],
            ),
        ),
        (
            "Opportunity",
            {"Name": "x", "StageName": "Prospecting", "CloseDate": "2024-05-01", "Amount": 10**16},
            (
                "NUMBER_OUTSIDE_VALID_RANGE",
                f"Amount: value outside of valid range on numeric field: {10**16}",
                ["Amount"],
            ),
        ),
        (
            "Contact",
            {"LastName": "x", "AccountId": "not an id"},
            ("MALFORMED_ID", "AccountId: id value of incorrect type: not an id", ["AccountId"]),
        ),
        (
            "Contact",
            {"LastName": "x", "AccountId": "001000000000077AAA"},
            ("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", []),
        ),
        (
            "Contact",
            {"LastName": "x", "AccountId": "005000000000000AAA"},
            ("FIELD_INTEGRITY_EXCEPTION", "AccountId: id value of incorrect type: 005000000000000AAA", ["AccountId"]),
        ),
        (
            "Contact",
            {"LastName": "x", "AccountId": "001000000000002AAA"},
            ("ENTITY_IS_DELETED", "entity is deleted", []),
        ),
        (
            "Contact",
            {"LastName": "x", "Email": "nobody"},
            ("INVALID_EMAIL_ADDRESS", "Email: invalid email address: nobody", ["Email"]),
        ),
        (
            "Account",
            {"Name": "x", "OwnerId": None},
            ("INVALID_CROSS_REFERENCE_KEY", "Owner ID: owner cannot be blank", ["OwnerId"]),
        ),
        (
            "Account",
            {"Name": "x", "Id": "001000000000002AAA"},
            ("INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ["Id"]),
        ),
        (
            "Case",
            {"IsClosed": True, "CreatedDate": "2024-01-01T00:00:00Z"},
            (
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                NOT_WRITABLE,
                ["IsClosed", "CreatedDate"],
            ),
        ),
        ("AccountHistory", {}, ("INVALID_TYPE_FOR_OPERATION", "entity type cannot be inserted: Account History", [])),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_a_record_is_refused_with_its_code(
    shared_client: Any, sobject: str, values: dict[str, object], expected: tuple[str, str, list[str]]
) -> None:
    before = shared_client.query(f"SELECT COUNT() FROM {sobject}").json()["totalSize"]
    assert error(send(shared_client, "POST", f"sobjects/{sobject}", values)) == (400, *expected)
    assert shared_client.query(f"SELECT COUNT() FROM {sobject}").json()["totalSize"] == before


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("PATCH", "sobjects/Account/001000000000077AAA", (404, "NOT_FOUND")),
        ("DELETE", "sobjects/Account/001000000000077AAA", (404, "NOT_FOUND")),
        ("DELETE", "sobjects/Account/nothing", (404, "NOT_FOUND")),
        ("DELETE", "sobjects/Account/003000000000001AAA", (404, "NOT_FOUND")),
        ("DELETE", "sobjects/Nothing/001000000000000AAA", (404, "NOT_FOUND")),
        ("PATCH", "sobjects/Account/001000000000002AAA", (404, "ENTITY_IS_DELETED")),
        ("DELETE", "sobjects/Account/001000000000002AAA", (404, "ENTITY_IS_DELETED")),
        ("DELETE", "sobjects/Account", (405, "METHOD_NOT_ALLOWED")),
        ("PUT", "sobjects/Account/001000000000000AAA", (405, "METHOD_NOT_ALLOWED")),
    ],
)
def test_what_is_not_there_cannot_be_changed(
    shared_client: Any, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert error(send(shared_client, method, path, {"Name": "x"}))[:2] == expected


def test_a_required_field_cannot_be_emptied_and_an_id_not_set(client: Any) -> None:
    account = made(client, "Account", Name="Keep")
    path = f"sobjects/Account/{account}"
    assert error(send(client, "PATCH", path, {"Name": None}))[:2] == (400, "REQUIRED_FIELD_MISSING")
    assert error(send(client, "PATCH", path, {"Id": account}))[:3] == (
        400,
        "INVALID_FIELD",
        "The Id field should not be specified in the sobject data.",
    )
    assert error(send(client, "PATCH", path, [1]))[:2] == (400, "JSON_PARSER_ERROR")


def test_what_follows_from_a_stage_and_a_status_is_filled_in(client: Any) -> None:
    deal = made(client, "Opportunity", Name="x", StageName="Negotiation/Review", CloseDate="2024-05-01", Amount=50)
    fields = "Probability, IsClosed, IsWon, ForecastCategory, ForecastCategoryName, ExpectedRevenue"
    (row,) = client.records(f"SELECT {fields} FROM Opportunity WHERE Id = '{deal}'")
    del row["attributes"]
    assert list(row.values()) == [80.0, False, False, "Forecast", "Commit", 40.0]
    send(client, "PATCH", f"sobjects/Opportunity/{deal}", {"StageName": "Closed Won", "Probability": 90})
    (row,) = client.records(f"SELECT {fields} FROM Opportunity WHERE Id = '{deal}'")
    del row["attributes"]
    assert list(row.values()) == [90.0, True, True, "Closed", "Closed", 45.0]
    case = made(client, "Case", Subject="x")
    send(client, "PATCH", f"sobjects/Case/{case}", {"Status": "Closed"})
    (row,) = client.records(f"SELECT IsClosed, ClosedDate, CaseNumber FROM Case WHERE Id = '{case}'")
    assert (row["IsClosed"], row["ClosedDate"]) == (True, "2024-03-15T12:00:00.000+0000")
    assert row["CaseNumber"].isdecimal()
    send(client, "PATCH", f"sobjects/Case/{case}", {"Status": "Working"})
    assert client.records(f"SELECT ClosedDate FROM Case WHERE Id = '{case}'")[0]["ClosedDate"] is None
    person = made(client, "Contact", FirstName="Cy", LastName="Dow")
    assert client.names(f"SELECT Name FROM Contact WHERE Id = '{person}'") == ["Cy Dow"]


def test_numbers_are_rounded_to_their_scale_and_kept_exactly(client: Any) -> None:
    invoice = made(client, "Invoice__c", Amount__c="1234567890123456.785", Quantity__c=10_000_000)
    text = client.query(f"SELECT Name, Amount__c, Quantity__c FROM Invoice__c WHERE Id = '{invoice}'").text
    assert '"Amount__c":1234567890123456.79' in text
    assert '"Quantity__c":1.0E+7' in text
    assert f'"Name":"{invoice}"' in text


def test_a_collection_does_what_it_can(client: Any) -> None:
    records = [
        {"attributes": {"type": "Account"}, "Name": "One"},
        {"attributes": {"type": "Contact"}, "FirstName": "No last name"},
        {"attributes": {"type": "Nothing"}},
        {"Name": "No type"},
        {"attributes": {"type": "Contact"}, "LastName": "Two"},
    ]
    answer = send(client, "POST", "composite/sobjects", {"records": records})
    assert answer.status_code == 200
    results = answer.json()
    assert [one["success"] for one in results] == [True, False, False, False, True]
    assert results[0]["id"].startswith("001")
    assert results[4]["id"].startswith("003")
    assert results[1] == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [LastName]",
                "fields": ["LastName"],
            }
        ],
    }
    assert [one["errors"][0]["statusCode"] for one in results[2:4]] == ["INVALID_TYPE", "INVALID_TYPE"]
    changes = [
        {"attributes": {"type": "Account"}, "id": results[0]["id"], "Phone": "7"},
        {"attributes": {"type": "Account"}, "id": results[4]["id"], "Phone": "7"},
    ]
    answer = send(client, "PATCH", "composite/sobjects", {"records": changes})
    assert [one["success"] for one in answer.json()] == [True, False]
    assert answer.json()[1]["errors"][0]["statusCode"] == "MALFORMED_ID"
    ids = f"{results[0]['id']},{results[4]['id']},001000000000077AAA,nothing"
    answer = send(client, "DELETE", f"composite/sobjects?ids={ids}&allOrNone=false")
    assert [one["success"] for one in answer.json()] == [True, True, False, False]
    assert [one["errors"][0]["statusCode"] for one in answer.json()[2:]] == [
        "INVALID_CROSS_REFERENCE_KEY",
        "MALFORMED_ID",
    ]


def test_all_or_none_leaves_nothing_behind(client: Any, own_org: Org) -> None:
    records = [
        {"attributes": {"type": "Account"}, "Name": "All or none"},
        {"attributes": {"type": "Contact"}, "FirstName": "No last name"},
    ]
    answer = send(client, "POST", "composite/sobjects", {"allOrNone": True, "records": records})
    codes = [one["errors"][0]["statusCode"] for one in answer.json()]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert client.names("SELECT Name FROM Account WHERE Name = 'All or none'", "queryAll") == []
    assert not (own_org.path / "truth.jsonl").exists()


def test_a_collection_has_at_most_200_records(client: Any) -> None:
    records = [{"attributes": {"type": "Account"}, "Name": str(n)} for n in range(201)]
    answer = send(client, "POST", "composite/sobjects", {"records": records})
    assert error(answer)[:2] == (400, "EXCEEDED_ID_LIMIT")
    assert send(client, "POST", "composite/sobjects", {"records": records[:200]}).status_code == 200


def test_what_a_user_may_not_see_cannot_be_set(client: Any) -> None:
    account = made(client, "Account", Name="Seen", Phone="1")
    client.server.control(forbid={"objects": ["Contact"], "fields": ["Account.Phone"]})
    assert error(send(client, "POST", "sobjects/Contact", {"LastName": "x"}))[:2] == (404, "NOT_FOUND")
    assert error(send(client, "PATCH", f"sobjects/Account/{account}", {"Phone": "2"}))[:2] == (400, "INVALID_FIELD")
    assert send(client, "PATCH", f"sobjects/Account/{account}", {"Website": "x"}).status_code == 204
    client.server.control(reset=True)
    assert client.get(f"sobjects/Account/{account}", params={"fields": "Phone"}).json()["Phone"] == "1"


def test_changes_are_journaled_by_kind_and_cost_one_call_each(client: Any) -> None:
    account = made(client, "Account", Name="Counted")
    send(client, "PATCH", f"sobjects/Account/{account}", {"Phone": "2"})
    send(client, "DELETE", f"sobjects/Account/{account}")
    page = client.server.journal()
    assert {kind: page.by_kind[kind] for kind in ("create", "update", "delete")} == {
        "create": 1,
        "update": 1,
        "delete": 1,
    }
    assert [one.api_calls for one in page.requests if one.kind in {"create", "update", "delete"}] == [1, 1, 1]


def test_a_composite_request_changes_records_too(client: Any) -> None:
    part = {
        "method": "POST",
        "url": "/services/data/v60.0/sobjects/Account",
        "referenceId": "a",
        "body": {"Name": "From a composite", "AnnualRevenue": 3},
    }
    (answer,) = client.post("composite", {"compositeRequest": [part]}).json()["compositeResponse"]
    assert answer["httpStatusCode"] == 201
    found = client.records(f"SELECT Name, AnnualRevenue FROM Account WHERE Id = '{answer['body']['id']}'")
    assert (found[0]["Name"], found[0]["AnnualRevenue"]) == ("From a composite", 3.0)
