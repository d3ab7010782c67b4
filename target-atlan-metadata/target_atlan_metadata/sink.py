"""The sink of a stream that the SDK maps record by record, or that is not of events at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.exceptions import MissingKeyPropertiesError, RecordsWithoutSchemaException
from singer_sdk.sinks import RecordSink

from target_atlan_metadata.errors import InputError
from target_atlan_metadata.reading import UNREADABLE, event_stream
from target_atlan_metadata.reading.streams import missing_fields

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_atlan_metadata.target import TargetAtlanMetadata

__all__ = ["DecisionSink", "MissingKeyError", "MissingSchemaError"]


class MissingSchemaError(InputError, RecordsWithoutSchemaException):
    """A record came before the SCHEMA message of its stream."""


class MissingKeyError(InputError, MissingKeyPropertiesError):
    """A record lacks a property that is part of its stream's key."""


class DecisionSink(RecordSink):
    """Hands events on to the run; records of another stream are left out, where the settings allow it."""

    def __init__(
        self, target: TargetAtlanMetadata, stream_name: str, schema: dict[str, Any], key_properties: Any
    ) -> None:
        super().__init__(target, stream_name, schema, key_properties)
        self._receiver = target
        self._is_checked = False
        self.events = event_stream(stream_name, schema)
        """How its records are decoded; None where it is no stream of events."""

    def get_validator(self) -> Any:
        """The SDK's validator for other streams; events are checked by decoding them."""
        return None if event_stream(self.stream_name, self.schema) is not None else super().get_validator()

    def check(self) -> None:
        """Refuse a stream that is not of events, unless such streams are to be ignored.

        Raises:
            InputError: it is refused.
        """
        if self.events is not None or self._is_checked:
            return
        self._is_checked = True
        lacking = missing_fields(self.schema.get("properties", {}))
        named = ", ".join(f"`{name}`" for name in lacking[:4]) + (" and others" if len(lacking) > 4 else "")
        sentence = f"Stream `{self.stream_name}` is not of events: its schema has no {named}."
        if self._receiver.settings.other_streams == "fail":
            raise InputError(
                f"{sentence} Deselect it in the tap, make an event of it with `stream_maps`, or set `other_streams` to "
                "`ignore`."
            )
        self.logger.warning("%s It is ignored.", sentence)

    def check_keys(self, records: Sequence[msgspec.Raw]) -> None:
        """Look at whether records have their keys: all that is asked of a stream that is ignored.

        Raises:
            MissingKeyError: one has not.
        """
        for record in records if self.key_properties else ():
            try:
                names = msgspec.json.decode(record, type=dict[str, msgspec.Raw])
            except UNREADABLE:
                continue
            if not names.keys() >= set(self.key_properties):
                raise self._missing_key()

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        """Take one record."""
        del context
        if self.events is not None:
            self._receiver.run.add([self.events.convert(record)], self.stream_name)

    def _validate_and_parse(self, record: dict[str, Any]) -> dict[str, Any]:
        if self.events is not None:  # decoding into the typed struct is the check
            return record
        validated: dict[str, Any] = super()._validate_and_parse(record)
        return validated

    def _singer_validate_message(self, record: dict[str, Any]) -> None:
        try:
            super()._singer_validate_message(record)
        except MissingKeyPropertiesError:
            raise self._missing_key() from None

    def _missing_key(self) -> MissingKeyError:
        return MissingKeyError(
            f"A record of stream `{self.stream_name}` lacks a property of its key: the tap must write all of them."
        )
