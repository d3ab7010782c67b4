"""How values of a Salesforce type lie in SQLite, and back as JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from localcloud.salesforce.ids import to_18
from localcloud.salesforce.sobject import COMPOUND_TYPES, DECIMAL_TYPES, ID_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.sobject import Field, SObject

    Stored = str | int | None
    Convert = Callable[[object], Stored]

PLAIN_TYPES = ID_TYPES | {"date", "datetime"}
"""Kept as text that holds nothing to escape in JSON."""
HIDDEN_DELETED = "IsDeleted"
"""Each table has it, also where the object does not show it: rows of deleted parents carry it."""


def instant_text(instant: datetime) -> str:
    """The one stored form of a date and time: `2024-01-15T10:30:00.000+0000`."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "+0000"


def _text(value: object) -> Stored:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    raise TypeError(f"text expected, not {value!r}")


def _identifier(value: object) -> Stored:
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) == 18 and value.isascii() and value.isalnum():
        return value
    found = to_18(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"not a record id: {value!r}")
    return found


def _instant(value: object) -> Stored:
    if value is None:
        return None
    if isinstance(value, str):
        if len(value) == 28 and value.endswith("+0000") and value[10] == "T":
            return value
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return instant_text(value)
    raise ValueError(f"an instant with a time zone expected, not {value!r}")


def _date(value: object) -> Stored:
    if value is None:
        return None
    if isinstance(value, str):
        return date.fromisoformat(value).isoformat()
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    raise ValueError(f"a date expected, not {value!r}")


def _boolean(value: object) -> Stored:
    if value is None or isinstance(value, bool):
        return int(bool(value))
    raise TypeError(f"true or false expected, not {value!r}")


def _integer(value: object) -> Stored:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError(f"a whole number expected, not {value!r}")


def _decimal(value: object) -> Stored:
    if value is None:
        return None
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}.0"
    raise TypeError(f"a whole number or Decimal expected, not {value!r}")


def _any(value: object) -> Stored:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _decimal(value)


def converter(field: Field) -> Convert:
    """The function that takes a Python value to the stored one of a field.

    It raises TypeError or ValueError for a value that the field cannot hold. Numbers are kept as the token
    that was given; a value of a field of any type is kept as its JSON text, so that its kind survives.
    """
    if field.type in ID_TYPES:
        return _identifier
    if field.type in DECIMAL_TYPES:
        return _decimal
    return {"datetime": _instant, "date": _date, "boolean": _boolean, "int": _integer, "anyType": _any}.get(
        field.type, _text
    )


def json_of(type_: str, column: str, *, nillable: bool = True) -> str:
    """SQL for the JSON text of a value of a describe type; never NULL."""
    if type_ in DECIMAL_TYPES or type_ in COMPOUND_TYPES or type_ in {"int", "anyType"}:
        return f"coalesce({column},'null')"
    if type_ == "boolean":
        return f"iif({column},'true','false')"
    if type_ in PLAIN_TYPES:
        quoted = f"('\"'||{column}||'\"')"
        return f"coalesce({quoted},'null')" if nillable else quoted
    return f"json_quote({column})"


def _compound(field: Field, sobject: SObject) -> str:
    """SQL of a column that shows other columns as one JSON object, or nothing where all are empty."""
    parts = {part.name.removeprefix(field.name.removesuffix("Address")): part for part in sobject.parts(field.name)}
    pairs = [
        f"'{name[0].lower()}{name[1:]}'," + (f'json("{part.name}")' if part.type in DECIMAL_TYPES else f'"{part.name}"')
        for name, part in sorted(parts.items())
    ]
    names = [f'"{part.name}"' for part in parts.values()]
    value = f"iif(coalesce({','.join(names)}) IS NULL,NULL,json_object({','.join(pairs)}))"
    return f'"{field.name}" TEXT GENERATED ALWAYS AS ({value}) VIRTUAL'


def create_statements(sobject: SObject) -> list[str]:
    """SQL that makes the table and indexes of an object."""
    names = [field.name for field in sobject.fields]
    columns = []
    for field in sobject.fields:
        if field.type in COMPOUND_TYPES:
            columns.append(_compound(field, sobject))
            continue
        kind = "INTEGER" if field.type in {"boolean", "int"} else "TEXT"
        columns.append(f'"{field.name}" {kind}' + (" NOT NULL" if field.name == "Id" else ""))
    if HIDDEN_DELETED not in names:
        columns.append(f'"{HIDDEN_DELETED}" INTEGER')
    columns.append('"_visible_at" INTEGER')
    statements = [
        f'CREATE TABLE "{sobject.name}" ({", ".join(columns)})',
        f'CREATE UNIQUE INDEX "{sobject.name}_Id" ON "{sobject.name}" ("Id")',
    ]
    statements += [
        f'CREATE INDEX "{sobject.name}_{field.name}" ON "{sobject.name}" ("{field.name}")'
        for field in sobject.fields
        if field.name in {"CreatedDate", "LoginTime", "SystemModstamp"} or field.child_relationship
    ]
    return statements
