"""The SQL client's pure parts: cutting scripts into statements, drawing tables; and what it says without a server."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import pytest

from localcloud.snowflake.script import Splitter
from localcloud.snowflake.table import as_text, render


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("select 1; select 2;", ["select 1", "select 2"]),
        ("select ';' ; select \";\" ;", ["select ';'", 'select ";"']),
        ("select 'it''s; fine';", ["select 'it''s; fine'"]),
        ("select 1 -- not; here\n + 1;", ["select 1 -- not; here\n + 1"]),
        ("select /* ; */ 1;", ["select /* ; */ 1"]),
        ("select $$a;b$$;", ["select $$a;b$$"]),
        (";;  ;", []),
    ],
)
def test_statements_end_at_semicolons_outside_quotes_and_comments(script: str, statements: list[str]) -> None:
    assert list(Splitter().feed(script)) == statements


def test_a_statement_may_come_in_pieces() -> None:
    splitter = Splitter()
    assert list(splitter.feed("select 'a\n")) == []
    assert splitter.pending
    assert list(splitter.feed(";b'; select 2")) == ["select 'a\n;b'"]
    assert splitter.rest() == "select 2"
    assert not splitter.pending


def test_a_comment_at_the_end_is_no_statement() -> None:
    splitter = Splitter()
    assert list(splitter.feed("select 1; -- that was it")) == ["select 1"]
    assert splitter.rest() == ""


def test_a_table_aligns_its_columns_and_counts_its_rows() -> None:
    drawn = render(["NAME", "N"], [["Zoë", 5], ["a\r\nb", Decimal("10.50")], [None, None]])
    assert drawn.splitlines() == [
        "NAME   |     N",
        "-------+------",
        "Zoë    |     5",
        r"a\r\nb | 10.50",
        "NULL   |  NULL",
        "(3 rows)",
    ]


def test_a_table_without_rows_shows_its_columns() -> None:
    assert render(["A"], []).splitlines() == ["A", "-", "(0 rows)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (dt.datetime(2024, 1, 15, 10, 30, tzinfo=dt.UTC), "2024-01-15T10:30:00+00:00"),
        (b"\x01", "01"),
    ],
)
def test_values_without_a_form_in_json_become_text(value: object, text: str) -> None:
    assert as_text(value) == text


def test_without_a_server_the_client_says_so_in_one_sentence() -> None:
    command = [sys.executable, "-m", "localcloud.snowflake.sql", "--port", "1", "-c", "select 1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == "the embedded Snowflake is not running: start it first, for instance with `make demo`.\n"
