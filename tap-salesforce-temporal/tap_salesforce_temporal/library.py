"""The tap as a library: an org's decisions as an iterator of events, with no Singer around them."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.pages import Checkpoint
from tap_salesforce_temporal.run import Run
from tap_salesforce_temporal.stream import HistoryStream
from tap_salesforce_temporal.tap import TapSalesforceTemporal

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from tap_salesforce_temporal.org import Org
    from tap_salesforce_temporal.settings import TapSettings
    from tap_salesforce_temporal.sources import Source

__all__ = ["events", "flat", "streams"]

Instant = datetime | date | str


def events(
    config: Mapping[str, object], stream: str, start: Instant | None = None, end: Instant | None = None
) -> Generator[MicroDecisionEvent, None, None]:
    """Read the decisions of one stream, as a run of the tap would.

    Rows are read by the tap's own readers and normalised by its own normalisers, window by window and page by page, so
    that memory stays bounded. Events come by windows in the order of time; within a window their order is Salesforce's.
    A window that had to be read again may give events again, with the same `event_id`.

    The settings are checked at the call, the org is reached at the first `next()`, and the connections are closed when
    the generator ends or is closed.

    Args:
        config: The tap's settings, as in its `config.json`.
        stream: Name of the stream, such as `opportunity_history`; see `streams`.
        start: Give what Salesforce recorded at or after this instant; a date means midnight UTC. Goes before the
            setting `start_date`; everything when both are absent.
        end: Give only what was recorded before this instant; goes before `end_date`.

    Raises:
        ConfigurationError: A setting or an instant cannot be used; or, at the first `next()`, the org has no such
            stream, or its columns are hidden from the login user.
        MicroDecisionError: At a `next()`, what a run of the tap would end with.
    """
    given = {"start_date": start, "end_date": end}
    dates = {name: _text(name, value) for name, value in given.items() if value is not None}
    tap = _Tap(config={**config, **dates}, setup_mapper=False)
    return _events(tap, stream)


def streams(config: Mapping[str, object]) -> tuple[str, ...]:
    """Name the streams of an org, from describe.

    Args:
        config: The tap's settings.

    Raises:
        MicroDecisionError: The settings cannot be used, or the org cannot be reached.
    """
    org = _Tap(config=dict(config), setup_mapper=False).run.org
    with closing(org.session):
        org.check_names()
        return tuple(source.stream for source in org.sources())


def flat(event: MicroDecisionEvent) -> dict[str, str | float | bool | None]:
    """Write an event as one row of a table: always the same columns, no nesting.

    What belongs to the type is in columns `context_...`; the maps among it are JSON text.
    """
    row = {name: getattr(event, name) for name in _COLUMNS}
    for name in _CONTEXT:
        value = getattr(event.context, name)
        is_map = isinstance(value, dict)
        row[f"context_{name}"] = msgspec.json.encode(value, order="deterministic").decode() if is_map else value
    return row


_COLUMNS: Final = tuple(name for name in MicroDecisionEvent.__struct_fields__ if name != "context")
_CONTEXT: Final = EventContext.__struct_fields__


class _Tap(TapSalesforceTemporal):
    """The tap without its hold on the process: Ctrl-C in a notebook stays the notebook's."""

    def _setup_signal_handlers(self) -> None:
        return


def _events(tap: TapSalesforceTemporal, name: str) -> Generator[MicroDecisionEvent, None, None]:
    org = tap.run.org
    with closing(org.session):
        org.check_names()
        source = next(iter(org.sources({name})), None)
        if source is None:
            raise ConfigurationError(
                f"The org has no stream `{name[:80]}`, or its object is hidden from the login user: "
                "`streams(config)` lists those it has."
            )
        for page in pages_of(tap, org, tap.settings, source):
            yield from page


def pages_of(
    tap: TapSalesforceTemporal, org: Org, settings: TapSettings, source: Source
) -> Generator[Sequence[MicroDecisionEvent], None, None]:
    """Read one source of an org that is connected already, as pages of events.

    Args:
        tap: Whose logger and stop flag are used.
        org: Where to read.
        settings: `start_date` and `end_date` among them.
        source: What to read.

    Raises:
        MicroDecisionError: What a run of the tap would end with.
    """
    run = Run(settings, tap.stop, tap.logger)
    run.org = org
    stream = HistoryStream(tap, run, source)
    with closing(cast("Generator[Any, None, None]", stream.get_pages())) as items:
        for item in items:
            if not isinstance(item, Checkpoint):
                yield item
            tap.stop.check()
    if run.failures:
        raise run.failures[0]


def _text(name: str, value: Instant) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        if not isinstance(value, date):
            raise ConfigurationError(
                f"The `{name.removesuffix('_date')}` given is no datetime, date or text: write it as "
                "datetime(2024, 1, 31, tzinfo=UTC) or '2024-01-31'."
            )
        return value.isoformat()
    if value.tzinfo is None:
        raise ConfigurationError(
            f"The `{name.removesuffix('_date')}` given has no time zone: write datetime(..., tzinfo=UTC)."
        )
    return timestamps.to_text(value.astimezone(UTC))
