"""A dry run: what would be written, one JSON line an asset, and nothing is changed anywhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

import msgspec

from target_atlan_metadata.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from target_atlan_metadata.ledger import CellActivity, Ledger
    from target_atlan_metadata.report import Report
    from target_atlan_metadata.run import Told

__all__ = ["FiguresPrinter"]


class FiguresPrinter:
    """Prints the figures of all assets, without a catalog to compare them with.

    Args:
        levels: Of assets: `object`, `field`.
        out: Where to; standard output is for STATE.

    Attributes:
        clock: That of the machine: nobody else is asked.
    """

    def __init__(self, levels: Sequence[str], out: TextIO | None = None) -> None:
        self._levels = levels
        self._out = out
        self.clock = Clock()

    def start(self, ledger: Ledger) -> None:
        """Nothing to get ready."""

    def check_org(self, org: str) -> None:
        """Any org will do."""

    def publish(self, told: Iterable[Told], report: Report, as_of: datetime) -> Iterable[CellActivity]:
        """Print each asset."""
        del as_of
        out = self._out or sys.stderr
        for key, figures, _ in told:
            if ("field" if key.field else "object") in self._levels:
                given = {name: value for name, value in msgspec.structs.asdict(figures).items() if value is not None}
                name = key.object if key.field is None else f"{key.object}.{key.field}"
                out.write(msgspec.json.encode({"asset": name, **given}).decode() + "\n")
                report.written += 1
        return ()

    def finish(self, told: Sequence[Told], report: Report, as_of: datetime) -> None:
        """Nothing is left to do."""

    def count(self, report: Report) -> None:
        """Nothing is asked."""

    def close(self) -> None:
        """Nothing to close."""
