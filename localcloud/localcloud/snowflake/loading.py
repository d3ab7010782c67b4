"""MERGE and COPY INTO, run by DuckDB itself with the counts that Snowflake answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow.compute
import sqlglot
from fakesnow import copy_into as fs_copy
from sqlglot import exp

from localcloud.snowflake.stages import StagePlace, bind_staged_files, staged_name, staged_tables

if TYPE_CHECKING:
    from pathlib import Path

Translate = Callable[[Any], str]
"""Turns a statement of Snowflake's dialect into SQL for DuckDB."""


def merge(duck: Any, statement: Any, place: StagePlace, translate: Translate) -> Any:
    """Run a MERGE and return the statement that yields its counts.

    DuckDB's own MERGE does the work: fakesnow's emulation fails on sources with QUALIFY and on
    statements that do not qualify their columns.

    Args:
        duck: The session's DuckDB connection.
        statement: The parsed MERGE.
        place: Completes unqualified names.
        translate: Snowflake's dialect to DuckDB's.

    Raises:
        duckdb.Error: The statement failed; nothing was changed.
    """
    if staged_tables(statement):
        bind_staged_files(duck, statement.args["using"], place)
    clauses = statement.args["whens"].expressions
    for clause in clauses:
        if isinstance(update := clause.args.get("then"), exp.Update):
            for assignment in update.expressions:
                assignment.this.set("table", None)  # DuckDB takes no alias on the left of an assignment
    actions = _actions(duck, f"{translate(statement)} RETURNING merge_action")
    return _merge_result(clauses, actions)


def copy_selected(duck: Any, statement: Any, place: StagePlace, translate: Translate) -> Any:
    """Run COPY INTO table FROM (SELECT ... FROM @stage) and return the statement that yields its result.

    Unlike Snowflake it remembers no load history (a file staged twice is loaded twice) and reports
    all files of one statement in one row.

    Raises:
        duckdb.Error: The statement failed; nothing was changed.
    """
    select = statement.args["files"][0].this
    files = bind_staged_files(duck, select, place, "JSON" if _reads_json(duck, statement, place) else "PARQUET")
    insert = exp.Insert(this=statement.this, expression=select)
    (count,) = duck.execute(translate(insert)).fetchone()
    return _copy_result(files, int(count))


def is_copy_of_selection(duck: Any, statement: Any, place: StagePlace) -> bool:
    """Whether a COPY INTO is of the form that `copy_selected` runs; fakesnow runs the others."""
    files = statement.args.get("files")
    if not files or not isinstance(files[0], exp.Subquery) or not staged_tables(files[0]):
        return False
    return isinstance(_format_of(duck, statement, place), (fs_copy.ReadJSON, fs_copy.ReadParquet))


def _format_of(duck: Any, statement: Any, place: StagePlace) -> Any:
    return fs_copy._params(statement, None, duck, place.database, place.schema).file_format


def _reads_json(duck: Any, statement: Any, place: StagePlace) -> bool:
    return isinstance(_format_of(duck, statement, place), fs_copy.ReadJSON)


def _actions(duck: Any, sql: str) -> dict[str, int]:
    column = duck.execute(sql).to_arrow_table().column("merge_action")
    counted = pyarrow.compute.value_counts(column.combine_chunks()).to_pylist()
    return {row["values"]: row["counts"] for row in counted}


def _merge_result(clauses: list[Any], actions: dict[str, int]) -> Any:
    done = {"INSERT": False, "UPDATE": False, "DELETE": False}
    for clause in clauses:
        then = clause.args.get("then")
        done[type(then).__name__.upper() if isinstance(then, (exp.Insert, exp.Update)) else "DELETE"] = True
    words = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
    counts = [f'{actions.get(name, 0)} AS "number of rows {words[name]}"' for name, used in done.items() if used]
    result = sqlglot.parse_one(f"SELECT {', '.join(counts)}", read="snowflake")
    result.set("merge_counts", True)  # fakesnow's mark: the row count is the sum of the row
    return result


def _copy_result(files: list[Path], count: int) -> Any:
    if not files:
        return sqlglot.parse_one("SELECT 'Copy executed with 0 files processed.' AS \"status\"", read="snowflake")
    name = exp.Literal.string(staged_name(files[0])).sql(dialect="snowflake")
    return sqlglot.parse_one(
        f"""SELECT {name} AS "file", 'LOADED' AS "status", {count} AS "rows_parsed", {count} AS "rows_loaded",
        1 AS "error_limit", 0 AS "errors_seen", NULL::VARCHAR AS "first_error", NULL::INT AS "first_error_line",
        NULL::INT AS "first_error_character", NULL::VARCHAR AS "first_error_column_name" """,
        read="snowflake",
    )
