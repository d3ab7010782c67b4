"""`localcloud seed` and `localcloud advance`: an org is made, and days pass in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.commands import UsageError
from localcloud.progress import Progress
from localcloud.seed import SeedError, advance, seed_event_log, seed_generated

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_EVENTS = "events of histories and approval steps"


def make(options: argparse.Namespace, events: int) -> str:
    """Make an org; returns what to say of it.

    Args:
        options: What the command line asks for.
        events: The size of a made-up org where it names none.

    Raises:
        UsageError: It cannot be made.
    """
    org: Path = options.org
    with Progress("seeding") as progress:
        try:
            if options.event_log:
                seeded = seed_event_log(org, options.event_log, options.target, seed=options.seed, progress=progress)
            else:
                seeded = seed_generated(org, events=options.events or events, seed=options.seed, progress=progress)
        except SeedError as error:
            raise UsageError(str(error)) from error
    return f"{seeded.decisions:,} decisions, {seeded.events:,} {_EVENTS}: {org}"


def live(org: Path, days: int) -> str:
    """Let days pass; returns what to say of them.

    Raises:
        UsageError: They cannot pass.
    """
    with Progress("living through the days") as progress:
        try:
            grown = advance(org, days=days, progress=progress)
        except SeedError as error:
            raise UsageError(str(error)) from error
    shown = f"{days} day" + ("s" if days > 1 else "")
    return f"{shown} later: {grown.decisions:,} new decisions, {grown.events:,} new {_EVENTS}: {org}"
