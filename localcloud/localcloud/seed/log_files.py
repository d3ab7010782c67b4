"""The bodies of event log files: CSV rows that follow from the file's id, type and hour alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zlib import crc32

LOG_TYPES: dict[str, dict[str, str]] = {
    "Login": {
        "EVENT_TYPE": "String", "TIMESTAMP": "String", "REQUEST_ID": "String", "ORGANIZATION_ID": "Id",
        "USER_ID": "Id", "RUN_TIME": "Number", "URI": "String", "CLIENT_IP": "String", "LOGIN_STATUS": "String",
        "TIMESTAMP_DERIVED": "DateTime", "USER_ID_DERIVED": "Id",
    },
    "API": {
        "EVENT_TYPE": "String", "TIMESTAMP": "String", "REQUEST_ID": "String", "ORGANIZATION_ID": "Id",
        "USER_ID": "Id", "RUN_TIME": "Number", "CPU_TIME": "Number", "URI": "String", "METHOD_NAME": "String",
        "ENTITY_NAME": "String", "ROWS_PROCESSED": "Number", "CLIENT_NAME": "String", "TIMESTAMP_DERIVED": "DateTime",
        "USER_ID_DERIVED": "Id",
    },
}  # fmt: skip
"""Columns and their types by event type, as `LogFileFieldNames` and `LogFileFieldTypes` list them."""

_TEXTS = {
    "URI": "/services/data/v60.0/query",
    "METHOD_NAME": "query",
    "ENTITY_NAME": "Opportunity",
    "CLIENT_NAME": 'Loader "nightly", part 1',
    "CLIENT_IP": "198.51.100.7",
    "LOGIN_STATUS": "LOGIN_NO_ERROR",
}
_NUMBERS = {"RUN_TIME": 97, "CPU_TIME": 31, "ROWS_PROCESSED": 2_000}


def log_rows(key: str) -> int:
    """Return how many rows the file of that id holds."""
    return 2 + crc32(key.encode()) % 7


def log_date(at: str, interval: str) -> datetime:
    """Return what a file written at that instant is about: the day before, or the hour before."""
    written = datetime.fromisoformat(at)
    if interval == "Daily":
        return written.replace(hour=0, minute=0, second=0) - timedelta(days=1)
    return written.replace(minute=0, second=0) - timedelta(hours=1)


def log_body(key: str, event_type: str, start: datetime, org_id: str, user_id: str) -> str:
    """Return the CSV of a file: a header, then rows whose REQUEST_ID is the file's id with a number.

    Args:
        key: the file's 18-character id.
        event_type: one of `LOG_TYPES`.
        start: the day or hour that the file is about.
        org_id: the org's 18-character id.
        user_id: the 18-character id of the user in all rows.
    """
    columns = LOG_TYPES[event_type]
    lines = [",".join(f'"{name}"' for name in columns)]
    for number in range(log_rows(key)):
        at = start + timedelta(seconds=number * 419 % 3_600, milliseconds=number * 137 % 1_000)
        stamp = f"{at:%Y%m%d%H%M%S}.{at.microsecond // 1_000:03}"
        row = {
            "EVENT_TYPE": event_type,
            "TIMESTAMP": stamp,
            "REQUEST_ID": f"{key[:15]}-{number}",
            "ORGANIZATION_ID": org_id[:15],
            "USER_ID": user_id[:15],
            "TIMESTAMP_DERIVED": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1_000:03}Z",
            "USER_ID_DERIVED": user_id,
            **_TEXTS,
            **{name: str((number + 1) * step % 9_973) for name, step in _NUMBERS.items()},
        }
        lines.append(",".join('"' + row[name].replace('"', '""') + '"' for name in columns))
    return "\n".join(lines) + "\n"
