"""Time in one place: every form Salesforce writes goes in, one fixed-width UTC text comes out.

The text is `2024-01-15T10:30:00.000000Z` (27 characters): comparing two such texts compares the instants, which is
what Singer state does with bookmarks.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["canonical", "canonical_all", "canonical_date", "floor_second", "from_epoch_ms", "parse", "to_text"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def canonical(text: str) -> str:
    """Turn a Salesforce date-time into the fixed-width form.

    Accepts the forms of REST (`2024-01-15T10:30:00.000+0000`), of Bulk API 2.0 (`2024-01-15T10:30:00.000Z`), and any
    ISO 8601 date-time with an offset.

    Raises:
        ValueError: the text is not a date-time with an offset.
    """
    if text[23:] in {"+0000", "Z"} and text[7] == "-" and text[10] == "T" and text[19] == ".":
        datetime.fromisoformat(text)
        return f"{text[:23]}000Z"
    return to_text(parse(text))


def canonical_all(texts: Sequence[str]) -> list[str]:
    """`canonical` of each; the texts of one answer have one form, and are then looked at together.

    Raises:
        ValueError: one of the texts is not a date-time with an offset.
    """
    for end in ("+0000", "Z"):
        if _have_form(texts, end):
            deque(map(datetime.fromisoformat, texts), maxlen=0)
            return [f"{text[:23]}000Z" for text in texts]
    return [canonical(text) for text in texts]


def _have_form(texts: Sequence[str], end: str) -> bool:
    """Whether all texts are as long as `2024-01-15T10:30:00.000` and the end, with these characters between digits."""
    width = 23 + len(end)
    if set(map(len, texts)) != {width}:
        return False
    joined = "".join(texts)
    fixed = {7: "-", 10: "T", 19: ".", **dict(enumerate(end, 23))}
    return all(joined[place::width] == char * len(texts) for place, char in fixed.items())


@lru_cache(maxsize=4096)  # values of a date field are days, and few
def canonical_date(text: str) -> str:
    """Check a date and return it as `2024-01-15`; the time of a date at midnight UTC is dropped.

    Raises:
        ValueError: the text is not a date.
    """
    if len(text) > 10:
        instant = parse(text)
        if instant.time() != time.min:
            raise ValueError("the date has a time of day")
        return instant.date().isoformat()
    return date.fromisoformat(text).isoformat()


def parse(text: str) -> datetime:
    """Read an ISO 8601 date-time with an offset as aware UTC.

    Raises:
        ValueError: the text is not a date-time, or has no offset.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("the date-time has no offset: write 2024-01-15T10:30:00Z")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("the date-time is outside the calendar in UTC") from None


def to_text(instant: datetime) -> str:
    """Write an aware instant in the fixed-width form.

    Raises:
        ValueError: the instant is naive.
    """
    if instant.tzinfo is None:
        raise ValueError("a naive date-time is not an instant")
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").zfill(27)


def from_epoch_ms(milliseconds: int) -> datetime:
    """Read milliseconds since 1970 (change events, Bulk API 1.0 JSON) as aware UTC, without a float."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def floor_second(instant: datetime) -> datetime:
    """Drop what is below the second."""
    return instant.replace(microsecond=0)
