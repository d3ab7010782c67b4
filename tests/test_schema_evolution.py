"""Objects, fields and permissions that come and go, between runs and in the middle of one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.salesforce.org import Org
from localcloud.salesforce.schema import OBJECTS
from localcloud.salesforce.server import Running
from tests.conftest import HOUR, NOW
from tests.harness import Json, config_for
from tests.in_process import Loader, account_change, catalog_of, clean, many_cases, run_here
from tests.test_never_lose import case_change, load

Serve = Callable[..., Running]


def hide(server: Running, *objects: str, fields: tuple[str, ...] = ()) -> None:
    server.control(forbid={"objects": list(objects), "fields": list(fields)})


def test_a_history_that_appears_is_picked_up_and_backfills_alone(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    loader = Loader()
    hide(server, "CaseHistory", "Invoice__History")
    first = loader.load(run_here(config))
    assert first.code == 0
    assert not {"case_history", "invoice__history"} & set(first.schemas)

    hide(server)
    second = loader.load(run_here(config, state=loader.state))
    assert second.code == 0
    assert set(second.records) >= {"case_history"}
    assert not set(second.records) & set(first.records)
    assert loader.content() == clean(config)


def test_a_history_whose_tracking_is_switched_on_later_loses_nothing(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    first = run_here(config, "account_history", "case_history")  # shown, and without a row
    assert first.code == 0
    with Org.open(empty_org) as org:
        load(empty_org, "CaseHistory", [case_change(org, n, NOW + timedelta(minutes=n)) for n in range(1, 30)])
    server.control(clock={"set": f"{NOW + HOUR:%FT%TZ}"})
    second = run_here(config, "account_history", "case_history", state=first.state)
    assert second.code == 0
    assert len(second.records["case_history"]) == 29


def test_rows_of_an_empty_history_that_come_late_are_found(serve: Serve, empty_org: Path) -> None:
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    loader = Loader()
    assert loader.load(run_here(config, "case_history")).code == 0
    many_cases(empty_org, 20, start=NOW - 5 * HOUR)
    server.control(clock={"set": f"{NOW + 24 * HOUR:%FT%TZ}"})
    assert loader.load(run_here(config, "case_history", state=loader.state)).code == 0
    assert len(loader.tables["case_history"]) == 20


@pytest.mark.parametrize(
    "hidden",
    [{"objects": ("CaseHistory",)}, {"fields": ("CaseHistory.NewValue",)}, {"fields": ("CaseHistory.CaseId",)}],
    ids=["the object", "a field", "the parent"],
)
def test_what_disappears_is_named_and_its_bookmark_stays(
    hidden: Json, serve: Serve, copy_of_small_org: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    first = run_here(config, "account_history", "case_history")
    assert first.code == 0
    hide(server, *hidden.get("objects", ()), fields=hidden.get("fields", ()))

    by_name = run_here(config, "account_history", "case_history", state=first.state)
    assert by_name.code == 2
    assert "`case_history`" in by_name.log
    assert by_name.state["bookmarks"]["case_history"] == first.state["bookmarks"]["case_history"]

    for catalog in (None, catalog_of("account_history")):
        caplog.clear()
        run = run_here(config, state=first.state, catalog=catalog)
        assert run.code == 0
        assert "Stream `case_history` was read before" in caplog.text
        assert "Stream `account_history` was read before" not in caplog.text
        assert run.state["bookmarks"]["case_history"] == first.state["bookmarks"]["case_history"]


@pytest.mark.parametrize("stream", ["account_history", "opportunity_history", "activity_field_history"])
def test_a_selected_stream_that_a_setting_leaves_out_names_the_setting(
    stream: str, serve: Serve, copy_of_small_org: Path
) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org, history_objects=["Case"])
    run = run_here(config, "case_history", stream)
    assert run.code == 2
    assert f"`{stream}`" in run.log
    assert "`history_objects`" in run.log
    assert "read access" not in run.log
    assert run.records["case_history"]


@pytest.mark.parametrize("stream", ["account", "no_such_history"])
def test_a_selected_stream_that_is_no_history_is_not_laid_on_a_setting(
    stream: str, serve: Serve, copy_of_small_org: Path
) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org, history_objects=["Case"])
    run = run_here(config, "case_history", stream)
    assert run.code == 2
    assert "does not show its object" in run.log
    assert "history_objects" not in run.log


@pytest.mark.parametrize("mentioned", [True, False])
def test_a_deselected_stream_is_not_said_to_be_gone(
    mentioned: bool, serve: Serve, copy_of_small_org: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    first = run_here(config, "account_history", "case_history")
    catalog = catalog_of("account_history", "case_history")
    if mentioned:
        catalog["streams"][1]["metadata"][0]["metadata"]["selected"] = False
    else:
        del catalog["streams"][1]
    run = run_here(config, state=first.state, catalog=catalog)
    assert run.code == 0
    assert "was read before" not in caplog.text
    assert run.state["bookmarks"]["case_history"] == first.state["bookmarks"]["case_history"]


def test_an_org_that_shows_nothing_any_more_is_no_success(serve: Serve, copy_of_small_org: Path) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    first = run_here(config)
    hide(server, *({one.name for one in OBJECTS} - {"Organization", "User"}))
    run = run_here(config, state=first.state)
    assert run.code == 2
    assert "no history object" in run.log
    assert run.state == first.state


@pytest.mark.parametrize("api_type", ["rest", "bulk2"])
@pytest.mark.parametrize("hidden", ["CaseHistory", "CaseHistory.OldValue", "CaseHistory.CaseId"])
def test_what_is_hidden_in_the_middle_of_a_run_fails_its_stream_and_keeps_its_bookmark(
    hidden: str, api_type: str, serve: Serve, empty_org: Path
) -> None:
    many_cases(empty_org, 50, start=NOW - 2 * HOUR)
    with Org.open(empty_org) as org:
        org.load("AccountHistory", [account_change(org, 1, NOW - HOUR)])
    server = serve(empty_org)
    config = config_for(server.url, empty_org, api_type=api_type)
    streams = ("account_history", "case_history", "contact_history")
    loader = Loader()
    assert loader.load(run_here(config, *streams)).code == 0
    kept = loader.state["bookmarks"]["case_history"] if loader.state else {}
    server.control(clock={"set": f"{NOW + 24 * HOUR:%FT%TZ}"})
    with Org.open(empty_org) as org:
        org.load("CaseHistory", [case_change(org, 900 + n, NOW + HOUR * n) for n in range(1, 9)])
        org.load("AccountHistory", [account_change(org, 2, NOW + HOUR)])
    forbid = {"fields": [hidden]} if "." in hidden else {"objects": [hidden]}
    middle = loader.load(
        run_here(config, *streams, state=loader.state, on_first_record=lambda: server.control(forbid=forbid))
    )
    if api_type == "bulk2":  # by REST its first page had come along with the first stream's
        assert middle.code == 2
        assert "`case_history`" in middle.log
    if middle.code:
        assert middle.state["bookmarks"]["case_history"] == kept
    assert middle.state["bookmarks"]["contact_history"]["replication_key_value"] > kept["replication_key_value"]
    hide(server)
    assert loader.load(run_here(config, *streams, state=loader.state)).code == 0
    assert loader.content() == clean(config, *streams)


def test_a_column_that_is_hidden_between_windows_keeps_what_was_read_before(serve: Serve, empty_org: Path) -> None:
    days = 40
    with Org.open(empty_org) as org:
        # Two windows: the first is long and read in pages, the second is asked for while they are written.
        rows = [case_change(org, n, NOW - timedelta(days=days, seconds=-n)) for n in range(1, 45_001)]
        org.load("CaseHistory", rows)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, api_type="rest", max_concurrent_requests=1)
    loader = Loader()
    hidden = {"forbid": {"fields": ["CaseHistory.NewValue"]}}
    run = loader.load(run_here(config, "case_history", on_first_record=lambda: server.control(**hidden)))
    assert run.code == 2
    assert "`case_history`" in run.log
    hide(server)
    assert loader.load(run_here(config, "case_history", state=loader.state)).code == 0
    assert len(loader.tables["case_history"]) == 45_000


def test_more_rights_show_rows_of_the_verified_days(serve: Serve, empty_org: Path) -> None:
    """Rows of records that the user may see from today on: older ones need a full refresh of the stream."""
    many_cases(empty_org, 10, start=NOW - 2 * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    loader = Loader()
    assert loader.load(run_here(config, "case_history")).code == 0
    with Org.open(empty_org) as org:
        shown = [case_change(org, 700 + day, NOW - timedelta(days=day)) for day in (1, 3, 30)]
    load(empty_org, "CaseHistory", shown)
    server.control(clock={"set": f"{NOW + 24 * HOUR:%FT%TZ}"})
    assert loader.load(run_here(config, "case_history", state=loader.state)).code == 0
    found = {row["context"]["source_record_id"] for row in loader.tables["case_history"].values()}
    assert found >= {row["Id"] for row in shown[:2]}
    assert shown[2]["Id"] not in found
    assert loader.load(run_here(config, "case_history")).code == 0
    assert loader.content() == clean(config, "case_history")
