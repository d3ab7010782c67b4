"""What a run did: one line for operators, a JSON object for machines."""

from __future__ import annotations

import msgspec

__all__ = ["Report"]


class Report(msgspec.Struct):
    """Counts of one run.

    Attributes:
        complete: Whether the run came to its end without an error.
        as_of: The instant that the figures are of, by Atlan's clock, in canonical text; empty where there were none.
        events: Events that came.
        counted: Of them, those that changed what the ledger says.
        secondary: Second witnesses, which are not counted.
        too_old: Events of days whose ids the ledger no longer keeps; not counted.
        unplaced: Events without an object; not counted.
        gaps: Events that say that others may be missing.
        written: Assets that were written.
        cleared: Of them, those that lost all figures: the ledger knows no event of theirs.
        unchanged: Assets whose figures were there already.
        unresolved: Objects that are not in the catalog, each with its number of decisions.
        unresolved_fields: Fields that are not in the catalog, of objects that are, each with its number of changes.
        failed: Assets that Atlan refused, by qualified name.
        processes: Processes of lineage that were written.
        requests: Requests to Atlan.
        writes: Of them, those that may change something there.
        dry_run: Whether nothing was changed anywhere.
        ledger_seconds: From the first event to the commit of the last one, without what Atlan took in between.
    """

    complete: bool = False
    as_of: str = ""
    events: int = 0
    counted: int = 0
    secondary: int = 0
    too_old: int = 0
    unplaced: int = 0
    gaps: int = 0
    written: int = 0
    cleared: int = 0
    unchanged: int = 0
    unresolved: dict[str, int] = {}
    unresolved_fields: dict[str, int] = {}
    failed: list[str] = []
    processes: int = 0
    requests: int = 0
    writes: int = 0
    dry_run: bool = False
    ledger_seconds: float = 0.0

    def line(self) -> str:
        """Say it in one line."""
        parts = [
            f"{self.events:,} events, {self.counted:,} of them new",
            f"{self.written:,} assets {'to write' if self.dry_run else 'written'}",
            f"{self.unchanged:,} unchanged",
            f"{len(self.unresolved):,} objects not in the catalog",
        ]
        if self.cleared:
            parts.append(f"{self.cleared:,} cleared of figures that this ledger knows nothing of")
        if self.unresolved_fields:
            parts.append(f"{len(self.unresolved_fields):,} fields not in the catalog")
        if self.failed:
            parts.append(f"{len(self.failed):,} assets refused by Atlan")
        if self.too_old:
            parts.append(f"{self.too_old:,} events too old to be counted")
        if self.gaps:
            parts.append(f"{self.gaps:,} gaps in what was read")
        if self.processes:
            parts.append(f"{self.processes:,} links of lineage")
        parts.append(f"{self.requests:,} requests, {self.writes:,} of them writes")
        return f"Run: {', '.join(parts)}."
