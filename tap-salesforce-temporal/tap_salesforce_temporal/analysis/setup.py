"""What happens in Setup."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from tap_salesforce_temporal.analysis.counting import Tally, once

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from microdecisions.event import MicroDecisionEvent

__all__ = ["CRITICAL_WORDS", "SetupAction", "SetupChange", "critical_setup_changes", "setup_summary"]

_DAY: Final = timedelta(days=1)

CRITICAL_WORDS: Final = (
    "apex", "api", "certificate", "connected app", "delegated", "encrypt", "external client app", "field-level",
    "identity", "ip range", "login access", "manage users", "network access", "oauth", "password", "permission",
    "permset", "profile", "remote access", "role", "security", "session", "sharing", "sign-on", "sso", "trusted ip",
)  # fmt: skip
"""Words by which a setup change is critical: who may get in, who may see what, and what runs as whom."""


class SetupAction(msgspec.Struct, frozen=True):
    """One kind of change in Setup.

    Attributes:
        section: Section of Setup; None where the row has none.
        action: Salesforce's name of the action; None where the event has none.
        changes: How often.
        people: By how many people; Salesforce's own changes have no person.
        first: When first, canonical text.
        last: When last.
    """

    section: str | None
    action: str | None
    changes: int
    people: int
    first: str
    last: str


def setup_summary(events: Iterable[MicroDecisionEvent]) -> list[SetupAction]:
    """Count changes in Setup by section and action, the most frequent first."""
    groups: dict[tuple[str | None, str | None], Tally] = defaultdict(Tally)
    for event in once(events):
        if event.event_type == "setup_change" and event.is_primary:
            groups[event.record_id, _action(event)].add(event)
    found = [
        SetupAction(
            section=section,
            action=action,
            changes=tally.primary,
            people=len(tally.people),
            first=tally.first,
            last=tally.last,
        )
        for (section, action), tally in groups.items()
    ]
    return sorted(found, key=lambda one: (-one.changes, one.section or "", one.action or ""))


class SetupChange(msgspec.Struct, frozen=True):
    """One critical change in Setup.

    Attributes:
        at: When, canonical text.
        actor_name: Who; None for Salesforce itself and for users who cannot be read.
        section: Section of Setup.
        action: Salesforce's name of the action.
        display: What Setup shows of it.
        event_id: Of the event.
    """

    at: str
    actor_name: str | None
    section: str | None
    action: str | None
    display: str | None
    event_id: str


def critical_setup_changes(
    events: Iterable[MicroDecisionEvent],
    *,
    days: float,
    now: datetime,
    words: Collection[str] = CRITICAL_WORDS,
) -> list[SetupChange]:
    """List the critical changes in Setup of the last days, the newest first.

    Args:
        events: Those of `setup_audit_trail`; others are passed over.
        days: How far back from `now`.
        now: Aware instant; what happened after it is left out.
        words: A change is critical when its section or action holds one of these, in any case.
    """
    since, until = timestamps.to_text(now - _DAY * days), timestamps.to_text(now)
    sought = [word.lower() for word in words]
    found = []
    for event in once(events):
        if event.event_type != "setup_change" or not since <= event.timestamp_occurred <= until:
            continue
        section, action = event.record_id, _action(event)
        said = f"{section or ''}\n{action or ''}".lower()
        if event.is_primary and any(word in said for word in sought):
            at = event.timestamp_occurred
            found.append(SetupChange(at, event.actor_name, section, action, event.new_value, event.event_id))
    return sorted(found, key=lambda one: (one.at, one.event_id), reverse=True)


def _action(event: MicroDecisionEvent) -> str | None:
    return event.field_name
