"""How many events a subscriber is owed, and what time demands of a stream. Pure.

Source: Pub/Sub API guide, "Pull Subscription and Flow Control"; Subscribe RPC reference.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from localcloud.salesforce.pubsub.errors import PubSubError

MOST_OUTSTANDING = 100
"""Events on order at one time, over all requests of a stream; more is treated as this."""


class Due(msgspec.Struct, frozen=True):
    """What has to happen, and at which instant of the stream's clock."""

    what: Literal["keepalive", "close"]
    at: float


class Flow(msgspec.Struct):
    """The account of one stream; times are seconds of a monotonic clock.

    Attributes:
        since: When the stream began, or the last response was sent.
        pending: Events that the client asked for and did not get.
    """

    since: float
    pending: int = 0

    def ask(self, count: int) -> None:
        """The client asks for more.

        Raises:
            PubSubError: The count is not above zero.
        """
        if count <= 0:
            raise PubSubError("subscription.fetch.requested.events.invalid")
        self.pending = min(MOST_OUTSTANDING, self.pending + count)

    def sent(self, count: int, now: float) -> None:
        """A response went out with that many events, none in a keepalive."""
        self.pending -= count
        self.since = now

    def due(self, keepalive_seconds: float, idle_seconds: float) -> Due:
        """What is to happen if nothing else does.

        With events on order an empty response is sent in time; with none the client has to ask for some
        within 60 seconds of the last response, or the stream is closed.
        """
        if self.pending:
            return Due("keepalive", self.since + keepalive_seconds)
        return Due("close", self.since + idle_seconds)
