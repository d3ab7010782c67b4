"""The tap: settings, its one stream, and the run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from microdecisions import command
from microdecisions.settings import json_schema
from microdecisions.taps import MicroDecisionTap
from tap_salesforce_deletes import position
from tap_salesforce_deletes.planning import check_org
from tap_salesforce_deletes.run import Run
from tap_salesforce_deletes.settings import TapSettings
from tap_salesforce_deletes.stream import DeleteEvents

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click
    from singer_sdk import Stream

__all__ = ["TapSalesforceDeletes", "main"]


class TapSalesforceDeletes(MicroDecisionTap[TapSettings]):
    """Singer tap: every delete in a Salesforce org with who did it, from the Pub/Sub API and the delete log."""

    name = "tap-salesforce-deletes"
    package_name = "tap-salesforce-deletes"
    dynamic_catalog = False
    settings_type = TapSettings
    config_jsonschema: ClassVar[dict[str, Any]] = json_schema(TapSettings)

    @classmethod
    def check_state(cls, state: object) -> dict[str, Any]:
        """Check the form of a stored state, and the entry of this tap.

        Raises:
            ConfigurationError: it cannot be used.
        """
        return position.check_state(state)

    @cached_property
    def run(self) -> Run:
        """What the run stands on."""
        return Run(self.settings, self.stop, self.logger)

    def discover_streams(self) -> Sequence[Stream]:
        """Make the one stream; the org is not asked."""
        return [DeleteEvents(self, self.run)]

    def _reset_state_progress_markers(self) -> None:
        """What the SDK does with the state first, before anything is written."""
        if any(stream.selected for stream in self.streams.values()):
            self.run.connect()
            self.run.stored = check_org(self.run, position.read(self.state))
        super()._reset_state_progress_markers()

    def finish(self) -> None:
        """End the run after its stream.

        Raises:
            MicroDecisionError: the run is not complete.
        """
        if not any(stream.selected for stream in self.streams.values()):
            self.logger.warning("The stream `%s` is not selected: nothing was read.", position.STREAM)
            return
        self.run.finish()

    def try_streams(self) -> None:
        """Find out whether each topic and object can be read, and write no record.

        Raises:
            MicroDecisionError: one of them cannot.
        """
        from tap_salesforce_deletes.explore.trying import try_sources  # noqa: PLC0415  # only here

        try_sources(self.run)


def main() -> None:
    """Run the command line."""
    command.run_plugin(TapSalesforceDeletes, {"explore": _explore, "import": _import})


def _explore() -> click.Command:
    from tap_salesforce_deletes.explore.command import command as explore  # noqa: PLC0415  # needs the tap itself

    return explore()


def _import() -> click.Command:
    from tap_salesforce_deletes.importing import command as importing  # noqa: PLC0415  # needs the tap itself

    return importing()
