"""Deleted rows that queryAll still finds: who deleted them, who owned them, and their last values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

import msgspec

from microdecisions import soql, timestamps
from microdecisions.errors import SalesforceError
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import is_id, recycle_bin_id, to_18
from tap_salesforce_deletes.reconcile.rows import query_pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from microdecisions.describe import FieldDescription, ObjectDescription
    from microdecisions.session import SalesforceSession
    from tap_salesforce_deletes.reconcile.deciding import Interval

__all__ = ["MOST_IDS", "BinColumns", "RecycleBin", "columns_of"]

MOST_IDS: Final = 400
"""Ids of one call, if the fields leave room for so many."""
_FIELD_ROOM: Final = 4_000
"""Bytes of a statement for names of fields. It is fixed, so that a row is always read with the same ones."""
_NO_VALUE: Final = frozenset({"address", "location", "base64", "anyType", "complexvalue"})
_FIRST: Final = ("Id", "IsDeleted", "SystemModstamp", "LastModifiedById", "OwnerId", "MasterRecordId", "Name")


class BinColumns(msgspec.Struct, frozen=True):
    """What is read of an object's deleted rows.

    Attributes:
        sobject: API name.
        fields: Names of fields; Id and SystemModstamp are among them.
    """

    sobject: str
    fields: tuple[str, ...]


class _Row(msgspec.Struct, gc=False):
    id: str = msgspec.field(name="Id")
    stamp: str = msgspec.field(name="SystemModstamp")
    deleter: str | None = msgspec.field(name="LastModifiedById", default=None)
    owner: str | None = msgspec.field(name="OwnerId", default=None)
    master: str | None = msgspec.field(name="MasterRecordId", default=None)


_head: Final = msgspec.json.Decoder(_Row).decode
_values: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def columns_of(description: ObjectDescription) -> BinColumns | None:
    """What to read of an object, or None when deleted rows cannot be told from its fields.

    As many fields as fit, the ones that say who and whose first, and then in the order of the description.
    """
    fields = {field.name: field for field in description.fields}
    if not description.queryable or any(name not in fields for name in ("Id", "IsDeleted", "SystemModstamp")):
        return None
    wanted: list[str] = [name for name in _FIRST if name in fields and name != "IsDeleted"]
    room = _FIELD_ROOM - sum(len(quote_plus(f"{name}, ")) for name in wanted)
    for field in description.fields:
        cost = len(quote_plus(f"{field.name}, "))
        if cost <= room and _has_value(field) and field.name not in _FIRST:
            wanted.append(field.name)
            room -= cost
    return BinColumns(soql.identifier(description.name), tuple(soql.identifier(name) for name in wanted))


def _has_value(field: FieldDescription) -> bool:
    return field.type not in _NO_VALUE


class RecycleBin:
    """Asks queryAll for deleted rows.

    Args:
        session: Logged-in session.
        extractor_version: Package and version.
        now: When something is read, in canonical text.
    """

    def __init__(self, session: SalesforceSession, extractor_version: str, now: Callable[[], str]) -> None:
        self._session = session
        self._version = extractor_version
        self._now = now

    def of_ids(self, columns: BinColumns, record_ids: Sequence[str]) -> Iterator[list[MicroDecisionEvent]]:
        """Sightings of those of the records that are still among the deleted rows; at most 400 ids in one API call.

        Raises:
            SalesforceError, IncompleteReadError: from the query.
        """
        room = soql.MAX_STATEMENT_BYTES - len(quote_plus(self._statement(columns, ""))) - 300
        for place in range(0, len(record_ids), MOST_IDS):
            for listed in soql.id_lists("Id", record_ids[place : place + MOST_IDS], room=room):
                yield from self._sightings(columns, self._statement(columns, listed))

    def of_time(self, columns: BinColumns, interval: Interval) -> Iterator[list[MicroDecisionEvent]]:
        """Sightings of all deleted rows that were last stamped in an interval; 2,000 in one API call.

        Raises:
            SalesforceError, IncompleteReadError: from the query.
        """
        start, end = soql.datetime_literal(interval.start), soql.datetime_literal(interval.end)
        yield from self._sightings(
            columns, self._statement(columns, f"SystemModstamp >= {start} AND SystemModstamp < {end}")
        )

    @staticmethod
    def _statement(columns: BinColumns, condition: str) -> str:
        return soql.select(columns.fields, columns.sobject, "IsDeleted = TRUE", *([condition] if condition else []))

    def _sightings(self, columns: BinColumns, statement: str) -> Iterator[list[MicroDecisionEvent]]:
        for rows in query_pages(self._session, statement, msgspec.Raw):
            at = self._now()
            yield [self._event(columns.sobject, row, at) for row in rows]

    def _event(self, sobject: str, raw: msgspec.Raw, extracted_at: str) -> MicroDecisionEvent:
        try:
            row = _head(raw)
            stamp, record_id = timestamps.canonical(row.stamp), to_18(row.id)
        except (msgspec.DecodeError, ValueError, IndexError):
            raise SalesforceError(f"A deleted row of {sobject} is not of the documented form.") from None
        context = EventContext(sobject, record_id, "query_all")
        values = {
            name: value for name, value in _values(raw).items() if name != "attributes" and bytes(value) != b"null"
        }
        context.metadata = {"payload": msgspec.json.encode(values).decode()}
        if row.owner and is_id(row.owner):
            context.metadata["owner_id"] = to_18(row.owner)
        if row.master and is_id(row.master):
            context.metadata["merged_into"] = to_18(row.master)
        return MicroDecisionEvent(
            recycle_bin_id(self._session.org_id, sobject, record_id, stamp),
            "record_delete",
            stamp,
            stamp,
            to_18(row.deleter) if row.deleter and is_id(row.deleter) else None,
            None,
            None,
            sobject,
            record_id,
            None,
            None,
            None,
            True,
            context,
            extracted_at,
            self._version,
        )
