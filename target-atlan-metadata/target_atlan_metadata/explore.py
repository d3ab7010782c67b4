"""The sub-command `explore`: what it shows is in `exploring`, which loads pyatlan, and so takes seconds to import."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from microdecisions.exploring import explore_command
from target_atlan_metadata.target import TargetAtlanMetadata

if TYPE_CHECKING:
    from target_atlan_metadata.exploring import Exploration

__all__ = ["command"]


def command() -> click.Command:
    """The sub-command."""
    return explore_command(
        TargetAtlanMetadata,  # type: ignore[arg-type]  # it is made and configured as a tap is
        _explore,
        _table,
        "Show who the token is and what it may do, the Salesforce connections, the custom metadata, and which objects "
        "and fields of the ledger, or of the org, have no asset in the catalog. Nothing is written.",
        [
            click.Option(
                ["--org"],
                type=click.Path(dir_okay=False, path_type=Path),
                help="Hold the org against the catalog too: what `tap-salesforce-temporal explore --output` wrote.",
            )
        ],
    )


def _explore(target: TargetAtlanMetadata, *, org: Path | None) -> Exploration:
    from target_atlan_metadata.exploring import explore  # noqa: PLC0415

    return explore(target.settings, os.environ, org)


def _table(found: Exploration) -> str:
    from target_atlan_metadata.exploring import table  # noqa: PLC0415

    return table(found)
