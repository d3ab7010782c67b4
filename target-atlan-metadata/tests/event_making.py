"""Events for tests, as a tap would write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from microdecisions import event, timestamps
from target_atlan_metadata.decision import Decision

ORG = "00D000000000001AAA"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
USER = "005000000000001AAA"


def text(instant: datetime) -> str:
    return timestamps.to_text(instant)


def record(number: int, **changes: Any) -> dict[str, Any]:
    """One whole event: a change of Case.Status an hour before NOW, unless told otherwise."""
    at = changes.pop("at", NOW - timedelta(hours=1))
    context: dict[str, Any] = {
        "source_object": "CaseHistory",
        "source_record_id": f"017{number:015d}",
        "source": "rest",
    }
    if isinstance(given := changes.get("context", {}), dict):
        context.update(given)
        changes.pop("context", None)
    row: dict[str, Any] = {
        "event_id": f"{ORG}:CaseHistory:017{number:015d}",
        "event_type": "field_change",
        "timestamp_occurred": text(at),
        "timestamp_recorded": text(at),
        "actor_id": USER,
        "actor_type": "user",
        "actor_name": "Robin Example",
        "record_type": "Case",
        "record_id": "500000000000001AAA",
        "field_name": "Status",
        "old_value": "New",
        "new_value": "Working",
        "is_primary": True,
        "context": context,
        "extracted_at": text(NOW),
        "extractor_version": "test 1",
    }
    return {**row, **changes}


def decision(number: int, **changes: Any) -> Decision:
    return msgspec.convert(record(number, **changes), Decision)


def delete(record_id: str, source: str, at: datetime, *, undelete: bool = False, **changes: Any) -> Decision:
    kind = "record_undelete" if undelete else "record_delete"
    identity = f"{ORG}:Case:{record_id}:{source}:{kind}:{text(at)}"
    given = {"event_type": kind, "field_name": None, "old_value": None, "new_value": None, "record_id": record_id}
    return decision(0, at=at, event_id=identity, context={"source": source}, **{**given, **changes})


def schema_line(stream: str = "case_history") -> str:
    return json.dumps(
        {"type": "SCHEMA", "stream": stream, "schema": event.json_schema(), "key_properties": ["event_id"]}
    )


def record_line(number: int, stream: str = "case_history", **changes: Any) -> str:
    return json.dumps({"type": "RECORD", "stream": stream, "record": record(number, **changes)})


def state_line(value: Any) -> str:
    return json.dumps({"type": "STATE", "value": value})
