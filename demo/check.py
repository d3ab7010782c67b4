"""Compares what the truth log says was decided with what arrived in Snowflake, event by event.

It knows the rules of the truth log (localcloud/README.md) and the columns of an event (docs/event.md), and
imports neither the plugins nor localcloud: a mistake of theirs cannot hide in here.

    python demo/check.py ORG --schema SALESFORCE --query COMMAND...

COMMAND is run with SQL statements as its last argument and prints their rows, one JSON object a line; names
without a schema mean the tables of that schema.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import deletions
from expected import (
    NOT_SELECTED,
    Event,
    Expected,
    Json,
    clock_of,
    expected_events,
    read_truth,
    second,
    tracked_fields,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SECONDS_PER_DAY = 86_400

COLUMNS = (
    "EVENT_ID",
    "EVENT_TYPE",
    "TIMESTAMP_OCCURRED",
    "TIMESTAMP_RECORDED",
    "ACTOR_ID",
    "RECORD_TYPE",
    "RECORD_ID",
    "FIELD_NAME",
    "OLD_VALUE",
    "NEW_VALUE",
    "IS_PRIMARY",
    "CONTEXT",
)


@dataclass(slots=True)
class Stream:
    """One stream's comparison.

    Attributes:
        name: The stream, as the tap names it.
        decided: Events that the truth log asks for.
        arrived: Rows in Snowflake.
        distinct: Different event ids among them.
        before: Rows that were there before this run.
        wrong: The first differences, as sentences.
    """

    name: str
    decided: int = 0
    arrived: int = 0
    distinct: int = 0
    before: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether everything decided arrived once, as it was decided, and nothing else."""
        return self.decided == self.arrived == self.distinct and not self.wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Check one org; print the table; return 0 when all is equal, 1 when not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("org", type=Path, help="folder with truth.jsonl and meta.json")
    parser.add_argument("--schema", required=True, help="schema of the tables in Snowflake")
    parser.add_argument("--before", type=json.loads, default={}, help="rows per table before this run, JSON")
    parser.add_argument("--report", type=Path, help="also write the figures to this file, JSON")
    parser.add_argument("--query", nargs=argparse.REMAINDER, required=True, help="command that runs a statement")
    options = parser.parse_args(arguments)

    truth, tracked = list(read_truth(options.org / "truth.jsonl")), tracked_fields(options.org)
    clock = clock_of(options.org)
    expected = expected_events(truth, tracked, clock)
    warehouse = Warehouse(options.query, options.schema)
    arrived = warehouse.arrived()
    streams = [
        compare(name, expected.get(name, Expected()), arrived.get(name, Arrived()))
        for name in sorted((expected.keys() - NOT_SELECTED) | arrived.keys())
    ]
    streams = [stream for stream in streams if stream.decided or stream.arrived]
    for stream in streams:
        stream.before = int(options.before.get(stream.name, 0))
    print("\n".join(table(streams)))
    deleted = deletions.compare(deletions.decided_deletions(truth), warehouse.sightings, tracked, clock)
    print(
        f"{deleted.decided:,} deletions, {deleted.resolved:,} told by {deleted.sightings:,} events of "
        f"{deletions.STREAM}  {'equal' if deleted.equal else 'DIFFERENT'}"
    )
    if options.report:
        figures = [{**vars_of(stream), "new": stream.arrived - stream.before} for stream in streams]
        options.report.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    wrong = [(stream.name, sentence) for stream in streams for sentence in stream.wrong]
    for name, sentence in (*wrong, *((deletions.STREAM, sentence) for sentence in deleted.wrong)):
        print(f"{name}: {sentence}", file=sys.stderr)
    return 0 if streams and deleted.equal and all(stream.equal for stream in streams) else 1


def vars_of(stream: Stream) -> dict[str, object]:
    """The figures of a stream as plain data."""
    return {
        "stream": stream.name,
        "decided": stream.decided,
        "arrived": stream.arrived,
        "distinct": stream.distinct,
        "equal": stream.equal,
    }


# --- what arrived ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Arrived:
    """What one table holds.

    Attributes:
        events: Its rows as events, with how often each is there.
        ids: The different event ids.
    """

    events: Counter[Event] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)


class Warehouse:
    """The tables of one schema, through a command that runs statements."""

    def __init__(self, command: Sequence[str], schema: str) -> None:
        self.command = tuple(command)
        self.schema = schema
        self.sightings: list[Json] = []

    def arrived(self) -> dict[str, Arrived]:
        """The events of all tables that hold any, by stream name; those of deletes are kept in `sightings`."""
        where = f"table_schema = '{self.schema}' and column_name = 'EVENT_ID'"
        names = f"select table_name from information_schema.columns where {where}"  # noqa: S608 - our own names
        tables = [str(row["TABLE_NAME"]) for row in self.ask(names)]
        found = {table: Arrived() for table in tables}
        columns = ", ".join(COLUMNS)
        statements = [f"select '{table}' as STREAM, {columns} from \"{table}\"" for table in tables]  # noqa: S608
        for row in self.ask("; ".join(statements)) if statements else ():
            if row["STREAM"] == deletions.STREAM.upper():
                self.sightings.append(row)
                continue
            table = found[row["STREAM"]]
            table.events[arrived_event(row)] += 1
            table.ids.add(row["EVENT_ID"])
        return {name.lower(): table for name, table in found.items() if table.events}

    def ask(self, statements: str) -> Iterator[Json]:
        """The rows that the statements answer with, in their order.

        Raises:
            SystemExit: The command failed; its own words are the message.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            command = [*self.command, statements]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, encoding="utf-8") as client:
                for line in client.stdout or ():
                    yield json.loads(line)
            if client.returncode:
                said.seek(0)
                sys.exit(f"the warehouse did not answer: {said.read().strip()}")


def arrived_event(row: Json) -> Event:
    """A row in the form of the expected events; a line of a log file is known by its file and request."""
    if ":EventLogFile:" in str(row["EVENT_ID"]):
        context = parsed(row["CONTEXT"])
        request = context.get("metadata", {}).get("REQUEST_ID")
        return ("log_line", context["source_record_id"], request, row["IS_PRIMARY"])
    event: Event = (
        row["EVENT_TYPE"],
        second(str(row["TIMESTAMP_OCCURRED"])),
        row["ACTOR_ID"],
        row["RECORD_TYPE"],
        row["RECORD_ID"],
        row["FIELD_NAME"],
        row["OLD_VALUE"],
        row["NEW_VALUE"],
        row["IS_PRIMARY"],
    )
    if row["EVENT_TYPE"] != "stage_change":
        return event
    context = parsed(row["CONTEXT"])
    return (*event, context.get("previous_stage"), seconds(context.get("stage_duration_days")))


def seconds(days: float | None) -> int | None:
    """A number of days in whole seconds, so that the last digits of a float do not matter."""
    return None if days is None else round(days * SECONDS_PER_DAY)


def parsed(context: object) -> Json:
    """The context of an event, however the warehouse gives it."""
    found: Json = json.loads(context) if isinstance(context, str) else context  # type: ignore[assignment]
    return found


def compare(name: str, expected: Expected, table: Arrived) -> Stream:
    """Compare the expected events of a stream with those that arrived."""
    required = expected.required
    beside = (table.events - required) & expected.allowed
    decided = required + beside
    stream = Stream(name, decided.total(), table.events.total(), len(table.ids))
    if stream.distinct != stream.arrived:
        stream.wrong.append(f"{stream.arrived - stream.distinct} rows repeat an event_id")
    for word, difference in (("missing", decided - table.events), ("not decided", table.events - decided)):
        if difference:
            example = " | ".join("null" if part is None else str(part) for part in next(iter(difference)))
            stream.wrong.append(f"{difference.total()} events {word}, for example: {example}")
    return stream


# --- what the screen says --------------------------------------------------------------------------


def table(streams: Sequence[Stream]) -> list[str]:
    """The comparison as lines of text, for a terminal of 80 columns."""
    total = Stream(
        "all",
        decided=sum(s.decided for s in streams),
        arrived=sum(s.arrived for s in streams),
        distinct=sum(s.distinct for s in streams),
        before=sum(s.before for s in streams),
    )
    cells = [["stream", "truth log", "in Snowflake", "event ids", "new", ""]]
    for s in (*streams, total):
        figures = (s.decided, s.arrived, s.distinct, s.arrived - s.before)
        verdict = "" if s is total else "equal" if s.equal else "DIFFERENT"
        cells.append([s.name, *(f"{figure:,}" for figure in figures), verdict])
    widths = [max(len(row[i]) for row in cells) for i in range(6)]
    lines = [
        "  ".join(
            cell.rjust(width) if 0 < i < 5 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


if __name__ == "__main__":
    sys.exit(main())
