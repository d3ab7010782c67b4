"""The tree of a SOQL statement: what was said, before anyone asks what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from decimal import Decimal


class Path(msgspec.Struct, frozen=True):
    """A field, possibly of a parent: `Owner.Profile.Name`."""

    parts: tuple[str, ...]
    start: int

    @property
    def text(self) -> str:
        """As it was written."""
        return ".".join(self.parts)


class Call(msgspec.Struct, frozen=True):
    """A function of a field: `COUNT(Id)`, `CALENDAR_YEAR(CreatedDate)`; COUNT() has no argument."""

    name: str
    argument: Path | Call | None
    start: int


class Selected(msgspec.Struct, frozen=True):
    """A field or function in the SELECT list, with its alias."""

    what: Path | Call
    alias: str | None = None


class AllFields(msgspec.Struct, frozen=True):
    """`FIELDS(ALL)` and its like."""

    which: str
    start: int


class Branch(msgspec.Struct, frozen=True):
    """`WHEN type THEN fields` of a TYPEOF; the ELSE has no type."""

    type_name: str | None
    fields: tuple[Path, ...]


class TypeOf(msgspec.Struct, frozen=True):
    """`TYPEOF relationship WHEN ... END`."""

    relationship: str
    branches: tuple[Branch, ...]
    start: int


class DateLiteral(msgspec.Struct, frozen=True):
    """`TODAY`, `LAST_N_DAYS:30` and their like."""

    name: str
    n: int = 0


class Constant(msgspec.Struct, frozen=True):
    """A value: its kind, its Python form, and how it was written (of a string: between the quotes)."""

    kind: Literal["string", "number", "boolean", "null", "date", "datetime", "period"]
    value: str | Decimal | bool | DateLiteral | None
    text: str
    start: int


class Comparison(msgspec.Struct, frozen=True):
    """`left operator value`; lists and subqueries with IN and its like."""

    left: Path | Call
    operator: str
    value: Constant | tuple[Constant, ...] | Query
    start: int


class Logic(msgspec.Struct, frozen=True):
    """`AND` or `OR` of two conditions and more, or `NOT` of one."""

    operator: Literal["AND", "OR", "NOT"]
    parts: tuple[Condition, ...]


Condition = Comparison | Logic


class Order(msgspec.Struct, frozen=True):
    """One key of ORDER BY."""

    what: Path | Call
    descending: bool = False
    nulls_last: bool = False


class Query(msgspec.Struct, frozen=True):
    """A whole statement, or a subquery."""

    select: tuple[Selected | AllFields | TypeOf | Query, ...]
    source: Path
    alias: str | None = None
    aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    where: Condition | None = None
    group_by: tuple[Path | Call, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None
    all_rows: bool = False
    count_only: bool = False
    start: int = 0
