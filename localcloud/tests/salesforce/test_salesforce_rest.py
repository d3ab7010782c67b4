"""The data API over HTTP: pages, composites, metadata, errors, limits."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.org import Org

    Serve = Callable[..., Any]

EVERY = "SELECT Id, Name, Quantity__c FROM Invoice__c ORDER BY Id"


def add_invoices(org: Org, count: int, start: int = 0) -> list[str]:
    names = [f"INV-{n}" for n in range(start, start + count)]
    rows = [{"Id": org.new_id("Invoice__c", start + n), "Name": name} for n, name in enumerate(names)]
    org.load("Invoice__c", rows)
    return names


def test_pages_hold_2000_records_and_cover_the_result_once(own_org: Org, serve: Serve) -> None:
    names = add_invoices(own_org, 4_100)
    client = serve(own_org)
    sizes = []
    page = client.query(EVERY).json()
    found = [record["Name"] for record in page["records"]]
    sizes.append(len(found))
    while not page["done"]:
        assert page["totalSize"] == 4_100
        page = client.get(page["nextRecordsUrl"]).json()
        sizes.append(len(page["records"]))
        found += [record["Name"] for record in page["records"]]
    assert sizes == [2_000, 2_000, 100]
    assert found == names
    assert "nextRecordsUrl" not in page


@pytest.mark.parametrize(("asked", "rows"), [("batchSize=500", 500), ("batchSize=1", 200), ("batchSize=9999", 2_000)])
def test_a_caller_may_ask_for_smaller_pages_within_bounds(own_org: Org, serve: Serve, asked: str, rows: int) -> None:
    add_invoices(own_org, 2_500)
    client = serve(own_org)
    page = client.get("query", params={"q": EVERY}, headers={"Sforce-Query-Options": asked}).json()
    assert len(page["records"]) == rows
    assert page["nextRecordsUrl"].endswith(f"-{rows}")


def test_a_page_can_be_read_again_while_rows_are_added(own_org: Org, serve: Serve) -> None:
    names = add_invoices(own_org, 2_100)
    client = serve(own_org)
    first = client.query(EVERY.replace("ORDER BY Id", "ORDER BY Name DESC")).json()
    second = client.get(first["nextRecordsUrl"]).json()
    add_invoices(own_org, 300, start=5_000)
    assert client.get(first["nextRecordsUrl"]).json() == second
    found = [record["Name"] for record in first["records"] + second["records"]]
    assert found == sorted(names, reverse=True)
    assert client.query("SELECT COUNT() FROM Invoice__c").json()["totalSize"] == 2_400


@pytest.mark.parametrize("locator", ["01g000000000009AAA-2000", "01g-2000", "nonsense", "01g000000000001AAA-4000"])
def test_an_unknown_locator_is_refused(own_org: Org, serve: Serve, locator: str) -> None:
    add_invoices(own_org, 2_001)
    client = serve(own_org)
    client.query(EVERY)
    answer = client.get(f"query/{locator}")
    assert answer.status_code == 400
    assert answer.json() == [{"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}]


def test_a_locator_lives_two_days(own_org: Org, serve: Serve) -> None:
    add_invoices(own_org, 2_001)
    client = serve(own_org)
    url = client.query(EVERY).json()["nextRecordsUrl"]
    client.server.control(clock={"advance_seconds": 47 * 3600})
    assert client.get(url).status_code == 200
    client.server.control(clock={"advance_seconds": 2 * 3600})
    assert client.get(url).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_deleted_rows_come_only_in_query_all(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    assert client.names("SELECT Name FROM Account ORDER BY Id") == ["Acme", "beta 100% _x\\y"]
    assert client.names("SELECT Name FROM Account ORDER BY Id", "queryAll")[-1] == "Gone"


def test_steps_of_deleted_approvals_are_hidden_though_steps_show_no_such_flag(own_org: Org, serve: Serve) -> None:
    step = {"ProcessInstanceId": own_org.new_id("ProcessInstance", 1), "StepStatus": "Approved"}
    own_org.load("ProcessInstanceStep", [step, step | {"IsDeleted": True}])
    client = serve(own_org)
    statement = "SELECT COUNT() FROM ProcessInstanceStep"
    assert client.query(statement).json()["totalSize"] == 1
    assert client.query(statement, "queryAll").json()["totalSize"] == 2
    described = client.get("sobjects/ProcessInstanceStep/describe").json()
    assert "IsDeleted" not in {field["name"] for field in described["fields"]}


def test_numbers_come_as_the_tokens_that_were_stored(own_org: Org, serve: Serve) -> None:
    rows = [{"Name": token, "Quantity__c": Decimal(token)} for token in ("5.0", "1234567890.12", "0.10", "3.5E+8")]
    own_org.load("Invoice__c", [*rows, {"Name": "7.0", "Quantity__c": 7}])
    body = serve(own_org).query("SELECT Quantity__c, Name FROM Invoice__c").text
    for token in ("5.0", "1234567890.12", "0.10", "3.5E+8", "7.0"):
        assert f'"Quantity__c":{token},"Name":"{token}"' in body


def test_answers_are_compressed_when_asked(own_org: Org, serve: Serve) -> None:
    add_invoices(own_org, 100)
    client = serve(own_org)
    url = f"{client.server.url}/services/data/v60.0/query"
    with client.http.get(url, params={"q": EVERY}, headers={"Accept-Encoding": "gzip"}, stream=True) as answer:
        packed = answer.raw.read(decode_content=False)
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = client.http.get(url, params={"q": EVERY}, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content
    assert zlib.crc32(plain.content)


def test_each_data_answer_tells_the_usage_and_the_orgs_time(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    for n, path in enumerate(("limits", "sobjects", "query?q=bad", "sobjects/Nothing/describe"), start=1):
        answer = client.get(path)
        assert answer.headers["Sforce-Limit-Info"] == f"api-usage={n}/100000"
        assert parsedate_to_datetime(answer.headers["Date"]) == own_org.clock.now()
    assert [name for name in answer.headers if name.lower() == "sforce-limit-info"] == ["Sforce-Limit-Info"]


def test_versions_are_listed_without_a_session(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    del client.http.headers["Authorization"]
    listed = client.get("/services/data/").json()
    assert listed[0] == {"label": "Winter '18", "url": "/services/data/v41.0", "version": "41.0"}
    assert listed[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/services/data/v41.0/limits", 200, None),
        ("/services/data/v68.0/limits", 200, None),
        ("/services/data/v30.0/limits", 410, "GONE"),
        ("/services/data/v69.0/limits", 404, "NOT_FOUND"),
        ("/services/data/v60.5/limits", 404, "NOT_FOUND"),
        ("/services/data/latest/limits", 404, "NOT_FOUND"),
        ("/services/data/v60.0/", 200, None),
        ("/services/data/v60.0/nothing", 404, "NOT_FOUND"),
        ("/services/data/v60.0/sobjects/Nothing", 404, "NOT_FOUND"),
        ("/services/data/v60.0/sobjects/Nothing/describe", 404, "NOT_FOUND"),
        ("/services/data/v60.0/sobjects/Account/nothing", 404, "NOT_FOUND"),
        ("/services/data/v60.0/sobjects/Account/001000000000009", 404, "NOT_FOUND"),
        ("/services/data/v60.0/query", 400, "MALFORMED_QUERY"),
        ("/services/data/v60.0/query/?q=SELECT+Id+FROM+Account", 200, None),
        ("/services/data/v60.0/composite", 405, "METHOD_NOT_ALLOWED"),
        ("/elsewhere", 404, "NOT_FOUND"),
    ],
)
def test_a_path_answers_with_the_documented_status(
    own_org: Org, serve: Serve, path: str, status: int, code: str | None
) -> None:
    answer = serve(own_org).get(path)
    assert answer.status_code == status
    if code is not None:
        assert answer.json()[0]["errorCode"] == code


def test_a_wrong_method_is_refused(own_org: Org, serve: Serve) -> None:
    answer = serve(own_org).post("query?q=x", {})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")


def test_an_address_or_head_that_is_too_long_is_refused_as_a_front_end_does(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    fitting = "x" * (16_384 - len("/services/data/v60.0/query?q=") - 700)
    assert client.get(f"query?q={fitting}").status_code == 400
    assert client.get(f"query?q={fitting + 'x' * 701}").status_code == 414
    assert client.get(f"query?q={fitting}", headers={"X-Long": "x" * 1_000}).status_code == 431


def test_a_record_is_read_by_its_id(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    key = own_org.new_id("Opportunity", 0)
    record = client.get(f"sobjects/Opportunity/{key}").json()
    assert (record["Name"], record["Amount"], record["CloseDate"]) == ("One", 5.0, "2024-03-15")
    assert client.get(f"sobjects/Opportunity/{key[:15]}?fields=Name").json().keys() == {"attributes", "Name"}


def test_groups_beyond_one_page_are_refused(own_org: Org, serve: Serve) -> None:
    add_invoices(own_org, 2_001)
    client = serve(own_org)
    grouped = "SELECT Name, COUNT(Id) FROM Invoice__c GROUP BY Name"
    assert client.query(grouped).json()[0]["errorCode"] == "EXCEEDED_ID_LIMIT"
    assert client.query(f"{grouped} LIMIT 2000").json()["totalSize"] == 2_000


# Composites


def sub(reference: str, url: str, method: str = "GET") -> dict[str, object]:
    return {"method": method, "url": url, "referenceId": reference}


def test_a_composite_answers_each_part_at_the_price_of_one(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    before = client.get("limits").headers["Sforce-Limit-Info"]
    answer = client.post(
        "composite",
        {
            "compositeRequest": [
                sub("a", "/services/data/v60.0/query?q=SELECT+Name+FROM+Opportunity+WHERE+Amount+%3D+5"),
                sub("b", "/services/data/v60.0/queryAll/?q=SELECT%20COUNT()%20FROM%20Account"),
                sub("c", "/services/data/v60.0/query?q=SELECT+Nam+FROM+Account"),
                sub("d", "/services/data/v60.0/sobjects/Account/describe"),
            ]
        },
    )
    parts = {part["referenceId"]: part for part in answer.json()["compositeResponse"]}
    assert [parts[name]["httpStatusCode"] for name in "abcd"] == [200, 200, 400, 200]
    assert parts["a"]["body"]["records"][0]["Name"] == "One"
    assert parts["b"]["body"]["totalSize"] == 3
    assert parts["c"]["body"][0]["errorCode"] == "INVALID_FIELD"
    assert parts["d"]["body"]["name"] == "Account"
    assert (before, answer.headers["Sforce-Limit-Info"]) == ("api-usage=1/100000", "api-usage=2/100000")


def test_pages_can_be_followed_inside_a_composite(own_org: Org, serve: Serve) -> None:
    add_invoices(own_org, 2_001)
    client = serve(own_org)
    url = client.query(EVERY).json()["nextRecordsUrl"]
    answer = client.post("composite", {"compositeRequest": [sub("a", url)]}).json()
    assert [record["Name"] for record in answer["compositeResponse"][0]["body"]["records"]] == ["INV-2000"]


QUERY = "/services/data/v60.0/query?q=SELECT+Id+FROM+Account"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"compositeRequest": [sub(str(n), QUERY) for n in range(6)]}, "LIMIT_EXCEEDED"),
        ({"compositeRequest": [sub(str(n), "/services/data/v60.0/limits") for n in range(26)]}, "LIMIT_EXCEEDED"),
        ({"compositeRequest": [sub("a", QUERY), sub("a", QUERY)]}, "INVALID_INPUT"),
        ({"compositeRequest": [{"method": "GET"}]}, "JSON_PARSER_ERROR"),
        ({}, "JSON_PARSER_ERROR"),
    ],
    ids=["queries", "parts", "names", "part", "empty"],
)
def test_a_composite_beyond_the_limits_is_refused(own_org: Org, serve: Serve, body: object, code: str) -> None:
    answer = serve(own_org).post("composite", body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_parts_that_lead_nowhere_fail_alone(own_org: Org, serve: Serve) -> None:
    data = "/services/data"
    urls = ["http://[", "/", "", "/services/oauth2/token", data, f"{data}/v1.0/limits", f"{data}/v60.0/%ff"]
    parts = [sub(str(n), url) for n, url in enumerate(urls)]
    answer = serve(own_org).post("composite", {"compositeRequest": parts})
    assert answer.status_code == 200
    statuses = [part["httpStatusCode"] for part in answer.json()["compositeResponse"]]
    assert statuses == [404, 404, 404, 404, 404, 410, 404]


def test_a_composite_may_fail_as_a_whole_and_may_not_hold_another(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    inner = sub("x", "/services/data/v60.0/composite", "POST")
    answer = client.post("composite", {"allOrNone": True, "compositeRequest": [sub("a", QUERY), inner]}).json()
    codes = [part["body"][0]["errorCode"] for part in answer["compositeResponse"]]
    assert codes == ["PROCESSING_HALTED", "INVALID_INPUT"]


def test_a_batch_counts_each_part(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    names = ("Account", "Nothing", "Case")
    parts = [{"method": "GET", "url": f"v60.0/sobjects/{name}/describe"} for name in names]
    answer = client.post("composite/batch", {"batchRequests": parts})
    assert answer.json()["hasErrors"] is True
    assert [part["statusCode"] for part in answer.json()["results"]] == [200, 404, 200]
    assert answer.headers["Sforce-Limit-Info"] == "api-usage=3/100000"


# Metadata


def test_describe_global_tells_histories_by_association(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    found = {one["name"]: one for one in client.get("sobjects").json()["sobjects"]}
    histories = {
        name: one["associateParentEntity"] for name, one in found.items() if one["associateEntityType"] == "History"
    }
    assert histories == {
        "AccountHistory": "Account",
        "ContactHistory": "Contact",
        "CaseHistory": "Case",
        "ContractHistory": "Contract",
        "LeadHistory": "Lead",
        "OpportunityFieldHistory": "Opportunity",
        "Invoice__History": "Invoice__c",
        "Declaration__History": "Declaration__c",
    }
    assert found["OpportunityHistory"]["associateEntityType"] is None
    assert found["Opportunity"]["keyPrefix"] == "006"
    assert "associateEntityType" not in client.get("/services/data/v49.0/sobjects").json()["sobjects"][0]


def test_describe_tells_what_a_field_can_do(own_org: Org, serve: Serve) -> None:
    described = serve(own_org).get("sobjects/OpportunityFieldHistory/describe").json()
    fields = {field["name"]: field for field in described["fields"]}
    old = fields["OldValue"]
    assert (old["type"], old["filterable"], old["sortable"], old["groupable"]) == ("anyType", False, True, False)
    parent = fields["OpportunityId"]
    assert (parent["type"], parent["referenceTo"], parent["relationshipName"]) == (
        "reference",
        ["Opportunity"],
        "Opportunity",
    )
    assert (fields["CreatedDate"]["type"], fields["CreatedDate"]["filterable"]) == ("datetime", True)
    assert described["replicateable"] is True


def test_every_described_object_can_be_queried_by_its_described_fields(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    for one in client.get("sobjects").json()["sobjects"]:
        described = client.get(f"sobjects/{one['name']}/describe").json()
        names = [field["name"] for field in described["fields"]]
        needed = {"EntityParticle", "FieldDefinition"} & {one["name"]}  # they want to know of which object
        where = " WHERE EntityDefinition.QualifiedApiName = 'Account'" if needed else ""
        answer = client.query(f"SELECT {','.join(names)} FROM {one['name']}{where}")
        assert answer.status_code == 200, answer.text
        for way in described["childRelationships"]:
            down = f"SELECT Id, (SELECT Id FROM {way['relationshipName']}) FROM {one['name']}"
            assert client.query(down).status_code == 200


def test_limits_fall_with_each_call(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    assert client.get("limits").json()["DailyApiRequests"] == {"Max": 100_000, "Remaining": 99_999}
    client.server.control(quota={"max": 5, "used": 4})
    assert client.get("limits").json()["DailyApiRequests"] == {"Max": 5, "Remaining": 0}


def test_the_clock_moves_relative_dates(own_org: Org, serve: Serve) -> None:
    client = serve(own_org)
    statement = "SELECT Name FROM Opportunity WHERE CreatedDate = TODAY"
    assert client.names(statement) == ["One"]
    own_org.clock.advance(timedelta(days=1))
    assert client.names(statement) == []
    assert json.loads(client.query("SELECT Name FROM Opportunity WHERE CreatedDate = YESTERDAY").text)["totalSize"] == 1
