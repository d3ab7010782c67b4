"""Fills an org with decisions, from a real event log or made up, and writes down the truth first."""

from __future__ import annotations

from localcloud.seed.errors import SeedError
from localcloud.seed.loader import (
    SeedReport,
    advance,
    seed_event_log,
    seed_generated,
    seed_org,
)

__all__ = [
    "SeedError",
    "SeedReport",
    "advance",
    "seed_event_log",
    "seed_generated",
    "seed_org",
]
