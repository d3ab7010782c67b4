"""SQL functions that SQLite lacks: sums and averages of decimal tokens without floats."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


def plain(value: Decimal) -> str:
    """A decimal as a JSON number with a fraction, as Salesforce writes a computed one."""
    text = f"{value:f}"
    if "." not in text:
        return text + ".0"
    text = text.rstrip("0")
    return text + "0" if text.endswith(".") else text


class _Sum:
    def __init__(self) -> None:
        self._total = Decimal(0)
        self._count = 0

    def step(self, token: str | float | None) -> None:
        if token is not None:
            self._total += Decimal(str(token))
            self._count += 1

    def finalize(self) -> str | None:
        return plain(self._total) if self._count else None


class _Average(_Sum):
    def finalize(self) -> str | None:
        return plain(round(self._total / self._count, 10)) if self._count else None


class _Least:
    def __init__(self) -> None:
        self._best: str | None = None

    def step(self, token: str | None) -> None:
        if token is not None and (self._best is None or self.beats(Decimal(token), Decimal(self._best))):
            self._best = token

    def beats(self, one: Decimal, other: Decimal) -> bool:
        return one < other

    def finalize(self) -> str | None:
        return self._best


class _Greatest(_Least):
    def beats(self, one: Decimal, other: Decimal) -> bool:
        return one > other


def _fold(text: str | None) -> str | None:
    """A text without regard to case, also outside of ASCII, for which SQLite has no collation."""
    return None if text is None else text.casefold()


def register(db: sqlite3.Connection) -> None:
    """Give a connection the functions `decimal_sum`, `decimal_avg`, `decimal_min`, `decimal_max` and `fold`."""
    db.create_function("fold", 1, _fold, deterministic=True)
    # typeshed wants step(int) and finalize() -> int; SQLite passes and takes any stored value
    db.create_aggregate("decimal_sum", 1, _Sum)  # type: ignore[arg-type]
    db.create_aggregate("decimal_avg", 1, _Average)  # type: ignore[arg-type]
    db.create_aggregate("decimal_min", 1, _Least)  # type: ignore[arg-type]
    db.create_aggregate("decimal_max", 1, _Greatest)  # type: ignore[arg-type]
