"""Rows of an older collector become the events that this tap would have made of them. Pure.

Where the stored payload tells what Salesforce stamped (transaction and sequence number of a change event, EventUuid and
CreatedDate of a platform event), the event's id is the one that the tap gives: what both have seen is one event.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from microdecisions import timestamps
from microdecisions.event import EventContext, MicroDecisionEvent
from microdecisions.ids import change_event_id, platform_event_id
from tap_salesforce_deletes.importing.files import COLUMNS
from tap_salesforce_deletes.normalise.parts import MIDNIGHT, MILLISECONDS_FROM, USER, id_or_fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_salesforce_deletes.importing.files import Cell, OldRow

__all__ = ["BadRowError", "Imports"]

_DELETES: Final = frozenset({"DELETE", "GAP_DELETE"})
_UNDELETES: Final = frozenset({"UNDELETE", "GAP_UNDELETE"})


class BadRowError(ValueError):
    """A row that cannot become an event; the text follows the words "row 7"."""


class Imports:
    """Makes events of rows.

    Args:
        org_id: 18 characters.
        extractor_version: Package and version.
        now: When the import runs, in canonical text; for rows that do not say when they were taken in.
    """

    def __init__(self, org_id: str, extractor_version: str, now: str) -> None:
        self._org_id = org_id
        self._version = extractor_version
        self._now = now

    def event(self, row: OldRow) -> MicroDecisionEvent:
        """The event of a row.

        Raises:
            BadRowError: no date of the row can be read, or it is a change that deletes and undeletes nothing.
        """
        cells = row.cells
        written = _verbatim(cells.get("payload"))
        payload = _payload(written)
        header = _header(payload)
        change_type = header.get("changeType", "DELETE")
        if change_type not in _DELETES | _UNDELETES:
            raise BadRowError("is a change that is neither a delete nor an undelete")
        facts = {"imported": "true"}
        record_id = _id_of(cells, "record_id", facts)
        topic = _text(cells.get("topic"))
        sobject = _text(header.get("entityName")) or _text(cells.get("object_name"))
        recorded, occurred = self._dates(cells, payload, header, facts)
        actor = _id_of(cells, "deleted_by", facts, prefix=USER)
        owner = _id_of(cells, "owner_id", facts)
        if owner is not None:
            facts["owner_id"] = owner
        changed = bool(header) or (topic or "").startswith("/data/")
        old_id = _text(cells.get("event_id"))
        said = (("topic", topic), ("payload", written), ("old_event_id", old_id))
        facts.update({name: value for name, value in said if value is not None})
        if header.get("commitNumber") is not None:
            facts["commit_number"] = str(header["commitNumber"])
        # As the tap has it: the object of a change event, the platform event itself.
        named = (topic or "").rpartition("/")[2]
        source = (sobject or named if changed else named or sobject) or "Unknown"
        facts.update(_others(cells, facts))
        context = EventContext(source, record_id or "", "change_event" if changed else "platform_event")
        context.metadata = facts
        undeleted = change_type in _UNDELETES
        return MicroDecisionEvent(
            self._event_id(source, record_id or "", header, payload, old_id or _fingerprint(row)),
            "record_undelete" if undeleted else "record_delete",
            occurred,
            recorded,
            actor,
            None,
            None,
            sobject,
            record_id,
            None,
            None,
            None,
            True,
            context,
            _instant(cells.get("ingested_at")) or self._now,
            self._version,
        )

    def _event_id(
        self, source: str, record_id: str, header: Mapping[str, Any], payload: Mapping[str, Any], old_id: str
    ) -> str:
        key, sequence = header.get("transactionKey"), header.get("sequenceNumber")
        if isinstance(key, str) and key and isinstance(sequence, int):
            return change_event_id(self._org_id, source, record_id, key, sequence)
        return platform_event_id(self._org_id, source, record_id, _text(payload.get("EventUuid")) or old_id)

    @staticmethod
    def _dates(
        cells: Mapping[str, Cell], payload: Mapping[str, Any], header: Mapping[str, Any], facts: dict[str, str]
    ) -> tuple[str, str]:
        """When Salesforce recorded the delete, and when it happened."""
        deleted = _instant(cells.get("deleted_date"))
        if deleted is not None:
            facts["deleted_date"] = deleted
        elif (said := _text(cells.get("deleted_date"))) is not None:
            facts["deleted_date"] = said
        stamped = _instant(header.get("commitTimestamp")) or _instant(payload.get("CreatedDate"))
        recorded = stamped or deleted or _instant(cells.get("ingested_at"))
        if recorded is None:
            raise BadRowError("has no date that can be read in deleted_date, ingested_at or payload")
        if stamped is not None and header:
            return stamped, stamped
        if deleted is None or deleted > recorded or (stamped is not None and deleted.endswith(MIDNIGHT)):
            return recorded, recorded
        return recorded, deleted


def _payload(text: str | None) -> dict[str, Any]:
    """The payload, if it is a JSON object; {} for any other."""
    if text is None:
        return {}
    try:
        payload = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def _header(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    header = payload.get("ChangeEventHeader")
    return header if isinstance(header, dict) else {}


def _verbatim(cell: object) -> str | None:
    """A cell as text, as it is; None for an empty one."""
    if cell is None:
        return None
    return (cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)) or None


def _text(cell: object) -> str | None:
    """A cell as text without blanks around it; None for an empty one."""
    return (_verbatim(cell) or "").strip() or None


def _id_of(cells: Mapping[str, Cell], column: str, facts: dict[str, str], *, prefix: str = "") -> str | None:
    return id_or_fact(_text(cells.get(column)), column, facts, prefix=prefix)


def _instant(value: object) -> str | None:
    """Canonical text of a date: ISO 8601, as SQLite writes it, or seconds or milliseconds since 1970; UTC if unsaid."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _of_number(value)
        said = _text(value)
        if said is None:
            return None
        if said.replace(".", "", 1).isascii() and said.replace(".", "", 1).isdecimal() and len(said) > 8:
            return _of_number(float(said) if "." in said else int(said))
        instant = datetime.fromisoformat(said)
        return timestamps.to_text(instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def _of_number(number: float) -> str:
    milliseconds = number if abs(number) >= MILLISECONDS_FROM else number * 1000
    return timestamps.to_text(timestamps.from_epoch_ms(int(milliseconds)))


def _others(cells: Mapping[str, Cell], facts: Mapping[str, str]) -> dict[str, str]:
    """Columns that `delete_tracker` does not have."""
    return {
        name: text
        for name, cell in cells.items()
        if name not in COLUMNS and name not in facts and (text := _text(cell)) is not None
    }


def _fingerprint(row: OldRow) -> str:
    """Stands for the id of a row without one: the same for the same content."""
    content = repr(sorted(row.cells.items())).encode("utf-8", "replace")
    return f"row-{blake2b(content, digest_size=16).hexdigest()}"
