"""API calls: what `Sforce-Limit-Info` says, what this run spent, and the ceilings. Pure."""

from __future__ import annotations

import re

import msgspec

from microdecisions.errors import QuotaCeilingError

__all__ = ["LimitInfo", "Usage", "calls_left", "check_ceilings", "parse_limit_info"]

_ORG = re.compile(r"(?:^|[^-\w])api-usage=([0-9]{1,12})/([0-9]{1,12})")
_APP = re.compile(r"per-app-api-usage=([0-9]{1,12})/([0-9]{1,12})\(appName=([^)]*)\)")


class LimitInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One `Sforce-Limit-Info` header: calls used and allowed in 24 hours, of the org and, where set, of the app."""

    used: int
    maximum: int
    app_used: int = 0
    app_maximum: int = 0
    app_name: str = ""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a session has spent so far.

    Attributes:
        calls: requests that count as API calls, repeated ones included.
        retries: tries beyond the first.
        logins: tokens asked for.
        bytes_received: body bytes as they came over the wire.
        limits: the last `Sforce-Limit-Info`; None before the first.
    """

    calls: int = 0
    retries: int = 0
    logins: int = 0
    bytes_received: int = 0
    limits: LimitInfo | None = None


def parse_limit_info(header: str | None) -> LimitInfo | None:
    """Read `api-usage=18/5000; per-app-api-usage=17/250(appName=sample)`; None when there is no `api-usage`."""
    org = _ORG.search(header or "")
    if org is None:
        return None
    used, maximum = int(org.group(1)), int(org.group(2))
    if (app := _APP.search(header or "")) is None:
        return LimitInfo(used=used, maximum=maximum)
    return LimitInfo(
        used=used,
        maximum=maximum,
        app_used=int(app.group(1)),
        app_maximum=int(app.group(2)),
        app_name=app.group(3),
    )


def check_ceilings(usage: Usage, percent_total: int | None, percent_run: int | None) -> None:
    """Refuse the next call when a ceiling is reached.

    Args:
        usage: what was spent.
        percent_total: ceiling for the org's use by all clients (and for the app's own allotment), in percent.
        percent_run: ceiling for the calls of this run, in percent of the org's maximum.

    Raises:
        QuotaCeilingError: it is reached.
    """
    limits = usage.limits
    if limits is None:
        return
    kept = "the state is kept; run again when calls are free, or raise the setting"
    for used, maximum, whose in (
        (limits.used, limits.maximum, "org"),
        (limits.app_used, limits.app_maximum, "app"),
    ):
        if percent_total is not None and maximum and used * 100 >= percent_total * maximum:
            raise QuotaCeilingError(
                f"The {whose} has used {used:,} of its {maximum:,} API calls in 24 hours, and `quota_percent_total` "
                f"allows {percent_total} %: {kept}."
            )
    if percent_run is not None and limits.maximum and usage.calls * 100 >= percent_run * limits.maximum:
        raise QuotaCeilingError(
            f"This run has made {usage.calls:,} API calls of the org's {limits.maximum:,} in 24 hours, and "
            f"`quota_percent_run` allows {percent_run} %: {kept}."
        )


def calls_left(usage: Usage, percent_total: int | None, percent_run: int | None) -> int | None:
    """API calls until a ceiling is reached, the org's own included; None when none is known.

    Args:
        usage: as for `check_ceilings`.
        percent_total: as for `check_ceilings`.
        percent_run: as for `check_ceilings`.
    """
    limits = usage.limits
    if limits is None or not limits.maximum:
        return None
    total = 100 if percent_total is None else percent_total
    left = [limits.maximum * total // 100 - limits.used]
    if limits.app_maximum:
        left.append(limits.app_maximum * total // 100 - limits.app_used)
    if percent_run is not None:
        left.append(limits.maximum * percent_run // 100 - usage.calls)
    return max(0, min(left))
