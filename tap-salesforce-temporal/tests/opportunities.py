"""What the tests of opportunities share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from golden_run import APPROVER, USER

from microdecisions import timestamps
from microdecisions.event import MicroDecisionEvent

USERS = (USER, APPROVER)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def text_at(second: int) -> str:
    return timestamps.to_text(BEGIN + timedelta(seconds=second))


def flagged(event: MicroDecisionEvent) -> bool:
    return event.context.metadata.get("order_within_second") == "ambiguous"
