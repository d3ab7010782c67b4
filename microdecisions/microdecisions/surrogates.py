"""Halves of surrogate pairs in JSON: what a text cut in the middle of an emoji leaves, and strict decoders refuse."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["without_lone_surrogates"]

# Escapes in order, so that a backslash before `u` is never taken for the beginning of one: pairs, halves, all others.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def without_lone_surrogates(body: bytes) -> bytes:
    """Write each half of a surrogate pair as the replacement character; all else stays as it is."""
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["half"] else escape[0], body)
