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
from target_atlan_metadata.reading import UNREADABLE, event_stream
from target_atlan_metadata.reading.streams import is_event, stream_of_rows
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
    schema: dict[str, Any] | None = None


def fill(ledger: Ledger, files: Iterable[Path], *, ignore_others: bool = False, keep: bool = True) -> int:
    """Take the events of files: one record a line, or what a tap wrote.

    Args:
        ledger: Takes them; those that it knows change nothing.
        files: Each `.jsonl` or `.singer`, perhaps with `.gz`. Its name up to the first dot is the stream's, unless its
            lines name one.
        ignore_others: Leave streams out that are not of events: by their SCHEMA message, else by their first record.
        keep: Whether the ledger is to keep them.

    Returns:
        How many events were read.

    Raises:
        ConfigurationError: a file cannot be read, or none holds an event that counts.
        InputError: a line is no event.
    """
    number = 0
    for path in files:
        others = dict[str, bool]()
        try:
            with _opened(path) as lines:
                for name, records in _runs(path.name.partition(".")[0], lines, others):
                    names = _names(records[0])
                    if ignore_others and others.setdefault(name, not is_event(names)):
                        continue
                    ledger.add(stream_of_rows(name, names).decode(records), name)
                    number += len(records)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or "it is not a whole gzip file"
            raise ConfigurationError(f"The file {path} cannot be read: {reason}.") from None
    ledger.settle()
    if not ledger.received.counted + ledger.received.known:
        raise ConfigurationError("The files hold no event that counts: the ledger stays as it is.")
    if keep:
        ledger.allow_take_over()
        ledger.commit()
    return number


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _runs(stream: str, lines: Iterable[bytes], others: dict[str, bool]) -> Iterator[tuple[str, list[msgspec.Raw]]]:
    """Records in runs of one stream; of a stream with a SCHEMA message it is noted whether it is another's."""
    name, run = stream, list[msgspec.Raw]()
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        given, record = _record(stream, line, place, others)
        if record is None:
            continue
        if run and (given != name or len(run) >= _AT_ONCE):
            yield name, run
            run = []
        name = given
        run.append(record)
    if run:
        yield name, run


def _record(stream: str, line: bytes, place: int, others: dict[str, bool]) -> tuple[str, msgspec.Raw | None]:
    try:
        keys = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        if "type" not in keys or "event_type" in keys or "EVENT_TYPE" in keys:
            return stream, msgspec.Raw(line)
        message = msgspec.json.decode(line, type=_Line)
    except UNREADABLE:
        raise InputError(f"Line {place} of a file of stream `{stream}` is no JSON object.") from None
    if message.type == "SCHEMA" and message.stream is not None and message.schema is not None:
        others[message.stream] = event_stream(message.stream, message.schema) is None
    return message.stream or stream, message.record if message.type == "RECORD" else None


def _names(record: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The properties of a record; none of what is no object, which its decoder refuses."""
    try:
        return msgspec.json.decode(record, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return {}


def command() -> click.Command:
    """The sub-command."""

    def run(*, config: Any, files: tuple[Path, ...]) -> None:
        given = TargetAtlanMetadata(config=config.config, parse_env_config=config.parse_env, setup_mapper=False)
        settings = given.settings
        with Ledger(
            ledger_url(settings.ledger_url, os.environ, may_make=not settings.dry_run),
            closed_values=settings.closed_values,
            keep_names=settings.actor_names,
            wait_seconds=settings.ledger_wait_seconds,
            absent="scratch" if settings.dry_run else "make",
        ) as ledger:
            number = fill(ledger, files, ignore_others=settings.other_streams == "ignore", keep=not settings.dry_run)
            new = ledger.received.counted
        done = f"{number:,} events read, {new:,} of them new to the ledger."
        if settings.dry_run:
            click.echo(f"{done} It stays as it is, because `dry_run` is set.")
        else:
            click.echo(f"{done} The next run tells Atlan, also where it has the figures of another ledger.")

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
        ".gz). Events that it knows are not counted again, and stream maps are not applied. Nothing is written to "
        "Atlan: the next run does that.",
    )
