"""Sending many things at once where one that is refused refuses all: halved until the bad one is alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from target_atlan_metadata.errors import AtlanRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    One = TypeVar("One")

__all__ = ["halve"]


def halve(batch: Sequence[One], send: Callable[[Sequence[One]], object]) -> list[One]:
    """Send a batch, and in halves what is refused.

    Args:
        batch: What is to be sent, at least one.
        send: Sends some of it, all or none; raises AtlanRefusedError where it is refused.

    Returns:
        What is refused alone; all else is sent.
    """
    try:
        send(batch)
    except AtlanRefusedError:
        if len(batch) == 1:
            return list(batch)
        half = len(batch) // 2
        return halve(batch[:half], send) + halve(batch[half:], send)
    return []
