"""Values on their way in and out: what a caller sends, what the org stores, what the truth log says."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING

from localcloud.salesforce.actions.documents import Fault
from localcloud.salesforce.derived import number
from localcloud.salesforce.ids import to_18
from localcloud.salesforce.sobject import DECIMAL_TYPES, NUMBER_TYPES
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import Field
    from localcloud.salesforce.storage import Stored

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_MOST_DIGITS = 18


class RefusedError(Exception):
    """A record cannot be saved as asked.

    Attributes:
        fault: Why.
    """

    def __init__(self, code: str, message: str, *fields: str) -> None:
        super().__init__(message)
        self.fault = Fault(code, message, fields)


def stored(field: Field, value: object) -> Stored:
    """The stored form of a value that a caller sends for a field.

    Raises:
        RefusedError: The field cannot hold it; code and message are Salesforce's.
    """
    if value is None or (value == "" and field.type != "boolean"):
        if field.type == "boolean":
            raise _wrong_type(field, value)
        return None
    if field.type == "reference":
        return _reference(field, value)
    if field.type == "boolean":
        return _boolean(field, value)
    if field.type in NUMBER_TYPES:
        return _number(field, value)
    if field.type in {"date", "datetime"}:
        return _time(field, value)
    return _text(field, value)


def _label(field: Field) -> str:
    return field.label or field.name


def _wrong_type(field: Field, value: object) -> RefusedError:
    shown = "" if value is None else str(value)
    return RefusedError(
        "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{_label(field)}: value not of required type: {shown}", field.name
    )


def _text(field: Field, value: object) -> str | None:
    if not isinstance(value, str):
        raise _wrong_type(field, value)
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a character that JSON can spell and SQLite cannot hold
        raise _wrong_type(field, "not Unicode text") from error
    if field.length and len(value) > field.length:
        message = f"{_label(field)}: data value too large: {value} (max length={field.length})"
        raise RefusedError("STRING_TOO_LONG", message, field.name)
    if field.type == "email" and not _EMAIL.fullmatch(value):
        raise RefusedError("INVALID_EMAIL_ADDRESS", f"{_label(field)}: invalid email address: {value}", field.name)
    if field.restricted and field.values and value not in field.values:
        message = f"{_label(field)}: bad value for restricted picklist field: {value}"
        raise RefusedError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, field.name)
    return value


def _reference(field: Field, value: object) -> str:
    found = to_18(value) if isinstance(value, str) else None
    if found is None:
        message = f"{_label(field)}: id value of incorrect type: {value}"
        raise RefusedError("MALFORMED_ID", message, field.name)
    return found


def _boolean(field: Field, value: object) -> int:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return int(value.lower() == "true")
    if not isinstance(value, bool):
        raise _wrong_type(field, value)
    return int(value)


def _number(field: Field, value: object) -> Stored:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise _wrong_type(field, value)
    try:
        given = Decimal(str(value))
    except InvalidOperation as error:
        raise _wrong_type(field, value) from error
    if not given.is_finite():
        raise _wrong_type(field, value)
    digits = (field.precision or _MOST_DIGITS) - field.scale
    if given.adjusted() >= (9 if field.type == "int" else digits) + (field.type == "int"):
        message = f"{_label(field)}: value outside of valid range on numeric field: {value}"
        raise RefusedError("NUMBER_OUTSIDE_VALID_RANGE", message, field.name)
    rounded = given.quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP)
    if field.type == "int":
        return int(rounded)
    return decimal_text(rounded)


def decimal_text(value: Decimal) -> str:
    """A decimal as the org stores it: the token that Salesforce's JSON would hold."""
    return str(number(canonical_number(value)))


def _time(field: Field, value: object) -> str:
    try:
        if field.type == "date":
            if isinstance(value, date) and not isinstance(value, datetime):
                return value.isoformat()
            return date.fromisoformat(str(value)[:10] if isinstance(value, str) else "").isoformat()
        moment = (
            value if isinstance(value, datetime) else datetime.fromisoformat(value if isinstance(value, str) else "")
        )
    except ValueError as error:
        raise _wrong_type(field, value) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return instant_text(moment.replace(microsecond=0))


def canonical_number(value: Decimal) -> str:
    """A number in canonical text: plain, without trailing zeros of the fraction, without `-0`."""
    plain = f"{value:f}"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in {"-0", ""} else plain


def canonical(field: Field, value: Stored) -> str | None:
    """A stored value in the canonical text of the truth log."""
    if value is None:
        return None
    if field.type == "boolean":
        return "true" if value else "false"
    if field.type in NUMBER_TYPES:
        return canonical_number(Decimal(value))
    if field.type == "datetime":
        return f"{str(value)[:23]}000Z"
    return str(value)


def shown(field: Field, value: Stored) -> object:
    """A stored value as a change event's maker and a history row take it: bool, int, Decimal, text or None."""
    if value is None:
        return None
    if field.type == "boolean":
        return bool(value)
    if field.type in DECIMAL_TYPES:
        return Decimal(value)
    return value


def same(field: Field, one: Stored, other: Stored) -> bool:
    """Whether two stored values are the same value."""
    if one == other or one is None or other is None:
        return one == other
    return field.type in DECIMAL_TYPES and Decimal(one) == Decimal(other)
