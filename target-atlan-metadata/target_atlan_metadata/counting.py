"""What an event counts as, and the 63 bits in which the ledger remembers it. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from microdecisions import timestamps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_atlan_metadata.decision import Decision

__all__ = [
    "CLOSED_VALUES",
    "COLUMNS",
    "MOST_CELLS",
    "REJECTIONS",
    "cell_of",
    "content_of",
    "contributions",
    "day_in",
    "day_number",
    "field_of",
    "flags_of",
    "is_change",
    "is_counted",
    "mark_of",
    "place_of",
    "quarter_hour",
    "quarter_of",
]

COLUMNS: Final = (
    "changes",
    "stage_changes",
    "approvals",
    "rejections",
    "others",
    "automated",
    "emptied",
    "reopened",
    "deletes",
)
"""Columns of a day's bucket: how many decisions of each kind; the last one is filled by resolved deletions."""

REJECTIONS: Final = frozenset({"Rejected", "Removed", "Recalled"})
"""Statuses of an approval that undo it. Source: picklist of ProcessInstanceStep.StepStatus, Object Reference."""

CLOSED_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "Opportunity.StageName": ("Closed Won", "Closed Lost"),
    "Case.Status": ("Closed",),
}
"""Values that end a record's life by default: a change away from one of them re-opens it."""

_CHANGE, _STAGE, _APPROVAL, _REJECTION, _OTHER = range(5)
_KIND_MASK: Final = 0b111
_COUNTED, _AUTOMATED, _EMPTIED, _REOPENED = 1 << 3, 1 << 4, 1 << 5, 1 << 6

_CELL_BITS, _DAY_BITS, _FLAG_BITS, _QUARTER_BITS = 20, 15, 7, 21
MOST_CELLS: Final = 1 << _CELL_BITS
_LAST_DAY: Final = (1 << _DAY_BITS) - 1
_LAST_QUARTER: Final = (1 << _QUARTER_BITS) - 1
_FIRST_DAY: Final = date(1999, 1, 1).toordinal()  # no Salesforce org is older
_FIRST_READ: Final = datetime(2020, 1, 1, tzinfo=UTC)

_FLAGS: Final = (1 << _FLAG_BITS) - 1

_KINDS: Final = {
    "field_change": _CHANGE,
    "stage_change": _STAGE,
    "approval_decision": _APPROVAL,
}


def mark_of(cell: int, day: int, flags: int, quarter: int) -> int:
    """Pack what is kept of an event into one positive 64-bit integer.

    Args:
        cell: Number of the object and field that it is about.
        day: On which it happened, by `day_number`.
        flags: What it counts as, by `flags_of`.
        quarter: When it was read, by `quarter_hour`: of two versions of one event the later one holds.
    """
    return ((cell << _DAY_BITS | day) << _FLAG_BITS | flags) << _QUARTER_BITS | quarter


def content_of(mark: int) -> int:
    """A mark without the time when the event was read."""
    return mark >> _QUARTER_BITS


def place_of(content: int) -> tuple[int, int]:
    """The cell and the day of a content."""
    return content >> (_DAY_BITS + _FLAG_BITS), content >> _FLAG_BITS & _LAST_DAY


def cell_of(content: int) -> int:
    """The cell of a content."""
    return content >> (_DAY_BITS + _FLAG_BITS)


def quarter_of(mark: int) -> int:
    """When the event of a mark was read."""
    return mark & _LAST_QUARTER


def day_in(mark: Any) -> Any:
    """The day in a mark, also as an expression of SQLAlchemy's that works on a column."""
    return mark // (1 << (_QUARTER_BITS + _FLAG_BITS)) % (1 << _DAY_BITS)


def field_of(decision: Decision) -> str | None:
    """The field of the record that a decision changed; None where `field_name` names none of the record's own."""
    return decision.field_name if decision.event_type in {"field_change", "stage_change"} else None


def flags_of(decision: Decision, closed_values: Mapping[str, frozenset[str]]) -> int:
    """Tell what a decision counts as.

    Args:
        decision: The event.
        closed_values: Values that end a record's life, by `Object.Field`.
    """
    kind = _KINDS.get(decision.event_type, _OTHER)
    flags = _COUNTED if decision.is_primary else 0
    if kind == _APPROVAL:
        return flags | (_REJECTION if decision.new_value in REJECTIONS else _APPROVAL)
    if kind == _OTHER:
        return flags | _OTHER
    flags |= kind
    if decision.actor_type is not None and decision.actor_type != "user":
        flags |= _AUTOMATED
    if decision.new_value is None:
        if decision.old_value is not None:
            flags |= _EMPTIED
    elif decision.old_value is not None and decision.old_value != decision.new_value:
        closed = closed_values.get(f"{decision.record_type}.{decision.field_name}")
        if closed is not None and decision.old_value in closed and decision.new_value not in closed:
            flags |= _REOPENED
    return flags


def is_counted(flags: int) -> bool:
    """Whether it counts at all; bits above those of the flags do not matter, here and in `is_change`."""
    return bool(flags & _COUNTED)


def is_change(flags: int) -> bool:
    """Whether it counts, as the change of a field."""
    return bool(flags & _COUNTED) and flags & _KIND_MASK <= _STAGE


def contributions(flags: int) -> tuple[tuple[int, int], ...]:
    """What an event adds to which of `COLUMNS`; bits above those of the flags do not matter."""
    return _CONTRIBUTIONS[flags & _FLAGS]


def _contribution(flags: int) -> tuple[tuple[int, int], ...]:
    if not flags & _COUNTED:
        return ()
    kind = flags & _KIND_MASK
    adds = (
        kind in {_CHANGE, _STAGE},
        kind == _STAGE,
        kind in {_APPROVAL, _REJECTION},
        kind == _REJECTION,
        kind == _OTHER,
        flags & _AUTOMATED,
        flags & _EMPTIED,
        flags & _REOPENED,
    )
    return tuple((column, 1) for column, is_one in enumerate(adds) if is_one)


_CONTRIBUTIONS: Final = tuple(_contribution(flags) for flags in range(_FLAGS + 1))


def day_number(text: str) -> int:
    """The UTC day of a canonical timestamp, counted from 1999; days outside of 1999 to 2088 are the nearest one.

    Raises:
        ValueError: the text does not begin with a date.
    """
    return min(max(date.fromisoformat(text[:10]).toordinal() - _FIRST_DAY, 0), _LAST_DAY)


def quarter_hour(text: str | None) -> int:
    """The quarter of an hour of an instant, counted from 2020; 0 for none, and for earlier ones.

    Raises:
        ValueError: the text is not a date-time with an offset.
    """
    if text is None:
        return 0
    quarters = (timestamps.parse(text) - _FIRST_READ).total_seconds() // 900
    return min(max(int(quarters), 0), _LAST_QUARTER)
