"""The sub-command `explore`: a table on standard output, JSON for programs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from microdecisions.errors import MicroDecisionError
from microdecisions.redaction import redact
from tap_salesforce_temporal.explore.exploring import explore
from tap_salesforce_temporal.explore.table import table
from tap_salesforce_temporal.tap import TapSalesforceTemporal

if TYPE_CHECKING:
    from typing import Any

__all__ = ["command"]


def command() -> click.Command:
    """The sub-command; its `--config` is the tap's own."""
    config = next(option for option in TapSalesforceTemporal.get_singer_command().params if option.name == "config")
    return click.Command(
        "explore",
        callback=_run,
        params=[
            config,
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON instead of the table."),
            click.Option(
                ["--output"], type=click.Path(dir_okay=False, path_type=Path), help="Write JSON into this file too."
            ),
            click.Option(
                ["--samples"], is_flag=True, help="Show the values of the sample events; they are customers' data."
            ),
        ],
        help="Show what the org holds and what the login user may read: permissions, history objects, tracked fields, "
        "the newest events and the API calls that a load takes. Nothing is written to the org, and no state.",
    )


def _run(*, config: Any, as_json: bool, output: Path | None, samples: bool) -> None:
    tap = TapSalesforceTemporal(config=config.config, parse_env_config=config.parse_env, setup_mapper=False)
    if output is not None:
        _write(output, b"")  # before the org is asked: a wrong path costs no API calls
    found = explore(tap, values=samples)
    with closing(tap.run.org.session):
        document = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
    if output is not None:
        _write(output, document)
    click.echo(redact(document.decode() if as_json else table(found)), nl=False)


def _write(path: Path, document: bytes) -> None:
    try:
        path.write_bytes(document)
    except OSError as error:
        raise MicroDecisionError(f"The file {path} given by --output cannot be written: {error.strerror}.") from None
