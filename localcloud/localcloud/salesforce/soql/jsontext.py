"""Pieces of JSON text joined by SQLite, which writes each record without any Python per row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.soql.scope import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_VALUES = 100  # SQLite takes 127 arguments of a function


class Verbatim(str):
    """A piece of JSON that stands as it is; any other piece is SQL for one."""

    __slots__ = ()


def concatenated(pieces: Iterable[str]) -> str:
    """SQL that joins pieces of JSON.

    It uses `format`, which takes about half the time of a chain of `||`.
    """
    parts, template, values = [], "", []
    for piece in pieces:
        if isinstance(piece, Verbatim):
            template += piece.replace("%", "%%")
            continue
        template += "%s"
        values.append(piece)
        if len(values) == _MOST_VALUES:
            parts.append(f"format({quoted(template)},{','.join(values)})")
            template, values = "", []
    parts.append(f"format({','.join([quoted(template), *values])})")
    return "||".join(parts)
