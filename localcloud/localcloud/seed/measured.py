"""The measured parameters that a generated org lives by; ``measure`` recomputes them from the logs."""

from __future__ import annotations

from bisect import bisect
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from random import Random

TABLE = Path(__file__).with_name("measured.json")
QUANTILES = 20
"""Waits and amounts are kept as this many quantile steps: minimum, 5 %, ... maximum."""


class Move(msgspec.Struct, frozen=True):
    """A way out of a state.

    ``to`` is empty where cases end; ``share`` is the part of all exits of the state; ``waits`` are
    quantiles of the time in seconds; ``handovers`` is the mean number of owner changes on the way.
    """

    to: str
    share: float
    waits: list[int]
    handovers: float


class Chain(msgspec.Struct, frozen=True):
    """How cases of one kind move: from each state (``""`` is the beginning) the ways out."""

    source: str
    cases: int
    states: dict[str, list[Move]]


class Table(msgspec.Struct, frozen=True):
    """All that was measured.

    ``reopen_share`` is the part of closed incidents that were opened again, ``reopen_waits`` quantiles
    of the seconds until then; ``priorities`` are shares at creation, ``priority_changes`` their mean
    number per case; amounts are quantiles in the log's currency.
    """

    citations: dict[str, str]
    opportunity: Chain
    case: Chain
    approval: Chain
    reopen_share: float
    reopen_waits: list[int]
    priorities: dict[str, float]
    priority_changes: float
    loan_amounts: list[int]
    claim_amounts: list[int]


class Sampler:
    """Draws moves of a chain and values between quantiles, with somebody else's random numbers."""

    def __init__(self, chain: Chain) -> None:
        self._moves = {
            state: (list(accumulate(move.share for move in moves)), moves) for state, moves in chain.states.items()
        }

    def move(self, state: str, random: Random) -> Move:
        """Draw a way out of a state."""
        cumulative, moves = self._moves[state]
        return moves[min(bisect(cumulative, random.random() * cumulative[-1]), len(moves) - 1)]


def between(quantiles: list[int], random: Random) -> int:
    """Draw a value, straight between the quantiles."""
    place = random.random() * QUANTILES
    n = int(place)
    low = quantiles[n]
    return low + int((place - n) * (quantiles[n + 1] - low))


@cache
def load() -> Table:
    """Return the table that ships with the package."""
    return msgspec.json.decode(TABLE.read_bytes(), type=Table)
