"""What the tests of opportunities share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from microdecisions import timestamps
from microdecisions.actors import Actor
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_temporal.normalise import Extraction

USERS = ("0055g000007UserAAC", "0055g00000ApproAAB")
EXTRACTION = Extraction(
    org_id="00D5g000004AbcDEAS",
    extracted_at="2026-01-31T12:00:00.000000Z",
    extractor_version="tap-salesforce-temporal 0.1.0",
    source="rest",
)
ACTORS = {user: Actor(user, "user", "Sales User") for user in USERS} | {None: Actor(None, "system", None)}
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def text_at(second: int) -> str:
    return timestamps.to_text(BEGIN + timedelta(seconds=second))


def flagged(event: MicroDecisionEvent) -> bool:
    return event.context.metadata.get("order_within_second") == "ambiguous"
