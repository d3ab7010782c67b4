"""Date literals: which half-open range of days `TODAY` or `LAST_N_MONTHS:3` is."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Range = tuple[date, date]


def _month(day: date, by: int) -> date:
    """The first of the month that lies `by` months from the one of a day."""
    months = day.year * 12 + day.month - 1 + by
    return date(months // 12, months % 12 + 1, 1)


def _quarter(day: date, by: int) -> date:
    return _month(date(day.year, (day.month - 1) // 3 * 3 + 1, 1), 3 * by)


def _year(day: date, by: int) -> date:
    return date(day.year + by, 1, 1)


def _day(day: date, by: int) -> date:
    return day + timedelta(days=by)


def _week(day: date, by: int) -> date:
    return day - timedelta(days=(day.weekday() + 1) % 7) + timedelta(weeks=by)  # weeks begin on Sunday


_UNITS: dict[str, Callable[[date, int], date]] = {
    "DAY": _day,
    "WEEK": _week,
    "MONTH": _month,
    "QUARTER": _quarter,
    "YEAR": _year,
    "FISCAL_QUARTER": _quarter,  # the fiscal year of the stand-in is the calendar year
    "FISCAL_YEAR": _year,
}
_NAMED = {"YESTERDAY": -1, "TODAY": 0, "TOMORROW": 1}
PERIODS = (
    frozenset(_NAMED)
    | {"LAST_90_DAYS", "NEXT_90_DAYS"}
    | {f"{which}_{unit}" for unit in _UNITS if unit != "DAY" for which in ("LAST", "THIS", "NEXT")}
    | {name for unit in _UNITS for name in (f"LAST_N_{unit}S", f"NEXT_N_{unit}S", f"N_{unit}S_AGO")}
)
"""The names of all date literals."""


def is_counted(name: str) -> bool:
    """Whether the literal wants `:n`."""
    return name.startswith(("LAST_N_", "NEXT_N_", "N_"))


def bounds(name: str, n: int, today: date) -> Range:
    """The first day of a literal, and the first day after it.

    Raises:
        OverflowError: The range leaves the calendar.
        ValueError: The same, by whole years.
    """
    if name in _NAMED:
        return _day(today, _NAMED[name]), _day(today, _NAMED[name] + 1)
    if name.endswith("_90_DAYS"):
        name, n = name.replace("90", "N"), 90
    if name.endswith("_AGO"):
        step = _UNITS[name.removeprefix("N_").removesuffix("S_AGO")]
        return step(today, -n), step(today, 1 - n)
    if is_counted(name):
        unit = name[7:-1]
        step = _UNITS[unit]
        if name.startswith("NEXT"):
            return step(today, 1), step(today, n + 1)
        return step(today, -n), step(today, 1 if unit == "DAY" else 0)  # days run up to now
    which, _, unit = name.partition("_")
    by = {"LAST": -1, "THIS": 0, "NEXT": 1}[which]
    return _UNITS[unit](today, by), _UNITS[unit](today, by + 1)
