"""Limits, queries and Bulk jobs: what of an org can be tuned while it is served, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.bulk.control import BulkSettings
from localcloud.salesforce.cost import QuerySettings
from localcloud.salesforce.limits import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.bulk.control import BulkControl
    from localcloud.salesforce.cost import QueryControl
    from localcloud.salesforce.limits import LimitControl


class Tuning:
    """The settings of an org that is being served.

    Args:
        now_ms: The org's clock, in milliseconds since the epoch.

    Attributes:
        usage: The limits, and what was used of them.
        query: How queries behave.
        bulk: How Bulk query jobs behave.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.usage = Usage(now_ms)
        self.query = QuerySettings()
        self.bulk = BulkSettings()

    def reset(self) -> None:
        """Go back to the usual settings; what was used stays used."""
        self.usage.reset()
        self.query.reset()
        self.bulk.reset()

    def apply(self, limits: dict[str, LimitControl], query: QueryControl | None, bulk: BulkControl | None) -> None:
        """Take over what a control request asks.

        Raises:
            ValueError: There is no such limit.
        """
        self.usage.apply(limits)
        if query is not None:
            self.query.apply(query)
        if bulk is not None:
            self.bulk.apply(bulk)
