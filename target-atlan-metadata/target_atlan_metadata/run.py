"""One run: events into the ledger, figures to Atlan, in an order that no crash can turn into a wrong number.

Ledger commit, Atlan write, dirty cleared, STATE: a crash before the commit repeats the input, one after it finds the
cells still dirty and writes them again, and what is written is always the absolute figure.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from target_atlan_metadata.counting import day_number
from target_atlan_metadata.errors import InputError
from target_atlan_metadata.figures import figures_of_assets
from target_atlan_metadata.ledger import Ledger, is_file_of
from target_atlan_metadata.place import ledger_url
from target_atlan_metadata.report import Report

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from target_atlan_metadata.clock import Clock
    from target_atlan_metadata.decision import Decision
    from target_atlan_metadata.figures import AssetKey, Figures
    from target_atlan_metadata.ledger import CellActivity
    from target_atlan_metadata.settings import TargetSettings

    Told = tuple[AssetKey, Figures, Sequence[CellActivity]]

__all__ = ["Publisher", "Run"]


class Publisher(Protocol):
    """Brings figures to where they are seen."""

    @property
    def clock(self) -> Clock:
        """Tells the instant that figures are of: that of where they are seen."""

    def start(self, ledger: Ledger) -> None:
        """Get ready, before anything is read.

        Raises:
            MicroDecisionError: it cannot be written to.
        """

    def check_org(self, org: str) -> None:
        """Take note of the org that events are of.

        Raises:
            ConfigurationError: they do not belong there.
        """

    def publish(
        self, told: Iterable[Told], report: Report, as_of: datetime, *, is_all: bool = False
    ) -> Iterable[CellActivity]:
        """Write the figures that differ, and with all of them take others away.

        Returns:
            The cells that need not be told again.
        """

    def finish(self, told: Sequence[Told], report: Report, as_of: datetime) -> None:
        """Do what belongs to the end of a run, after everything is published.

        Raises:
            MicroDecisionError: the run is not complete.
        """

    def count(self, report: Report) -> None:
        """Note in the report what was asked and written so far."""

    def close(self) -> None:
        """Close connections, also after a failure."""


class Run:
    """One run of the target.

    Args:
        settings: Checked settings.
        publisher: Makes what figures go to, given the settings.
        log: For an operator.
        environ: The environment, for the place of the ledger in a Meltano project.
        monotonic: Seconds that only go up.
    """

    def __init__(
        self,
        settings: TargetSettings,
        publisher: Callable[[TargetSettings, logging.Logger], Publisher],
        log: logging.Logger,
        environ: Mapping[str, str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._began: float | None = None
        self._org = ""
        self.report = Report(dry_run=settings.dry_run)
        self._settings = settings
        self._log = log
        url = ledger_url(settings.ledger_url, environ, may_make=not settings.dry_run)
        self._make_room_for_report(url)
        self._ledger = Ledger(
            url,
            closed_values=settings.closed_values,
            keep_names=settings.actor_names,
            wait_seconds=settings.ledger_wait_seconds,
            absent="scratch" if settings.dry_run else "make",
        )
        self._publisher = publisher(settings, log)

    def start(self) -> None:
        """Find out whether figures can be written, and write what an earlier run counted and could not tell.

        Raises:
            MicroDecisionError: they cannot.
        """
        self._publisher.start(self._ledger)

    def add(self, decisions: Sequence[Decision], stream: str | None = None) -> None:
        """Take events, and the name of the stream that they came in.

        Raises:
            InputError: one of them cannot be counted.
        """
        if self._began is None:
            self._began = self._monotonic()
        try:
            self._ledger.add(decisions, stream)
        except InputError as error:
            raise InputError(str(error) if stream is None else f"Stream `{stream}`: {error}") from None
        if self._ledger.org != self._org:
            self._org = self._ledger.org
            self._publisher.check_org(self._org)

    def checkpoint(self) -> None:
        """Make what was taken last, and tell Atlan of it; then STATE may follow."""
        if self._settings.dry_run:
            return
        self._commit()
        as_of = self._publisher.clock.now()
        told = self._told(as_of, dirty_objects=True)
        self._ledger.clean(self._publisher.publish(told, self.report, as_of))

    def finish(self) -> None:
        """End the run: everything is looked at, because velocity falls and assets appear without any event.

        Raises:
            MicroDecisionError: the run is not complete.
        """
        try:
            self._finish(self._publisher.clock.now())
            self.report.complete = True
        finally:
            self._tell_report()

    def _finish(self, as_of: datetime) -> None:
        if self._settings.dry_run:
            self._ledger.settle()
        else:
            self._commit()
        told = self._told(as_of)
        clean = self._publisher.publish(told, self.report, as_of, is_all=True)
        if not self._settings.dry_run:
            self._ledger.clean(clean)
            self._ledger.retain(
                _day(self._publisher.clock.past()),  # what is forgotten does not come back
                event_ids_days=self._settings.keep_event_ids_days,
                daily_days=self._settings.keep_daily_days,
            )
        self._publisher.finish(told, self.report, as_of)

    def close(self) -> None:
        """Give the ledger free; what is not committed is lost."""
        self._publisher.close()
        self._ledger.close()

    def _commit(self) -> None:
        self._ledger.commit()
        if self._began is not None:
            self.report.ledger_seconds = round(self.report.ledger_seconds + self._monotonic() - self._began, 3)
            self._began = None

    def _told(self, as_of: datetime, *, dirty_objects: bool = False) -> list[Told]:
        settings = self._settings
        self.report.as_of = timestamps.to_text(as_of)
        cells = self._ledger.activities(_day(as_of), settings.quality_days, dirty_objects=dirty_objects)
        return list(figures_of_assets(cells, as_of, settings.quality_weights, names=settings.actor_names))

    def _tell_report(self) -> None:
        received, report = self._ledger.received, self.report
        report.events = received.events
        report.secondary, report.too_old = received.secondary, received.too_old
        report.unplaced, report.gaps = received.unplaced, received.gaps
        report.counted = received.counted
        self._publisher.count(report)
        self._log.info("%s", report.line())
        if self._settings.report_path is not None:
            self._write_report(msgspec.json.encode(report) + b"\n")

    def _make_room_for_report(self, url: str) -> None:
        """Empty the file, so that a run that is killed does not leave the report of another one.

        Args:
            url: Of the ledger.

        Raises:
            ConfigurationError: it is a file of the ledger, or cannot be written.
        """
        path = self._settings.report_path
        if path is not None:
            if is_file_of(url, os.path.expanduser(path)):  # noqa: PTH111  # as `_write_report` has it
                raise ConfigurationError(
                    "Setting `report_path` names the file of the ledger, or one beside it that belongs to it: give the "
                    "report a file of its own."
                )
            self._write_report(b"")

    def _write_report(self, content: bytes) -> None:
        try:
            # Path.expanduser ends in a RuntimeError where there is no such user.
            Path(os.path.expanduser(self._settings.report_path or "")).write_bytes(content)  # noqa: PTH111
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no path"
            raise ConfigurationError(
                f"The file that `report_path` names cannot be written ({reason}): its folder must exist, and be open "
                "to the user of this process."
            ) from None


def _day(instant: datetime) -> int:
    return day_number(timestamps.to_text(instant))
