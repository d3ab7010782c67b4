"""STATE on standard output."""

from __future__ import annotations

import os
import sys

from microdecisions.errors import MicroDecisionError

__all__ = ["StateOutput"]


class StateOutput:
    """Writes states, each as one whole line.

    Attributes:
        busy: Whether a write is under way; a signal lets it end.
    """

    def __init__(self) -> None:
        self.busy = False

    def write(self, state: bytes) -> None:
        """Write a state, in no other encoding than it came in.

        Raises:
            MicroDecisionError: nobody reads any longer.
        """
        self.busy = True
        try:
            _write(state + b"\n")
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python says on leaving that it cannot flush
            raise MicroDecisionError(
                "Nobody reads the state on standard output any longer: figures are written, run again."
            ) from None
        finally:
            self.busy = False


def _write(line: bytes) -> None:
    if (out := getattr(sys.stdout, "buffer", None)) is not None:
        sys.stdout.flush()
        rest = memoryview(line)
        while rest:  # a raw file, as under PYTHONUNBUFFERED, may take a part
            rest = rest[out.write(rest) :]
        out.flush()
    else:  # text that somebody put in its place
        sys.stdout.write(line.decode())
        sys.stdout.flush()
