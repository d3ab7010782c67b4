"""The sub-command `explore` of a tap: a table for people on standard output, JSON for programs."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
import msgspec

from microdecisions.errors import MicroDecisionError
from microdecisions.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from microdecisions.taps import MicroDecisionTap

__all__ = ["WIDTH", "explore_command", "headed", "wrapped"]

WIDTH: Final = 80
"""Columns of a table; no line is longer unless a single name is."""

FoundT = TypeVar("FoundT", bound=msgspec.Struct)


def explore_command(
    tap_type: type[MicroDecisionTap[Any]],
    explore: Callable[..., FoundT],
    table: Callable[[FoundT], str],
    text: str,
    more: Sequence[click.Option] = (),
) -> click.Command:
    """Make the sub-command; its `--config` is the tap's own.

    Args:
        tap_type: The tap.
        explore: Gets the tap, and what further options say by their names; returns what it found.
        table: Writes that for people.
        text: Help of the command.
        more: Further options.
    """

    def run(*, config: Any, as_json: bool, output: Path | None, **options: Any) -> None:
        tap = tap_type(config=config.config, parse_env_config=config.parse_env, setup_mapper=False)
        if output is not None:
            _write(output, b"")  # before the org is asked: a wrong path costs no API calls
        found = explore(tap, **options)
        document = msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n"
        if output is not None:
            _write(output, document)
        click.echo(redact(document.decode() if as_json else table(found)), nl=False)

    config = next(option for option in tap_type.get_singer_command().params if option.name == "config")
    return click.Command(
        "explore",
        callback=run,
        params=[
            config,
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON instead of the table."),
            click.Option(
                ["--output"], type=click.Path(dir_okay=False, path_type=Path), help="Write JSON into this file too."
            ),
            *more,
        ],
        help=text,
    )


def headed(text: str) -> Iterator[str]:
    """Lines that begin a part of a table."""
    yield ""
    yield text
    yield "-" * WIDTH


def wrapped(text: str, indent: str) -> Iterator[str]:
    """A text on as many lines as it needs, those after the first indented."""
    yield from textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def _write(path: Path, document: bytes) -> None:
    try:
        path.write_bytes(document)
    except OSError as error:
        raise MicroDecisionError(f"The file {path} given by --output cannot be written: {error.strerror}.") from None
