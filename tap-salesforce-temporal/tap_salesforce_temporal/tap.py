"""The tap: settings, discovery, and the run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from microdecisions import command
from microdecisions.errors import ConfigurationError, ObjectPermissionError
from microdecisions.settings import json_schema
from microdecisions.taps import MicroDecisionTap
from tap_salesforce_temporal import bookmarks
from tap_salesforce_temporal.refusals import left_out, not_shown, read_before
from tap_salesforce_temporal.run import Run
from tap_salesforce_temporal.settings import TapSettings
from tap_salesforce_temporal.stream import HistoryStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click
    from singer_sdk import Stream

__all__ = ["TapSalesforceTemporal", "main"]


class TapSalesforceTemporal(MicroDecisionTap[TapSettings]):
    """Singer tap: every decision in a Salesforce org's history, one stream per history object."""

    name = "tap-salesforce-temporal"
    package_name = "tap-salesforce-temporal"
    settings_type = TapSettings
    config_jsonschema: ClassVar[dict[str, Any]] = json_schema(TapSettings)

    def __init__(self, *, state: Any = None, **arguments: Any) -> None:
        self._read_before = bookmarks.streams_of(self.check_state(state)) if state is not None else set[str]()
        super().__init__(state=state, **arguments)

    @classmethod
    def check_state(cls, state: object) -> dict[str, Any]:
        """Check the form of a stored state, and the entries of this tap.

        Raises:
            ConfigurationError: it cannot be used.
        """
        return bookmarks.check_state(state)

    @cached_property
    def run(self) -> Run:
        """What the streams share."""
        run = Run(self.settings, self.stop, self.logger)
        run.streams = self._in_turn
        return run

    def _in_turn(self) -> list[HistoryStream]:
        """The streams that are read, in the order in which the SDK reads them."""
        return [stream for stream in self.streams.values() if isinstance(stream, HistoryStream) and stream.selected]

    def discover_streams(self) -> Sequence[Stream]:
        """Make one stream per history object; with a catalog, only those it selects."""
        found = self.run.org.sources(self.selected_by_catalog, self._read_before)
        return [HistoryStream(self, self.run, source) for source in found]

    def _reset_state_progress_markers(self) -> None:
        """What the SDK does with the state first, before anything is written."""
        self._take_state()
        self._order_streams()
        super()._reset_state_progress_markers()

    def _take_state(self) -> None:
        """Check whose the state is, and name the streams of it that are there no more.

        Raises:
            ConfigurationError: it is another org's.
        """
        org = self.run.org
        others = bookmarks.others(self.state, org.org_id)
        if others and not self.settings.allow_org_change:
            stream, other = next(iter(others.items()))
            raise ConfigurationError(
                f"The state is of another org: the bookmark of stream `{stream}` belongs to {other}, and the login "
                f"leads to {org.org_id}. Log in to the org of the state, use another state id, or set "
                "`allow_org_change` to go on from these bookmarks in this org."
            )
        if others:
            named = ", ".join(sorted(set(others.values())))
            self.logger.warning("The state of the org %s is taken over for %s.", named, org.org_id)
            bookmarks.adopt(self.state, org.org_id)
        bookmarks.migrate(self.state)
        for stream in self._gone():
            self.logger.warning("%s", read_before(stream))

    def _order_streams(self) -> None:
        """Where a run may end early, begin with what is furthest behind: else the last streams would never be read."""
        settings = self.settings
        if settings.max_run_seconds or settings.quota_percent_run or settings.quota_percent_total:

            def behind(stream: Stream) -> tuple[str, str]:
                return str(stream.stream_state.get("replication_key_value", "")), stream.name

            self._streams = {stream.name: stream for stream in sorted(self.streams.values(), key=behind)}

    def _gone(self) -> list[str]:
        """Streams that have a bookmark and cannot be read any more, but for those whose run fails by it."""
        known = set(self.streams) if self.input_catalog is None else set(self.input_catalog)
        absent = bookmarks.streams_of(self.state) - known
        if absent and self.input_catalog is not None:  # a catalog may leave out what is there
            absent -= {source.stream for source in self.run.org.sources(absent)}
        return sorted(absent)

    def finish(self) -> None:
        """End the run after its last stream.

        Raises:
            MicroDecisionError: a selected stream could not be read.
        """
        discovered = {stream.source.stream for stream in self.streams.values() if isinstance(stream, HistoryStream)}
        for sentence in self.run.org.misnamed.wrong:
            self.run.failed(ConfigurationError(sentence))
        for missing in sorted((self.selected_by_catalog or set()) - discovered):
            self.run.failed(left_out(missing) if self.run.org.leaves_out(missing) else not_shown(missing))
        if not self.streams and self.input_catalog is None and not self.run.failures:
            self.run.failed(
                ObjectPermissionError(
                    "The org shows no history object to the login user, so nothing was read. Grant it the permission "
                    "View Setup and Configuration and read access to the objects whose history is wanted."
                )
            )
        elif not self.streams:
            self.logger.warning("No stream is selected: nothing was read.")
        self.run.finish()

    def try_streams(self) -> None:
        """Read at most one row of each stream, and write none.

        Raises:
            ObjectPermissionError: a stream cannot be read, or there is none.
        """
        from tap_salesforce_temporal.explore.trying import try_streams  # noqa: PLC0415  # only here

        try_streams(self)


def main() -> None:
    """Run the command line."""
    command.run_plugin(TapSalesforceTemporal, {"explore": _explore})


def _explore() -> click.Command:
    from tap_salesforce_temporal.explore.command import command as explore  # noqa: PLC0415  # needs the tap itself

    return explore()
