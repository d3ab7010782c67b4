"""The sub-command `rebuild`: fills the ledger from files of events, and tells nothing to Atlan."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
import msgspec

from microdecisions.errors import ConfigurationError
from target_atlan_metadata.errors import InputError
from target_atlan_metadata.ledger import Ledger
from target_atlan_metadata.place import ledger_url
from target_atlan_metadata.reading import EventStream, event_stream
from target_atlan_metadata.reading.streams import FIELDS
from target_atlan_metadata.target import TargetAtlanMetadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["command", "fill"]

_AT_ONCE = 2_000


class _Line(msgspec.Struct):
    """A line of Singer's."""

    type: str
    stream: str | None = None
    record: msgspec.Raw = msgspec.Raw()


def fill(ledger: Ledger, files: Iterable[Path]) -> int:
    """Take the events of files: one record a line, or what a tap wrote.

    Args:
        ledger: Takes them; those that it knows change nothing.
        files: Each `.jsonl` or `.singer`, perhaps with `.gz`. Its name up to the first dot is the stream's, unless its
            lines name one.

    Returns:
        How many events were read.

    Raises:
        ConfigurationError: a file cannot be read.
        InputError: a line is no event.
    """
    number = 0
    for path in files:
        stream = path.name.partition(".")[0]
        try:
            with _opened(path) as lines:
                for name, records in _runs(stream, lines):
                    ledger.add(_stream(name, records[0]).decode(records), name)
                    number += len(records)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or "it is not a whole gzip file"
            raise ConfigurationError(f"The file {path} cannot be read: {reason}.") from None
    ledger.allow_take_over()
    ledger.commit()
    return number


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _runs(stream: str, lines: Iterable[bytes]) -> Iterator[tuple[str, list[msgspec.Raw]]]:
    """Records in runs of one stream."""
    name, run = stream, list[msgspec.Raw]()
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        given, record = _record(stream, line, place)
        if record is None:
            continue
        if run and (given != name or len(run) >= _AT_ONCE):
            yield name, run
            run = []
        name = given
        run.append(record)
    if run:
        yield name, run


def _record(stream: str, line: bytes, place: int) -> tuple[str, msgspec.Raw | None]:
    try:
        keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        if "type" not in keys or "event_type" in keys or "EVENT_TYPE" in keys:
            return stream, msgspec.Raw(line)
        message = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError(f"Line {place} of a file of stream `{stream}` is no JSON object.") from None
    return message.stream or stream, message.record if message.type == "RECORD" else None


def _stream(name: str, record: msgspec.Raw) -> EventStream:
    """How the records of a run are decoded; their names may be in capitals, as a warehouse writes them."""
    names = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
    return event_stream(name, {"properties": {**dict.fromkeys(FIELDS & names.keys()), **dict.fromkeys(names)}}) or (
        EventStream(name, {})
    )


def command() -> click.Command:
    """The sub-command."""

    def run(*, config: Any, files: tuple[Path, ...]) -> None:
        given = TargetAtlanMetadata(config=config.config, parse_env_config=config.parse_env, setup_mapper=False)
        settings = given.settings
        with Ledger(
            ledger_url(settings.ledger_url, os.environ),
            closed_values=settings.closed_values,
            keep_names=settings.actor_names,
            wait_seconds=settings.ledger_wait_seconds,
        ) as ledger:
            number = fill(ledger, files)
            new = number - ledger.received.known
        click.echo(
            f"{number:,} events read, {new:,} of them new to the ledger. The next run tells Atlan, also where it has "
            "the figures of another ledger."
        )

    config = next(option for option in TargetAtlanMetadata.get_singer_command().params if option.name == "config")
    return click.Command(
        "rebuild",
        callback=run,
        params=[
            config,
            click.Argument(
                ["files"], nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
            ),
        ],
        help="Fill the ledger from FILES of events (JSON lines, one record or one Singer message a line, also with "
        ".gz). Events that it knows are not counted again. Nothing is written to Atlan: the next run does that.",
    )
