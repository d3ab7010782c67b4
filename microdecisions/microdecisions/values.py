"""Canonical text of a value: the same from every API, never through a float.

Text stays verbatim (`"02134"`, `"NaN"`, `"1e5"`). A number of a numeric data type is written plainly from its raw
token, without trailing zeros of the fraction. A boolean is `true` or `false`; dates and date-times have one form; an
empty value is null. A value that its data type cannot hold stays verbatim rather than being guessed at.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from microdecisions import timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Number", "RawValue", "canonical", "canonical_all", "canonical_number", "converter", "page_decoder"]


class Number(str):
    """The raw token of a JSON number that has a fraction or an exponent."""

    __slots__ = ()


RawValue = str | int | bool | None
"""What `page_decoder` makes of an anyType value; a `Number` is a `str` too."""

_DECIMAL: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?0*[0-3]?[0-9]{1,2})?")  # exponents to 399
_PLAIN: Final = re.compile(r"(?:-?[1-9][0-9]*|0)(?:\.[0-9]+)?", re.ASCII)
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
    return converter(data_type)(value)


def canonical_all(values: Sequence[RawValue], data_types: Sequence[str | None]) -> list[str | None]:
    """`canonical` of each value with its data type, for the columns of a page."""
    kinds = set(data_types)
    converters = {kind: converter(kind) for kind in kinds}
    verbatim = {kind for kind in kinds if _conversion(kind) is None}
    # Most values are null, or text that stays as it is: a call for each would take as long as all the rest.
    return [
        (value or None) if value is None or (type(value) is str and kind in verbatim) else converters[kind](value)
        for value, kind in zip(values, data_types, strict=True)
    ]


@lru_cache(maxsize=256)
def converter(data_type: str | None) -> Callable[[RawValue], str | None]:
    """Make `canonical` for one data type, for loops over many rows."""
    convert = _conversion(data_type)

    def canonical_text(value: RawValue) -> str | None:
        if type(value) is not str:
            return _canonical_json(value)
        if convert is None or not value:
            return value or None
        try:
            return convert(value)
        except ValueError:
            return value

    return canonical_text


def _canonical_json(value: Any) -> str | None:
    """A value whose kind JSON tells: null, a boolean, a number."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):  # a compound value, such as an address: documented nowhere, and no reason to stop
        return msgspec.json.encode(value, order="sorted").decode()
    try:
        return canonical_number(value)
    except ValueError:
        return str(value)


def _conversion(data_type: str | None) -> Callable[[str], str] | None:
    """What makes text of this type canonical; None where it stays as it is."""
    kind = (data_type or "").lower()
    for kinds, convert in _CONVERSIONS.items():
        if kind in kinds:
            return convert
    return None


def _canonical_boolean(text: str) -> str:
    return text.lower() if text.lower() in {"true", "false"} else text


_CONVERSIONS: Final[dict[frozenset[str], Callable[[str], str]]] = {
    frozenset({"currency", "double", "percent", "int", "integer", "long", "decimal", "number"}): canonical_number,
    frozenset({"boolean", "checkbox"}): _canonical_boolean,
    frozenset({"dateonly", "date"}): timestamps.canonical_date,
    frozenset({"datetime"}): timestamps.canonical,
}
