"""The file of results: newest first, one section for each day and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["keep"]

_HEAD = "# Results\n\nNewest first; the benchmarks add to it.\n"


def keep(results: Path, lines: Sequence[str]) -> None:
    """Put a section first; one with the same heading is replaced.

    Args:
        results: The file.
        lines: The section; its first line is the heading, which begins with `## `.
    """
    kept = results.read_text() if results.exists() else _HEAD
    head, *sections = kept.split("\n## ")
    heading = lines[0].removeprefix("## ")
    sections = [section for section in sections if section.partition("\n")[0] != heading]
    results.write_text("\n## ".join([head.rstrip() + "\n", "\n".join(lines).removeprefix("## "), *sections]))
