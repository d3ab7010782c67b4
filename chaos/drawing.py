"""Faults of the wire with parts that are drawn: what the plans of all campaigns share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.plan import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

__all__ = ["few", "one_of", "some_bytes", "traps"]


def traps(kind: str, key: str, **trap: object) -> Callable[[Random], Fault]:
    """A fault of the wire.

    Args:
        kind: Its name in the counts.
        key: Of the control endpoint.
        trap: Its parts; what is callable in it is drawn.
    """

    def fault(chance: Random) -> Fault:
        drawn = {name: value(chance) if callable(value) else value for name, value in trap.items()}
        drawn = {name: value for name, value in drawn.items() if value is not None}
        return Fault(kind, {key: [{"skip": int(chance.triangular(0, 30, 0)), **drawn}]})

    return fault


def one_of(*values: object) -> Callable[[Random], object]:
    """One of some values."""
    return lambda chance: chance.choice(values)


def some_bytes(chance: Random) -> int | None:
    """A place in an answer, more often near its beginning; None: the usual place."""
    return None if chance.random() < 0.4 else int(10 ** chance.uniform(0, 4.5))


def few(chance: Random) -> int:
    """None to eight."""
    return chance.randrange(9)
