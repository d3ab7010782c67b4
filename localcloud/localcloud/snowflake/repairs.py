"""Faults of fakesnow 0.12.1 that have no seam to mend them through, replaced at start and nowhere else."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pyarrow as pa
from fakesnow import arrow as fs_arrow
from fakesnow import rowtype as fs_rowtype

_translate_timestamp = fs_arrow.timestamp_to_sf_struct

_MISSING_TYPES = {
    "FLOAT": "real",
    "TINYINT": "fixed",
    "SMALLINT": "fixed",
    "UTINYINT": "fixed",
    "USMALLINT": "fixed",
    "UINTEGER": "fixed",
    "UUID": "text",
}


def apply() -> None:
    """Put the repairs in place, once per process."""
    fs_arrow.timestamp_to_sf_struct = _timestamp_with_nulls
    fs_rowtype.duckdb_to_sf_type.update(_MISSING_TYPES)


def _timestamp_with_nulls(column: Any) -> Any:
    """Fakesnow's translation loses the nulls: they reach the client as 1970-01-01."""
    translated = _translate_timestamp(column)
    if not column.null_count:
        return translated
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    parts = [part.fill_null(0) for part in translated.flatten()]
    return pa.StructArray.from_arrays(parts, fields=list(translated.type), mask=whole.is_null())


class RecentResults(OrderedDict[str, tuple[Any, ...]]):
    """The newest results by query id. fakesnow keeps every result of its life in memory.

    Args:
        limit: How many results are kept.
    """

    def __init__(self, limit: int = 32) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: str, value: tuple[Any, ...]) -> None:
        super().__setitem__(key, value)
        while len(self) > self._limit:
            self.popitem(last=False)
