"""The target: settings, the way of messages, and the run."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final

from singer_sdk import Target
from singer_sdk.exceptions import InvalidJSONSchema, MappingError
from singer_sdk.helpers.capabilities import CapabilitiesEnum, PluginCapabilities
from singer_sdk.mapper import SameRecordTransform

from microdecisions import command
from microdecisions.errors import InterruptedRunError, MicroDecisionError
from microdecisions.pages import StopFlag
from microdecisions.plugin import TypedPlugin
from microdecisions.settings import json_schema
from target_atlan_metadata.dry_run import FiguresPrinter
from target_atlan_metadata.errors import InputError
from target_atlan_metadata.reading import UNREADABLE, BlockReader
from target_atlan_metadata.settings import TargetSettings
from target_atlan_metadata.sink import DecisionSink, MissingSchemaError
from target_atlan_metadata.states import StateOutput

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from types import FrameType

    import click
    import msgspec

    from target_atlan_metadata.reading import EventStream
    from target_atlan_metadata.run import Publisher, Run

__all__ = ["TargetAtlanMetadata", "main"]

_DRAIN_SECONDS: Final = 60.0


class TargetAtlanMetadata(TypedPlugin[TargetSettings], Target):
    """Singer target: folds micro-decisions into activity figures, lineage and quality scores in Atlan."""

    name = "target-atlan-metadata"
    package_name = "target-atlan-metadata"
    settings_type = TargetSettings
    default_sink_class = DecisionSink
    config_jsonschema: ClassVar[dict[str, Any]] = json_schema(TargetSettings)
    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, **arguments: Any) -> None:
        self._monotonic = monotonic
        self._events: dict[str, EventStream | None] = {}
        self._left_out: dict[str, DecisionSink | None] = {}
        self._state: bytes | None = None
        self._drained_at = monotonic()
        self._undrained = False
        self._stop = StopFlag()
        self._is_closed = False
        self._output = StateOutput()
        super().__init__(message_reader=BlockReader(self), **arguments)

    @cached_property
    def run(self) -> Run:
        """The run, with the ledger opened and Atlan asked."""
        from target_atlan_metadata.run import Run  # noqa: PLC0415  # SQLAlchemy takes a second to import

        run = Run(self.settings, _publisher, self.logger, os.environ)
        try:
            run.start()
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Add the SDK's settings of maps, and none of those that are for loaders of tables."""
        super(Target, cls).append_builtin_config(config_jsonschema)

    # What the reader hands on.

    def take_records(self, stream: str, records: Sequence[msgspec.Raw]) -> None:
        """Take the records of a run of RECORD messages of one stream.

        Raises:
            InputError: one of them cannot be read, or their schema did not come.
        """
        if stream not in self._events:
            raise MissingSchemaError(
                f"Records of stream `{stream}` come before its SCHEMA message: the tap must write one first."
            )
        if stream in self._left_out:
            if (sink := self._left_out[stream]) is not None:
                sink.check_keys(records)
            return
        self._undrained = True
        events = self._events[stream]
        if events is not None:
            self.run.add(events.decode(records), stream)
            self._sinks_active[stream].record_counter_metric.increment(len(records))
            return
        for record in records:
            self._map(stream, record)

    def _map(self, stream: str, record: msgspec.Raw) -> None:
        """Have the SDK map a record, and hand on what comes of it."""
        try:
            row = self.message_reader.deserialize_json(bytes(record))
        except UNREADABLE:
            row = None
        if not isinstance(row, dict):
            raise InputError(f"A record of stream `{stream}` is no JSON object: the tap must write objects.")
        try:
            self._process_record_message({"type": "RECORD", "stream": stream, "record": row})
        except (MicroDecisionError, MappingError):
            raise
        except Exception as error:  # noqa: BLE001  # of an expression of the user's: its own words may hold a value
            raise InputError(
                f"The stream map of stream `{stream}` fails on a record ({type(error).__name__}): see that its "
                "expressions hold for every value, also for null."
            ) from None

    def take_state(self, value: bytes) -> None:
        """Keep the bytes of a state until everything before it is written.

        Raises:
            InputError: they are no text.
        """
        try:
            value.decode()
        except UnicodeDecodeError:
            raise InputError("A STATE message is no text in UTF-8: the tap must write JSON.") from None
        self._state = value

    def look_at_clock(self) -> None:
        """Drain when a minute is over, so that a long run keeps moving its state.

        Raises:
            InterruptedRunError: a signal came, and the library that was busy then kept its error to itself.
        """
        self._stop.check()
        if (self._undrained or self._state) and self._monotonic() - self._drained_at >= _DRAIN_SECONDS:
            self.run.checkpoint()
            self._drain(is_told=not self.run.report.failed)

    # What the SDK calls.

    def process_endofpipe(self) -> None:
        """Write everything, then the state."""
        try:
            self.run.finish()
            self._drain(is_end=True)
        finally:
            self.close()

    def close(self) -> None:
        """Give the ledger free."""
        if "run" in self.__dict__ and not self._is_closed:
            self._is_closed = True
            self.run.close()

    def _process_schema_message(self, message_dict: dict[str, Any]) -> None:
        properties = message_dict["schema"].get("properties")
        stream = message_dict["stream"]
        if not isinstance(properties, dict):
            raise InputError(f"The SCHEMA message of stream `{stream}` has no properties: the tap must write them.")
        try:
            super()._process_schema_message(message_dict)
        except InvalidJSONSchema:
            raise InputError(
                f"The SCHEMA message of stream `{stream}` holds no valid JSON schema: the tap must write one."
            ) from None
        maps = self.mapper.stream_maps[stream]
        is_same = len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled
        sink = self._sinks_active.get(stream)
        for mapped in maps:
            other = self._sinks_active.get(mapped.stream_alias)
            if isinstance(other, DecisionSink):
                other.check()
        self._events[stream] = sink.events if is_same and isinstance(sink, DecisionSink) else None
        sinks = [self._sinks_active.get(mapped.stream_alias) for mapped in maps]
        if sinks and all(isinstance(one, DecisionSink) and one.events is None for one in sinks):
            self._left_out[stream] = sink if is_same and isinstance(sink, DecisionSink) else None
        else:
            self._left_out.pop(stream, None)

    def _process_activate_version_message(self, message_dict: dict[str, Any]) -> None:
        """Left out: an event stays counted whatever version of a table it was in."""

    def _handle_max_record_age(self) -> None:
        """Left to `look_at_clock`."""

    def _drain(self, *, is_end: bool = False, is_told: bool = True) -> None:
        """Have the SDK finish its sinks, and write the state of everything that is told to Atlan."""
        self._undrained = False
        self._drained_at = self._monotonic()
        self.drain_all(is_endofpipe=is_end)
        if not is_told:
            return
        state, self._state = self._state, None
        if state is not None and not self.settings.dry_run:
            self._output.write(state)
            self._stop.check()

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Leave at once: what is not committed or told is done again by the next run. Only STATE is written whole."""
        command.on_signal(self._stop, self._output, signum, frame)

    @classmethod
    def invoke(  # type: ignore[override]  # as the SDK does: options by name
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: Any = None,
        file_input: IO[str] | None = None,
    ) -> None:
        """Run from the command line.

        Raises:
            MicroDecisionError: the run is not complete.
        """
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        target = cls(
            config={} if config is None else config.config,
            parse_env_config=config is not None and config.parse_env,
        )
        try:
            target.run  # noqa: B018  # Atlan and the ledger are tried before the first line is read
            target.listen(file_input)
        except Exception as error:
            if not isinstance(error, InterruptedRunError):
                target._stop.check()  # a library may make its own error of the interruption
            raise
        finally:
            target.close()


def _publisher(settings: TargetSettings, log: logging.Logger) -> Publisher:
    if settings.base_url is None:
        return FiguresPrinter(settings.asset_levels)
    from target_atlan_metadata.publisher import AtlanPublisher  # noqa: PLC0415  # pyatlan takes seconds to import

    return AtlanPublisher(settings, log)


def main() -> None:
    """Run the target's command line."""
    command.run_plugin(TargetAtlanMetadata, {"explore": _explore, "rebuild": _rebuild})


def _explore() -> click.Command:
    from target_atlan_metadata import explore  # noqa: PLC0415  # pyatlan takes seconds to import

    return explore.command()


def _rebuild() -> click.Command:
    from target_atlan_metadata import rebuild  # noqa: PLC0415  # needs the target itself

    return rebuild.command()
