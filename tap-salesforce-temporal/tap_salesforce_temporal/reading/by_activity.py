"""Statements for the field history of activities, which Salesforce gives by activity only."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import soql

if TYPE_CHECKING:
    from tap_salesforce_temporal.reading.rest import RestReader
    from tap_salesforce_temporal.sources import Source
    from tap_salesforce_temporal.windows import Window

__all__ = ["ChangedActivities"]

_MOST_ACTIVITIES: Final = 50_000
"""Activities from which on reading all history takes fewer calls than reading that of each."""


class _Id(msgspec.Struct):
    id: str = msgspec.field(name="Id")


class ChangedActivities:
    """Asks for the history of the activities that were saved since a window's begin.

    A save that leaves history moves the activity's SystemModstamp, so no row of the window is missed; rows of other
    times that come along are left out by the normaliser.

    Args:
        source: The history; `parents` are the objects that have it.
        reader: Fetches ids.
    """

    def __init__(self, source: Source, reader: RestReader) -> None:
        self._source = source
        self._reader = reader

    def asked(self, window: Window) -> tuple[str, ...]:
        """SOQL for the ids of the activities."""
        since = f"SystemModstamp >= {soql.datetime_literal(window.start)}"
        return tuple(soql.select(("Id",), parent, since) for parent in self._source.parents)

    def statements(self, window: Window) -> tuple[str, ...]:
        """SOQL for their history; none where nothing changed.

        Raises:
            IncompleteReadError, SalesforceError: from the reader.
        """
        rows = (row for statement in self.asked(window) for row in self._reader.rows(statement, _Id))
        ids = [row.id for row in islice(rows, _MOST_ACTIVITIES + 1)]
        if len(ids) > _MOST_ACTIVITIES:
            return self._source.statements(window)
        source = self._source
        return tuple(
            soql.select(source.fields, source.sobject, condition)
            for condition in soql.id_lists(source.parent_field or "ActivityId", ids)
        )
