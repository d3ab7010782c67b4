"""The sub-command `explore`: a table on standard output, JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microdecisions.exploring import explore_command
from tap_salesforce_deletes.explore.exploring import explore
from tap_salesforce_deletes.explore.table import table
from tap_salesforce_deletes.tap import TapSalesforceDeletes

if TYPE_CHECKING:
    import click

__all__ = ["command"]


def command() -> click.Command:
    """The sub-command."""
    return explore_command(
        TapSalesforceDeletes,
        explore,
        table,
        "Show what the org lets this tap read: topics and their permissions, the objects whose delete log is asked, "
        "event deliveries that are left, and what a run costs. No event is read, and no state written.",
    )
