"""The gated page writer: whole pages of typed records through the Singer SDK, one encode and one write a page.

A stream yields pages, and a checkpoint whenever everything before it is complete. Where a user's configuration needs
dicts (stream maps, flattening, deselection, a record limit) the SDK's own record path is taken; both paths give equal
records. One object owns standard output: SCHEMA, RECORD and STATE pass through the same buffer, so STATE is always
behind the records it vouches for.
"""

from __future__ import annotations

import gc
import io
import logging
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, BinaryIO, ClassVar, Final

import msgspec
from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.encoding.simple import Message

from microdecisions.errors import InterruptedRunError, MicroDecisionError

__all__ = ["Checkpoint", "Page", "PageStream", "PageWriter", "StopFlag"]

_BUFFER_BYTES: Final = 1 << 18


class Checkpoint(msgspec.Struct, frozen=True):
    """Everything before it is read, counted and written: the stream's bookmark may take these values.

    Attributes:
        bookmark: Entries of the stream's bookmark; strings, integers, and lists or maps of them.
    """

    bookmark: Mapping[str, Any]


Page = Sequence[msgspec.Struct]
"""Records of one page, in the order in which they are written."""


class StopFlag:
    """Set by SIGINT and SIGTERM, looked at between pages and while waiting.

    It holds no lock: a second signal that arrives inside the first one's handler would wait for it forever.

    Args:
        monotonic: Seconds that only go up.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: float | None = None
        self._cause = ""

    def set(self, cause: str = "") -> None:
        """Ask the run to stop; the first cause is kept, see `InterruptedRunError`."""
        if self._since is None:
            self._cause, self._since = cause, self._monotonic()

    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self._since is not None

    def seconds(self) -> float:
        """How long ago the run was first asked to stop; 0 when it was not."""
        return 0.0 if self._since is None else self._monotonic() - self._since

    def check(self) -> None:
        """Leave when asked to.

        Raises:
            InterruptedRunError: the flag is set.
        """
        if self._since is not None:
            raise InterruptedRunError(self._cause)


class _Envelope(msgspec.Struct, gc=False, tag_field="type", tag="RECORD"):
    stream: str
    record: msgspec.Struct
    time_extracted: str


class PageWriter(GenericSingerWriter[bytes, Message]):
    """Singer messages to standard output, whole pages included, through one buffer that never writes short.

    Under `PYTHONUNBUFFERED=1` standard output is a raw file whose `write` may stop in the middle of a page.

    Attributes:
        busy: Whether a write is under way; a signal handler must not leave it by an exception, or a line would tear.
    """

    _encoder: ClassVar = msgspec.json.Encoder(decimal_format="number")

    def __init__(self) -> None:
        self._stdout: object = None
        self._buffer: BinaryIO | None = None
        self.busy = False

    def serialize_message(self, message: Message) -> bytes:
        """Encode a Singer message as one line."""
        return self._encoder.encode(message.to_dict()) + b"\n"

    def write_message(self, message: Message) -> None:
        """Write one message; everything written so far is handed to the reader unless the message is a RECORD."""
        self._write(self.format_message(message), flush=message.type != "RECORD")

    def write_page(self, stream: str, page: Iterable[msgspec.Struct], extracted_at: str) -> None:
        """Write a page of records as RECORD messages and hand it to the reader: a page never waits half written."""
        lines = self._encoder.encode_lines([_Envelope(stream, record, extracted_at) for record in page])
        self._write(lines, flush=True)

    def flush(self) -> None:
        """Hand everything written so far to the reader."""
        with _Writing(self):
            if self._buffer is not None:
                self._buffer.flush()

    def _write(self, data: bytes, *, flush: bool) -> None:
        if self._stdout is not sys.stdout:
            self._stdout, self._buffer = sys.stdout, _binary_stdout()
        with _Writing(self):  # over both steps: between them the end of a large page stands in the buffer
            if self._buffer is None:
                sys.stdout.write(data.decode())
            else:
                self._buffer.write(data)
                if flush:
                    self._buffer.flush()


@cache
def _settle() -> None:
    """Once in a process: what start-up made lives as long as it; to look through it again and again costs a tenth.

    `gc.get_freeze_count` would tell whether that is done, but it counts them one by one, 50 ms a time.
    """
    gc.freeze()


def _binary_stdout() -> BinaryIO | None:
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # replaced by text, as contextlib.redirect_stdout does
        return None
    sys.stdout.flush()
    raw = binary if isinstance(binary, io.RawIOBase) else getattr(binary, "raw", None)
    if isinstance(raw, io.RawIOBase):
        return _Kept(raw, _BUFFER_BYTES)
    whole: BinaryIO = binary
    return whole


class _Kept(io.BufferedWriter):
    """A buffer over standard output that leaves the file open when it goes."""

    def __del__(self) -> None:
        return


class _Writing:
    """Marks the writer as busy, and turns a closed pipe into one sentence."""

    def __init__(self, writer: PageWriter) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        self._writer.busy = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self._writer.busy = False
        if isinstance(error, BrokenPipeError):
            raise MicroDecisionError(
                "The loader closed the pipe before everything was written: its own log says why. "
                "Nothing is lost; run again once it is mended."
            ) from None
        if isinstance(error, OSError):
            raise MicroDecisionError(f"Standard output cannot be written: {error.strerror}.") from None


class PageStream(Stream):
    """A stream that yields pages of typed records and checkpoints.

    Subclasses implement `get_pages`. The bookmark moves by checkpoints alone, never by the last row seen, and each
    checkpoint is followed by a STATE message.
    """

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    @abstractmethod
    def get_pages(self) -> Iterator[Page | Checkpoint]:
        """Yield pages of records, and a checkpoint where everything before it is complete."""

    @property
    def stop(self) -> StopFlag:
        """The run's stop flag."""
        flag: StopFlag = self._tap.stop  # type: ignore[attr-defined]
        return flag

    @property
    def emits_unchanged(self) -> bool:
        """Whether no user feature touches records, so that whole pages may be written."""
        return (
            self.ABORT_AT_RECORD_COUNT is None
            and not self.child_streams
            and self._stream_version is None
            and isinstance(self._tap.message_writer, PageWriter)
            and all(type(step) is SameRecordTransform and not step.flattening_enabled for step in self.stream_maps)
            and all(self.mask.values())
        )

    def get_records(self, context: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
        """Yield records as dicts, for the SDK's own path."""
        del context
        for item in self.get_pages():
            if isinstance(item, Checkpoint):
                self._apply(item)
                continue
            for record in item:
                yield msgspec.to_builtins(record)
            if isinstance(self._tap.message_writer, PageWriter):
                self._tap.message_writer.flush()
            self.stop.check()

    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        if not (write_messages and self.selected and self.emits_unchanged):
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        writer = self._tap.message_writer
        assert isinstance(writer, PageWriter)  # noqa: S101  # emits_unchanged
        alias = self.stream_maps[0].stream_alias
        _settle()
        counter, timer = self.get_record_counter(), self.get_sync_timer()
        with counter, timer:
            for item in self.get_pages():
                if isinstance(item, Checkpoint):
                    self._apply(item)
                else:
                    if item:
                        writer.write_page(alias, item, datetime.now(UTC).isoformat())
                        counter.increment(len(item))
                    self.stop.check()

    def _apply(self, checkpoint: Checkpoint) -> None:
        self.stream_state.update(checkpoint.bookmark)
        self.state_manager.is_flushed = False
        self._write_state_message()

    def log(self, message: str, *args: Any, level: int = logging.INFO, **options: Any) -> None:
        """Log about this stream; the SDK's "unhandled error" is left out, the error is told at the end of the run."""
        if level < logging.ERROR:
            super().log(message, *args, level=level, **options)

    # The SDK moves bookmarks by rows and marks their beginning; ours move by checkpoints.

    def _increment_stream_state(
        self, latest_record: dict[str, Any], *, context: Mapping[str, Any] | None = None
    ) -> None:
        del latest_record, context

    def _write_starting_replication_value(self, context: Mapping[str, Any] | None) -> None:
        del context

    def get_replication_key_signpost(self, context: Mapping[str, Any] | None = None) -> None:
        """No signpost: a window ends before Salesforce's own clock."""
        del context
