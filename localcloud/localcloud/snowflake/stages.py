"""The user stage `@~`: where PUT leaves files, and how statements read, list and remove them."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakesnow.transforms import stage as fs_stage
from fakesnow.transforms.file_format import lookup_file_format
from sqlglot import exp

from localcloud.snowflake.errors import sql_error

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_STAGE = ("_EMBEDDED", "_USERS", "HOME")
"""The named stage behind `@~`. fakesnow knows named stages only, so the user stage is one of them."""

STAGED_VIEW = "_EMBEDDED_STAGED_FILES"
STAGED_ROW = "_EMBEDDED_ROW"
STAGED_SEQUENCE = "_EMBEDDED_SEQUENCE"

_LARGEST_OBJECT = 128 * 1024 * 1024  # bytes of one JSON object in a staged file; Snowflake's own limit
_TEXT_COLUMN = "_EMBEDDED_TEXT_"
_SEMI_STRUCTURED = {exp.DType.VARIANT, exp.DType.OBJECT, exp.DType.ARRAY, exp.DType.JSON}
_SEQUENCES = (exp.Seq1, exp.Seq2, exp.Seq4, exp.Seq8)


@dataclass(frozen=True)
class StagePlace:
    """Where a session stands: what unqualified stage and file format names are completed with."""

    database: str | None
    schema: str | None


def prepare_stage_folder(folder: Path) -> None:
    """Give the stages an empty home below `folder`.

    Staged files outlive a crash, their owners do not: what is found here was left by a run that
    will stage its files again.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.rmtree(fs_stage.LOCAL_BUCKET_PATH, ignore_errors=True)  # fakesnow makes one per import
    fs_stage.LOCAL_BUCKET_PATH = str(folder.resolve())


def register_user_stage(duck: Any) -> None:
    """Enter the user stage into fakesnow's catalogue of stages."""
    database, schema, name = USER_STAGE
    duck.execute(
        "INSERT OR REPLACE INTO _fs_global._fs_information_schema._fs_stages (created_on, name, database_name, "
        "schema_name, url, has_credentials, has_encryption_key, owner, comment, type, owner_role_type, "
        "directory_enabled) VALUES (now(), ?, ?, ?, '', 'N', 'N', 'SYSADMIN', '', 'INTERNAL', 'ROLE', 'N')",
        [name, database, schema],
    )


def unquoted_reference(text: str) -> str | None:
    """`'@~/folder'` or `@~/folder` -> `@~/folder`; None for a text that names no stage."""
    bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text
    return bare if bare.startswith("@") else None


def named_reference(reference: str) -> str:
    """Write a reference to the user stage as one to the named stage behind it."""
    head, slash, path = reference.removeprefix("@").partition("/")
    return "@" + (".".join(USER_STAGE) if head == "~" else head) + slash + path


def resolve_put(statement: Any) -> None:
    """Rewrite the stage of a PUT, in place, into one that fakesnow understands."""
    target = statement.args.get("target")
    if target is not None and (reference := unquoted_reference(target.name)):
        statement.set("target", exp.Var(this=named_reference(reference)))


def staged_tables(expression: Any) -> list[Any]:
    """All nodes of `expression` that stand for staged files in the place of a table."""
    return [table for table in expression.find_all(exp.Table) if _reference_of(table)]


def staged_files(reference: str, place: StagePlace) -> list[Path]:
    """The files that a stage reference covers (Snowflake: all whose path starts with it), in order of name."""
    head, _, prefix = named_reference(reference).removeprefix("@").partition("/")
    stage = ".".join(fs_stage.parts_from_var(head, place.database, place.schema))
    root = Path(fs_stage.internal_dir(stage))
    # os.walk passes over a folder that another session removes meanwhile; rglob fails on it.
    files = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in files if path.relative_to(root).as_posix().startswith(prefix))


def list_files(reference: str, place: StagePlace) -> list[tuple[str, str, str, str]]:
    """The rows of LIST: name, size in bytes, MD5 and time of each file under a stage reference."""
    rows = []
    for path in staged_files(reference, place):
        with suppress(FileNotFoundError):  # another session removes it meanwhile
            content, changed = path.read_bytes(), path.stat().st_mtime
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            rows.append((staged_name(path), str(len(content)), digest, formatdate(changed, usegmt=True)))
    return rows


def remove_files(reference: str, place: StagePlace) -> list[tuple[str, str]]:
    """Delete the files under a stage reference; returns Snowflake's rows (name, result)."""
    removed = []
    for path in staged_files(reference, place):
        path.unlink(missing_ok=True)
        removed.append((staged_name(path), "removed"))
        with suppress(OSError):  # an upload may have come to the same folder since
            path.parent.rmdir()
    return removed


def bind_staged_files(duck: Any, select: Any, place: StagePlace, file_type: str | None = None) -> list[Path]:
    """Let `select`, in place, read the staged files that it names, through a temporary view of this session.

    `$1` becomes a JSON column, `SEQ1()` to `SEQ8()` the running number of the row in the files' order.

    Args:
        duck: The session's DuckDB connection.
        select: The statement, with exactly one reference to staged files.
        place: Completes unqualified names.
        file_type: `JSON` or `PARQUET`; None takes it from the reference's `FILE_FORMAT`.

    Returns:
        The files read; empty if nothing is staged there, and then the select yields no rows.

    Raises:
        ProgrammingError: More than one reference, an unknown file format, or a type that cannot be
            selected from here.
    """
    tables = staged_tables(select)
    if len(tables) != 1:
        raise sql_error("The embedded Snowflake reads one stage in a statement.", 2037, "0A000")
    table = tables[0]
    files = staged_files(str(_reference_of(table)), place)
    source = _source_sql(files, file_type or _file_type(duck, table, place))
    duck.execute(_view_sql(source, _take_scalars(select)))
    table.replace(exp.Table(this=exp.to_identifier(STAGED_VIEW), alias=table.args.get("alias")))
    for node in list(select.find_all(exp.Parameter)):
        if node.name == "1":
            node.replace(exp.column(STAGED_ROW))
    for node in list(select.find_all(*_SEQUENCES)):
        node.replace(exp.column(STAGED_SEQUENCE))
    return files


def staged_name(path: Path) -> str:
    """How results of COPY name a staged file."""
    return str(fs_stage.internal_file_name(str(path)))


def drop_file_format(duck: Any, name: Any, place: StagePlace, *, if_exists: bool) -> str:
    """Forget a named file format; returns Snowflake's status text.

    Raises:
        ProgrammingError: The format does not exist and `if_exists` is false.
    """
    text = name.sql(dialect="snowflake")
    if not if_exists:
        lookup_file_format(duck, text, place.database, place.schema)
    with duck.cursor() as independent:  # as CREATE FILE FORMAT does: outside the session's transaction
        independent.execute(
            "DELETE FROM _fs_global._fs_information_schema._fs_file_formats "
            "WHERE database_name = ? AND schema_name = ? AND name = ?",
            fs_stage.parts_from_var(text, place.database, place.schema),
        )
    return f"{name.name} successfully dropped."


def _reference_of(table: Any) -> str | None:
    named = isinstance(table.this, (exp.Literal, exp.Var))
    return unquoted_reference(str(table.this.this)) if named else None


def _file_type(duck: Any, table: Any, place: StagePlace) -> str:
    named = table.args.get("format")
    if named is None:
        return "CSV"
    text = named.name if isinstance(named, exp.Literal) else named.sql(dialect="snowflake")
    return str(lookup_file_format(duck, text, place.database, place.schema)["TYPE"]).upper()


def _take_scalars(select: Any) -> list[str]:
    """Replace each `$1:key::SCALAR` by a cast of a text column; returns the keys, in the columns' order.

    DuckDB then takes all keys out of a row in one pass over its JSON: loading is three times as fast
    as with one extraction for each column.
    """
    keys: list[str] = []
    for cast in list(select.find_all(exp.Cast)):
        if (key := _key_of(cast.this)) is None or cast.to.this in _SEMI_STRUCTURED:
            continue
        if key not in keys:
            keys.append(key)
        cast.this.replace(exp.column(f"{_TEXT_COLUMN}{keys.index(key) + 1}"))
    return keys


def _key_of(node: Any) -> str | None:
    """The key of `$1:key`, None for every other expression."""
    if not isinstance(node, exp.JSONExtract) or not isinstance(node.this, exp.Parameter) or node.this.name != "1":
        return None
    path = node.expression.expressions if isinstance(node.expression, exp.JSONPath) else []
    simple = len(path) == 2 and isinstance(path[1], exp.JSONPathKey) and isinstance(path[1].this, str)
    return path[1].this if simple else None


def _view_sql(source: str, keys: Sequence[str]) -> str:
    pointers = ["/" + key.replace("~", "~0").replace("/", "~1") for key in keys]
    listed = ", ".join(exp.Literal.string(pointer).sql(dialect="duckdb") for pointer in pointers)
    columns = "".join(f", texts[{i}] AS {_TEXT_COLUMN}{i}" for i in range(1, len(keys) + 1))
    texts = f"json_extract_string({STAGED_ROW}, [{listed}])" if keys else "NULL"
    return (
        f"CREATE OR REPLACE TEMP VIEW {STAGED_VIEW} AS SELECT {STAGED_ROW}, {STAGED_SEQUENCE}{columns} FROM "
        f"(SELECT {STAGED_ROW}, row_number() OVER () AS {STAGED_SEQUENCE}, {texts} AS texts FROM ({source}))"
    )


def _source_sql(files: Sequence[Path], file_type: str) -> str:
    if file_type not in {"JSON", "PARQUET"}:
        raise sql_error(f"The embedded Snowflake cannot select from staged {file_type} files.", 2037, "0A000")
    if not files:
        return f"SELECT NULL::JSON AS {STAGED_ROW} WHERE false"
    names = ", ".join(exp.Literal.string(str(path)).sql(dialect="duckdb") for path in files)
    if file_type == "PARQUET":
        return f"SELECT to_json(rows) AS {STAGED_ROW} FROM read_parquet([{names}]) AS rows"
    return (
        f"SELECT json AS {STAGED_ROW} FROM read_json_objects([{names}], format = 'newline_delimited', "
        f"maximum_object_size = {_LARGEST_OBJECT})"
    )
