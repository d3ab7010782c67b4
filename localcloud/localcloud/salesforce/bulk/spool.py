"""Results on disk: the CSV of a job beside the place of each of its rows, so that memory stays flat."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

_PLACE_BYTES = 8


class SpoolWriter:
    """Writes the rows of a job.

    Args:
        path: The file of the CSV; the places go beside it.
        ending: What ends a row.
    """

    def __init__(self, path: Path, ending: str) -> None:
        self._ending = ending.encode()
        self._csv = path.open("wb")
        self._places = _places(path).open("wb")
        self._places.write(bytes(_PLACE_BYTES))
        self.size = 0
        self.rows = 0

    def write(self, rows: Sequence[bytes]) -> None:
        """Add rows, each without its ending."""
        step = len(self._ending)
        places = array("Q", accumulate((len(row) + step for row in rows), initial=self.size))
        self.size = places[-1]
        self.rows += len(rows)
        self._places.write(places[1:].tobytes())
        self._csv.write(self._ending.join(rows))
        self._csv.write(self._ending)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._csv.close()
        self._places.close()


def read(path: Path, start: int, rows: int, most_bytes: int) -> tuple[bytes, int]:
    """Rows of a finished file.

    Args:
        path: The file of the CSV.
        start: The number of the first row, from 0.
        rows: How many rows at most.
        most_bytes: How many bytes at most; one row comes in any case.

    Returns:
        The CSV, and how many rows are in it.
    """
    first, last, count = _span(path, start, rows, most_bytes)
    if not count:
        return b"", 0
    with path.open("rb") as file:
        return os.pread(file.fileno(), last - first, first), count


def count(path: Path, start: int, rows: int, most_bytes: int) -> int:
    """How many rows `read` would give."""
    return _span(path, start, rows, most_bytes)[2]


def _span(path: Path, start: int, rows: int, most_bytes: int) -> tuple[int, int, int]:
    """First byte, last byte and number of rows."""
    with _places(path).open("rb") as file:
        file.seek(start * _PLACE_BYTES)
        places = array("Q", file.read((rows + 1) * _PLACE_BYTES))
    end = min(max(bisect_right(places, places[0] + most_bytes) - 1, 1), len(places) - 1)
    return places[0], places[end], end


def remove(path: Path) -> None:
    """Take the files of a job away, if they are there."""
    path.unlink(missing_ok=True)
    _places(path).unlink(missing_ok=True)


def _places(path: Path) -> Path:
    return path.with_suffix(".places")
