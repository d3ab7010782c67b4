"""Salesforce record ids: 15 characters that tell case apart, 18 that need not."""

from __future__ import annotations

from functools import lru_cache

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_LETTERS = frozenset(_ALPHABET)


_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def _capitals(text: str) -> int:
    """A bit for each capital letter, the first one lowest."""
    return sum(1 << position for position, character in enumerate(text) if "A" <= character <= "Z")


_PAIR_CAPITALS = [_capitals("   " + pair) for pair in _PAIRS]


@lru_cache(maxsize=65_536)
def _check(five: str) -> str:
    return _CHECK[_capitals(five)]


def checksum(id15: str) -> str:
    """The three characters that make an 18-character id of a 15-character one.

    Each stands for five characters of the id; bit i is set where character i is a capital letter.
    """
    return _check(id15[:5]) + _check(id15[5:10]) + _check(id15[10:15])


def make_id(prefix: str, n: int) -> str:
    """The n-th 18-character id of a key prefix; ascending n gives ascending text.

    Args:
        prefix: Three characters, such as `006`.
        n: From 0 to 62**12 - 1.

    Raises:
        ValueError: The prefix is not three characters, or n does not fit.
    """
    if len(prefix) != 3 or not 0 <= n < 62**12:
        raise ValueError(f"no id of prefix {prefix!r} and number {n}")
    high, low = divmod(n, len(_PAIRS))
    head, checks, capitals = _head(prefix, high)
    return head + _PAIRS[low] + checks + _CHECK[capitals | _PAIR_CAPITALS[low]]


@lru_cache(maxsize=1_024)
def _head(prefix: str, high: int) -> tuple[str, str, int]:
    """What ids in a row share: 13 characters, two of the check, and the capitals among the next three."""
    pairs = []
    for _ in range(5):
        high, pair = divmod(high, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    head = prefix + "".join(reversed(pairs))
    return head, _check(head[:5]) + _check(head[5:10]), _capitals(head[10:])


def to_18(text: str) -> str | None:
    """The 18-character form of an id of 15 or 18 characters; None when the text is no id."""
    if len(text) not in {15, 18} or not _LETTERS.issuperset(text):
        return None
    return text[:15] + checksum(text[:15])
