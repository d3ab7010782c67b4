"""Bulk API 2.0: the same events as by REST, jobs that fail or are refused, and nothing left behind in the org."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions.pages import StopFlag
from microdecisions.session import open_session
from microdecisions.settings import LoginSettings
from microdecisions.settings import load as load_settings
from tap_salesforce_temporal.reading.bulk import BulkReader
from tap_salesforce_temporal.reading.cells import rows_of
from tests.conftest import NOW
from tests.harness import Json, TapRun, config_for
from tests.in_process import run_here
from tests.test_never_lose import case_change, load

Serve = Callable[..., Running]

AWKWARD = [
    "00123", "1e5", "NaN", "NA", "null", "true", "-0", " 5 ", 'a "quoted" word', "comma, and\r\ntwo lines", "'", "\t",
    "\u2028", "\U0001f600", "=1+1", "\\N", '""', '"', ",",
]  # fmt: skip


def content(run: TapRun) -> dict[str, Json]:
    """All events by id, without what the way of reading may change."""
    found: dict[str, Json] = {}
    for records in run.records.values():
        for record in records:
            same = {**record, "context": {**record["context"], "source": None}, "extracted_at": None}
            assert found.setdefault(same["event_id"], same) == same
    return found


def sources(run: TapRun) -> set[str]:
    return {record["context"]["source"] for records in run.records.values() for record in records}


def kinds(server: Running) -> dict[str, int]:
    return server.journal().by_kind


def test_every_stream_gives_equal_events_by_both_apis(serve: Serve, small_org: Path) -> None:
    server = serve(small_org)
    config = config_for(server.url, small_org)
    by_rest = run_here({**config, "api_type": "rest"})
    by_bulk = run_here({**config, "api_type": "bulk2", "bulk_page_size": 1_000})
    assert (by_rest.code, by_bulk.code) == (0, 0), by_bulk.log
    assert sources(by_rest) == {"rest"}
    assert content(by_rest) == content(by_bulk) != {}
    assert by_bulk.records.pop("setup_audit_trail")  # never by Bulk
    assert sources(by_bulk) == {"bulk"}
    assert kinds(server)["bulk_delete"] == kinds(server)["bulk_create"] > 0


def test_awkward_values_are_equal_by_both_apis(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        numbers = [Decimal("5.0"), Decimal("1.0E+7"), Decimal("0.1"), Decimal("1234567890.12"), Decimal(-3)]
        rows = [
            {**case_change(org, n, NOW - timedelta(minutes=n + 2), old=value, new=AWKWARD[n - 1]), "DataType": "Text"}
            for n, value in enumerate(AWKWARD)
        ]
        rows += [
            {**case_change(org, 100 + n, NOW - timedelta(hours=n + 1), old=value, new=None), "DataType": "Currency"}
            for n, value in enumerate(numbers)
        ]
        rows += [
            {**case_change(org, 200, NOW - timedelta(days=2), old=False, new=True), "DataType": "Boolean"},
            {**case_change(org, 201, NOW - timedelta(days=3), old=None, new=None), "DataType": "Text"},
        ]
    load(empty_org, "CaseHistory", rows)
    config = config_for(serve(empty_org).url, empty_org)
    by_rest = run_here({**config, "api_type": "rest"}, "case_history")
    by_bulk = run_here({**config, "api_type": "bulk2"}, "case_history")
    assert len(content(by_rest)) == len(rows)
    assert content(by_rest) == content(by_bulk)


@pytest.mark.parametrize(
    "trouble",
    [
        {"fail": [{"state": "Failed", "times": 1}]},
        {"fail": [{"state": "Aborted", "times": 2}]},
        {"fail": [{"state": "Failed", "message": "QUERY_TIMEOUT: too slow", "times": 3}]},
        {"fail": [{"state": "Failed", "message": "InvalidEntity: is not supported by the Bulk API", "times": None}]},
        {"delay_seconds": 0.5},
        {"order": "reversed", "default_records": 7},
    ],
    ids=["failed", "aborted twice", "too slow", "not served", "slow", "small sets in another order"],
)
def test_a_job_in_trouble_loses_and_doubles_nothing(trouble: Json, serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    whole = run_here({**config, "api_type": "rest"}, "case_history", "opportunity_history")
    server.control(bulk=trouble)
    run = run_here({**config, "api_type": "bulk2"}, "case_history", "opportunity_history")
    assert run.code == 0, run.log
    assert content(run) == content(whole)


def test_jobs_that_fail_again_and_again_fail_their_stream(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    server.control(bulk={"fail": [{"pattern": "CaseHistory", "message": "InternalServerError", "times": None}]})
    config = config_for(server.url, copy_of_small_org, api_type="bulk2")
    run = run_here(config, "case_history", "contact_history")
    assert run.code == 1
    assert "Bulk query job" in run.log
    assert run.records["contact_history"]
    assert run.state["bookmarks"].get("case_history", {}).get("replication_key_value") is None


def test_auto_reads_little_by_rest_and_much_by_bulk(serve: Serve, empty_org: Path) -> None:
    def rows(org: Org, sobject: str, many: int) -> list[Json]:
        return [
            {
                **case_change(org, n, NOW - timedelta(seconds=90 + n)),
                "Id": org.new_id(sobject, n),
            }
            for n in range(1, many + 1)
        ]

    with Org.open(empty_org) as org:
        load(empty_org, "CaseHistory", rows(org, "CaseHistory", 100_001))
    server = serve(empty_org)
    run = run_here(config_for(server.url, empty_org), "case_history")
    assert run.code == 0, run.log
    assert sources(run) == {"bulk"}
    assert len(run.by_id("case_history")) == 100_001
    assert kinds(server)["bulk_create"] == 1
    assert kinds(server)["bulk_results"] == 3
    again = run_here(config_for(server.url, empty_org), "case_history", state=run.state)
    assert sources(again) <= {"rest"}


class Left(msgspec.Struct):
    id: str = msgspec.field(name="Id")


def test_results_that_are_left_in_the_middle_leave_no_job_and_no_word(
    serve: Serve, empty_org: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Org.open(empty_org) as org:
        load(empty_org, "CaseHistory", [case_change(org, n, NOW - timedelta(days=1)) for n in range(1, 3_001)])
    server = serve(empty_org)
    with open_session(load_settings(LoginSettings, config_for(server.url, empty_org))) as session:
        reader = BulkReader(session, 5_000, StopFlag(), lambda _: None, logging.getLogger("test"))
        pages = reader.pages("SELECT Id FROM CaseHistory", Left)
        assert len(next(pages).rows) == 2_000
        said: list[object] = []
        monkeypatch.setattr("sys.unraisablehook", said.append)  # the interpreter's last word, on standard error
        pages.close()
        assert not said
    assert kinds(server)["bulk_create"] == kinds(server)["bulk_delete"] == 1


class Cells(msgspec.Struct):
    one: str | None = msgspec.field(name="One")
    two: str | None = msgspec.field(name="Two", default=None)


class Parent(msgspec.Struct):
    name: str = msgspec.field(name="Name")


class Child(msgspec.Struct):
    id: str = msgspec.field(name="Id")
    parent: Parent = msgspec.field(name="Parent")


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(texts, texts), max_size=20), st.booleans())
def test_any_text_comes_out_of_a_result_set_as_it_went_in(rows: list[tuple[str, str]], swapped: bool) -> None:
    written = io.StringIO(newline="")
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["Two", "One"] if swapped else ["One", "Two"])
    writer.writerows([(two, one) if swapped else (one, two) for one, two in rows])
    found = list(rows_of(io.BytesIO(written.getvalue().encode()), Cells))
    assert [(row.one, row.two) for row in found] == [(one or None, two or None) for one, two in rows]


def test_a_result_set_of_many_rows_comes_out_whole_and_in_order() -> None:
    body = "One\n" + "".join(f'"{number}"\n' for number in range(1_234))
    assert [row.one for row in rows_of(io.BytesIO(body.encode()), Cells)] == [str(number) for number in range(1_234)]
    with pytest.raises(ValueError, match="row 1235 has 2 cells for 1 columns"):
        list(rows_of(io.BytesIO(f'{body}"x","y"\n'.encode()), Cells))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no header"),
        (b'"Two"\n"x"\n', "column One is missing"),
        (b'"One","Two"\n"x"\n', "row 1 has 1 cells"),
        (b'"One"\n"x', "not CSV"),
        (b'"One"\n"\xff"\n', "decode"),
    ],
)
def test_what_is_no_result_set_is_told_without_its_values(body: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        list(rows_of(io.BytesIO(body), Cells))
    assert '"x' not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        (Left, b'"Id"\n"x"\n""\n', "column Id is empty"),
        (Child, b'"Id","Parent.Name"\n"x",""\n', "Parent"),
        (Child, b'"Id","Parent.Name"\n"","x"\n', "Id"),
    ],
)
def test_a_row_without_what_every_row_has_is_told(kind: type[Left | Child], body: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        list(rows_of(io.BytesIO(body), kind))
