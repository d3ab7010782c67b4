"""Ends statements that read too many rows, as Salesforce ends those that run too long."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEPS_OF_A_ROW = 6
"""Steps of SQLite's machine that one row costs which is looked at and taken: 5 to 7, by the statement."""
_GRAIN_STEPS = 600

HISTORY_DAYS = 548
"""18 months: field history that is older is found by queryAll only."""


class TooCostly(Exception):  # noqa: N818 - the statement is right
    """A statement has read more rows than it may."""


class QueryControl(msgspec.Struct, forbid_unknown_fields=True):
    """What a control request can ask of queries; what is left out stays as it is, and 0 takes a bound away.

    Attributes:
        cost_ceiling: About so many rows can a statement look at before it ends in QUERY_TIMEOUT. An index of
            the created date, of the system's time stamp or of a look-up saves looking at rows.
        page_bytes: A page that would be longer holds fewer records (one at least).
        history_days: Field history that was made before the midnight so many days ago is found by queryAll
            only ("Field History Tracking": 18 months).
    """

    cost_ceiling: Annotated[int, msgspec.Meta(ge=0)] | None = None
    page_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    history_days: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None


class QuerySettings:
    """How queries behave now; bounds of cost and size are off (0) unless a control request sets them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Take the bounds away that Salesforce has no figure for."""
        self.cost_ceiling = 0
        self.page_bytes = 0
        self.history_days = HISTORY_DAYS

    def apply(self, asked: QueryControl) -> None:
        """Take over what a control request asks."""
        if asked.cost_ceiling is not None:
            self.cost_ceiling = asked.cost_ceiling
        if asked.page_bytes is not None:
            self.page_bytes = asked.page_bytes
        if asked.history_days is not None:
            self.history_days = asked.history_days

    def history_since(self, now: datetime) -> datetime | None:
        """Since when `query` finds field history; None finds all."""
        if not self.history_days:
            return None
        return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=self.history_days)


@contextmanager
def bounded(db: sqlite3.Connection, rows: int) -> Iterator[None]:
    """Let the statements inside look at about so many rows together; 0 lets them look at all.

    Raises:
        TooCostly: They looked at more.
    """
    if not rows:
        yield
        return
    left = rows * _STEPS_OF_A_ROW // _GRAIN_STEPS + 1
    ended = False

    def step() -> int:
        nonlocal left, ended
        left -= 1
        ended = ended or left < 0
        return ended

    db.set_progress_handler(step, _GRAIN_STEPS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if ended:
            raise TooCostly from error
        raise
    finally:
        db.set_progress_handler(None, _GRAIN_STEPS)
