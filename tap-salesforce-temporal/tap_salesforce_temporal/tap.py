"""The tap: settings, discovery, and the run."""

from __future__ import annotations

import copy
import json
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities

from microdecisions import command
from microdecisions.errors import ConfigurationError, MicroDecisionError, ObjectPermissionError
from microdecisions.pages import PageWriter, StopFlag
from microdecisions.settings import json_schema, load
from tap_salesforce_temporal import bookmarks
from tap_salesforce_temporal.org import Org
from tap_salesforce_temporal.settings import TapSettings
from tap_salesforce_temporal.stream import HistoryStream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from singer_sdk import Stream

__all__ = ["TapSalesforceTemporal", "main"]


class TapSalesforceTemporal(Tap):
    """Singer tap: every decision in a Salesforce org's history, one stream per history object."""

    name = "tap-salesforce-temporal"
    package_name = "tap-salesforce-temporal"
    dynamic_catalog = True
    message_writer_class = PageWriter
    config_jsonschema: ClassVar[dict[str, Any]] = json_schema(TapSettings)
    # BATCH is left out: the SDK's BATCH files hold what a user deselected or hashed.
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *, state: Any = None, **arguments: Any) -> None:
        self.stop = StopFlag()
        self._failures: list[MicroDecisionError] = []
        if state is not None:
            bookmarks.check_state(state)
        super().__init__(state=state, **arguments)

    @cached_property
    def settings(self) -> TapSettings:
        """The typed settings.

        Raises:
            ConfigurationError: a setting cannot be used, is missing, or is not known.
        """
        builtin: dict[str, Any] = {"properties": {}}
        self.append_builtin_config(builtin)
        return load(TapSettings, self.config, also_known=builtin["properties"])

    @cached_property
    def org(self) -> Org:
        """The org, logged in at first use."""
        return Org(self.settings, self.stop, self.logger)

    def discover_streams(self) -> Sequence[Stream]:
        """Make one stream per history object; with a catalog, only those it selects."""
        return [HistoryStream(self, source) for source in self.org.sources(self._selected())]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the stored state whole, so that each STATE carries every bookmark received."""
        self.state.update(copy.deepcopy(bookmarks.check_state(state)))  # type: ignore[typeddict-item]

    def failed(self, error: MicroDecisionError) -> None:
        """Note that a stream could not be read; the run goes on with the others and fails at its end."""
        self.logger.error("%s", error)
        self._failures.append(error)

    def finish(self) -> None:
        """End the run after its last stream.

        Raises:
            MicroDecisionError: a selected stream could not be read.
        """
        discovered = {stream.source.stream for stream in self.streams.values() if isinstance(stream, HistoryStream)}
        for missing in sorted((self._selected() or set()) - discovered):
            self.failed(
                ObjectPermissionError(
                    f"Stream `{missing}` is selected but the org does not show its object to the login user. Grant "
                    "read access to the object and switch on its field history, or deselect the stream."
                )
            )
        usage = self.org.session.usage
        spent = (
            f"of {usage.limits.maximum} a day the org has used {usage.limits.used}" if usage.limits else "no limit told"
        )
        self.logger.info("Run: %s API calls (%s), %s retries.", usage.calls, spent, usage.retries)
        if self._failures:
            raise type(self._failures[0])(
                f"{len(self._failures)} of the selected streams could not be read; the other streams are complete. "
                f"First: {self._failures[0]}"
            )

    @classmethod
    def invoke(  # type: ignore[override]  # as the SDK does: options by name
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Run from the command line.

        Raises:
            MicroDecisionError: the run is not complete.
        """
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        tap = cls(
            config={} if config is None else config.config,
            state=None if state is None else json.load(state),
            catalog=None if catalog is None else json.load(catalog),
            parse_env_config=config is not None and config.parse_env,
        )
        tap.sync_all()
        tap.finish()

    def _selected(self) -> set[str] | None:
        if self.input_catalog is None:
            return None
        return {name for name, entry in self.input_catalog.items() if entry.metadata.resolve_selection()[()]}

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        type(self).append_builtin_config(self.config_jsonschema)
        try:
            self.settings  # noqa: B018
        except ConfigurationError as error:
            if raise_errors:
                raise
            return [str(error)]
        return []

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        command.on_signal(self.stop, self.message_writer, signum, frame)  # type: ignore[arg-type]


def main() -> None:
    """Run the command line."""
    command.run_plugin(TapSalesforceTemporal)
