"""An unmodified target-snowflake, as a process, loads into the embedded Snowflake, whatever happens to either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.environments import (
    EmbeddedSnowflake,
    SnowflakeClient,
    TargetRun,
    finish_target,
    run_target,
    start_target,
    write_messages,
)

TEXT = {"type": ["string", "null"]}
TIME = {"type": ["string", "null"], "format": "date-time"}
EVENT: dict[str, Any] = {
    "event_id": {"type": "string"},
    "timestamp_recorded": TIME,
    "new_value": TEXT,
    "is_primary": {"type": ["boolean", "null"]},
    # the target keeps undeclared keys of an object only where its schema says that there are some
    "context": {"type": ["object", "null"], "properties": {"source": TEXT}, "additionalProperties": True},
}
TRICKY = [
    "007", "1e5", "NaN", "NA", "true", "null", "1234567890.12", "5.0", "", None, "😀 Zoë \u2028", "a\r\nb\tc",
    "it's \"quoted\" \\ \\N", "x" * 255, "$1:a; drop table", "{\"json\": 1}",
]  # fmt: skip

# Reports every address that the process connects to; Python loads a module of this name by itself.
WATCH = """
import os, sys
def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        with open(os.environ["WATCHED"], "a") as file:
            print(arguments[1][0], file=file)
sys.addaudithook(watch)
"""


def event(number: int, value: str | None = "x") -> dict[str, Any]:
    context = {"previous_stage": value, "big": 12345678901234567890, "days": 1.25, "metadata": {'k"ey': value}}
    return {
        "event_id": f"00D:Thing:{number:06d}",
        "timestamp_recorded": "2024-01-15T10:30:00.123456Z" if number % 2 else None,
        "new_value": value,
        "is_primary": True,
        "context": context,
    }


def events(count: int, *, first: int = 0, value: str = "x" * 400) -> Iterator[dict[str, Any]]:
    return (event(number, value) for number in range(first, first + count))


def load(server: EmbeddedSnowflake, messages: Path, **settings: Any) -> TargetRun:
    run = run_target(server.work, server.target_config(**settings), messages)
    assert run.code == 0, run.log
    return run


def count(client: SnowflakeClient, table: str) -> list[int]:
    return client.rows(f"select count(*) n, count(distinct event_id) d from crm.{table}")[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSnowflake]:
    with EmbeddedSnowflake(tmp_path_factory.mktemp("snowflake"), "--idle-transaction-seconds", "120") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: EmbeddedSnowflake) -> Iterator[SnowflakeClient]:
    with server.client() as client:
        yield client


def test_values_arrive_unchanged_and_nothing_but_loopback_is_asked(
    server: EmbeddedSnowflake, client: SnowflakeClient, tmp_path: Path
) -> None:
    sent = [event(number, value) for number, value in enumerate(TRICKY)]
    messages = write_messages(tmp_path / "m", "tricky", EVENT, sent)
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    watched = {"PYTHONPATH": str(tmp_path), "WATCHED": str(tmp_path / "watched")}
    run = run_target(tmp_path, server.target_config(), messages, **watched)
    assert (run.code, run.states) == (0, [{"written": len(TRICKY)}]), run.log
    assert set((tmp_path / "watched").read_text().split()) == {"127.0.0.1"}
    columns = "event_id, timestamp_recorded, new_value, is_primary, context"
    rows = client.rows(f"select {columns} from crm.tricky order by 1")
    assert [dict(zip(EVENT, (*row[:4], json.loads(row[4])), strict=True)) for row in rows] == [
        {**one, "timestamp_recorded": one["timestamp_recorded"] and one["timestamp_recorded"].rstrip("Z")}
        for one in sent
    ]


def test_what_comes_again_is_upserted_appended_or_replaces_all(
    server: EmbeddedSnowflake, client: SnowflakeClient, tmp_path: Path
) -> None:
    load(server, write_messages(tmp_path / "a", "again", EVENT, [*events(50), event(7, "later in the batch")]))
    wider = {**EVENT, "added": TEXT}
    later = [{**one, "added": "new column"} for one in events(50, first=25, value="second run")]
    load(server, write_messages(tmp_path / "b", "again", wider, later))
    assert count(client, "again") == [75, 75]
    values = "select count_if(new_value = 'second run') a, count_if(new_value = 'later in the batch') b, count(added) c"
    assert client.rows(f"{values} from crm.again") == [[50, 1, 50]]
    assert client.rows("list @~") == []
    load(server, tmp_path / "b", load_method="append-only")
    assert count(client, "again") == [125, 75]
    load(server, tmp_path / "b", load_method="overwrite")
    assert count(client, "again") == [50, 50]


def test_targets_load_at_once_into_one_table_and_into_others(
    server: EmbeddedSnowflake, client: SnowflakeClient, tmp_path: Path
) -> None:
    client.rows("create schema if not exists crm")
    for table in ("shared", "own"):
        client.rows(
            f"create table crm.{table} (event_id varchar not null, timestamp_recorded timestamp_ntz, "
            "new_value varchar, is_primary boolean, context variant, primary key (event_id))"
        )
    running = [
        start_target(
            tmp_path,
            server.target_config(batch_size_rows=200, add_record_metadata=False),
            write_messages(tmp_path / f"m{i}", stream, EVENT, events(600, first=first)),
        )
        for i, (stream, first) in enumerate([("shared", 0), ("shared", 400), ("own", 0)])
    ]
    for run in [finish_target(process) for process in running]:
        assert run.code == 0, run.log
    assert (count(client, "shared"), count(client, "own")) == ([1000, 1000], [600, 600])


def test_a_killed_server_loses_nothing_that_was_committed_and_a_new_run_completes_it(tmp_path: Path) -> None:
    with EmbeddedSnowflake(tmp_path) as server:
        messages = write_messages(tmp_path / "m", "kept", EVENT, events(8_000))
        target = start_target(tmp_path, server.target_config(batch_size_rows=500), messages)
        with server.client() as client:
            while not client.rows("show tables like 'KEPT' in schema crm") or not count(client, "kept")[0]:
                assert target.poll() is None
        server.kill()
        server.start()
        run = finish_target(target)
        assert (run.code, run.states) == (1, [])
        with server.client() as client:
            stored, distinct = count(client, "kept")
            assert 0 < stored == distinct < 8_000
            assert client.rows("list @~") == []
        assert load(server, messages).states == [{"written": 8_000}]
        server.kill()
        server.start()
        with server.client() as client:
            assert count(client, "kept") == [8_000, 8_000]


def test_a_full_disk_ends_the_target_with_a_message_and_keeps_what_was_there(tmp_path: Path) -> None:
    messages = write_messages(tmp_path / "m", "full", EVENT, events(10_000))
    with EmbeddedSnowflake(tmp_path, limit_files_to=4 * 1024 * 1024) as server:
        run = run_target(tmp_path, server.target_config(batch_size_rows=2000), messages)
        assert run.code == 1
        assert "File too large" in run.log
    with EmbeddedSnowflake(tmp_path) as server, server.client() as client:
        stored, distinct = count(client, "full")
        assert 0 < stored == distinct < 10_000


def test_without_a_server_the_target_fails_soon(tmp_path: Path) -> None:
    server = EmbeddedSnowflake(tmp_path)
    server.port = 1
    run = run_target(tmp_path, server.target_config(), write_messages(tmp_path / "m", "s", EVENT, events(1)))
    assert run.code == 1
    assert "Could not connect" in run.log
