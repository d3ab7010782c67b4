"""An answer with fewer rows than it says, as a client must not believe it."""

from __future__ import annotations

import msgspec

__all__ = ["first_rows"]


def first_rows(body: bytes, rows: int) -> bytes:
    """The first rows of a query's answer (JSON with `records`) or of a set of results (CSV); other bodies whole."""
    if not body.startswith(b"{"):
        return _first_lines(body, rows + 1)  # and the header
    try:
        answer = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        records = msgspec.json.decode(answer["records"], type=list[msgspec.Raw])
    except (msgspec.DecodeError, KeyError):
        return body
    return msgspec.json.encode({**answer, "records": records[:rows]})


def _first_lines(body: bytes, lines: int) -> bytes:
    """The first lines of a CSV; a line break in quotes ends none."""
    place = 0
    quotes = 0
    while lines > 0 and (end := body.find(b"\n", place)) >= 0:
        quotes += body.count(b'"', place, end)
        place = end + 1
        lines -= quotes % 2 == 0
    return body[:place] if lines == 0 else body
