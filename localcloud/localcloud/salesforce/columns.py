"""Values of many rows taken to their stored form column by column: the fast way of `storage.converter`.

Each function checks a whole column with a few calls and gives it up (None) at the first doubt; the row-wise way
then converts the rows, or says which of them is wrong.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import chain, repeat
from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.sobject import DECIMAL_TYPES, ID_TYPES
from localcloud.salesforce.storage import HIDDEN_DELETED, converter

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from localcloud.salesforce.sobject import Field, SObject
    from localcloud.salesforce.storage import Stored

    Column = Sequence[object]
    Whole = Callable[[Column], "Sequence[Stored] | None"]

_NONE = type(None)
_ENCODER = msgspec.json.Encoder()
_ID_LENGTH = 18
_INSTANT_LENGTH = 28
_STATEMENT_VALUES = 200
_zone = itemgetter(slice(23, 28))
_middle = itemgetter(10)


def columnar(sobject: SObject) -> Callable[[Sequence[Mapping[str, object]], int | None], Iterable[tuple[Stored, ...]]]:
    """The function that takes complete rows of an object to tuples in the order of its table's columns.

    Its arguments are the rows, none of which lacks an id or an audit value, and when they become visible. It
    raises ValueError where the row-wise way has to look.
    """
    fields = sobject.stored_fields
    known = {field.name for field in fields} | {HIDDEN_DELETED}
    hidden = all(field.name != HIDDEN_DELETED for field in fields)
    plan = [(field.name, _whole(field)) for field in fields]
    if hidden:
        plan.append((HIDDEN_DELETED, _booleans))

    def convert(rows: Sequence[Mapping[str, object]], visible: int | None) -> Iterable[tuple[Stored, ...]]:
        if not known.issuperset(set().union(*rows)):
            raise ValueError("a row has a field that the object has not")
        columns: list[Sequence[Stored]] = []
        for name, whole in plan:
            column = whole([row.get(name) for row in rows])
            if column is None:
                raise ValueError(f"{name} needs a closer look")
            columns.append(column)
        return zip(*columns, repeat(visible, len(rows)), strict=True)

    return convert


class Insertion:
    """Puts rows into a table, several with each statement: that takes about half the time of one by one.

    Args:
        table: The table's name.
        columns: Its columns, in the order of the values.
    """

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        marks = f"({','.join('?' * len(columns))})"
        start = f'INSERT INTO "{table}" ({",".join(f"{chr(34)}{name}{chr(34)}" for name in columns)}) VALUES '
        self._rows = max(_STATEMENT_VALUES // len(columns), 1)
        self._many = start + ",".join([marks] * self._rows)
        self._one = start + marks

    def __call__(self, db: sqlite3.Connection, rows: Iterable[tuple[Stored, ...]]) -> None:
        """Insert the rows; the caller commits.

        Raises:
            sqlite3.IntegrityError: A value that must be unique is there already.
        """
        given = list(rows)
        size = self._rows
        whole = len(given) - len(given) % size
        together = (list(chain.from_iterable(given[start : start + size])) for start in range(0, whole, size))
        db.executemany(self._many, together)
        db.executemany(self._one, given[whole:])


def _whole(field: Field) -> Whole:
    if field.type in ID_TYPES:
        return _identifiers
    if field.type in DECIMAL_TYPES:
        return _decimals
    known: dict[str, Whole] = {
        "datetime": _instants, "date": _dates(field), "boolean": _booleans, "int": _integers, "anyType": _anys,
    }  # fmt: skip
    return known.get(field.type, _texts)


def _strings(column: Column) -> list[str] | None:
    """The values that are there, if all of them are texts."""
    kinds = set(map(type, column))
    if kinds == {str}:
        return column  # type: ignore[return-value] # it was just seen to be one
    if kinds <= {str, _NONE}:
        return [value for value in column if isinstance(value, str)]
    return None


def _identifiers(column: Column) -> Sequence[Stored] | None:
    present = _strings(column)
    if present is None or (present and set(map(len, present)) != {_ID_LENGTH}):
        return None
    if present and not "".join(present).encode().isalnum():  # of bytes, that means ASCII
        return None
    return column  # type: ignore[return-value]


def _instants(column: Column) -> Sequence[Stored] | None:
    present = _strings(column)
    if present is None:
        return None
    if present and (
        set(map(len, present)) != {_INSTANT_LENGTH}
        or set(map(_middle, present)) != {"T"}
        or set(map(_zone, present)) != {"+0000"}
    ):
        return None
    return column  # type: ignore[return-value]


def _dates(field: Field) -> Whole:
    one = converter(field)

    def dates(column: Column) -> Sequence[Stored] | None:
        if _strings(column) is None:
            return None
        known = {value: one(value) for value in set(column)}
        return [known[value] for value in column]

    return dates


def _texts(column: Column) -> Sequence[Stored] | None:
    if _strings(column) is None:
        return None
    return [value or None for value in column] if "" in column else column  # type: ignore[misc,return-value]


def _booleans(column: Column) -> Sequence[Stored] | None:
    kinds = set(map(type, column))
    if kinds == {bool}:
        return column  # type: ignore[return-value]
    return [value or 0 for value in column] if kinds <= {bool, _NONE} else None  # type: ignore[misc]


def _integers(column: Column) -> Sequence[Stored] | None:
    return column if set(map(type, column)) <= {int, _NONE} else None  # type: ignore[return-value]


def _decimals(column: Column) -> Sequence[Stored] | None:
    kinds = set(map(type, column))
    if kinds == {_NONE}:
        return column  # type: ignore[return-value]
    if not kinds <= {Decimal, _NONE}:
        return None
    found = [None if value is None else str(value) for value in column]
    return None if any(text is not None and not text[-1].isdigit() for text in found) else found


def _anys(column: Column) -> Sequence[Stored] | None:
    kinds = set(map(type, column))
    if not kinds <= {str, bool, int, Decimal, _NONE}:
        return None
    texts = [value for value in column if type(value) is str and value]
    encoded = iter(_ENCODER.encode_lines(texts).decode().split("\n"))  # a line break inside a text is escaped
    if kinds <= {str, _NONE}:
        return [next(encoded) if value else None for value in column]
    found: list[Stored] = []
    for value in column:
        kind = type(value)
        if kind is str:
            found.append(next(encoded) if value else None)
        elif kind is bool:
            found.append("true" if value else "false")
        elif value is None:
            found.append(None)
        else:
            text = str(value) if kind is Decimal else f"{value}"
            if not text[-1].isdigit():
                return None
            found.append(text)
    return found
