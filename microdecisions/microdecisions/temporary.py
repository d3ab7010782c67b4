"""Files without a name for what is too large for memory: gone with the process, however it ends."""

from __future__ import annotations

import contextlib
import tempfile
from typing import IO, TYPE_CHECKING, Final

from microdecisions.errors import MicroDecisionError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["no_room", "temporary_file"]

_IN_MEMORY: Final = 1024 * 1024  # bytes; what is more waits on disk


@contextlib.contextmanager
def temporary_file() -> Iterator[IO[bytes]]:
    """An empty file for reading and writing, in memory up to 1 MiB; only its owner can open it, and only here."""
    content: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # closed below
    try:
        yield content
    finally:
        with contextlib.suppress(OSError):  # a full disk refuses what is still in the buffer, which nobody wants now
            content.close()


def no_room(reason: str | None) -> MicroDecisionError:
    """The error of a disk that does not take what is to wait there.

    Args:
        reason: What the system says, such as `No space left on device`.
    """
    return MicroDecisionError(
        f"What is too large for memory cannot be kept on this machine's disk ({reason or 'it is full'}): make room in "
        "the folder for temporary files, or let TMPDIR name another. Nothing is lost; run again then."
    )
