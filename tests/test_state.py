"""The state as users treat it: copied, edited, merged, of another org, of an older version; runs that end early."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org
from localcloud.salesforce.server import Running
from tap_salesforce_temporal.bookmarks import VERSION
from tests.conftest import HOUR, NOW
from tests.harness import Json, config_for, run_tap
from tests.in_process import Loader, account_change, clean, many_cases, run_here
from tests.test_never_lose import case_change, load

Serve = Callable[..., Running]
ROOT = Path(__file__).parents[1]


def complete_to(state: Json, stream: str) -> str:
    value: str = state["bookmarks"][stream]["replication_key_value"]
    return value


# Versions.

VERSION_1 = {
    "replication_key": "timestamp_recorded",
    "replication_key_value": f"{NOW - HOUR:%FT%T}.000000Z",
    "version": 1,
}


def test_a_state_of_version_1_goes_on_where_it_ended(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 30, start=NOW - 2 * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org, verify_days=0)
    before = run_here(config | {"end_date": f"{NOW - HOUR:%FT%TZ}", "overlap_seconds": 7_200}, "case_history")
    assert len(before.records["case_history"]) == 30
    written = dict(text.split(" ") for text in before.state["bookmarks"]["case_history"]["written"])
    assert len(written) == 30
    with Org.open(empty_org) as org:
        new = [case_change(org, 700, NOW - HOUR / 2), case_change(org, 701, NOW - 90 * HOUR / 60)]
        org.load("CaseHistory", new)
    old = {"bookmarks": {"case_history": VERSION_1 | {"emitted": written}, "contact_history": VERSION_1}}
    given = copy.deepcopy(old)
    config = config_for(server.url, empty_org, overlap_seconds=7_200)
    run = run_here(config, "case_history", state=given)
    assert run.code == 0, run.log
    assert given == old
    assert {entry["version"] for state in run.states for entry in state["bookmarks"].values()} == {VERSION}
    assert {record["context"]["source_record_id"] for record in run.records["case_history"]} == {
        row["Id"] for row in new
    }
    assert complete_to(run.state, "contact_history") == VERSION_1["replication_key_value"]
    assert not any("emitted" in entry for entry in run.state["bookmarks"].values())
    again = run_here(config, "case_history", state=run.state)
    assert (again.code, again.records["case_history"]) == (0, [])


def test_a_state_of_a_newer_version_is_refused(serve: Serve, empty_org: Path) -> None:
    state = {"bookmarks": {"case_history": VERSION_1 | {"version": VERSION + 1}}}
    run = run_here(config_for(serve(empty_org).url, empty_org), "account_history", state=state)
    assert run.code == 2
    assert "case_history" in run.log
    assert not run.states


# Orgs.


@pytest.fixture
def other_org(tmp_path: Path) -> Path:
    """Another org, with rows."""
    path = tmp_path / "other"
    Org.create(path, clock=OrgClock(NOW)).close()
    with Org.open(path) as org:
        org.load("CaseHistory", [case_change(org, n, NOW - n * HOUR) for n in range(1, 9)])
        org.load("AccountHistory", [account_change(org, 1, NOW - HOUR)])
    return path


def foreign(state: Json) -> Json:
    """The state as an org of another id would have left it."""
    state = copy.deepcopy(state)
    for entry in state["bookmarks"].values():
        entry["org_id"] = "00D900000000001EAA"
    return state


def test_the_state_of_another_org_is_refused_before_anything_is_written(serve: Serve, other_org: Path) -> None:
    config = config_for(serve(other_org).url, other_org)
    first = run_here(config, "case_history", "account_history")
    run = run_here(config, "account_history", state=foreign(first.state))
    assert run.code == 2
    assert not run.states
    for word in ("00D900000000001EAA", first.state["bookmarks"]["case_history"]["org_id"], "`allow_org_change`"):
        assert word in run.log
    whole = run_here(config, "account_history", state=first.state)
    assert whole.code == 0


def test_a_bookmark_without_an_org_is_any_orgs(serve: Serve, other_org: Path) -> None:
    config = config_for(serve(other_org).url, other_org)
    run = run_here(config, "case_history", state={"bookmarks": {"case_history": VERSION_1}})
    assert run.code == 0, run.log
    assert run.state["bookmarks"]["case_history"]["org_id"].startswith("00D")


def test_the_state_of_another_org_is_taken_over_once_when_that_is_allowed(serve: Serve, other_org: Path) -> None:
    server = serve(other_org)
    config = config_for(server.url, other_org)
    first = run_here(config, "case_history", "account_history")
    load_later = foreign(first.state)
    with Org.open(other_org) as org:
        org.load("CaseHistory", [case_change(org, 50, NOW - HOUR / 12)])
    taken = run_here(config | {"allow_org_change": True}, "case_history", state=load_later)
    assert taken.code == 0, taken.log
    assert {record["context"]["source_record_id"] for record in taken.records["case_history"]} == {
        f"{row}" for row in [first_id(other_org, 50)]
    }
    assert complete_to(taken.state, "account_history") == complete_to(first.state, "account_history")
    after = run_here(config, "case_history", "account_history", state=taken.state)
    assert after.code == 0, after.log
    assert not after.records["account_history"]


def first_id(path: Path, number: int) -> str:
    with Org.open(path) as org:
        return org.new_id("CaseHistory", number)


# Editing, copying, merging.


def test_a_bookmark_moved_back_by_hand_reads_all_of_that_time_again(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 60, start=NOW - HOUR / 6)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    first = run_here(config, "case_history")
    state = copy.deepcopy(first.state)
    state["bookmarks"]["case_history"]["replication_key_value"] = f"{NOW - 2 * HOUR:%FT%T}.000000Z"
    run = run_here(config, "case_history", state=state)
    assert run.code == 0, run.log
    assert run.by_id("case_history").keys() == first.by_id("case_history").keys()
    assert run_here(config, "case_history", state=run.state).records["case_history"] == []


def test_a_bookmark_taken_out_backfills_its_stream_alone(serve: Serve, copy_of_small_org: Path) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    streams = ("account_history", "case_history", "opportunity_history")
    first = run_here(config, *streams)
    state = copy.deepcopy(first.state)
    del state["bookmarks"]["case_history"]
    run = run_here(config, *streams, state=state)
    assert run.code == 0, run.log
    assert run.by_id("case_history").keys() == first.by_id("case_history").keys()
    assert not run.records["account_history"]
    assert not run.records["opportunity_history"]


def test_a_newly_selected_stream_backfills_alone_and_a_deselected_ones_bookmark_stays(
    serve: Serve, copy_of_small_org: Path
) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    first = run_here(config, "account_history", "case_history")
    second = run_here(config, "case_history", "opportunity_history", state=first.state)
    assert second.code == 0
    assert second.records["opportunity_history"]
    assert not second.records["case_history"]
    for state in second.states:
        assert state["bookmarks"]["account_history"] == first.state["bookmarks"]["account_history"]
    third = run_here(config, "account_history", "opportunity_history", state=second.state)
    assert third.code == 0
    assert not third.records["account_history"]
    assert not third.records["opportunity_history"]


def test_every_state_carries_every_bookmark_also_of_failed_and_later_streams(
    serve: Serve, copy_of_small_org: Path
) -> None:
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    streams = ("account_history", "case_history", "opportunity_history")
    first = run_here(config, *streams, "contact_history")
    alien = {"replication_key": "x", "replication_key_value": "y", "theirs": {"a": 1}}
    given = copy.deepcopy(first.state)
    given["bookmarks"]["somebody_elses"] = alien
    server.control(forbid={"objects": ["CaseHistory"]}, clock={"advance_seconds": 600})
    run = run_here(config, *streams, state=given)
    assert run.code == 2
    assert "case_history" in run.log
    assert len(run.states) > 2
    for state in run.states:
        assert state["bookmarks"].keys() == given["bookmarks"].keys()
        for stream in ("case_history", "contact_history", "somebody_elses"):
            assert state["bookmarks"][stream] == given["bookmarks"][stream]
    assert complete_to(run.state, "opportunity_history") > complete_to(given, "opportunity_history")


MERGE = """
import json, sys
from meltano.core.state_store import MeltanoState
older, *newer = (json.loads(line) for line in sys.stdin)
state = MeltanoState("x", partial_state={}, completed_state=older)
for one in newer:
    state.merge_partial(MeltanoState("x", partial_state=one))
print(state.json_merged())
"""


def merged(*states: Json) -> Json:
    """States of failed runs on that of a complete one, by Meltano's own code."""
    python = ROOT / ".envs" / "meltano" / "bin" / "python"
    if not python.exists():
        pytest.skip("Meltano is not installed here: `make demo` brings it")
    text = "".join(f"{json.dumps(state)}\n" for state in states)
    done = subprocess.run([python, "-c", MERGE], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    state: Json = json.loads(done.stdout)
    return state


def test_states_that_meltano_merges_are_as_good_as_the_newest(serve: Serve, copy_of_small_org: Path) -> None:
    """Maps are merged entry by entry, all else is replaced: what is remembered would grow, or belong to another day."""
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    streams = ("account_history", "case_history")
    older = run_here(config | {"end_date": "2025-06-01"}, *streams)
    newer = run_here(config, "case_history", state=older.state)
    alone = {"bookmarks": {"case_history": newer.state["bookmarks"]["case_history"]}}
    state = merged(older.state, older.state, alone)
    assert state["bookmarks"]["case_history"] == alone["bookmarks"]["case_history"]
    assert state["bookmarks"]["account_history"] == older.state["bookmarks"]["account_history"]
    run = run_here(config, *streams, state=state)
    assert run.code == 0, run.log
    assert run.records["account_history"]
    assert not run.records["case_history"]


# Full refresh, and runs that are bounded.


def test_a_full_refresh_writes_all_again_and_goes_on_if_it_is_cut_short(serve: Serve, copy_of_small_org: Path) -> None:
    """Meltano gives no state then, and keeps what the run leaves."""
    server = serve(copy_of_small_org)
    config = config_for(server.url, copy_of_small_org)
    streams = ("account_history", "case_history", "opportunity_history")
    loader = Loader()
    assert loader.load(run_here(config, *streams)).code == 0
    before = loader.content()
    server.control(quota={"left": 12})
    loader.load(run_here(config, *streams))
    server.control(quota={"left": 1_000})
    assert loader.load(run_here(config, *streams, state=loader.state)).code == 0
    assert loader.content() == before
    assert set(loader.arrivals.values()) == {2}


def test_a_run_that_is_out_of_time_keeps_its_state_and_is_no_success(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        org.load("CaseHistory", [case_change(org, n, NOW - timedelta(days=n)) for n in range(1, 300)])
        org.load("AccountHistory", [account_change(org, 1, NOW - HOUR)])
    server = serve(empty_org)
    config = config_for(server.url, empty_org, max_run_seconds=1, max_concurrent_requests=1)
    streams = ("account_history", "case_history", "contact_history")
    loader, codes = Loader(), []
    server.control(
        delay=[{"pattern": "CaseHistory WHERE", "seconds": 0.3, "times": 9}],
        query_timeout=[{"pattern": "CaseHistory WHERE CreatedDate", "times": 5, "skip": 1}],
    )
    for _ in range(60):  # a slow machine gets through one window a run
        run = loader.load(run_here(config, *streams, state=loader.state))
        codes.append(run.code)
        if run.code == 0:
            break
        assert "`max_run_seconds`" in run.log
        assert "run again" in run.log
    assert codes[0] == 3
    assert codes[-1] == 0
    assert loader.content() == clean(config | {"max_run_seconds": None}, *streams)


def test_a_run_completes_a_window_however_short_it_may_be(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 10, start=NOW - 2 * HOUR)
    server = serve(empty_org)
    server.control(latency_ms=200)
    run = run_here(config_for(server.url, empty_org, max_run_seconds=1), "case_history", "contact_history")
    assert run.code == 3
    assert len(run.records["case_history"]) == 10
    assert complete_to(run.state, "case_history") > f"{NOW - HOUR:%F}"


def test_exit_code_3_reaches_the_shell(serve: Serve, empty_org: Path, tmp_path: Path) -> None:
    many_cases(empty_org, 10, start=NOW - 2 * HOUR)
    server = serve(empty_org)
    server.control(latency_ms=60)
    run = run_tap(tmp_path, config_for(server.url, empty_org, max_run_seconds=1))
    assert run.code == 3
    assert "`max_run_seconds`" in run.sentence
    assert run.states


def test_a_ceiling_is_passed_by_no_more_than_the_requests_under_way(serve: Serve, empty_org: Path) -> None:
    with Org.open(empty_org) as org:
        # Many windows of many pages, so that all lanes ask at once.
        org.load("CaseHistory", [case_change(org, n, NOW - timedelta(seconds=90 + n)) for n in range(1, 60_001)])
    server = serve(empty_org)
    most = 12
    config = config_for(server.url, empty_org, max_concurrent_requests=most, quota_percent_run=2, api_type="rest")
    server.control(quota={"max": 1_000, "used": 0}, latency_ms=20)
    run = run_here(config, "case_history")
    assert run.code == 3
    assert "`quota_percent_run`" in run.log
    assert 20 <= server.journal().api_calls <= 20 + most
    assert server.control().quota_used == server.journal().api_calls


def test_a_run_up_to_an_end_date_is_complete_to_it_and_the_next_goes_on(serve: Serve, empty_org: Path) -> None:
    load(empty_org, "CaseHistory", [])
    many_cases(empty_org, 48, start=NOW - 2 * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    end = f"{NOW - 2 * HOUR + timedelta(seconds=20):%FT%TZ}"
    first = run_here(config | {"end_date": end}, "case_history")
    assert first.code == 0
    assert len(first.records["case_history"]) == 20
    assert complete_to(first.state, "case_history") == end.replace("Z", ".000000Z")
    second = run_here(config, "case_history", state=first.state)
    assert len(second.records["case_history"]) == 28


@pytest.mark.parametrize("edited", ["a note", "no version"])
def test_the_state_of_another_org_is_refused_however_it_was_edited(edited: str, serve: Serve, other_org: Path) -> None:
    config = config_for(serve(other_org).url, other_org)
    state = foreign(run_here(config, "case_history").state)
    entry = state["bookmarks"]["case_history"]
    if edited == "a note":
        entry["note"] = "of the old org"
    else:
        del entry["version"]
    run = run_here(config, "case_history", state=state)
    assert run.code == 2
    assert "`allow_org_change`" in run.log
    taken = run_here(config | {"allow_org_change": True}, "case_history", state=state)
    assert (taken.code, "note" in taken.states[0]["bookmarks"]["case_history"]) == (0, edited == "a note")


def test_a_bookmark_ahead_of_salesforces_clock_is_refused(serve: Serve, empty_org: Path) -> None:
    many_cases(empty_org, 5)
    config = config_for(serve(empty_org).url, empty_org)
    state = run_here(config, "case_history").state
    state["bookmarks"]["case_history"]["replication_key_value"] = f"{NOW + HOUR / 12:%FT%T}.000000Z"
    run = run_here(config, "case_history", state=state)
    assert run.code == 2
    assert "Salesforce's clock" in run.log


# Runs up to an instant before the bookmark, and streams whose names change owners.


def test_nothing_behind_an_end_date_is_written_whatever_the_verification_would_find(
    serve: Serve, empty_org: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many_cases(empty_org, 5, start=NOW - 80 * HOUR)
    server = serve(empty_org)
    config = config_for(server.url, empty_org)
    state = run_here(config, "case_history").state
    load(empty_org, "CaseHistory", [])
    many_cases(empty_org, 9, first=100, start=NOW - 5 * HOUR)
    server.control(clock={"advance_seconds": 86_400})
    caplog.clear()
    run = run_here(config | {"end_date": f"{NOW - 48 * HOUR:%F}"}, "case_history", state=state)
    assert (run.code, run.records["case_history"]) == (0, [])
    (line,) = [text for text in caplog.messages if text.startswith("Stream `case_history`: ")]
    assert f"nothing before {complete_to(state, 'case_history')[:10]}" in line
    late = run_here(config, "case_history", state=run.states[-1] if run.states else state)
    assert len(late.records["case_history"]) == 9


def test_a_stream_whose_name_another_object_takes_over_loses_nothing_of_either(
    serve: Serve, copy_of_small_org: Path
) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    first = run_here(config, "case_history")
    state = copy.deepcopy(first.state)
    state["bookmarks"]["case_history"]["sobject"] = "Ca_seHistory"
    run = run_here(config, "case_history", state=state)
    assert run.code == 0, run.log
    assert run.by_id("case_history").keys() == first.by_id("case_history").keys()
    assert run.state["bookmarks"]["case_history"]["sobject"] == "CaseHistory"
    assert run_here(config, "case_history", state=run.state).records["case_history"] == []
