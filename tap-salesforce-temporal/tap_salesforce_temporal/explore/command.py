"""The sub-command `explore`: a table on standard output, JSON for programs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from microdecisions.exploring import explore_command
from tap_salesforce_temporal.explore.exploring import explore
from tap_salesforce_temporal.explore.table import table
from tap_salesforce_temporal.tap import TapSalesforceTemporal

if TYPE_CHECKING:
    from tap_salesforce_temporal.explore.findings import Exploration

__all__ = ["command"]


def command() -> click.Command:
    """The sub-command."""
    return explore_command(
        TapSalesforceTemporal,
        _explore,
        table,
        "Show what the org holds and what the login user may read: permissions, history objects, tracked fields, the "
        "newest events and the API calls that a load takes. Nothing is written to the org, and no state.",
        [
            click.Option(
                ["--samples"], is_flag=True, help="Show the values of the sample events; they are customers' data."
            )
        ],
    )


def _explore(tap: TapSalesforceTemporal, *, samples: bool) -> Exploration:
    found = explore(tap, values=samples)
    with closing(tap.run.org.session):
        return found
