"""Bitmap fields of a change event's header: which fields changed, were nulled or came as a difference. Pure.

Source: Pub/Sub API guide, "Event Deserialization Considerations". A word `0x2080` names top-level fields by the bits
set in it, the lowest bit being the first field of the Avro schema; `4-0x3` names parts 0 and 1 of field 4, which is a
compound. The top-level word may be missing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tap_salesforce_deletes.pubsub.errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["positions"]

_WORD = re.compile(r"(?:(\d{1,5})-)?0x([0-9a-fA-F]{1,2048})")


def positions(words: Iterable[str]) -> tuple[tuple[int, ...], ...]:
    """The fields that words name: `(field,)`, or `(field, part)` for a part of a compound.

    Args:
        words: Such as `["0x2080", "4-0x3"]`.

    Raises:
        PayloadError: A word is not of that form.
    """
    return tuple(_positions(list(words)))


def _positions(words: Sequence[str]) -> Iterator[tuple[int, ...]]:
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            raise PayloadError("A change event names its changed fields in a form that is not documented.")
        parent, bits = match.groups()
        above = () if parent is None else (int(parent),)
        mask, bit = int(bits, 16), 0
        while mask:
            if mask & 1:
                yield (*above, bit)
            mask >>= 1
            bit += 1
