"""The tap: settings, discovery, and the run."""

from __future__ import annotations

import copy
import json
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import Catalog, Schema
from singer_sdk.tap_base import CliTestOptionValue

from microdecisions import command, event
from microdecisions.errors import ConfigurationError, ObjectPermissionError
from microdecisions.pages import PageWriter, StopFlag
from microdecisions.settings import json_schema, load
from tap_salesforce_temporal import bookmarks
from tap_salesforce_temporal.run import Run
from tap_salesforce_temporal.settings import TapSettings
from tap_salesforce_temporal.stream import HistoryStream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    import click
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
        return [HistoryStream(self, self.run, source) for source in self.run.org.sources(self._selected())]

    def setup_mapper(self) -> None:
        """Complete the catalog, then as the SDK does: it decides what is selected; keys and method are ours.

        Tools leave them out, or keep a schema of an older version, by which a target would double or drop what it gets.
        """
        ours = event.json_schema()
        for entry in (self.input_catalog or Catalog()).values():
            given = entry.schema.to_dict()
            properties = {**ours["properties"], **given.get("properties", {})}
            entry.schema = Schema.from_dict({**ours, **given, "properties": properties})
            entry.key_properties = list(HistoryStream.primary_keys)
            entry.replication_key = HistoryStream.replication_key
            entry.replication_method = HistoryStream.forced_replication_method
        super().setup_mapper()

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the stored state whole, so that each STATE carries every bookmark received."""
        self.state.update(copy.deepcopy(bookmarks.check_state(state)))  # type: ignore[typeddict-item]

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
            self.logger.warning("The state of the org %s is taken over for %s.", *set(others.values()), org.org_id)
            bookmarks.adopt(self.state, org.org_id)
        bookmarks.migrate(self.state)
        for stream in self._gone():
            self.logger.warning(
                "Stream `%s` was read before, but the org no longer shows its object, or not all of its columns, to "
                "the login user: it is not read, and its bookmark is kept.",
                stream,
            )

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
        for missing in sorted((self._selected() or set()) - discovered):
            self.run.failed(
                ObjectPermissionError(
                    f"Stream `{missing}` is selected but the org does not show its object, or not all of its columns, "
                    "to the login user. Grant read access to the object and switch on its field history, or deselect "
                    "the stream."
                )
            )
        if not self.streams and self.input_catalog is None:
            self.run.failed(
                ObjectPermissionError(
                    "The org shows no history object to the login user, so nothing was read. Grant it the permission "
                    "View Setup and Configuration and read access to the objects whose history is wanted."
                )
            )
        elif not self.streams:
            self.logger.warning("No stream is selected: nothing was read.")
        self.run.finish()

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
            catalog=None if catalog is None else _catalog(json.load(catalog)),
            parse_env_config=config is not None and config.parse_env,
        )
        tap.sync_all()
        tap.finish()

    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Answer `--test`: that each stream can be read, without a record on standard output.

        Raises:
            MicroDecisionError: a stream cannot be read.
        """
        if value != CliTestOptionValue.All.value:
            if value not in {option.value for option in CliTestOptionValue}:
                raise ConfigurationError(f"Option --test takes `all` or `schema`, not `{value[:40]}`.")
            super().cb_test(ctx, param, value)
            return
        from tap_salesforce_temporal.explore.trying import try_streams  # noqa: PLC0415  # only here

        config = ctx.params["config"]
        try_streams(cls(config=config.config, parse_env_config=config.parse_env, setup_mapper=False))
        ctx.exit()

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


def _catalog(given: object) -> dict[str, Any]:
    streams = given.get("streams") if isinstance(given, dict) else None
    if not isinstance(streams, list) or not all(isinstance(stream, dict) for stream in streams):
        raise ConfigurationError('The catalog is not of the form {"streams": [...]}: make it with `--discover`.')
    return {"streams": streams}


def main() -> None:
    """Run the command line."""
    command.run_plugin(TapSalesforceTemporal, {"explore": _explore})


def _explore() -> click.Command:
    from tap_salesforce_temporal.explore.command import command as explore  # noqa: PLC0415  # needs the tap itself

    return explore()
