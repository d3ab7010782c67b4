"""Semi-joins and anti-joins: the subquery of an IN, and what Salesforce does not allow of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.sobject import ID_TYPES
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.syntax import Comparison, Logic, Query, Selected

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import Field, SObject
    from localcloud.salesforce.soql.operands import Operand
    from localcloud.salesforce.soql.scope import Context, Scope
    from localcloud.salesforce.soql.syntax import Condition

_MOST = 2
_UNSUPPORTED = frozenset({"activityhistory", "attachment", "event", "eventattendee", "note", "openactivity", "task"})


def check_places(context: Context, condition: Condition | None, *, root: bool, having: bool = False) -> None:
    """Whether subqueries stand where they may: at the top of the WHERE of the root query, two at most.

    Raises:
        SoqlError: MALFORMED_QUERY ("Considerations for Semi-Join and Anti-Join Queries").
    """
    first = _first(condition)
    if condition is None or first is None:
        return
    top = condition.parts if isinstance(condition, Logic) and condition.operator == "AND" else (condition,)
    nested = next((part for part in top if isinstance(part, Logic) and _first(part)), None)
    if having:
        problem = "Semi join sub-selects are not allowed in a HAVING clause"
    elif not root:
        problem = "Nesting of semi join sub-selects is not supported"
    elif nested is not None and nested.operator != "AND" and any(map(_is_subquery, nested.parts)):
        problem = f"Semi join sub-selects are not allowed with the '{nested.operator}' operator"
    elif nested is not None:
        problem = (
            "Semi join sub-selects are only allowed at the top level WHERE expressions and not in nested WHERE "
            "expressions."
        )
    elif sum(map(_is_subquery, top)) > _MOST:
        problem = f"Maximum {_MOST} semi join sub-selects are allowed"
    else:
        return
    raise context.error(first.start, problem)


def _is_subquery(condition: Condition) -> bool:
    return isinstance(condition, Comparison) and isinstance(condition.value, Query)


def _first(condition: Condition | None) -> Comparison | None:
    """The first comparison with a subquery."""
    if condition is None:
        return None
    if isinstance(condition, Comparison):
        return condition if isinstance(condition.value, Query) else None
    return next((found for part in condition.parts if (found := _first(part)) is not None), None)


def check_left(context: Context, left: Operand) -> None:
    """Whether the left side of a semi-join is an id or a look-up of the object itself.

    Raises:
        SoqlError: MALFORMED_QUERY.
    """
    if left.type not in ID_TYPES or left.column is None or left.function is not None:
        raise context.error(
            left.start,
            f"The left operand field in the where expression for outer query should be an id field, cannot use: "
            f"'{left.label}'",
        )
    if left.column.way:
        written = ".".join((*left.column.way, left.label))
        raise context.error(
            left.start, f"The left operand '{written}' cannot have more than one level of relationships"
        )


def subquery(scope: Scope, query: Query, left: Operand, outer: SObject) -> Operand:
    """The field that the subquery selects.

    Args:
        scope: The rows of the subquery.
        query: The subquery.
        left: The left side of the comparison.
        outer: The object of the outer query.

    Raises:
        SoqlError: MALFORMED_QUERY, the subquery is not one that Salesforce takes.
    """
    context, sobject = scope.context, scope.root.sobject
    only = query.select[0]
    if sobject.name.lower() in _UNSUPPORTED or sobject.name.endswith("Tag"):
        raise context.error(query.source.start, f"Entity '{sobject.name}' is not supported for semi join inner selects")
    if sobject.name == outer.name:
        raise context.error(query.source.start, "The inner and outer selects should not be on the same object type")
    if not isinstance(only, Selected):
        raise context.error(query.start, "Semi join sub-selects can only query id fields")
    inner = operand(scope, only.what)
    if inner.type not in ID_TYPES or inner.function is not None or inner.column is None:
        raise context.error(inner.start, f"Semi join sub-selects can only query id fields, cannot use: '{inner.label}'")
    if inner.column.way:
        written = ".".join((*inner.column.way, inner.label))
        raise context.error(
            inner.start, f"The inner select field '{written}' cannot have more than one level of relationships"
        )
    if left.column is not None and not _targets(left.column.field, outer) & _targets(inner.column.field, sobject):
        raise context.error(
            left.start,
            f"The selected field '{inner.label}' in the subquery and the left operand field in the where expression in "
            f"the outer query '{left.label}' should point to the same object type",
        )
    return inner


def _targets(field: Field, owner: SObject) -> set[str]:
    return {owner.name} if field.type == "id" else set(field.reference_to)
