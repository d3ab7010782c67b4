"""Settings of the tap: the shared login settings and its own, declared once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from microdecisions.settings import RunSettings

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["TapSettings"]

_DateTime = {"format": "date-time"}
_FIELD_PATTERN = re.compile(r"[A-Za-z0-9_*?]+\.(?:\*|[A-Za-z][A-Za-z0-9_]*)")
_FIRST_YEAR, _LAST_YEAR = "1700", "4000"  # SOQL and SOSL Reference, Date Formats and Date Literals
_OLDEST_VERSION = 50.0  # the first whose describe has associateEntityType


class TapSettings(RunSettings, frozen=True, kw_only=True):
    """All settings of `tap-salesforce-temporal`.

    Raises:
        ConfigurationError: one setting or a pair of them cannot be used.
    """

    start_date: Annotated[
        str | None,
        Meta(
            title="Start date",
            description="Read what Salesforce recorded at or after this instant, such as `2024-01-31T00:00:00Z` or "
            "`2024-01-31`; everything when absent. A later bookmark goes before it.",
            extra_json_schema=_DateTime,
        ),
    ] = None
    end_date: Annotated[
        str | None,
        Meta(
            title="End date",
            description="Read only what was recorded before this instant; up to now when absent.",
            extra_json_schema=_DateTime,
        ),
    ] = None
    api_type: Annotated[
        Literal["auto", "rest", "bulk2"],
        Meta(
            title="API",
            description="`rest`, `bulk2` (Bulk API 2.0), or `auto`: Bulk from 100,000 rows on, REST below. What "
            "Salesforce does not serve by Bulk is read by REST.",
        ),
    ] = "auto"
    bulk_page_size: Annotated[
        int,
        Meta(
            title="Bulk page size",
            description="Rows of one set of Bulk results; more need fewer API calls and more room for temporary files.",
            ge=1_000,
            le=250_000,
        ),
    ] = 50_000
    max_concurrent_requests: Annotated[
        int,
        Meta(
            title="Concurrent requests",
            description="How many requests may wait for Salesforce at once, at most; it allows 25 long ones per org.",
            ge=1,
            le=20,
        ),
    ] = 5
    lag_seconds: Annotated[
        int,
        Meta(
            title="Lag (s)",
            description="Stay this far behind Salesforce's own clock: rows become visible late.",
            ge=0,
            le=86_400,
        ),
    ] = 60
    overlap_seconds: Annotated[
        int,
        Meta(
            title="Overlap (s)",
            description="Read this much before the bookmark again; what was written before is not written twice.",
            ge=0,
            le=604_800,
        ),
    ] = 900
    history_objects: Annotated[
        tuple[str, ...],
        Meta(
            title="History objects",
            description="Read the field history of these objects only: patterns of API names such as `Case` or "
            "`Invoice*`, of the object or of its history, in whatever letters; all when empty.",
        ),
    ] = ()
    history_fields: Annotated[
        tuple[str, ...],
        Meta(
            title="History fields",
            description="Read the history of these fields only, such as `Case.Status`: an object's API name or a "
            "pattern of it, and the field as its history names it. Objects that are not named are read whole.",
        ),
    ] = ()
    verify_days: Annotated[
        int,
        Meta(
            title="Days to verify",
            description="Once a day compare the rows that Salesforce counts of so many days with those that were read, "
            "and read days again that have more: rows that came later than the overlap. 0 switches it off.",
            ge=0,
            le=90,
        ),
    ] = 7
    opportunity_changes_from: Annotated[
        Literal["opportunity_history", "opportunity_field_history"],
        Meta(
            title="Opportunity changes from",
            description="Which of the two streams is the primary witness of changes that both record: stage, amount, "
            "close date, probability, forecast category.",
        ),
    ] = "opportunity_history"

    def __post_init__(self) -> None:
        super().__post_init__()
        if float(self.api_version) < _OLDEST_VERSION:
            raise ConfigurationError(
                f"Setting `api_version` must be {_OLDEST_VERSION:.1f} or later: older versions do not tell which "
                "objects are histories."
            )
        for pattern in self.history_fields:
            if _FIELD_PATTERN.fullmatch(pattern) is None:
                raise ConfigurationError(
                    "Setting `history_fields` takes an object and a field, such as `Case.Status` or `Case.*`; only the "
                    "object may be a pattern."
                )
        instants = {name: _instant(name, getattr(self, name)) for name in ("start_date", "end_date")}
        start, end = instants["start_date"], instants["end_date"]
        if start is not None and end is not None and start >= end:
            raise ConfigurationError("Setting `end_date` must be later than `start_date`.")

    @property
    def begins(self) -> datetime | None:
        """`start_date`, the second rounded down; nothing before it is read."""
        text = _instant("start_date", self.start_date)
        return None if text is None else timestamps.floor_second(timestamps.parse(text))

    @property
    def ends(self) -> datetime | None:
        """`end_date`; nothing from it on is read."""
        text = _instant("end_date", self.end_date)
        return None if text is None else timestamps.parse(text)


def _instant(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        instant = timestamps.canonical(f"{text}T00:00:00Z" if len(text) == 10 else text)
    except ValueError:
        raise ConfigurationError(
            f"Setting `{name}` is not a date-time with an offset: write it as 2024-01-31T00:00:00Z or 2024-01-31."
        ) from None
    if not _FIRST_YEAR <= instant[:4] <= _LAST_YEAR:
        raise ConfigurationError(
            f"Setting `{name}` must lie in the years {_FIRST_YEAR} to {_LAST_YEAR}: Salesforce takes no other date."
        )
    return instant
