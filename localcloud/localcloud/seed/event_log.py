"""Read an event log (XES, XES.gz, CSV) case by case, streaming, with the standard library."""

from __future__ import annotations

import csv
import gzip
import zlib
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, cast
from xml.etree import ElementTree as ET

import msgspec

from localcloud.seed.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CSV_COLUMNS = ("case", "activity", "timestamp", "resource", "amount")
"""The columns a CSV event log must have, in any order; other columns become event attributes,
so a column named as an XES attribute (``lifecycle:transition``, ``impact``, ``org:role``) counts as that."""


class LogEvent(msgspec.Struct, frozen=True):
    """One event of a case, as the log has it.

    ``at`` is aware UTC, floored to the second (history rows have no more); ``lifecycle`` is
    ``complete`` in lower case where the log names none; ``attributes`` keeps every string, number
    and date attribute of the event by its key, as text.
    """

    activity: str
    at: datetime
    lifecycle: str
    resource: str | None
    attributes: dict[str, str]


class LogCase(msgspec.Struct, frozen=True):
    """One case: its name, its own attributes, and its events in the order of the file."""

    name: str
    attributes: dict[str, str]
    events: list[LogEvent]


def read_cases(path: Path) -> Iterator[LogCase]:
    """Yield the cases of an event log in file order, holding one case at a time (CSV: the file).

    Args:
        path: ``*.xes``, ``*.xes.gz``, ``*.csv`` or ``*.csv.gz``.

    Raises:
        SeedError: the file is missing, of an unknown kind, empty, cut short or damaged, or a CSV
            lacks columns; one sentence that names the file.
    """
    name = path.name.lower()
    if not path.is_file():
        raise SeedError(f"There is no event log at {path}.")
    if name.endswith((".xes", ".xes.gz")):
        reader = _xes_cases
    elif name.endswith((".csv", ".csv.gz")):
        reader = _csv_cases
    else:
        raise SeedError(f"{path.name} is not an event log: the name must end in .xes, .xes.gz, .csv or .csv.gz.")
    found = False
    try:
        with _opened(path) as stream:
            for case in reader(stream, path.name):
                found = True
                yield case
    except (ET.ParseError, EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise SeedError(f"{path.name} is damaged or not what its name says: {error}.") from error
    except OSError as error:
        raise SeedError(f"{path.name} could not be read: {error.strerror or error}.") from error
    if not found:
        raise SeedError(f"{path.name} holds no case with events.")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as raw:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield cast("IO[bytes]", unpacked)
        else:
            yield raw


def _xes_cases(stream: IO[bytes], file: str) -> Iterator[LogCase]:
    """Walk the XML; each finished trace is read and forgotten."""
    parser = ET.iterparse(stream, events=("start", "end"))  # noqa: S314 - a log file the user chose; expat limits entities
    root: ET.Element | None = None
    for kind, element in parser:
        if root is None:
            root = element
            if _local(element.tag) != "log":
                raise SeedError(f"{file} is XML, but not an event log: its root is <{_local(element.tag)}>.")
        elif kind == "end" and _local(element.tag) == "trace":
            case = _xes_case(element, file)
            root.clear()
            if case.events:
                yield case


def _xes_case(trace: ET.Element, file: str) -> LogCase:
    attributes: dict[str, str] = {}
    events: list[LogEvent] = []
    for child in trace:
        if _local(child.tag) == "event":
            events.append(_xes_event(child, file))
        else:
            attributes[child.get("key", "")] = child.get("value", "")
    return LogCase(attributes.get("concept:name", ""), attributes, events)


def _xes_event(event: ET.Element, file: str) -> LogEvent:
    attributes = {child.get("key", ""): child.get("value", "") for child in event}
    try:
        at, activity = attributes["time:timestamp"], attributes["concept:name"]
    except KeyError as error:
        raise SeedError(f"{file} has an event without {error.args[0]}.") from error
    return LogEvent(
        activity,
        _instant(at, file),
        attributes.get("lifecycle:transition", "complete").lower(),
        attributes.get("org:resource") or None,
        attributes,
    )


def _csv_cases(stream: IO[bytes], file: str) -> Iterator[LogCase]:
    """Group the rows of a CSV by case, in order of first appearance; rows keep the file's order."""
    rows = csv.DictReader(
        (line.decode("utf-8-sig" if n == 0 else "utf-8") for n, line in enumerate(stream)), strict=True
    )
    header = rows.fieldnames or []
    missing = [column for column in CSV_COLUMNS if column not in header]
    if missing:
        raise SeedError(
            f"{file} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            f"a CSV event log has the columns {', '.join(CSV_COLUMNS)}."
        )
    cases: dict[str, LogCase] = {}
    for row in rows:
        attributes = {key: value for key, value in row.items() if key and isinstance(value, str)}
        if len(attributes) < len(header):
            raise SeedError(f"{file}, line {rows.line_num}, has fewer values than the header has columns.")
        case = cases.setdefault(row["case"], LogCase(row["case"], {}, []))
        lifecycle = (row.get("lifecycle:transition") or "complete").lower()
        event = LogEvent(
            row["activity"], _instant(row["timestamp"], file), lifecycle, row["resource"] or None, attributes
        )
        case.events.append(event)
    yield from cases.values()


def _instant(text: str, file: str) -> datetime:
    """Parse an ISO 8601 time; without an offset it is taken as UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise SeedError(f"{file} has a time that is not ISO 8601: {text!r}.") from error
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(microsecond=0)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
