"""SOQL text: checked identifiers, quoted strings, date-time literals and bounded IN lists.

Nothing that comes from config or from an org enters a statement by another way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from microdecisions import ids, timestamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

__all__ = ["MAX_STATEMENT_BYTES", "datetime_literal", "field_path", "id_lists", "identifier", "quote", "select"]

MAX_STATEMENT_BYTES: Final = 12_000
"""Bytes of a URL-encoded statement: Salesforce takes 16,384 for URI and headers together."""

_IDENTIFIER = re.compile(r"[A-Za-z](?:[A-Za-z0-9_]{0,79})")
_ESCAPES = str.maketrans(
    {
        "\\": "\\\\",
        "'": "\\'",
        '"': '\\"',
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\b": "\\b",
        "\f": "\\f",
    }
)


def identifier(name: str) -> str:
    """Return an object or field name that is safe in a statement and in a URL.

    Raises:
        ValueError: the name is not an API name.
    """
    if _IDENTIFIER.fullmatch(name) is None:
        raise ValueError(f"{name[:80]!r} is not a Salesforce API name")
    return name


def field_path(path: str) -> str:
    """Return a field name, or a path over relationships such as `Owner.Profile.Name`.

    Raises:
        ValueError: a part is not an API name, or there are more than six parts.
    """
    parts = path.split(".")
    if len(parts) > 6:
        raise ValueError(f"{path[:80]!r} has more than five relationships")
    for part in parts:
        identifier(part)
    return path


def quote(text: str) -> str:
    """Write a string literal."""
    return f"'{text.translate(_ESCAPES)}'"


def datetime_literal(instant: datetime) -> str:
    """Write an aware instant as a date-time literal with milliseconds, which is what Salesforce compares by."""
    return timestamps.to_text(instant)[:23] + "Z"


def select(fields: Sequence[str], source: str, *conditions: str, tail: str = "") -> str:
    """Write a SELECT over checked names; conditions and tail are parts that this module or the caller built."""
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join(field_path(field) for field in fields)
    return f"SELECT {columns} FROM {identifier(source)}{where}{' ' if tail else ''}{tail}"  # noqa: S608


def id_lists(field: str, record_ids: Iterable[str], *, room: int = MAX_STATEMENT_BYTES // 2) -> Iterator[str]:
    """Write `field IN ('...')` conditions that together hold all ids, each at most `room` bytes when URL-encoded.

    Raises:
        ValueError: a name or an id has not the right shape.
    """
    # A quoted id and its comma: 18 + 2 quotes and a comma that each take three bytes in a URL, as do the two spaces
    # and the brackets around the list.
    per_list = max(1, (room - len(f"{field}IN") - 4 * 3) // (18 + 3 * 3))
    chunk: list[str] = []
    for record_id in record_ids:
        if not ids.is_id(record_id):
            raise ValueError("a Salesforce id has 15 or 18 letters and digits")
        chunk.append(f"'{record_id}'")
        if len(chunk) == per_list:
            yield f"{field_path(field)} IN ({','.join(chunk)})"
            chunk = []
    if chunk:
        yield f"{field_path(field)} IN ({','.join(chunk)})"
