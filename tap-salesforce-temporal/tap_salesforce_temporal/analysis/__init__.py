"""What people ask of events in a notebook: small pure functions over any iterable of `MicroDecisionEvent`s.

Each function reads its events once, in any order, and counts an event once however often it comes. What counts
decisions counts primary events; no function reaches for a clock or for the network.
"""

from __future__ import annotations

from tap_salesforce_temporal.analysis.records import (
    ActivityCount,
    ApprovalMetrics,
    TrackedField,
    activity_summary,
    approval_metrics,
    tracked_fields,
)
from tap_salesforce_temporal.analysis.setup import (
    CRITICAL_WORDS,
    SetupAction,
    SetupChange,
    critical_setup_changes,
    setup_summary,
)
from tap_salesforce_temporal.analysis.stages import StageDuration, StageVisit, stage_durations, stage_visits

__all__ = [
    "CRITICAL_WORDS",
    "ActivityCount",
    "ApprovalMetrics",
    "SetupAction",
    "SetupChange",
    "StageDuration",
    "StageVisit",
    "TrackedField",
    "activity_summary",
    "approval_metrics",
    "critical_setup_changes",
    "setup_summary",
    "stage_durations",
    "stage_visits",
    "tracked_fields",
]
