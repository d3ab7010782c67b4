"""A tap of pages for the tests: two streams of events made up by number, run in the process or as a command."""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, ClassVar

from singer_sdk import Stream, Tap

from microdecisions import command
from microdecisions.event import EventContext, MicroDecisionEvent, json_schema
from microdecisions.pages import Checkpoint, Page, PageStream, PageWriter, StopFlag

AWKWARD = ("007", "1e5", "NaN", "", None, "a\r\nb", "\"quoted\" 'text' \\", "😀 \u2028", "x" * 255)


def bookmark(page: int) -> dict[str, Any]:
    """The bookmark after a page."""
    return {"replication_key": "timestamp_recorded", "replication_key_value": f"2026-01-03T10:{page:02}:59.000000Z"}


def events(page: int, rows: int) -> list[MicroDecisionEvent]:
    """The events of a page: some with everything, some with as little as can be."""
    return [
        MicroDecisionEvent(
            event_id=f"00D:AccountHistory:{page}-{row}",
            event_type="field_change",
            timestamp_occurred=f"2026-01-03T10:{page:02}:00.000000Z",
            timestamp_recorded=f"2026-01-03T10:{page:02}:00.000000Z",
            actor_id="005",
            actor_type="user",
            actor_name=None if row % 2 else "Sales User",
            record_type="Account",
            record_id="001",
            field_name="Rating",
            old_value=AWKWARD[row % len(AWKWARD)],
            new_value=AWKWARD[(row + 1) % len(AWKWARD)],
            is_primary=row % 3 > 0,
            context=EventContext(
                source_object="AccountHistory",
                source_record_id=f"{page}-{row}",
                source="rest",
                related_records={"Account": "001"} if row % 2 else {},
                data_type="Text",
                stage_duration_days=row / 8 if row % 3 else None,
                approval_elapsed_minutes=row if row % 2 else None,
                metadata={"values_not_recorded": "true"} if row % 5 == 0 else {},
            ),
            extracted_at="2026-01-31T12:00:00.000000Z",
            extractor_version="paged 1",
        )
        for row in range(rows)
    ]


class PagedStream(PageStream):
    """Pages and a checkpoint after each."""

    primary_keys: ClassVar[tuple[str, ...]] = ("event_id",)
    replication_key = "timestamp_recorded"

    def __init__(self, tap: PagedTap, name: str) -> None:
        super().__init__(tap=tap, name=name, schema=json_schema())

    @property
    def emits_unchanged(self) -> bool:
        """As the code decides, unless the SDK's path is asked for."""
        return not self.config["sdk_path"] and super().emits_unchanged

    def get_pages(self) -> Iterator[Page | Checkpoint]:
        """Yield what the settings say."""
        for page in range(self.config["pages"]):
            if page == self.config["wait_before_page"]:
                threading.Event().wait(60)  # until a signal ends it
            yield events(page, self.config["rows"])
            yield Checkpoint(bookmark(page))


class PlainStream(Stream):
    """The same records as the SDK alone would have them."""

    primary_keys: ClassVar[tuple[str, ...]] = ("event_id",)

    def __init__(self, tap: PagedTap, name: str) -> None:
        super().__init__(tap=tap, name=name, schema=json_schema())

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]:
        """Yield dicts."""
        del context
        for page in range(self.config["pages"]):
            yield from (event.to_dict() for event in events(page, self.config["rows"]))


class PagedTap(Tap):
    """Two streams of pages."""

    name = "tap-paged"
    message_writer_class = PageWriter
    config_jsonschema: ClassVar[dict[str, Any]] = {
        "properties": {
            "streams": {"type": "array", "items": {"type": "string"}, "default": ["decisions"]},
            "pages": {"type": "integer", "default": 3},
            "rows": {"type": "integer", "default": 20},
            "wait_before_page": {"type": "integer", "default": -1},
            "sdk_path": {"type": "boolean", "default": False},
            "plain": {"type": "boolean", "default": False},
        }
    }

    def __init__(self, **arguments: Any) -> None:
        self.stop = StopFlag()
        super().__init__(**arguments)

    def discover_streams(self) -> Sequence[Stream]:
        """Make the streams that the settings name."""
        kind = PlainStream if self.config["plain"] else PagedStream
        return [kind(self, name) for name in self.config["streams"]]

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state whole."""
        self.state.update(copy.deepcopy(state))  # type: ignore[typeddict-item]

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        writer = self.message_writer
        assert isinstance(writer, PageWriter)
        command.on_signal(self.stop, writer, signum, frame)


if __name__ == "__main__":
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    command.run_plugin(PagedTap)
