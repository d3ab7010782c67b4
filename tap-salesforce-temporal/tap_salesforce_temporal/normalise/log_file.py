"""Event log files: one event per line of a file's CSV, read a line at a time.

A line is a trace of what a user did, seldom a decision, and a login is in the login history too: the events are never
primary. Those of logins and logouts are of type `login`, all others of type `activity`.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from microdecisions.event import EventContext
from microdecisions.ids import is_id, to_18, version_event_id
from tap_salesforce_temporal.normalise.common import decided, facts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from microdecisions.actors import Actor
    from microdecisions.event import MicroDecisionEvent
    from tap_salesforce_temporal.normalise import Extraction

__all__ = ["LogFileRow", "lines_of", "logged", "user_of"]

_LOGINS: Final = frozenset({"Login", "LoginAs", "Logout"})
_RESULTS: Final = ("LOGIN_STATUS", "METHOD_NAME", "ACTION", "URI")
"""Columns that say what was done, the most telling first."""

Line = dict[str, str]
"""One line of a file by the names of its columns; empty cells are left out."""


class LogFileRow(msgspec.Struct):
    """One row of `EventLogFile`."""

    id: str = msgspec.field(name="Id")
    event_type: str = msgspec.field(name="EventType")
    log_date: str = msgspec.field(name="LogDate")
    created_date: str = msgspec.field(name="CreatedDate")
    interval: str | None = msgspec.field(name="Interval", default=None)
    sequence: int | None = msgspec.field(name="Sequence", default=None)


def lines_of(content: IO[bytes]) -> Iterator[Line]:
    """Read the lines of a file, whose first one names the columns, as they are asked for.

    Raises:
        ValueError: it is not CSV in UTF-8, or a line has more cells than there are columns.
    """
    text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
    lines = csv.reader(text, strict=True)
    try:
        columns = next(lines, [])
        for cells in lines:
            if len(cells) > len(columns):
                raise ValueError(f"line {lines.line_num} has {len(cells)} cells for {len(columns)} columns")
            yield {column: cell for column, cell in zip(columns, cells, strict=False) if cell}
    except csv.Error as error:
        raise ValueError(f"line {lines.line_num} is not CSV: {error}") from None
    finally:
        text.detach()  # closing the file is for whoever opened it


def user_of(line: Line) -> str | None:
    """The 18-character id of the user whom a line is about; None where it names none."""
    for column in ("USER_ID_DERIVED", "USER_ID"):
        if is_id(line.get(column, "")):
            return to_18(line[column])
    return None


def logged(
    row: LogFileRow, number: int, line: Line, actors: Mapping[str | None, Actor], extraction: Extraction
) -> MicroDecisionEvent:
    """Turn one line of a file into an event.

    Args:
        row: The file.
        number: The line's place in it, from 0 on: a file does not change, so it makes the event's id.
        line: The line.
        actors: By user id; holds `user_of` the line.
        extraction: What the events share.
    """
    file_id, kind, user = to_18(row.id), line.get("EVENT_TYPE", row.event_type), user_of(line)
    actor = actors[user]
    of_file = facts(log_interval=row.interval, log_date=timestamps.canonical(row.log_date))
    return decided(
        extraction,
        actor,
        event_id=version_event_id(extraction.org_id, "EventLogFile", file_id, str(number)),
        event_type="login" if kind in _LOGINS else "activity",
        timestamp_occurred=_when(line) or timestamps.canonical(row.log_date),
        timestamp_recorded=timestamps.canonical(row.created_date),
        record_type="User" if user else None,
        record_id=user,
        field_name=kind,
        new_value=next((line[column] for column in _RESULTS if column in line), None),
        is_primary=False,
        context=EventContext(
            source_object="EventLogFile",
            source_record_id=file_id,
            source=extraction.source,
            metadata=line | of_file,
        ),
    )


def _when(line: Line) -> str | None:
    """When it happened: TIMESTAMP_DERIVED is ISO 8601, TIMESTAMP is 20260103100001.250 in UTC."""
    try:
        return timestamps.canonical(line["TIMESTAMP_DERIVED"])
    except (KeyError, ValueError):
        pass
    try:
        return timestamps.to_text(datetime.strptime(line["TIMESTAMP"], "%Y%m%d%H%M%S.%f").replace(tzinfo=UTC))
    except (KeyError, ValueError):
        return None
