"""From the CSV of Bulk API 2.0 to the typed rows that REST gives: an empty cell is null, every value is text."""

from __future__ import annotations

import csv
import io
from itertools import islice, repeat
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

__all__ = ["rows_of"]

RowT = TypeVar("RowT", bound=msgspec.Struct)

csv.field_size_limit(64 * 1024 * 1024)  # the library's own limit of 128 KiB is below that of a long text field

_PATH: Final = "."
_PART_ROWS: Final = 500  # turned into columns together: a call for each row takes twice as long
_Lines = list[list[str]]


def rows_of(content: IO[bytes], row_type: type[RowT]) -> Generator[RowT]:
    """Read one result set, whose first line names the columns; rows are made as they are asked for.

    Args:
        content: UTF-8, comma-separated, quoted as RFC 4180 says; line breaks within quotes are part of the value.
        row_type: The row's type; its fields' encoded names are the columns, or the first step of a path such as
            `ProcessInstance.TargetObjectId`.

    Raises:
        ValueError: it is not such a document, a row has not as many cells as there are columns, or an empty one that
            every row fills.
    """
    # newline="": a line break within a value stays as it is.
    text = io.TextIOWrapper(content, encoding="utf-8", newline="")
    lines = csv.reader(text, strict=True)
    try:
        columns = next(lines, None)
        if columns is None:
            raise ValueError("a result set has no header")
        make = (
            _flat(columns, row_type) if not any(_PATH in column for column in columns) else _nested(columns, row_type)
        )
        width, read = len(columns), 0
        while part := list(islice(lines, _PART_ROWS)):
            if set(map(len, part)) != {width}:
                row, cells = next((row, len(cells)) for row, cells in enumerate(part, 1) if len(cells) != width)
                raise ValueError(f"row {read + row} has {cells} cells for {width} columns")
            yield from make(part)
            read += len(part)
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num} is not CSV: {error}") from None
    except msgspec.ValidationError as error:  # names columns and types, never a value
        raise ValueError(str(error)) from None
    finally:
        text.detach()  # else the file would be closed with it


def _flat(columns: Sequence[str], row_type: type[RowT]) -> Callable[[_Lines], Iterable[RowT]]:
    """Rows without parents: cells in the order of the struct's fields, which takes them in that order."""
    place = {column: number for number, column in enumerate(columns)}
    fields = msgspec.structs.fields(row_type)
    missing = [field.encode_name for field in fields if field.required and field.encode_name not in place]
    if missing:
        raise ValueError(f"the column {missing[0]} is missing")
    places = [place.get(field.encode_name) for field in fields]
    filled = [
        (columns[at], at) for at, field in zip(places, fields, strict=True) if at is not None and field.type is str
    ]

    def make(lines: _Lines) -> Iterable[RowT]:
        cells = list(zip(*lines, strict=True))
        for column, at in filled:
            if "" in cells[at]:
                raise ValueError(f"the column {column} is empty in a row")
        # A column that was not asked for is empty.
        given = [repeat(None, len(lines)) if at is None else [cell or None for cell in cells[at]] for at in places]
        return map(row_type, *given)

    return make


def _nested(columns: Sequence[str], row_type: type[RowT]) -> Callable[[_Lines], Iterable[RowT]]:
    """Rows with fields of parents; a parent whose cells are all empty is null, as REST says it."""
    ways = [column.split(_PATH) for column in columns]

    def make(lines: _Lines) -> Iterable[RowT]:
        return (msgspec.convert(_pruned(_tree(ways, cells)), row_type, strict=False) for cells in lines)

    return make


def _tree(ways: Sequence[Sequence[str]], cells: Sequence[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for way, cell in zip(ways, cells, strict=True):
        at = tree
        for step in way[:-1]:
            at = at.setdefault(step, {})
        at[way[-1]] = cell or None
    return tree


def _pruned(tree: dict[str, Any]) -> dict[str, Any] | None:
    kept = {name: _pruned(value) if isinstance(value, dict) else value for name, value in tree.items()}
    return kept if any(value is not None for value in kept.values()) else None
