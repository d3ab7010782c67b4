"""Catalogs, states and maps as other tools and people write them, signals as runners send them, and bounds."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from localcloud.salesforce.ids import make_id
from localcloud.salesforce.server import Running
from microdecisions import command, event
from microdecisions.actors import Actors, UserRow
from microdecisions.pages import PageWriter, StopFlag
from tests.conftest import NOW
from tests.harness import Json, TapRun, config_for, end_by, run_tap, take, tap_command
from tests.in_process import catalog_of, many_cases, run_here

Serve = Callable[..., Running]


# Catalogs and states of other tools, and of people.


@pytest.mark.parametrize(
    "entry",
    [
        {"replication_method": "FULL_TABLE"},
        {"replication_method": "LOG_BASED", "replication_key": "CreatedDate"},
        {"key_properties": None},
        {"key_properties": [], "metadata": [{"breadcrumb": [], "metadata": {"table-key-properties": ["record_id"]}}]},
        {"key_properties": ["record_id"]},
        {"metadata": []},
    ],
    ids=lambda entry: json.dumps(entry).replace('"', ""),
)
def test_keys_and_method_are_the_taps_own_whatever_a_catalog_says(
    entry: Json, serve: Serve, copy_of_small_org: Path
) -> None:
    config = config_for(serve(copy_of_small_org).url, copy_of_small_org)
    catalog = catalog_of("case_history")
    catalog["streams"][0] |= entry
    if entry.get("metadata"):
        catalog["streams"][0]["metadata"][0]["metadata"]["selected"] = True
    first = run_here(config, catalog=catalog)
    assert first.schemas["case_history"]["key_properties"] == ["event_id"]
    assert first.schemas["case_history"]["bookmark_properties"] == ["timestamp_recorded"]
    assert first.schemas["case_history"]["schema"]["properties"].keys() == event.json_schema()["properties"].keys()
    second = run_here(config, catalog=catalog, state=first.state)
    assert second.code == 0
    assert not second.records["case_history"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, 0),
        ("0001-01-01T00:00:00Z", 0),
        ("2026-03-01T05:00:00+05:00", 0),
        ("2026-03-02T08:00:30.000000Z", 0),  # the clocks of two servers of Salesforce
        ("2026-03-02T08:30:00.000000Z", 2),
        ("2036-01-01T00:00:00Z", 2),
    ],
)
def test_a_bookmark_set_by_hand_is_read_from_or_refused(
    value: str | None, code: int, serve: Serve, empty_org: Path
) -> None:
    many_cases(empty_org, 10, start=NOW - timedelta(minutes=5))
    config = config_for(serve(empty_org).url, empty_org, overlap_seconds=3_600)
    state = {"bookmarks": {"case_history": {"replication_key_value": value}}}
    run = run_here(config, "case_history", state=state)
    assert run.code == code, run.log
    assert len(run.records["case_history"]) == (10 if code == 0 else 0)
    if code:
        assert "case_history" in run.log
        assert run.state == state


@pytest.mark.parametrize(
    "state",
    [
        {"type": "STATE", "value": {"bookmarks": {}}},
        {"singer_state": {"bookmarks": {}}},
        {"completed": {"singer_state": {"bookmarks": {}}}, "bookmarks": []},
    ],
    ids=json.dumps,
)
def test_a_state_in_a_wrapping_is_refused_rather_than_lost(state: Json, small_org: Path) -> None:
    run = run_here(config_for("http://127.0.0.1:1", small_org), state=state)
    assert run.code == 2
    assert "state" in run.log


@pytest.mark.parametrize("catalog", [[], {}, {"streams": {}}, {"streams": ["case_history"]}], ids=json.dumps)
def test_a_catalog_that_is_none_is_refused(catalog: Json, small_org: Path, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for("http://127.0.0.1:1", small_org), catalog=catalog)
    assert run.code == 2, run.log
    assert "catalog" in run.sentence


@pytest.mark.parametrize(
    "stream_maps",
    [{"case_history": {"new_field": "no_such_function(field_name)"}}, {"case_history": {"event_id": None}}],
    ids=json.dumps,
)
def test_a_stream_map_that_cannot_be_used_is_named(
    stream_maps: Json, serve: Serve, small_org: Path, tmp_path: Path
) -> None:
    config = config_for(serve(small_org).url, small_org, stream_maps=stream_maps)
    run = run_tap(tmp_path, config, catalog=catalog_of("case_history"))
    assert run.code == 2, run.log
    assert "stream map" in run.sentence
    assert "unhandled" not in run.log


def test_an_api_version_that_does_not_tell_histories_is_refused(small_org: Path, tmp_path: Path) -> None:
    run = run_tap(tmp_path, config_for("http://127.0.0.1:1", small_org, api_version="49.0"))
    assert run.code == 2
    assert "api_version" in run.sentence


# Being stopped, and bounds.


def test_signals_that_keep_arriving_end_a_run_with_whole_lines_and_one_sentence(
    serve: Serve, small_org: Path, tmp_path: Path
) -> None:
    server = serve(small_org)
    server.control(latency_ms=50)
    tap = subprocess.Popen(
        tap_command(tmp_path, config_for(server.url, small_org)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert tap.stdout is not None
    output = tap.stdout.readline()
    rest, said = end_by(tap, signal.SIGINT, signal.SIGTERM)
    output, log = output + rest, said.decode()
    run = TapRun(tap.returncode, log)
    for line in output.decode().split("\n")[:-1]:
        take(run, line)
    assert output.endswith(b"\n")
    assert run.code == 1, log
    assert "Traceback" not in log
    assert "run again" in run.sentence


def test_a_late_signal_ends_only_a_run_that_waits_for_its_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    seconds = [0.0]
    stop, writer = StopFlag(lambda: seconds[0]), PageWriter()
    writer.busy = True
    command.on_signal(stop, writer, signal.SIGINT, None)
    command.on_signal(stop, writer, signal.SIGTERM, None)
    assert stop.is_set()
    assert codes == []
    seconds[0] = 5.0
    command.on_signal(stop, writer, signal.SIGTERM, None)
    assert codes == [1]
    writer.busy = False
    command.on_signal(stop, writer, signal.SIGTERM, None)  # it is leaving
    assert codes == [1]
    seconds[0] = 12.0  # and cannot
    command.on_signal(stop, writer, signal.SIGTERM, None)
    assert codes == [1, 1]


def test_users_beyond_number_do_not_fill_the_memory() -> None:
    asked: list[str] = []

    def query(statement: str, kind: type[UserRow]) -> Iterator[UserRow]:
        asked.append(statement)
        return iter(())

    actors = Actors(query, (), logging.getLogger("test"))
    for page in range(60):
        users = [make_id("005", page * 2_000 + n) for n in range(2_000)]
        known = actors.known(users)
        assert known.keys() >= set(users)
    assert len(known) < 60_000
