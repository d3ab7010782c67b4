"""An answer as an aligned table for people."""

from __future__ import annotations

import datetime as dt
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDEST = 80  # characters of one cell; a whole event in a VARIANT would push all else off the screen


def render(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Draw rows under their columns, numbers to the right, with the count of rows below.

    Args:
        columns: Names, one per value of a row.
        rows: The values; None shows as NULL, line breaks as escapes, long texts are cut.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max([_width(name), *(_width(row[i]) for row in cells)], default=0) for i, name in enumerate(columns)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    lines = [
        " | ".join(_pad(name, widths[i], right=right[i]) for i, name in enumerate(columns)),
        "-+-".join("-" * width for width in widths),
        *(" | ".join(_pad(cell, widths[i], right=right[i]) for i, cell in enumerate(row)) for row in cells),
        f"({len(rows)} row{'' if len(rows) == 1 else 's'})",
    ]
    return "\n".join(line.rstrip() for line in lines)


def as_text(value: object) -> str:
    """A value that JSON has no form for, as text: decimals in plain digits, times in ISO form, bytes in hex."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    return str(value)


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    text = str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else as_text(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float, Decimal)) and not isinstance(value, bool))


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks
