"""Settings of the tap: the shared login settings and its own, declared once."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from microdecisions.settings import LoginSettings

__all__ = ["TapSettings"]

_DateTime = {"format": "date-time"}
_OLDEST_VERSION = 50.0  # the first whose describe has associateEntityType


class TapSettings(LoginSettings, frozen=True, kw_only=True):
    """All settings of `tap-salesforce-temporal`.

    Raises:
        ConfigurationError: one setting or a pair of them cannot be used.
    """

    start_date: Annotated[
        str | None,
        Meta(
            title="Start date",
            description="Read what Salesforce recorded at or after this instant, such as `2024-01-31T00:00:00Z` or "
            "`2024-01-31`; everything when absent. A stored bookmark goes before it.",
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
    opportunity_changes_from: Annotated[
        Literal["opportunity_history", "opportunity_field_history"],
        Meta(
            title="Opportunity changes from",
            description="Which of the two streams is the primary witness of changes that both record: stage, amount, "
            "close date, probability, forecast category.",
        ),
    ] = "opportunity_history"
    integration_users: Annotated[
        tuple[str, ...],
        Meta(
            title="Integration users",
            description="User names or ids whose decisions are of actor type `integration`, whatever their profile.",
        ),
    ] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if float(self.api_version) < _OLDEST_VERSION:
            raise ConfigurationError(
                f"Setting `api_version` must be {_OLDEST_VERSION:.1f} or later: older versions do not tell which "
                "objects are histories."
            )
        instants = {name: _instant(name, getattr(self, name)) for name in ("start_date", "end_date")}
        start, end = instants["start_date"], instants["end_date"]
        if start is not None and end is not None and start >= end:
            raise ConfigurationError("Setting `end_date` must be later than `start_date`.")


def _instant(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return timestamps.canonical(f"{text}T00:00:00Z" if len(text) == 10 else text)
    except ValueError:
        raise ConfigurationError(
            f"Setting `{name}` is not a date-time with an offset: write it as 2024-01-31T00:00:00Z or 2024-01-31."
        ) from None
