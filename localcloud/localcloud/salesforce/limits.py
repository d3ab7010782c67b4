"""What an org may use in a day or an hour, what it has used, and the document that `/limits` answers.

Source: "Limits" and "List Organization Limits" of the REST API Developer Guide; the figures are those of the
documented example, or of an org that has them.
"""

from __future__ import annotations

import time
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Annotated

import msgspec

from localcloud.salesforce.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

API_REQUESTS = "DailyApiRequests"
BULK_JOBS = "DailyBulkV2QueryJobs"
BULK_STORAGE = "DailyBulkV2QueryFileStorageMB"
DELIVERED_EVENTS = "DailyDeliveredPlatformEvents"
PUBLISHED_EVENTS = "HourlyPublishedPlatformEvents"

MAXIMA: dict[str, int] = {
    "ActiveScratchOrgs": 3,
    "AnalyticsExternalDataSizeMB": 40_960,
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentEinsteinDataInsightsStoryCreation": 5,
    "ConcurrentEinsteinDiscoveryStoryCreation": 2,
    "ConcurrentSyncReportRuns": 20,
    "DailyAnalyticsDataflowJobExecutions": 60,
    "DailyAnalyticsUploadedFilesSizeMB": 51_200,
    API_REQUESTS: 100_000,
    "DailyAsyncApexExecutions": 250_000,
    "DailyAsyncApexTests": 500,
    "DailyBulkApiBatches": 15_000,
    BULK_STORAGE: 976_562,
    BULK_JOBS: 10_000,
    DELIVERED_EVENTS: 50_000,
    "DailyDurableGenericStreamingApiEvents": 10_000,
    "DailyDurableStreamingApiEvents": 10_000,
    "DailyEinsteinDataInsightsStoryCreation": 1_000,
    "DailyEinsteinDiscoveryPredictAPICalls": 50_000,
    "DailyEinsteinDiscoveryPredictionsByCDC": 5_000_000,
    "DailyEinsteinDiscoveryStoryCreation": 100,
    "DailyFunctionsApiCallLimit": 235_000,
    "DailyGenericStreamingApiEvents": 10_000,
    "DailyScratchOrgs": 6,
    "DailyStandardVolumePlatformEvents": 10_000,
    "DailyStreamingApiEvents": 50_000,
    "DailyWorkflowEmails": 100_000,
    "DataStorageMB": 1_024,
    "DurableStreamingApiConcurrentClients": 20,
    "FileStorageMB": 1_024,
    "HourlyAsyncReportRuns": 1_200,
    "HourlyDashboardRefreshes": 200,
    "HourlyDashboardResults": 5_000,
    "HourlyDashboardStatuses": 999_999_999,
    "HourlyLongTermIdMapping": 100_000,
    "HourlyManagedContentPublicRequests": 50_000,
    "HourlyODataCallout": 1_000,
    PUBLISHED_EVENTS: 50_000,
    "HourlyPublishedStandardVolumePlatformEvents": 1_000,
    "HourlyShortTermIdMapping": 100_000,
    "HourlySyncReportRuns": 500,
    "HourlyTimeBasedWorkflow": 1_000,
    "MassEmail": 5_000,
    "MonthlyEinsteinDiscoveryStoryCreation": 500,
    "MonthlyPlatformEvents": 300_000,
    "Package2VersionCreates": 6,
    "Package2VersionCreatesWithoutValidation": 500,
    "PermissionTypes": 1_500,
    "PrivateConnectOutboundCalloutHourlyLimitMB": 0,
    "SingleEmail": 5_000,
    "StreamingApiConcurrentClients": 20,
}
"""Every limit that is shown, with the most that the org may use."""

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_GRAIN_MS = 60_000
"""Uses of one minute are forgotten together, so that memory stays flat."""


class LimitControl(msgspec.Struct, forbid_unknown_fields=True):
    """What a control request can ask of one limit: the most, and how much of it was used in its time."""

    max: Annotated[int, msgspec.Meta(ge=0)] | None = None
    used: Annotated[float, msgspec.Meta(ge=0)] | None = None


class _Counter:
    """What was used in a time that rolls on: minutes and amounts, oldest first."""

    def __init__(self, span_ms: int) -> None:
        self._span = span_ms
        self._minutes: deque[tuple[int, float]] = deque()
        self._total = 0.0

    def add(self, now: int, amount: float) -> None:
        minute = now // _GRAIN_MS
        if self._minutes and self._minutes[-1][0] >= minute:
            last, before = self._minutes[-1]
            self._minutes[-1] = (last, before + amount)
        else:
            self._minutes.append((minute, amount))
        self._total += amount

    def used(self, now: int) -> float:
        first = (now - self._span) // _GRAIN_MS
        while self._minutes and self._minutes[0][0] < first:
            self._total -= self._minutes.popleft()[1]
        return self._total if self._minutes else 0.0

    def set(self, now: int, amount: float) -> None:
        self._minutes.clear()
        self._total = 0.0
        self.add(now, amount)


class Usage:
    """Counts what an org uses; a use is forgotten a day (an hour for `Hourly...`) after it, by the org's clock.

    Counts live as long as the server does. Safe to use from several threads.

    Args:
        now_ms: The org's clock, in milliseconds since the epoch.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: int(time.time() * 1000)) -> None:
        self._now = now_ms
        self._lock = Lock()
        self._maxima = dict(MAXIMA)
        self._counters: dict[str, _Counter] = {}
        self._followed: dict[str, Callable[[], float]] = {}

    def maximum(self, name: str) -> int:
        """The most that may be used.

        Raises:
            KeyError: There is no such limit.
        """
        return self._maxima[name]

    def used(self, name: str) -> float:
        """What was used in the limit's time.

        Raises:
            KeyError: There is no such limit.
        """
        if name in self._followed:
            return self._followed[name]()
        with self._lock:
            return self._counter(name).used(self._now())

    def add(self, name: str, amount: float = 1) -> None:
        """Count a use, allowed or not.

        Raises:
            KeyError: There is no such limit.
        """
        with self._lock:
            self._counter(name).add(self._now(), amount)

    def take(self, name: str, amount: float = 1) -> bool:
        """Count a use if it is allowed; returns whether it is.

        Raises:
            KeyError: There is no such limit.
        """
        with self._lock:
            counter, now = self._counter(name), self._now()
            if counter.used(now) + amount > self._maxima[name]:
                return False
            counter.add(now, amount)
            return True

    def follow(self, name: str, reader: Callable[[], float]) -> None:
        """Let someone else count the uses of a limit.

        Raises:
            KeyError: There is no such limit.
        """
        self._maxima[name]
        self._followed[name] = reader

    def apply(self, asked: dict[str, LimitControl]) -> None:
        """Set limits as a control request asks.

        Raises:
            ValueError: There is no such limit, or others count its uses.
        """
        for name, limit in asked.items():
            if name not in self._maxima:
                raise ValueError(f"no such limit: {name}")
            if limit.used is not None and name in self._followed:
                raise ValueError(f"the uses of {name} are counted elsewhere")
            if limit.max is not None:
                self._maxima[name] = limit.max
            if limit.used is not None:
                with self._lock:
                    self._counter(name).set(self._now(), limit.used)

    def reset(self) -> None:
        """Go back to the usual maxima; what was used stays used."""
        self._maxima = dict(MAXIMA)

    def document(self) -> bytes:
        """The body of `/limits`."""
        listed = {}
        for name, most in self._maxima.items():
            left = max(most - int(-(-self.used(name) // 1)), 0)
            listed[name] = {"Max": most, "Remaining": left}
        return msgspec.json.encode(listed, order="sorted")

    def _counter(self, name: str) -> _Counter:
        found = self._counters.get(name)
        if found is None:
            self._maxima[name]
            found = self._counters[name] = _Counter(_HOUR_MS if name.startswith("Hourly") else _DAY_MS)
        return found


def take_bulk_job(usage: Usage) -> None:
    """Count a Bulk query job that is being created.

    Raises:
        ApiError: 400 LIMIT_EXCEEDED, there were too many today, or their results took too much room.
    """
    stored = usage.maximum(BULK_STORAGE)
    if usage.used(BULK_STORAGE) >= stored:
        kilobytes = stored * 1_024 if stored != MAXIMA[BULK_STORAGE] else 1_000_000_000
        raise ApiError(
            400,
            "LIMIT_EXCEEDED",
            f"Max bulk v2 query result size stored ({kilobytes}) kb per 24 hrs has been exceeded",
        )
    if not usage.take(BULK_JOBS):
        most = usage.maximum(BULK_JOBS)
        raise ApiError(
            400,
            "LIMIT_EXCEEDED",
            f"Max bulk v2 query jobs ({most}) per 24 hrs has been reached ({int(usage.used(BULK_JOBS)) + 1})",
        )
