"""`tap-salesforce-deletes` with little patience: what a run waits for are parameters, here of a story's length."""

from __future__ import annotations

import random
from functools import cached_property
from typing import Final

from microdecisions.retries import Clocks, RetryPolicy
from tap_salesforce_deletes.pubsub.client import PubSubClient
from tap_salesforce_deletes.pubsub.line import Timing
from tap_salesforce_deletes.run import Run
from tap_salesforce_deletes.tap import TapSalesforceDeletes
from tap_salesforce_deletes.waiting import IdleRule

__all__ = ["QuickTap"]

_QUICK: Final = Timing(unary=1.0, watchdog=0.8, ping=0.3, ping_answer=0.3, connect=2.0)


class _QuickRun(Run):
    """A run whose channel gives up soon."""

    @cached_property
    def client(self) -> PubSubClient:
        """The Pub/Sub API."""
        settings = self.settings
        return PubSubClient(
            settings.pubsub_endpoint,
            plaintext=settings.pubsub_plaintext,
            tokens=self._token,
            timing=_QUICK,
            policy=RetryPolicy(base_seconds=0.05, longest_delay_seconds=0.5),
        )


class QuickTap(TapSalesforceDeletes):
    """The tap with such runs."""

    @cached_property
    def run(self) -> Run:
        """What the run stands on."""
        idle = self.settings.idle_timeout_seconds
        rule = IdleRule(idle_seconds=0.4 if idle == 1 else float(idle), longest_seconds=8.0)
        clocks = Clocks(random=lambda: random.random() / 10)  # noqa: S311 - pauses
        return _QuickRun(self.settings, self.stop, self.logger, rule=rule, clocks=clocks)
