"""What Bulk query jobs write: CSV by the documented rules, set by set, equal to what REST answers."""

from __future__ import annotations

import csv
import gzip
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.clock import OrgClock
from localcloud.salesforce.bulk.control import BulkSettings
from localcloud.salesforce.bulk.job import DELIMITERS, LINE_ENDINGS, Asked, Job
from localcloud.salesforce.bulk.plan import compile_bulk
from localcloud.salesforce.bulk.run import Snapshot, write
from localcloud.salesforce.bulk.spool import read
from localcloud.salesforce.org import Org
from localcloud.salesforce.queries import Queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from localcloud.salesforce.bulk.job import Delimiter, LineEnding

    Serve = Callable[..., Any]
    JobsOf = Callable[..., Any]

HISTORY = "SELECT Field, DataType, OldValue, NewValue FROM OpportunityFieldHistory ORDER BY Id"


def add_invoices(org: Org, count: int) -> list[str]:
    names = [f"INV-{n:05}" for n in range(count)]
    org.load("Invoice__c", [{"Name": name} for name in names])
    return names


def values_of(answer: Any) -> list[str]:
    """The single column of a set, without its header."""
    header, *lines = answer.text.splitlines()
    assert header == '"Name"'
    return [line.strip('"') for line in lines]


# The form


def test_every_value_is_quoted_and_empty_ones_are_two_quotes(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    key = bulk.create(
        "SELECT Name, Amount, IsWon, CloseDate, NextStep, CreatedDate FROM Opportunity WHERE Name = 'One'"
    )
    assert bulk.ended(key)["state"] == "JobComplete"
    answer = bulk.results(key)
    assert answer.content == (
        b'"Name","Amount","IsWon","CloseDate","NextStep","CreatedDate"\n'
        b'"One","5.0","false","2024-03-15","","2024-03-15T08:00:00.000+0000"\n'
    )
    assert answer.headers["Content-Type"] == "text/csv"


def test_values_of_any_type_come_as_their_text(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    assert [tuple(row.values()) for row in bulk.rows(HISTORY)] == [
        ("created", "", "", ""),
        ("Amount", "Currency", "1234567890.12", "5.0"),
        ("NextStep", "Text", "007", "1e5"),
        ("Owner", "Text", "Bo Ray", "Ann Lee"),
        ("Owner", "EntityId", own_org.new_id("User", 2), own_org.new_id("User", 1)),
        ("IsPrivate", "Boolean", "false", "true"),
        ("Description", "Text", 'a "b" \\ \u2028 \U0001f600', "é\r\n\t"),
    ]


def test_columns_keep_the_order_asked_for_and_the_spelling_of_the_org(
    own_org: Org, serve: Serve, jobs_of: JobsOf
) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    statement = "SELECT stagename, id, account.parent.name, OWNER.PROFILE.NAME FROM opportunity"
    assert list(bulk.rows(statement)[0]) == ["StageName", "Id", "Account.Parent.Name", "Owner.Profile.Name"]
    job = bulk.ask(statement, version="49.0").json()
    assert job["object"] == "Opportunity"
    while client.get(f"/services/data/v49.0/jobs/query/{job['id']}").json()["state"] != "JobComplete":
        pass
    text = client.get(f"/services/data/v49.0/jobs/query/{job['id']}/results").text
    assert text.splitlines()[0] == '"Account.Parent.Name","Id","Owner.Profile.Name","StageName"'


def test_parents_that_are_not_there_leave_their_columns_empty(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    statement = "SELECT LastName, Account.Name, Account.IsDeleted, Account.NumberOfEmployees FROM Contact"
    found = {row["LastName"]: list(row.values())[1:] for row in bulk.rows(statement)}
    assert found["Zoe"] == ["Acme", "false", "10"]
    assert found["Xi"] == ["", "", ""]


def test_parents_of_several_kinds_show_their_names(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    rows = bulk.rows("SELECT CaseNumber, Owner.Name, Owner.Type FROM Case ORDER BY CaseNumber")
    assert [list(row.values()) for row in rows] == [["0001", "Ann Lee", "User"], ["0002", "Queue A", "Group"]]


@pytest.mark.parametrize("delimiter", list(DELIMITERS))
@pytest.mark.parametrize("ending", list(LINE_ENDINGS))
def test_delimiter_and_line_ending_are_the_callers_choice(
    own_org: Org, serve: Serve, jobs_of: JobsOf, delimiter: Delimiter, ending: LineEnding
) -> None:
    bulk = jobs_of(serve(own_org))
    key = bulk.create(
        "SELECT Name, StageName FROM Opportunity WHERE Name = 'One'", columnDelimiter=delimiter, lineEnding=ending
    )
    bulk.ended(key)
    mark, end = DELIMITERS[delimiter], LINE_ENDINGS[ending]
    assert bulk.results(key).content.decode() == f'"Name"{mark}"StageName"{end}"One"{mark}"Prospecting"{end}'


def test_settings_change_the_form_of_values_and_headers(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(bulk={"whole_numbers": "5.0", "charset": True, "order": "reversed"})
    key = bulk.create("SELECT Name, NumberOfEmployees FROM Account")
    bulk.ended(key)
    answer = bulk.results(key)
    assert [line.split(",")[-1] for line in answer.text.splitlines()[1:]] == ['"200.0"', '"10.0"']
    assert answer.headers["Content-Type"] == "text/csv;charset=UTF-8"
    client.server.control(reset=True)
    assert [row["NumberOfEmployees"] for row in bulk.rows("SELECT NumberOfEmployees FROM Account")] == ["10", "200"]


def test_more_columns_than_one_function_takes_are_joined(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    fields = [field["name"] for field in bulk.client.get("sobjects/User/describe").json()["fields"]]
    ways = ("", "Manager.", "Manager.Manager.", "CreatedBy.", "CreatedBy.Manager.", "Profile.CreatedBy.")
    names = [way + name for way in ways for name in fields]
    row = bulk.rows(f"SELECT {','.join(names)} FROM User WHERE Name = 'Bo Ray'")[0]
    assert len(row) > 100
    assert list(row) == names
    assert (row["Name"], row["Manager.Name"], row["Manager.Manager.Name"]) == ("Bo Ray", "Ann Lee", "")


def test_results_are_compressed_when_asked(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    add_invoices(own_org, 200)
    bulk = jobs_of(serve(own_org))
    key = bulk.create("SELECT Name FROM Invoice__c")
    bulk.ended(key)
    with bulk.call("GET", f"{key}/results", headers={"Accept-Encoding": "gzip"}, stream=True) as answer:
        packed = answer.raw.read(decode_content=False)
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = bulk.call("GET", f"{key}/results", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content


# Sets


def test_each_set_has_a_header_and_the_last_locator_is_null(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    names = add_invoices(own_org, 25)
    bulk = jobs_of(serve(own_org))
    key = bulk.create("SELECT Name FROM Invoice__c")
    bulk.ended(key)
    sets = bulk.sets(key, maxRecords=10)
    assert [answer.headers["Sforce-NumberOfRecords"] for answer in sets] == ["10", "10", "5"]
    assert [name for answer in sets for name in values_of(answer)] == names
    assert sets[-1].headers["Sforce-Locator"] == "null"
    spelt = {name for name in sets[0].headers if name.lower().startswith("sforce")}
    assert spelt == {"Sforce-Locator", "Sforce-NumberOfRecords", "Sforce-Limit-Info"}


def test_a_set_can_be_read_again_and_in_other_sizes(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    names = add_invoices(own_org, 25)
    bulk = jobs_of(serve(own_org))
    key = bulk.create("SELECT Name FROM Invoice__c")
    bulk.ended(key)
    first, second, _ = bulk.sets(key, maxRecords=10)
    locator = first.headers["Sforce-Locator"]
    assert bulk.results(key, maxRecords=10, locator=locator).content == second.content
    assert values_of(bulk.results(key, locator=locator)) == names[10:]
    assert values_of(bulk.results(key, maxRecords=3, locator=locator)) == names[10:13]
    assert bulk.results(key, maxRecords=10).content == first.content


def test_an_empty_result_is_a_header_alone(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    bulk = jobs_of(serve(own_org))
    key = bulk.create("SELECT Name FROM Invoice__c")
    assert bulk.ended(key)["numberRecordsProcessed"] == 0
    answer = bulk.results(key)
    assert (answer.status_code, answer.content) == (200, b'"Name"\n')
    assert (answer.headers["Sforce-NumberOfRecords"], answer.headers["Sforce-Locator"]) == ("0", "null")
    assert bulk.call("GET", f"{key}/resultPages").json()["done"] is True


def test_sets_without_max_records_follow_the_services_sizes(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    names = add_invoices(own_org, 25)
    client = serve(own_org)
    bulk = jobs_of(client)
    key = bulk.create("SELECT Name FROM Invoice__c")
    bulk.ended(key)
    client.server.control(bulk={"default_records": 7})
    sets = bulk.sets(key)
    assert [len(values_of(answer)) for answer in sets] == [7, 7, 7, 4]
    client.server.control(bulk={"default_records": 1_000, "set_bytes": 60})
    sets = bulk.sets(key)
    assert {len(values_of(answer)) for answer in sets[:-1]} == {5}
    assert [name for answer in sets for name in values_of(answer)] == names
    client.server.control(bulk={"set_bytes": 1})
    assert len(bulk.sets(key, maxRecords=10)) == 25


def test_parallel_results_name_five_sets_at_a_time(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    names = add_invoices(own_org, 25)
    client = serve(own_org)
    bulk = jobs_of(client)
    key = bulk.create("SELECT Name FROM Invoice__c")
    bulk.ended(key)
    client.server.control(bulk={"default_records": 4})
    first = bulk.call("GET", f"{key}/resultPages").json()
    assert (first["done"], len(first["resultPages"])) == (False, 5)
    second = client.get(first["nextRecordsUrl"]).json()
    assert (second["done"], second["nextRecordsUrl"], len(second["resultPages"])) == (True, None, 2)
    found = [client.get(page["resultUrl"]) for page in first["resultPages"] + second["resultPages"]]
    assert sorted(name for answer in reversed(found) for name in values_of(answer)) == names
    assert client.get(f"/services/data/v57.0/jobs/query/{key}/resultPages").status_code == 404


@pytest.mark.parametrize(
    "parameters",
    [{"locator": "nonsense"}, {"locator": "MTA="}, {"locator": "MTAwMDA"}, {"maxRecords": "0"}, {"maxRecords": "ten"}],
)
def test_a_set_that_cannot_be_is_refused(
    own_org: Org, serve: Serve, jobs_of: JobsOf, parameters: dict[str, str]
) -> None:
    add_invoices(own_org, 25)
    bulk = jobs_of(serve(own_org))
    key = bulk.create("SELECT Name FROM Invoice__c")
    bulk.ended(key)
    answer = bulk.results(key, **parameters)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "API_ERROR")


@pytest.mark.parametrize("resource", ["results", "resultPages"])
def test_results_need_the_version_of_the_job(own_org: Org, serve: Serve, jobs_of: JobsOf, resource: str) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    key = bulk.create("SELECT Name FROM Account")
    bulk.ended(key)
    assert client.get(f"/services/data/v61.0/jobs/query/{key}").status_code == 200
    assert client.get(f"/services/data/v61.0/jobs/query/{key}/{resource}").status_code == 409
    assert client.get(f"/services/data/v60.0/jobs/query/{key}/{resource}").status_code == 200


def test_results_of_a_job_that_is_not_complete(own_org: Org, serve: Serve, jobs_of: JobsOf) -> None:
    client = serve(own_org)
    bulk = jobs_of(client)
    client.server.control(bulk={"delay_seconds": 10})
    key = bulk.create("SELECT Name FROM Account")
    answer = bulk.results(key)
    assert (answer.status_code, answer.content) == (204, b"")
    client.server.control(bulk={"not_ready": 400})
    answer = bulk.call("GET", f"{key}/resultPages")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")


# Equal to REST

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40) | st.text(
    st.sampled_from("\"'`^,|;\t\r\n\\ a"), max_size=12
)
NUMBER = st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12)
HISTORY_VALUE = TEXT | st.booleans() | st.integers(-(10**15), 10**15) | NUMBER
ROW = st.fixed_dictionaries(
    {
        "Name": TEXT.map(lambda text: text or "x"),
        "Status__c": TEXT,
        "Amount__c": st.none() | NUMBER,
        "Quantity__c": st.none() | st.integers(-(10**9), 10**9),
        "Approved__c": st.booleans(),
        "Due__c": st.none() | st.dates().map(str),
        "Sent__c": st.none() | st.datetimes().map(lambda at: f"{at.isoformat(timespec='milliseconds')}+0000"),
    }
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Org]:
    """An org whose rows come and go."""
    with Org.create(tmp_path_factory.mktemp("scratch") / "org", clock=OrgClock()) as org:
        yield org


def by_rest(org: Org, statement: str) -> list[list[str]]:
    """The values of a statement as text, by REST."""
    page = Queries(org).run(statement, org.schema, 60.0, all_rows=True)
    records = json.loads(page.body, parse_float=Token, parse_int=Token)["records"]
    return [[as_text(value) for name, value in record.items() if name != "attributes"] for record in records]


class Token(str):
    """A number as it was sent."""

    __slots__ = ()


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return as_text(value.get("Name"))
    assert isinstance(value, str)
    return value


def by_bulk(org: Org, folder: Path, asked: Asked) -> list[list[str]]:
    """The values of a statement, read from the CSV of a job by Python's own reader."""
    plan = compile_bulk(asked, org.schema, 60.0, org.clock.now(), BulkSettings())
    job = Job("750", 1, asked, plan.sobject, 60.0, "", "", "", 0, 0)
    snapshot = Snapshot(org.path)
    try:
        write(job, plan, snapshot, folder / "job.csv", lambda _job, _rows: None)
    finally:
        snapshot.close()
    content, count = read(folder / "job.csv", 0, 10**6, 10**9)
    rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=DELIMITERS[asked.column_delimiter]))
    assert len(rows) == count
    # one row at a time finds the same places
    assert content == b"".join(read(folder / "job.csv", n, 1, 1)[0] for n in range(count))
    return rows


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(ROW, max_size=5),
    delimiter=st.sampled_from(list(DELIMITERS)),
    ending=st.sampled_from(list(LINE_ENDINGS)),
)
def test_rest_and_bulk_give_equal_values(
    scratch: Org,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, object]],
    delimiter: Delimiter,
    ending: LineEnding,
) -> None:
    scratch.db.execute("DELETE FROM Invoice__c")
    scratch.load("Invoice__c", rows)
    statement = f"SELECT {','.join(ROW_FIELDS)}, CreatedDate, Id, Account__r.Name FROM Invoice__c ORDER BY Id"
    asked = Asked("queryAll", statement, column_delimiter=delimiter, line_ending=ending)
    found = by_bulk(scratch, tmp_path_factory.mktemp("job"), asked)
    assert found == by_rest(scratch, statement)
    assert [row[0] for row in found] == [row["Name"] for row in rows]


ROW_FIELDS = ("Name", "Status__c", "Amount__c", "Quantity__c", "Approved__c", "Due__c", "Sent__c")


@settings(max_examples=80, deadline=None)
@given(values=st.lists(st.tuples(HISTORY_VALUE, HISTORY_VALUE), max_size=5))
def test_rest_and_bulk_give_equal_history_values(
    scratch: Org, tmp_path_factory: pytest.TempPathFactory, values: list[tuple[object, object]]
) -> None:
    scratch.db.execute("DELETE FROM Invoice__History")
    scratch.load(
        "Invoice__History",
        [
            {"ParentId": scratch.new_id("Invoice__c", 1), "Field": "Reference__c", "OldValue": old, "NewValue": new}
            for old, new in values
        ],
    )
    statement = "SELECT OldValue, NewValue FROM Invoice__History ORDER BY Id"
    found = by_bulk(scratch, tmp_path_factory.mktemp("job"), Asked("query", statement))
    assert found == by_rest(scratch, statement)
    for (old, _), (text, _) in zip(values, found, strict=True):
        if isinstance(old, str):
            assert text == old
        elif isinstance(old, Decimal):
            assert Decimal(text) == old
