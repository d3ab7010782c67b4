"""The block reader: a run of RECORD lines of one stream is handed on as bytes, to be decoded in one call.

It takes the place of the SDK's reader, line by line, and hands every other message on as the SDK does. STATE stays as
the bytes that came. Whatever comes in, time passes for the receiver: it is asked to look at its clock at least once a
second while input is awaited.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections import Counter
from itertools import groupby
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerReader

from target_atlan_metadata.errors import InputError
from target_atlan_metadata.reading.streams import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["BlockReader", "Receiver"]

_BLOCK_BYTES: Final = 1 << 20
_LONGEST_LINE: Final = 1 << 28
_PATIENCE: Final = 1.0  # seconds between two looks at the clock while nothing comes


class _Record(msgspec.Struct, tag_field="type", tag="RECORD", gc=False):
    stream: str
    record: msgspec.Raw


class _State(msgspec.Struct, tag_field="type", tag="STATE", gc=False):
    value: msgspec.Raw


class _Schema(msgspec.Struct, tag_field="type", tag="SCHEMA"):
    stream: str
    schema: dict[str, Any]
    key_properties: list[str] | None = None


class _Version(msgspec.Struct, tag_field="type", tag="ACTIVATE_VERSION"):
    stream: str


class _Batch(msgspec.Struct, tag_field="type", tag="BATCH"):
    stream: str


_Message = _Record | _State | _Schema | _Version | _Batch


class Receiver(Protocol):
    """Takes what the reader reads, in order."""

    def take_records(self, stream: str, records: Sequence[msgspec.Raw]) -> None:
        """Take the records of a run of RECORD messages of one stream, as JSON."""

    def take_state(self, value: bytes) -> None:
        """Take the value of a STATE message, as JSON."""

    def look_at_clock(self) -> None:
        """Do what is due."""


class BlockReader(GenericSingerReader[bytes]):
    """Reads Singer messages by blocks.

    Args:
        receiver: Takes records and states; other messages go to the SDK's callbacks.
    """

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self._receiver = receiver
        self._decoder = msgspec.json.Decoder(_Message)
        self._lines = 0

    @property
    def default_input(self) -> IO[bytes]:
        """Standard input, as bytes."""
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> dict[str, Any]:
        """Decode one line."""
        decoded: dict[str, Any] = msgspec.json.decode(line)
        return decoded

    def process_lines(
        self, file_input: IO[Any] | None, callbacks: dict[str, Callable[[dict[str, Any]], None]]
    ) -> Counter[str]:
        """Read input to its end.

        Raises:
            InputError: a line is no Singer message.
        """
        counts: Counter[str] = Counter()
        for block in _blocks(file_input or self.default_input):
            if block:
                self._take(self._decode(block), callbacks, counts)
            self._receiver.look_at_clock()
        return counts

    def _decode(self, block: bytes) -> list[_Message]:
        try:
            messages = self._decoder.decode_lines(block)
        except UNREADABLE:
            messages = list(self._one_by_one(block))
        else:
            self._lines += block.count(b"\n")
        return messages

    def _one_by_one(self, block: bytes) -> Iterator[_Message]:
        """Find the line that cannot be decoded."""
        for line in block.split(b"\n"):
            self._lines += 1
            if line.strip():
                try:
                    yield self._decoder.decode(line)
                except UNREADABLE as error:
                    reason = _reason(line, error)
                else:
                    continue
                raise InputError(f"Line {self._lines} of the input {reason}.")

    def _take(
        self, messages: list[_Message], callbacks: dict[str, Callable[[dict[str, Any]], None]], counts: Counter[str]
    ) -> None:
        for stream, run in groupby(messages, key=_stream_of_record):
            if stream is not None:
                records = [message.record for message in run if isinstance(message, _Record)]
                counts["RECORD"] += len(records)
                self._receiver.take_records(stream, records)
                continue
            for message in run:
                kind = str(type(message).__struct_config__.tag)
                counts[kind] += 1
                if isinstance(message, _State):
                    self._receiver.take_state(bytes(message.value))
                elif isinstance(message, _Batch):
                    raise InputError(
                        f"Stream `{message.stream}` comes as BATCH files, which are not read: remove `batch_config` "
                        "from the tap's settings."
                    )
                else:
                    callbacks[kind](msgspec.to_builtins(message))


def _stream_of_record(message: _Message) -> str | None:
    return message.stream if isinstance(message, _Record) else None


def _reason(line: bytes, error: Exception) -> str:
    """Why a line is refused; the decoder's own words may hold a value."""
    try:
        kind = msgspec.json.decode(line, type=_Kind).type
    except UNREADABLE:
        if isinstance(error, RecursionError):
            return "is nested too deeply: the input must be what a Singer tap writes"
        if isinstance(error, msgspec.ValidationError):
            return "is no Singer message: it must be a JSON object with a `type`"
        return "is not JSON: the input must be what a Singer tap writes, one message a line"
    known = ("RECORD", "SCHEMA", "STATE", "ACTIVATE_VERSION", "BATCH")
    if kind not in known:
        return "is a message of a type that the Singer specification does not have"
    return f"is a {kind} message without what the Singer specification asks of one"


class _Kind(msgspec.Struct):
    type: str


def _blocks(source: IO[Any]) -> Iterator[bytes]:
    """Whole lines in blocks of about a megabyte; an empty block whenever nothing came for a while."""
    rest = bytearray()  # grows in place: a long line that comes in many pieces is not copied with each of them
    for piece in _pieces(source):
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield bytes(rest) + piece[:cut]
            rest = bytearray(piece[cut:])
        else:
            rest += piece
            if len(rest) > _LONGEST_LINE:
                raise InputError(
                    "A line of the input is longer than 256 MiB: the input must be what a Singer tap writes."
                )
            yield b""
    if rest.strip():
        yield bytes(rest)


def _pieces(source: IO[Any]) -> Iterator[bytes]:
    descriptor = _descriptor(source)
    if descriptor is None:  # no real file: text of a test, or a click file that was read before
        while piece := source.read(_BLOCK_BYTES):
            yield piece.encode() if isinstance(piece, str) else piece
        return
    while True:
        ready, _, _ = select.select([descriptor], [], [], _PATIENCE)
        if not ready:
            yield b""
            continue
        piece = os.read(descriptor, _BLOCK_BYTES)
        if not piece:
            return
        yield piece


def _descriptor(source: IO[Any]) -> int | None:
    try:
        return source.fileno()
    except (OSError, AttributeError, io.UnsupportedOperation):
        return None
