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


class Distance(msgspec.Struct, frozen=True):
    """`DISTANCE(field, GEOLOCATION(latitude, longitude), 'unit')`, or between two location fields."""

    place: Path
    other: Path | tuple[Decimal, Decimal]
    unit: str
    start: int


Expression = Path | Call | Distance


class Selected(msgspec.Struct, frozen=True):
    """A field or function in the SELECT list, with its alias."""

    what: Expression
    alias: str | None = None


class AllFields(msgspec.Struct, frozen=True):
    """`FIELDS(ALL)` and its like; an alias is taken, and refused later."""

    which: str
    start: int
    label: str | None = None


class Branch(msgspec.Struct, frozen=True):
    """`WHEN type THEN fields` of a TYPEOF; the ELSE has no type."""

    type_name: str | None
    fields: tuple[Path, ...]


class TypeOf(msgspec.Struct, frozen=True):
    """`TYPEOF relationship WHEN ... END`."""

    relationship: Path
    branches: tuple[Branch, ...]
    start: int
    label: str | None = None


class DateLiteral(msgspec.Struct, frozen=True):
    """`TODAY`, `LAST_N_DAYS:30` and their like; `n` is None where no number was written."""

    name: str
    n: int | None = None


class Constant(msgspec.Struct, frozen=True):
    """A value: its kind, its Python form, and how it was written (of a string: between the quotes).

    `currency` is the ISO code before a number, such as `USD` in `USD5000`.
    """

    kind: Literal["string", "number", "boolean", "null", "date", "datetime", "time", "period"]
    value: str | Decimal | bool | DateLiteral | None
    text: str
    start: int
    currency: str | None = None


class Comparison(msgspec.Struct, frozen=True):
    """`left operator value`; lists and subqueries with IN and its like."""

    left: Expression
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

    what: Expression
    descending: bool = False
    nulls_last: bool = False


class With(msgspec.Struct, frozen=True):
    """One WITH clause: `DATA CATEGORY`, or the name that follows (`USER_MODE`, `UserId`)."""

    name: str
    start: int


class Query(msgspec.Struct, frozen=True):
    """A whole statement, or a subquery.

    `grouping` tells a plain GROUP BY from ROLLUP and CUBE; `scope` is the name after USING SCOPE; `endings`
    are the words behind FOR and UPDATE (`FOR VIEW`, `UPDATE TRACKING`); `label` the alias of a subquery.
    """

    select: tuple[Selected | AllFields | TypeOf | Query, ...]
    source: Path
    alias: str | None = None
    aliases: tuple[tuple[str | None, Path], ...] = ()
    scope: Path | None = None
    where: Condition | None = None
    withs: tuple[With, ...] = ()
    grouping: Literal["PLAIN", "ROLLUP", "CUBE"] = "PLAIN"
    group_by: tuple[Expression, ...] = ()
    having: Condition | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None
    endings: tuple[str, ...] = ()
    all_rows: bool = False
    count_only: bool = False
    start: int = 0
    label: str | None = None
