"""The embedded Snowflake's process and statements, asked by the real connector."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import EmbeddedSnowflake, SnowflakeClient, SqlError, server_command, snowflake_python

FIRST_LINE = "Embedded stand-in for Snowflake on 127.0.0.1:"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSnowflake]:
    with EmbeddedSnowflake(tmp_path_factory.mktemp("snowflake"), "--idle-transaction-seconds", "0.5") as server:
        yield server


@pytest.fixture(scope="module")
def client(server: EmbeddedSnowflake) -> Iterator[SnowflakeClient]:
    with server.client() as client:
        yield client


def stage(tmp_path: Path, client: SnowflakeClient, *lines: str, folder: str = "somewhere") -> None:
    """Stage a file of JSON lines and make the file format that reads it."""
    path = tmp_path / "rows.json"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    client.rows(f"""put 'file://{path}' '@~/{folder}'""")
    client.rows("""create or replace file format raw.public."tf-rows" type = 'JSON' compression = 'AUTO'""")


def test_a_stopped_server_leaves_with_0_and_has_said_one_line(tmp_path: Path) -> None:
    with EmbeddedSnowflake(tmp_path) as server:
        assert server.stop() == 0
        lines = server.log.read_text().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{FIRST_LINE}{server.port},")
    assert not server.ready_file.exists()


def test_a_taken_port_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = server_command(tmp_path, tmp_path / "ready", "--port", str(port))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"embedded Snowflake: port {port} on 127.0.0.1 is already in use.\n"


def test_a_warehouse_in_use_is_one_sentence_and_its_stages_stay(
    server: EmbeddedSnowflake, client: SnowflakeClient, tmp_path: Path
) -> None:
    stage(tmp_path, client, "{}", folder="kept")
    command = server_command(server.warehouse, tmp_path / "ready")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"embedded Snowflake: the warehouse in {server.warehouse} is in use by another process.\n"
    assert len(client.rows("list @~/kept")) == 1
    client.rows("remove @~/kept")


def test_databases_are_there_after_a_restart(tmp_path: Path) -> None:
    with EmbeddedSnowflake(tmp_path) as server:
        with server.client() as client:
            client.rows("create database other")
            client.rows("create table other.public.t as select 7 as a")
        server.stop()
        server.start()
        with server.client() as client:
            assert client.rows("select a from other.public.t") == [[7]]
            assert {row[1] for row in client.rows("show databases")} == {"OTHER", "RAW"}


def test_an_unknown_database_is_not_made_by_naming_it(client: SnowflakeClient) -> None:
    client.rows("select 1", session="elsewhere", database="TYPO")
    assert "TYPO" not in {row[1] for row in client.rows("show databases")}


@pytest.mark.parametrize(
    "statement",
    ["sel 1", "select * from nowhere", "select parse_json('{')", "select 1::date", "select struct_pack(a := 1)",
     "select $1:a::varchar from '@~/x'", "drop file format nowhere"],
)  # fmt: skip
def test_a_failing_statement_is_an_sql_error_and_the_session_goes_on(client: SnowflakeClient, statement: str) -> None:
    with pytest.raises(SqlError):
        client.rows(statement)
    assert client.rows("select 1") == [[1]]


def test_merge_counts_what_it_inserted_updated_and_deleted(client: SnowflakeClient) -> None:
    client.rows("create or replace table m (id int primary key, v varchar)")
    client.rows("insert into m values (1, 'old'), (2, 'old'), (3, 'gone')")
    client.send(
        "merge into m d using (select column1 id, column2 v from values (2, 'new'), (3, 'x'), (4, 'new')) s "
        "on d.id = s.id when matched and s.v = 'x' then delete when matched then update set d.v = s.v "
        "when not matched then insert (id, v) values (s.id, s.v)"
    )
    columns, rows = client.receive()
    assert columns == ["number of rows inserted", "number of rows updated", "number of rows deleted"]
    assert [[int(count) for count in row] for row in rows] == [[1, 1, 1]]
    assert client.rows("select id, v from m order by id") == [[1, "old"], [2, "new"], [4, "new"]]


def test_keys_are_declared_not_enforced_but_never_null(client: SnowflakeClient) -> None:
    client.rows("create or replace table k (a int, b varchar unique, primary key (a))")
    client.rows("insert into k values (1, 'x'), (1, 'x')")
    assert client.rows("select count(*) from k") == [[2]]
    with pytest.raises(SqlError, match="NOT NULL"):
        client.rows("insert into k values (null, 'x')")


def test_a_null_timestamp_stays_null(client: SnowflakeClient) -> None:
    rows = client.rows("select column1::timestamp_ntz t from values ('2024-01-15 10:30:00.123456'), (null) order by t")
    assert rows == [["2024-01-15T10:30:00.123456"], [None]]


def test_big_numbers_and_decimals_are_exact(client: SnowflakeClient) -> None:
    query = "select 9223372036854775807::number(38, 0), 123456789012345678901234567890.12::number(38, 2)"
    assert client.rows(query) == [[9223372036854775807, "123456789012345678901234567890.12"]]


def test_staged_files_are_selected_listed_and_removed(client: SnowflakeClient, tmp_path: Path) -> None:
    stage(tmp_path, client, '{"a": "1", "b/~": {"x": 1.1}}', '{"a": null}', folder="s/one")
    query = """select $1:a::varchar, $1:"b/~"::variant, seq8() from '@~/s/one' (file_format => raw.public."tf-rows")"""
    assert client.rows(query) == [["1", '{"x":1.1}', 1], [None, None, 2]]
    assert [row[1] for row in client.rows("remove '@~/s/one/'")] == ["removed"]
    assert client.rows("list @~/s/one") == []
    assert client.rows(query) == []


# Another session removes its folder between the look at the stage and the look into the folder.
VANISHING = """
import os, pathlib, sys
from localcloud.snowflake import stages
home = pathlib.Path(sys.argv[1])
stages.prepare_stage_folder(home)
root = home.joinpath(*stages.USER_STAGE)
for name in ("mine", "theirs"):
    (root / name).mkdir(parents=True)
    (root / name / "rows.json").touch()
scandir = os.scandir
def scan(path):
    if str(path).endswith("theirs"):
        os.unlink(f"{path}/rows.json")
        os.rmdir(path)
    return scandir(path)
os.scandir = scan
print([file.name for file in stages.staged_files("@~/mine", stages.StagePlace("RAW", "PUBLIC"))])
"""


def test_files_are_found_while_another_session_removes_its_own(tmp_path: Path) -> None:
    command = [str(snowflake_python()), "-c", VANISHING, str(tmp_path / "stages")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "['rows.json']\n", done.stderr


def test_copy_loads_the_selection_from_staged_files(client: SnowflakeClient, tmp_path: Path) -> None:
    stage(tmp_path, client, '{"a": 1, "c": {"k": "é"}}', '{"a": 2}', folder="copy")
    client.rows("create or replace table c (a int, c variant)")
    client.send(
        "copy into c (a, c) from (select $1:a::number(38, 0) a, $1:c::variant c from '@~/copy') "
        """file_format = (format_name='raw.public."tf-rows"')"""
    )
    columns, rows = client.receive()
    assert dict(zip(columns, rows[0], strict=True))["rows_loaded"] == 2
    assert client.rows("select a, c from c order by a") == [[1, '{"k":"é"}'], [2, None]]


def test_a_dropped_file_format_is_gone(client: SnowflakeClient, tmp_path: Path) -> None:
    stage(tmp_path, client, "{}", folder="f")
    client.rows("""drop file format if exists raw.public."tf-rows" """)
    client.rows("""drop file format if exists raw.public."tf-rows" """)
    with pytest.raises(SqlError, match="does not exist"):
        client.rows("""select $1:a::varchar from '@~/f' (file_format => raw.public."tf-rows")""")


@pytest.mark.parametrize("autocommit", [True, False], ids=["begin", "implicit"])
def test_a_second_writer_waits_for_the_first(
    server: EmbeddedSnowflake, client: SnowflakeClient, autocommit: bool
) -> None:
    client.rows("create or replace table w (a int)")
    first = f"first {autocommit}"
    if autocommit:
        client.rows("begin", session=first)
    client.rows("insert into w values (1)", session=first, autocommit=autocommit)
    with server.client() as second:
        second.send("update w set a = a + 10")
        client.rows("commit", session=first)
        second.receive()
    assert client.rows("select a from w") == [[11]]


def test_an_idle_transaction_gives_way_and_cannot_commit_later(
    server: EmbeddedSnowflake, client: SnowflakeClient
) -> None:
    client.rows("create or replace table i (a int)")
    client.rows("insert into i values (1)", session="idle", autocommit=False)
    with server.client() as second:
        second.rows("insert into i values (2)")
    with pytest.raises(SqlError, match="rolled back"):
        client.rows("commit", session="idle")
    assert client.rows("select a from i") == [[2]]


def test_the_sql_client_prints_a_table_or_json(server: EmbeddedSnowflake) -> None:
    base = [str(snowflake_python()), "-m", "localcloud.snowflake.sql", "--ready-file", str(server.ready_file)]
    script = 'select 1 as a, null as "b c"; select 1.50::number(10, 2) as d;'
    done = subprocess.run([*base, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "A |  b c\n--+-----\n1 | NULL\n(1 row)\n   D\n----\n1.50\n(1 row)\n"
    done = subprocess.run([*base, "--json"], input=script, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == '{"A": 1, "b c": null}\n{"D": "1.50"}\n'
    done = subprocess.run(
        [*base, "-c", "select * from nowhere; select 1"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "does not exist" in done.stderr.lower()
