"""From what the readers deliver to events: rows are normalised page by page, or a window at a time, and counted."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from tap_salesforce_temporal.reading.plan import Begin, Complete
from tap_salesforce_temporal.verification import CountedRows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from microdecisions.event import MicroDecisionEvent
    from microdecisions.event import Source as Api
    from tap_salesforce_temporal.normalise import Extraction
    from tap_salesforce_temporal.normalisers import Normaliser
    from tap_salesforce_temporal.sources import Source
    from tap_salesforce_temporal.verification import DayRows, Tally
    from tap_salesforce_temporal.windows import Window

__all__ = ["normalised", "paged"]

_PAGE_ROWS: Final = 2_000  # of a window that is normalised whole: written in pages like the others


def normalised(
    items: Generator[Any],
    source: Source,
    normaliser: Normaliser,
    extraction: Callable[[Api], Extraction],
    counts: Tally | DayRows | None,
) -> Iterator[tuple[Window, list[MicroDecisionEvent] | None]]:
    """Yield windows with events of theirs, and each window with None when it is complete.

    Args:
        items: What the reader delivers: `Begin`, pages of rows, `Complete`; closed at the end.
        source: What is read.
        normaliser: Makes events of its rows.
        extraction: What the events of rows of an API share.
        counts: Counts the rows by day.
    """
    counter = CountedRows(counts, source, normaliser.row_type)
    rows: list[Any] = []
    window: Window | None = None
    api: Api = "rest"
    with closing(items):  # what the lanes hold in the org goes now, not when the error that ends this is forgotten
        for item in items:
            if isinstance(item, Begin):
                window, api, rows = item.window, item.source, []
                counter.begin(window)
                continue
            assert window is not None  # noqa: S101  # the reader begins before it yields
            if isinstance(item, Complete):
                for events in _parts(normaliser, rows, window, extraction(api)) if rows else ():
                    yield window, events
                counter.complete()
                yield window, None
                rows = []
                continue
            counter.add(item.rows)
            if source.whole_window:
                rows += item.rows
                continue
            for events in _parts(normaliser, item.rows, window, extraction(api)):
                yield window, events


def paged(events: list[MicroDecisionEvent]) -> Iterator[list[MicroDecisionEvent]]:
    """A page as it is; the events of a window that was normalised whole in several."""
    for place in range(0, len(events), _PAGE_ROWS):
        yield events[place : place + _PAGE_ROWS] if len(events) > _PAGE_ROWS else events


def _parts(
    normaliser: Normaliser, rows: list[Any], window: Window, extraction: Extraction
) -> Iterable[list[MicroDecisionEvent]]:
    """The events of rows; those of files come a part at a time."""
    events = normaliser.events(rows, window, extraction)
    return (events,) if isinstance(events, list) else events
