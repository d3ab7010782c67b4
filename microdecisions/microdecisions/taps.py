"""What every tap of ours does the same way: typed settings, a completed catalog, the state whole, one clean end."""

from __future__ import annotations

import copy
import json
from abc import abstractmethod
from typing import IO, TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from singer_sdk import Tap
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import Catalog, Schema
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL
from singer_sdk.tap_base import CliTestOptionValue

from microdecisions import command, event
from microdecisions.errors import ConfigurationError, MicroDecisionError
from microdecisions.pages import PageWriter, StopFlag
from microdecisions.plugin import TypedPlugin
from microdecisions.settings import RunSettings

if TYPE_CHECKING:
    from types import FrameType

    import click

    from microdecisions.running import Outcome

__all__ = ["KEY_PROPERTIES", "REPLICATION_KEY", "MicroDecisionTap"]

KEY_PROPERTIES = ("event_id",)
REPLICATION_KEY = "timestamp_recorded"

SettingsT = TypeVar("SettingsT", bound=RunSettings)


class MicroDecisionTap(TypedPlugin[SettingsT], Tap, Generic[SettingsT]):
    """A Singer tap whose streams are all of MicroDecisionEvents, written by pages.

    A subclass names itself and its settings, makes its streams, checks its own entries of the state, tries its streams
    for `--test`, and ends its run.
    """

    dynamic_catalog = True
    message_writer_class = PageWriter
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
            self.check_state(state)
        super().__init__(state=state, **arguments)

    @property
    @abstractmethod
    def run(self) -> Outcome:
        """What its streams share, and how it ends."""

    @classmethod
    @abstractmethod
    def check_state(cls, state: object) -> dict[str, Any]:
        """Check the form of a stored state, and the entries of this tap.

        Raises:
            ConfigurationError: it cannot be used.
        """

    @abstractmethod
    def finish(self) -> None:
        """End the run after its last stream.

        Raises:
            MicroDecisionError: the run is not complete.
        """

    @abstractmethod
    def try_streams(self) -> None:
        """Find out whether each stream can be read, without a record on standard output.

        Raises:
            MicroDecisionError: a stream cannot be read.
        """

    @property
    def selected_by_catalog(self) -> set[str] | None:
        """Names of the streams that the given catalog selects; None without a catalog."""
        if self.input_catalog is None:
            return None
        return {name for name, entry in self.input_catalog.items() if entry.metadata.resolve_selection()[()]}

    def setup_mapper(self) -> None:
        """Complete the catalog, then as the SDK does: it decides what is selected; keys and method are ours.

        Tools leave them out, or keep a schema of an older version, by which a target would double or drop what it gets.
        """
        ours = event.json_schema()
        for entry in (self.input_catalog or Catalog()).values():
            given = entry.schema.to_dict()
            properties = {**ours["properties"], **given.get("properties", {})}
            entry.schema = Schema.from_dict({**ours, **given, "properties": properties})
            entry.key_properties = list(KEY_PROPERTIES)
            entry.replication_key = REPLICATION_KEY
            entry.replication_method = REPLICATION_INCREMENTAL
        super().setup_mapper()

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the stored state whole, so that each STATE carries every bookmark received."""
        self.state.update(copy.deepcopy(self.check_state(state)))  # type: ignore[typeddict-item]

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
        try:
            tap.sync_all()
        except MicroDecisionError as error:
            tap.run.tell_gaps(error)
            raise
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
        config = ctx.params["config"]
        cls(config=config.config, parse_env_config=config.parse_env, setup_mapper=False).try_streams()
        ctx.exit()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        command.on_signal(self.stop, self.message_writer, signum, frame)  # type: ignore[arg-type]


def _catalog(given: object) -> dict[str, Any]:
    streams = given.get("streams") if isinstance(given, dict) else None
    if not isinstance(streams, list) or not all(isinstance(stream, dict) for stream in streams):
        raise ConfigurationError('The catalog is not of the form {"streams": [...]}: make it with `--discover`.')
    return {"streams": streams}
