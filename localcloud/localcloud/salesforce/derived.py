"""What Salesforce derives when a record is saved: an opportunity's forecast, a case's end, a person's name."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.storage import Stored

    Row = dict[str, Stored]


class Stage(msgspec.Struct, frozen=True):
    """What Salesforce derives from an opportunity's stage."""

    probability: str
    forecast: Literal["Pipeline", "BestCase", "Forecast", "Closed", "Omitted"]
    closed: bool = False
    won: bool = False


STAGES: dict[str, Stage] = {
    # the application states of BPI Challenge 2012, as the log names them
    "A_SUBMITTED": Stage("10", "Pipeline"),
    "A_PARTLYSUBMITTED": Stage("20", "Pipeline"),
    "A_PREACCEPTED": Stage("40", "Pipeline"),
    "A_ACCEPTED": Stage("60", "BestCase"),
    "A_FINALIZED": Stage("80", "Forecast"),
    "A_APPROVED": Stage("100", "Closed", closed=True, won=True),
    "A_REGISTERED": Stage("100", "Closed", closed=True, won=True),
    "A_ACTIVATED": Stage("100", "Closed", closed=True, won=True),
    "A_DECLINED": Stage("0", "Omitted", closed=True),
    "A_CANCELLED": Stage("0", "Omitted", closed=True),
    # the standard stages, which a generated org uses
    "Prospecting": Stage("10", "Pipeline"),
    "Qualification": Stage("20", "Pipeline"),
    "Needs Analysis": Stage("40", "Pipeline"),
    "Proposal/Price Quote": Stage("60", "BestCase"),
    "Negotiation/Review": Stage("80", "Forecast"),
    "Closed Won": Stage("100", "Closed", closed=True, won=True),
    "Closed Lost": Stage("0", "Omitted", closed=True),
}
OTHER_STAGE = Stage("50", "Pipeline")
"""A stage that the table does not know: open, half likely."""

CLOSED_STATUSES = frozenset({"Closed", "RESOLVED", "INVALID", "DUPLICATE"})
"""Case statuses that are closed, beside every status that begins with ``Completed``."""

FORECAST_NAMES = {"BestCase": "Best Case", "MostLikely": "Most Likely", "Forecast": "Commit"}
"""`ForecastCategoryName` of a `ForecastCategory`, where they differ."""

_HUNDRED = Decimal(100)
_CENT = Decimal("0.01")
_PLAIN_LIMIT = Decimal(10_000_000)


def stage(name: str | None) -> Stage:
    """Return what follows from a stage; an unknown one is open with a probability of 50 %."""
    return STAGES.get(name or "", OTHER_STAGE)


def is_closed_status(status: str | None) -> bool:
    """Say whether a case in this status is closed."""
    return status is not None and (status.startswith("Completed") or status in CLOSED_STATUSES)


def number(text: str | None) -> Decimal | None:
    """Return a number as Salesforce's JSON would spell it: ``5`` as 5.0, 10000000 as 1.0E+7."""
    if text is None:
        return None
    value = Decimal(text)
    if "." in text:
        return value
    if abs(value) < _PLAIN_LIMIT:
        return Decimal(f"{text}.0")
    sign, digits, exponent = value.normalize().as_tuple()
    if not isinstance(exponent, int) or exponent == 0:
        return Decimal(f"{text}.0")
    return Decimal((sign, (*digits, 0), exponent - 1) if len(digits) == 1 else (sign, digits, exponent))


def expected_revenue(amount: Decimal | None, probability: Decimal | None) -> Decimal | None:
    """The amount weighted with the probability, in cents; None when either is empty."""
    if amount is None or probability is None:
        return None
    return (amount * probability / _HUNDRED).quantize(_CENT)


def derive(sobject: SObject, row: Row, given: Mapping[str, Stored], now: str) -> None:
    """Bring the derived fields of a record up to date, in place.

    Args:
        sobject: Its object.
        row: The record as it is to be saved, by field name, in stored form.
        given: What the caller set, in stored form: a value that is given is not derived.
        now: The instant of the save, in stored form.
    """
    if sobject.name == "Opportunity":
        _opportunity(row, given)
    elif sobject.name == "Case":
        _case(row, now)
    elif sobject.name == "Contract":
        _contract(row)
    elif sobject.name == "Task":
        row["IsClosed"], row["IsHighPriority"] = (
            int(row.get("Status") == "Completed"),
            int(row.get("Priority") == "High"),
        )
    if "lastname" in sobject.by_name and "name" in sobject.by_name:
        parts = [row.get("FirstName"), row.get("LastName")]
        row["Name"] = " ".join(str(part) for part in parts if part) or None


def _opportunity(row: Row, given: Mapping[str, Stored]) -> None:
    name = row.get("StageName")
    follows = stage(str(name) if name else None)
    row["IsClosed"], row["IsWon"] = int(follows.closed), int(follows.won)
    if "StageName" in given:
        if given.get("Probability") is None:
            row["Probability"] = f"{follows.probability}.0"
        if given.get("ForecastCategoryName") is None and given.get("ForecastCategory") is None:
            row["ForecastCategory"] = follows.forecast
    if given.get("ForecastCategoryName") is not None:
        names = {shown: internal for internal, shown in FORECAST_NAMES.items()}
        shown = str(given["ForecastCategoryName"])
        row["ForecastCategory"] = names.get(shown, shown)
    category = str(row.get("ForecastCategory") or follows.forecast)
    row["ForecastCategoryName"] = FORECAST_NAMES.get(category, category)
    amount, probability = row.get("Amount"), row.get("Probability")
    revenue = expected_revenue(
        None if amount is None else Decimal(amount), None if probability is None else Decimal(probability)
    )
    row["ExpectedRevenue"] = None if revenue is None else str(revenue)


def _case(row: Row, now: str) -> None:
    status = row.get("Status")
    closed = is_closed_status(str(status) if status else None)
    row["IsClosed"] = int(closed)
    row["ClosedDate"] = (row.get("ClosedDate") or now) if closed else None


def _contract(row: Row) -> None:
    row["StatusCode"], row["EndDate"] = row.get("Status"), None
    start, term = row.get("StartDate"), row.get("ContractTerm")
    if start is not None and term is not None:
        begin = date.fromisoformat(str(start))
        years, month = divmod(begin.month - 1 + int(term), 12)
        first = date(begin.year + years, month + 1, 1)
        row["EndDate"] = (first + timedelta(days=begin.day - 2)).isoformat()
