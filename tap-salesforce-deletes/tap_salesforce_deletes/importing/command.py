"""`tap-salesforce-deletes import FILES`: Singer messages of the past on standard output, for any target."""

from __future__ import annotations

import copy
import functools
import logging
import os
import signal
import sys
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click
import msgspec

from microdecisions import event, timestamps
from microdecisions.command import on_signal
from microdecisions.errors import ConfigurationError, InterruptedRunError, MicroDecisionError
from microdecisions.ids import is_id, to_18
from microdecisions.pages import StopFlag
from microdecisions.taps import KEY_PROPERTIES, REPLICATION_KEY
from tap_salesforce_deletes import position
from tap_salesforce_deletes.importing.files import rows_of, tables_of
from tap_salesforce_deletes.importing.rows import BadRowError, Imports
from tap_salesforce_deletes.importing.seen import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_salesforce_deletes.importing.files import OldTable

__all__ = ["Output", "command", "import_files"]

_ROWS_PER_STATE: Final = 10_000
_BYTES_PER_WRITE: Final = 65_536
_MOST_SENTENCES: Final = 20
_ORG: Final = "00D"
_BOOKMARK: Final = "delete_events_import"

logger = logging.getLogger("tap-salesforce-deletes")
_encode = msgspec.json.Encoder().encode


def command() -> click.Command:
    """The sub-command."""
    from tap_salesforce_deletes.tap import TapSalesforceDeletes  # noqa: PLC0415  # needs this module

    def run(*, files: tuple[Path, ...], org_id: str | None, config: Any, state: Path | None) -> None:
        if org_id is None:
            tap = TapSalesforceDeletes(config=config.config, parse_env_config=config.parse_env, setup_mapper=False)
            with closing(tap.run.session) as session:
                org_id = session.org_id
        out = Output(sys.stdout.buffer)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, functools.partial(on_signal, out.stop, out))
        import_files(files, out, org_id=org_id, now=datetime.now(UTC), state=_read_state(state))

    config = next(option for option in TapSalesforceDeletes.get_singer_command().params if option.name == "config")
    return click.Command(
        "import",
        callback=run,
        params=[
            click.Argument(["files"], nargs=-1, required=True, type=click.Path(path_type=Path)),
            click.Option(
                ["--org-id"],
                help="Id of the org that the files are of (Setup, Company Information); the login says it otherwise.",
            ),
            config,
            click.Option(
                ["--state"],
                type=click.Path(path_type=Path),
                help="The tap's state, to be carried in each STATE for targets that store it.",
            ),
        ],
        help="Read the SQLite files of an older collector (events_*.db) and write their deletes as Singer messages of "
        "the stream delete_events. Nothing is written into the files; the same file may be imported again.",
    )


def import_files(
    files: Sequence[Path], out: Output, *, org_id: str, now: datetime, state: dict[str, Any] | None = None
) -> int:
    """Write the rows of files as SCHEMA, RECORD and STATE lines.

    Args:
        files: SQLite files, read in this order.
        out: Takes the lines.
        org_id: Id of the org that the files are of, 15 or 18 characters.
        now: When the import runs.
        state: A Singer state whose bookmarks each STATE carries along.

    Returns:
        How many records were written.

    Raises:
        ConfigurationError: a file cannot be imported; nothing was written then.
        MicroDecisionError: rows could not be imported; all others were written.
    """
    if not is_id(org_id) or not org_id.startswith(_ORG):
        raise ConfigurationError(
            "The option --org-id is not the id of an org: it has 15 or 18 characters and begins 00D."
        )
    tables = [table for file in dict.fromkeys(files) for table in tables_of(file)]
    imports = Imports(to_18(org_id), _version(), timestamps.to_text(now))
    with Seen() as seen:
        try:
            return _Import(out, imports, seen, copy.deepcopy(state or {})).run(tables)
        except InterruptedRunError:
            raise _interrupted() from None


class Output:
    """Takes whole lines, and is never left in the middle of one.

    Args:
        out: Where they go.

    Attributes:
        stop: Set by a signal.
        busy: Whether a write is under way.
    """

    def __init__(self, out: BinaryIO) -> None:
        self.stop = StopFlag()
        self.busy = False
        self._out = out

    def write(self, lines: bytes | bytearray) -> None:
        """Write lines.

        Raises:
            InterruptedRunError: a signal came meanwhile.
            BrokenPipeError: nobody reads any more.
        """
        self.busy = True
        try:
            self._out.write(lines)
            self._out.flush()
        finally:
            self.busy = False
        self.stop.check()


class _Import:
    """One import."""

    def __init__(self, out: Output, imports: Imports, seen: Seen, state: dict[str, Any]) -> None:
        self._out = out
        self._imports = imports
        self._seen = seen
        self._state = state
        self._buffer = bytearray()
        self._counts: Counter[str] = Counter()

    def run(self, tables: Sequence[OldTable]) -> int:
        """Write the messages of all tables."""
        schema = {
            "type": "SCHEMA",
            "stream": position.STREAM,
            "schema": event.json_schema(),
            "key_properties": list(KEY_PROPERTIES),
            "bookmark_properties": [REPLICATION_KEY],
        }
        self._line(_encode(schema))
        for table in tables:
            before = self._counts.copy()
            self._table(table)
            self._checkpoint(table)
            new = self._counts - before
            logger.info(
                "%s, table %s: %s rows, %s deletes written, %s that were there before, %s that cannot be imported.",
                table.file,
                table.name,
                f"{new['rows']:,}",
                f"{new['written']:,}",
                f"{new['again']:,}",
                f"{new['bad']:,}",
            )
        self._flush()
        if self._counts["bad"]:
            raise MicroDecisionError(
                f"{self._counts['bad']:,} of {self._counts['rows']:,} rows were not imported, of which up to "
                f"{_MOST_SENTENCES} are named above; all others were. Correct them and import the file again: nothing "
                "is doubled by that."
            )
        return self._counts["written"]

    def _table(self, table: OldTable) -> None:
        for row in rows_of(table):
            self._counts["rows"] += 1
            try:
                made = self._imports.event(row)
            except BadRowError as error:
                self._counts["bad"] += 1
                if self._counts["bad"] <= _MOST_SENTENCES:
                    logger.warning("%s, table %s, row %s %s.", table.file, table.name, f"{row.number:,}", error)
                continue
            if not self._seen.add(made.event_id):
                self._counts["again"] += 1
                continue
            self._counts["written"] += 1
            self._line(b'{"type":"RECORD","stream":"%b","record":%b}' % (position.STREAM.encode(), made.to_json()))
            if self._counts["written"] % _ROWS_PER_STATE == 0:
                self._checkpoint(table)

    def _checkpoint(self, table: OldTable) -> None:
        """A STATE behind what was written, for targets that write out when one comes; it is never read again."""
        bookmarks = self._state.setdefault("bookmarks", {})
        bookmarks[_BOOKMARK] = {"file": table.file.name, "table": table.name, "written": self._counts["written"]}
        self._line(_encode({"type": "STATE", "value": self._state}))
        self._flush()

    def _line(self, line: bytes) -> None:
        self._buffer += line
        self._buffer += b"\n"
        if len(self._buffer) >= _BYTES_PER_WRITE:
            self._flush()

    def _flush(self) -> None:
        try:
            self._out.write(self._buffer)
        except BrokenPipeError:
            # Nobody reads any more; what Python would write at its end goes nowhere, without a word.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise _interrupted(", as the target ended") from None
        self._buffer.clear()


def _read_state(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        return position.check_state(msgspec.json.decode(file.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"The file {file} given by --state cannot be read: {error.strerror}.") from None
    except msgspec.DecodeError:
        raise ConfigurationError(f"The file {file} given by --state is not JSON.") from None


def _interrupted(why: str = "") -> MicroDecisionError:
    return MicroDecisionError(
        f"The import was interrupted{why}: import the same files again. It starts over with the first row, and nothing "
        "is doubled by that."
    )


def _version() -> str:
    from tap_salesforce_deletes.run import EXTRACTOR_VERSION  # noqa: PLC0415  # imports the Pub/Sub client

    return EXTRACTOR_VERSION
