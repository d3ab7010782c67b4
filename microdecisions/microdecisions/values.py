"""Canonical text of a value: the same from every API, never through a float.

Text stays verbatim (`"02134"`, `"NaN"`, `"1e5"`). A number of a numeric data type is written plainly from its raw
token, without trailing zeros of the fraction. A boolean is `true` or `false`; dates and date-times have one form; an
empty value is null. A value that its data type cannot hold stays verbatim rather than being guessed at.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from microdecisions import timestamps

__all__ = ["Number", "RawValue", "canonical", "canonical_number", "page_decoder"]


class Number(str):
    """The raw token of a JSON number that has a fraction or an exponent."""

    __slots__ = ()


RawValue = str | int | bool | None
"""What `page_decoder` makes of an anyType value; a `Number` is a `str` too."""

_NUMERIC: Final = frozenset({"currency", "double", "percent", "int", "integer", "long", "decimal", "number"})
_BOOLEAN: Final = frozenset({"boolean", "checkbox"})
_DATE: Final = frozenset({"dateonly", "date"})
_DATETIME: Final = frozenset({"datetime"})
_DECIMAL: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?0*[0-3]?[0-9]{1,2})?")  # exponents to 399
_PLAIN: Final = re.compile(r"-?[1-9][0-9]*(?:\.[0-9]+)?", re.ASCII)
_T = TypeVar("_T")


def page_decoder(page_type: type[_T]) -> msgspec.json.Decoder[_T]:
    """Build a JSON decoder that keeps numbers of untyped fields as raw tokens."""
    return msgspec.json.Decoder(page_type, float_hook=Number)


def canonical_number(token: str) -> str:
    """Write a decimal token plainly: `5.0` is `5`, `1.0E7` is `10000000`, `-0` is `0`.

    Raises:
        ValueError: the token is not a finite decimal number, or its exponent is beyond reason.
    """
    if _PLAIN.fullmatch(token):
        return token.rstrip("0").rstrip(".") if "." in token else token
    # Decimal alone would also take " 5", "+5", "1_000", "NaN" and digits of other scripts.
    if _DECIMAL.fullmatch(token) is None:
        raise ValueError("not a decimal number")
    text = format(Decimal(token), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", "0"} else text


def canonical(value: RawValue, data_type: str | None) -> str | None:
    """Write a value of a history row as canonical text, or None for an empty one.

    Args:
        value: As decoded from JSON by `page_decoder`, or the text of a CSV cell.
        data_type: The row's `DataType` or the field's type, in any letter case; None when unknown.
    """
    if value is None or value == "":
        return None
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is str:
        return value if data_type is None else _typed_text(value, data_type.lower())
    return _typed_text(str(value), "number")


def _typed_text(text: str, kind: str) -> str:
    try:
        if kind in _NUMERIC:
            return canonical_number(text)
        if kind in _BOOLEAN:
            return text.lower() if text.lower() in {"true", "false"} else text
        if kind in _DATETIME:
            return timestamps.canonical(text)
        if kind in _DATE:
            return timestamps.canonical_date(text)
    except ValueError:
        return text
    return text
