"""What `history_objects` and `history_fields` leave out: by whatever spelling, never by mistake, and never for good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from microdecisions.errors import ConfigurationError
from tap_salesforce_temporal.library import events
from tests.conftest import DAY, HOUR, NOW
from tests.harness import Json, TapRun, config_for
from tests.in_process import account_change, run_here, statements
from tests.test_never_lose import case_change, salesforce_text

Serve = Callable[..., Running]


@pytest.fixture
def two_fields(empty_org: Path) -> Path:
    """Changes of `Status` and, twenty days old, of `Priority`."""
    with Org.open(empty_org) as org:
        old = [case_change(org, n, NOW - 20 * DAY + n * HOUR) | {"Field": "Priority"} for n in range(1, 10)]
        org.load("CaseHistory", old + [case_change(org, n, NOW - n * HOUR) for n in range(10, 20)])
        org.load("AccountHistory", [account_change(org, 1, NOW - HOUR)])
    return empty_org


def fields(run: TapRun, stream: str = "case_history") -> list[str]:
    return [record["field_name"] for record in run.records[stream]]


# Names.


@pytest.mark.parametrize(
    ("narrowed", "rows"),
    [
        ({"history_objects": ["case"]}, 19),
        ({"history_objects": ["CASEHISTORY"]}, 19),
        ({"history_objects": ["cA*"]}, 19),
        ({"history_fields": ["case.status"]}, 10),
        ({"history_fields": ["*.PRIORITY"]}, 9),
    ],
    ids=str,
)
def test_names_fit_in_whatever_letters(narrowed: Json, rows: int, serve: Serve, two_fields: Path) -> None:
    run = run_here(config_for(serve(two_fields).url, two_fields, **narrowed), "case_history")
    assert (run.code, len(run.records["case_history"])) == (0, rows), run.log


MISTYPED = [
    ({"history_objects": ["Cass", "Account"]}, ("`history_objects`", "`Cass`", "`Case`")),
    ({"history_objects": ["Cass*"]}, ("`history_objects`", "`Cass*`")),
    ({"history_fields": ["Case.Statsu"]}, ("`history_fields`", "`Case.Statsu`", "`Status`")),
    ({"history_fields": ["*.Statsu"]}, ("`history_fields`", "`*.Statsu`")),
    ({"history_fields": ["Cass.Status"]}, ("`history_fields`", "`Cass`", "`Case`")),
]


@pytest.mark.parametrize(
    ("narrowed", "words"), MISTYPED, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_a_name_that_the_org_does_not_know_is_no_success(
    narrowed: Json, words: tuple[str, ...], serve: Serve, two_fields: Path
) -> None:
    config = config_for(serve(two_fields).url, two_fields, **narrowed)
    run = run_here(config)
    assert run.code == 2
    assert all(word in run.log for word in words), run.log
    assert len(run.records["account_history"]) == (0 if "*" in words[1] else 1)
    with pytest.raises(ConfigurationError, match=words[0]):
        next(events(config, "account_history"))


def test_a_pattern_that_fits_nothing_yet_is_a_warning(
    serve: Serve, two_fields: Path, caplog: pytest.LogCaptureFixture
) -> None:
    narrowed = {"history_objects": ["Case", "Invoices*"], "history_fields": ["Case.Status", "Cass*.Status"]}
    run = run_here(config_for(serve(two_fields).url, two_fields, **narrowed), "case_history")
    assert (run.code, len(run.records["case_history"])) == (0, 10), run.log
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [name for name in ("Case", "Invoices*", "Cass*") if any(f"names `{name}`" in text for text in warned)] == [
        "Invoices*",
        "Cass*",
    ]


@pytest.mark.parametrize("field", ["Owner", "created", "Case.Account"])
def test_names_that_only_histories_use_are_known(field: str, serve: Serve, two_fields: Path) -> None:
    pattern = field if "." in field else f"Case.{field}"
    run = run_here(config_for(serve(two_fields).url, two_fields, history_fields=[pattern]), "case_history")
    assert run.code == 0, run.log


# The archive.


def archived(org: Org, number: int, parent: str) -> Json:
    field = {"Case": "Status", "Account": "Name"}[parent]
    return {
        "Id": org.new_id("FieldHistoryArchive", number),
        "FieldHistoryType": parent,
        "ParentId": org.new_id(parent, 1),
        "Field": field,
        "OldValue": "a",
        "NewValue": "b",
        "CreatedDate": salesforce_text(NOW - (700 + number) * DAY),
        "CreatedById": org.new_id("User", 1),
        "HistoryId": org.new_id(f"{parent}History", number),
    }


@pytest.fixture
def archive(empty_org: Path) -> Path:
    """Rows of two objects that were changed some two years ago."""
    with Org.open(empty_org) as org:
        rows = [archived(org, n, "Case") for n in range(1, 6)] + [archived(org, n, "Account") for n in range(6, 11)]
        org.load("FieldHistoryArchive", rows)
    return empty_org


def test_the_archive_is_narrowed_by_the_name_of_a_history_too(serve: Serve, archive: Path) -> None:
    config = config_for(serve(archive).url, archive, history_objects=["CaseHistory"])
    run = run_here(config, "field_history_archive")
    assert run.code == 0, run.log
    assert {record["record_type"] for record in run.records["field_history_archive"]} == {"Case"}


# What is left out today may be wanted tomorrow.


def test_fields_that_were_left_out_are_read_from_the_beginning_once_they_are_wanted(
    serve: Serve, two_fields: Path
) -> None:
    server = serve(two_fields)
    config = config_for(server.url, two_fields)
    first = run_here(config | {"history_fields": ["Case.Status"]}, "case_history")
    assert set(fields(first)) == {"Status"}
    server.control(clock={"advance_seconds": 3_600})
    second = run_here(config, "case_history", state=first.state)
    assert second.code == 0, second.log
    assert fields(second) == ["Priority"] * 9
    third = run_here(config, "case_history", state=second.state)
    assert (third.code, third.records["case_history"]) == (0, [])


def test_one_more_field_is_read_from_start_date_on_and_no_other(serve: Serve, two_fields: Path) -> None:
    server = serve(two_fields)
    config = config_for(server.url, two_fields, start_date=f"{NOW - 20 * DAY + 5 * HOUR:%FT%TZ}")
    first = run_here(config | {"history_fields": ["Case.Status"]}, "case_history")
    assert len(first.records["case_history"]) == 10
    begun = server.journal().total
    second = run_here(config | {"history_fields": ["Case.STATUS", "Case.Priority"]}, "case_history", state=first.state)
    assert fields(second) == ["Priority"] * 5
    assert statements(server, "Field IN ('Priority')", begun)
    narrower = run_here(config | {"history_fields": ["Case.Priority"]}, "case_history", state=second.state)
    assert (narrower.code, narrower.records["case_history"]) == (0, [])


def test_a_bookmark_that_does_not_say_what_was_read_goes_on(serve: Serve, two_fields: Path) -> None:
    config = config_for(serve(two_fields).url, two_fields)
    first = run_here(config | {"history_fields": ["Case.Status"]}, "case_history")
    for key in ("sobject", "parts", "widening", "widened_to"):
        del first.state["bookmarks"]["case_history"][key]
    second = run_here(config, "case_history", state=first.state)
    assert (second.code, second.records["case_history"]) == (0, [])
    assert second.state["bookmarks"]["case_history"]["parts"] == ["Case"]


def test_what_was_left_out_is_read_on_where_a_run_ended_early(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        rows = [case_change(org, n, NOW - n * DAY) | {"Field": "Priority"} for n in range(1, 300)]
        org.load("CaseHistory", rows)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, max_run_seconds=1, max_concurrent_requests=1, verify_days=0)
    first = run_here(config | {"history_fields": ["Case.Status"]}, "case_history")
    assert (first.code, first.records["case_history"]) == (0, [])
    states, codes = [first.state], list[int]()
    seen: list[str] = []
    server.control(
        delay=[{"pattern": "CaseHistory WHERE", "seconds": 0.3, "times": 9}],
        query_timeout=[{"pattern": "Field NOT IN", "times": 5, "skip": 1}],
    )
    for _ in range(60):
        run = run_here(config, "case_history", state=states[-1])
        codes.append(run.code)
        seen += run.by_id("case_history")
        states += run.states
        if run.code == 0:
            break
    assert (codes[0], codes[-1]) == (3, 0)
    assert len(seen) == len(set(seen)) == 299
    ends = [state["bookmarks"]["case_history"]["replication_key_value"] for state in states]
    assert ends == sorted(ends), "the bookmark itself stays"


def test_an_object_that_the_archive_shows_later_is_read_from_the_beginning(serve: Serve, archive: Path) -> None:
    server = serve(archive)
    config = config_for(server.url, archive)
    server.control(forbid={"objects": ["AccountHistory"]})
    first = run_here(config, "field_history_archive")
    assert first.code == 0, first.log
    assert {record["record_type"] for record in first.records["field_history_archive"]} == {"Case"}
    server.control(forbid={"objects": []}, clock={"advance_seconds": 90_000})
    second = run_here(config, "field_history_archive", state=first.state)
    assert second.code == 0, second.log
    assert [record["record_type"] for record in second.records["field_history_archive"]] == ["Account"] * 5
    third = run_here(config, "field_history_archive", state=second.state)
    assert (third.code, third.records["field_history_archive"]) == (0, [])


def test_fields_of_activities_that_were_left_out_come_later(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        rows = [
            {
                "Id": org.new_id("ActivityFieldHistory", n),
                "ActivityId": org.new_id("Task", n),
                "ChangedById": org.new_id("User", 1),
                "ChangedDate": salesforce_text(NOW - n * DAY),
                "FieldName": "Status" if n % 2 else "Priority",
                "DataType": "Text",
                "OldValueText": "a",
                "NewValueText": "b",
            }
            for n in range(1, 9)
        ]
        org.load("ActivityFieldHistory", rows)
    config = config_for(serve(empty_org).url, empty_org)
    first = run_here(config | {"history_fields": ["Task.STATUS"]}, "activity_field_history")
    assert fields(first, "activity_field_history") == ["Status"] * 4
    second = run_here(config, "activity_field_history", state=first.state)
    assert second.code == 0, second.log
    both = first.by_id("activity_field_history").keys() | second.by_id("activity_field_history").keys()
    assert len(both) == len(rows)
    third = run_here(config, "activity_field_history", state=second.state)
    assert (third.code, third.records["activity_field_history"]) == (0, [])
