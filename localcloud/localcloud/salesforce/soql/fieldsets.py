"""FIELDS(): the fields that it stands for, and the rows that it may be asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql.syntax import AllFields, Comparison, Constant, Logic, Path, Selected

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.soql.scope import Context
    from localcloud.salesforce.soql.syntax import Condition, Query, TypeOf

_MOST_ROWS = 200
_SETS = frozenset({"ALL", "CUSTOM", "STANDARD"})


def expanded(context: Context, sobject: SObject, query: Query) -> tuple[Selected | TypeOf | Query, ...]:
    """The SELECT list with the fields that its FIELDS() stand for.

    Args:
        context: The statement's.
        sobject: The object of the FROM.
        query: The statement, or a subquery.

    Raises:
        SoqlError: MALFORMED_QUERY, an unknown set, no field at all, or too many rows ("FIELDS()").
    """
    items: list[Selected | TypeOf | Query] = []
    for item in query.select:
        if not isinstance(item, Selected) and item.label is not None:
            raise context.error(item.start, "only aggregate expressions use field aliasing")
        if isinstance(item, AllFields):
            items += [Selected(Path((name,), item.start)) for name in _names(context, sobject, query, item)]
        else:
            items.append(item)
    if not items:
        raise SoqlError(
            "MALFORMED_QUERY", "'FIELDS(...)' expansion function must result in at least one field being selected."
        )
    return tuple(items)


def _names(context: Context, sobject: SObject, query: Query, item: AllFields) -> list[str]:
    if item.which not in _SETS:
        raise context.error(item.start, f"Invalid FIELDS function argument: {item.which}")
    bounded = query.limit is not None and query.limit <= _MOST_ROWS
    if item.which != "STANDARD" and not bounded and not _names_ids(query.where):
        raise SoqlError("MALFORMED_QUERY", f"The SOQL FIELDS function must have a LIMIT of at most {_MOST_ROWS}")
    fields = context.fields(sobject)
    return [field.name for field in fields if item.which == "ALL" or field.custom == (item.which == "CUSTOM")]


def _names_ids(condition: Condition | None) -> bool:
    """Whether the WHERE names 200 ids at most: `Id IN (...)`, or `Id = ...` joined with OR."""
    ids = _ids(condition)
    return ids is not None and ids <= _MOST_ROWS


def _ids(condition: Condition | None) -> int | None:
    """How many ids a condition allows; None where it allows others too."""
    if isinstance(condition, Logic):
        counts = [_ids(part) for part in condition.parts]
        known = [count for count in counts if count is not None]
        if condition.operator == "AND":
            return min(known, default=None)
        return sum(known) if condition.operator == "OR" and len(known) == len(counts) else None
    if not isinstance(condition, Comparison) or not isinstance(condition.left, Path):
        return None
    if condition.left.parts[-1].lower() != "id" or len(condition.left.parts) > 2:
        return None
    if condition.operator == "IN" and isinstance(condition.value, tuple):
        return len(condition.value)
    return 1 if condition.operator == "=" and isinstance(condition.value, Constant) else None
