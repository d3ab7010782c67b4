"""The bitmap fields of a change event's header: which Avro fields changed, were emptied, or came as a difference.

Source: Pub/Sub API guide, "Event Deserialization Considerations". An element `0xHEX` has bit i (least
significant first) for the field at position i of the event's schema; an element `P-0xHEX` has bits for the
fields inside the compound field at position P.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def to_bitmap(positions: Iterable[int]) -> str:
    """Positions as one `0x` text of whole bytes, the highest first; as seen on the wire: `0x2080` is 7 and 13."""
    bits = 0
    for position in positions:
        bits |= 1 << position
    return "0x" + bits.to_bytes(max(1, (bits.bit_length() + 7) // 8), "big").hex().upper()


def from_bitmap(text: str) -> list[int]:
    """The positions in a `0x` text, ascending.

    Raises:
        ValueError: It is no hexadecimal number.
    """
    bits = int(text, 16)
    return [position for position in range(bits.bit_length()) if bits >> position & 1]


def encode(top: Iterable[int], nested: Mapping[int, Iterable[int]] | None = None) -> list[str]:
    """A header's list of bitmaps; empty where no field is meant.

    Args:
        top: Positions of fields of the event.
        nested: Positions inside a compound field, by its position.
    """
    positions = list(top)
    elements = [to_bitmap(positions)] if positions else []
    return elements + [f"{parent}-{to_bitmap(inner)}" for parent, inner in sorted((nested or {}).items())]


def decode(elements: Iterable[str]) -> tuple[list[int], dict[int, list[int]]]:
    """The positions of fields, and those inside compound fields by position.

    Raises:
        ValueError: An element is no bitmap.
    """
    top: list[int] = []
    nested: dict[int, list[int]] = {}
    for element in elements:
        parent, dash, inner = element.partition("-")
        if dash:
            nested[int(parent)] = from_bitmap(inner)
        else:
            top += from_bitmap(element)
    return sorted(set(top)), nested
