"""A dry run: what would be written, one JSON line an asset, and nothing is changed anywhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

import msgspec

from target_atlan_metadata.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from target_atlan_metadata.figures import AssetKey
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

    def publish(
        self, told: Iterable[Told], report: Report, as_of: datetime, *, is_all: bool = False
    ) -> Iterable[CellActivity]:
        """Print each asset."""
        del as_of, is_all
        for key, figures, _ in told:
            if key.level in self._levels:
                given = {name: value for name, value in msgspec.structs.asdict(figures).items() if value is not None}
                self._print({"asset": key.name, **given}, report)
        return ()

    def clear(self, keys: Iterable[AssetKey], report: Report) -> None:
        """Print the assets that would lose their figures."""
        for key in keys:
            self._print({"asset": key.name, "cleared": True}, report)
            report.cleared += 1

    def _print(self, row: Mapping[str, object], report: Report) -> None:
        (self._out or sys.stderr).write(msgspec.json.encode(row).decode() + "\n")
        report.written += 1

    def finish(self, told: Sequence[Told], report: Report, as_of: datetime) -> None:
        """Nothing is left to do."""

    def count(self, report: Report) -> None:
        """Nothing is asked."""

    def close(self) -> None:
        """Nothing to close."""
