"""The command line of a plugin: every error is one sentence on standard error and an exit code, never a traceback."""

from __future__ import annotations

import atexit
import errno
import logging
import os
import signal
import sqlite3
import sys
import time
import traceback
from typing import TYPE_CHECKING, NoReturn, Protocol

import click
from singer_sdk import mapper
from singer_sdk.exceptions import MappingError

from microdecisions import redaction
from microdecisions.errors import InterruptedRunError, MicroDecisionError
from microdecisions.redaction import redact
from microdecisions.temporary import no_room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from singer_sdk import Tap, Target

    from microdecisions.pages import StopFlag

__all__ = ["Writer", "on_signal", "run_plugin"]

_EXIT_ERROR, _EXIT_CONFIGURATION = 1, 2
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_NO_JSON = {"json.decoder.JSONDecodeError", "simplejson.errors.JSONDecodeError"}  # the SDK reads by either
_MOST_ERRORS = 9  # of a chain of errors
_PATIENCE_WITH_LOADER = 1.0  # seconds; a page is written in much less
_PATIENCE = 10.0  # seconds for what a run puts away when it leaves
_EARLY = "Interrupted before anything was read: run again."


def run_plugin(
    plugin: type[Tap | Target], commands: Mapping[str, Callable[[], click.Command]] | None = None
) -> NoReturn:
    """Run a plugin's command line and leave: 0 complete, 1 error, 2 configuration, 3 quota ceiling, 4 gap written.

    Args:
        plugin: The plugin.
        commands: Makes of the commands that it has beside being a plugin, by the word that comes first.
    """
    logger = logging.getLogger(plugin.name)
    logging.raiseExceptions = False  # a signal that comes while a line is logged prints no traceback; the flag is set
    try:
        try:
            sentence, code = _answer(plugin, commands or {}, logger)
        finally:
            _be_patient()
    except InterruptedRunError as error:  # the first signal came after all work, or while an error was put in words
        _be_patient()  # it may have broken the other off; it is the only one that raises
        sentence, code = str(error), error.exit_code
    except KeyboardInterrupt:
        _be_patient()
        sentence, code = _EARLY, _EXIT_ERROR
    # Python gives handlers up before it ends: a late signal would make a crash of an orderly exit. Threads have ended.
    atexit.register(_on_signals, signal.SIG_IGN)
    if sentence is not None:
        logger.error("%s", redact(sentence))
    sys.exit(code)


def _be_patient() -> None:
    """Let signals change nothing while the process leaves, unless that takes too long."""
    began = time.monotonic()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if time.monotonic() - began >= _PATIENCE:
            os._exit(_EXIT_ERROR)

    _on_signals(handle)


def _on_signals(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _answer(
    plugin: type[Tap | Target], commands: Mapping[str, Callable[[], click.Command]], logger: logging.Logger
) -> tuple[str | None, int]:
    """Carry a command line out; returns the sentence that tells an error, and the exit code."""
    try:
        command = plugin.cli  # sets up logging, whose handlers the redaction goes on
        redaction.install()
        logging.getLogger(mapper.__name__).setLevel(logging.INFO)  # at DEBUG it logs what filters make of each record
        arguments, name = sys.argv[1:], None
        if commands and arguments and arguments[0] in commands:
            command, name = commands[arguments[0]](), f"{plugin.name} {arguments[0]}"
            del arguments[0]
        elif commands:
            command.epilog = f"Further commands: {', '.join(f'{plugin.name} {word} --help' for word in commands)}"
        return None, command.main(arguments, prog_name=name, standalone_mode=False) or 0
    except MicroDecisionError as error:
        return str(error), error.exit_code
    except click.ClickException as error:
        return error.format_message(), _EXIT_CONFIGURATION
    except (KeyboardInterrupt, click.Abort):
        return _EARLY, _EXIT_ERROR
    except Exception as error:  # noqa: BLE001  # the last line of defence against a traceback
        logger.debug("%s", redact(_places(error)))
        return _unexpected(error)


def _unexpected(error: Exception) -> tuple[str, int]:
    if f"{type(error).__module__}.{type(error).__name__}" in _NO_JSON:
        place = f"line {getattr(error, 'lineno', '?')}, column {getattr(error, 'colno', '?')}"
        return (
            f"A file given by --config, --state or --catalog is not JSON ({place}): correct it there.",
            _EXIT_CONFIGURATION,
        )
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError) and error.filename is not None:
        return f"File {error.filename} cannot be read: {error.strerror}.", _EXIT_CONFIGURATION
    if isinstance(error, FileNotFoundError):
        return str(error), _EXIT_CONFIGURATION
    if (full := _full_disk(error)) is not None:
        return full, _EXIT_ERROR
    if (told := _stream_map(error)) is not None:
        return told, _EXIT_CONFIGURATION
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.name}, line {frame.lineno}"
    sentence = f"Internal error: {type(error).__name__} in {place}. State is kept; please report it with a DEBUG log."
    return sentence, _EXIT_ERROR


def _stream_map(error: Exception) -> str | None:
    """What to say of a stream map that cannot be used, or fails on a record; None where it is none."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == mapper.__file__ and {"expr", "record", "self"} <= {*frame.f_locals}:
            expression, stream = str(frame.f_locals["expr"]), frame.f_locals["self"].stream_alias
            return (
                f"A stream map of stream `{stream}` cannot be used: its expression `{expression[:200]}` fails on "
                f"a record with {type(error).__name__}. Change it in `stream_maps` so that it takes every value."
            )
    # It names streams and expressions of the config, never a value.
    if not isinstance(error, MappingError):
        return None
    return f"A stream map cannot be used: {str(error).rstrip('.')}: change it in `stream_maps`."


def _places(error: BaseException) -> str:
    """Where an error and those behind it came up. Their own words are left out: they may hold the value of a field."""
    parts: list[str] = []
    one: BaseException | None = error
    while one is not None and len(parts) < _MOST_ERRORS:
        parts.append(f"{type(one).__name__}, last call last:\n{''.join(traceback.format_tb(one.__traceback__))}")
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return "which came of ".join(parts)


def _full_disk(error: Exception) -> str | None:
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"The output cannot be written: {error.strerror}."
    if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
        return str(no_room(None))
    return None


class Writer(Protocol):
    """Writes lines.

    Attributes:
        busy: Whether a write is under way, that must not be left by an exception.
    """

    busy: bool


def on_signal(stop: StopFlag, writer: Writer, signum: int, frame: FrameType | None) -> None:
    """React to SIGINT and SIGTERM: leave at once, but never in the middle of a line.

    A later signal changes nothing for one that is leaving, as runners send both signals at once; it ends a process that
    still waits for its loader after a second, or for anything else after ten. What is not written then is read again.

    Raises:
        InterruptedRunError: nothing is being written.
    """
    del frame
    if stop.is_set():
        if stop.seconds() >= (_PATIENCE_WITH_LOADER if writer.busy else _PATIENCE):
            os._exit(_EXIT_ERROR)  # a loader that no longer reads, or a server that does not answer
        return
    stop.set(f" by {signal.Signals(signum).name}")
    if not writer.busy:
        stop.check()
