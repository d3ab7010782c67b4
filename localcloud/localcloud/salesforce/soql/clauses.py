"""Clauses that are well formed and yet not allowed: where, with what, and from which API version on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql.operands import AGGREGATES
from localcloud.salesforce.soql.syntax import AllFields, Call, Query, Selected, TypeOf

if TYPE_CHECKING:
    from localcloud.salesforce.soql.scope import Context

_SINCE = {"OFFSET": 24.0, "USING SCOPE": 32.0, "TYPEOF": 46.0, "FIELDS": 51.0}
_APEX = frozenset({"SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE"})
_MOST_OFFSET = 2_000


def check(context: Context, query: Query) -> None:
    """Whether the clauses of a statement go together.

    Raises:
        SoqlError: MALFORMED_QUERY; NUMBER_OUTSIDE_VALID_RANGE, the offset is above 2,000.
    """
    _check_withs(context, query)
    if query.count_only and (query.order_by or query.group_by):
        clause = "ORDER BY" if query.order_by else "GROUP BY"
        raise context.error(query.start, f"COUNT() cannot be used with {clause}")
    if "FOR UPDATE" in query.endings and query.order_by:
        raise context.error(query.start, "ORDER BY cannot be used with FOR UPDATE")
    _check_versions(context, query)
    _check_functions(context, query)
    _check_numbers(context, query)
    if (query.offset or 0) > _MOST_OFFSET:
        raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {_MOST_OFFSET}")


def check_child(context: Context, query: Query, parent: Query) -> None:
    """Whether the clauses of a subquery in the SELECT list go with those of its parent.

    Raises:
        SoqlError: MALFORMED_QUERY.
    """
    _check_withs(context, query)
    _check_versions(context, query)
    _check_functions(context, query)
    _check_numbers(context, query)
    aggregate = any(
        isinstance(item, Selected) and isinstance(item.what, Call) and item.what.name in AGGREGATES
        for item in query.select
    )
    if query.group_by or aggregate:
        raise context.error(query.start, "only root queries support aggregate expressions")
    if query.offset is not None and parent.limit != 1:
        raise context.error(query.start, "A subquery can use OFFSET only if the parent query has LIMIT 1")
    if query.scope is not None:
        raise context.error(query.scope.start, "USING SCOPE is not allowed in a subquery")
    if "FOR UPDATE" in query.endings or query.all_rows:
        clause = "ALL ROWS" if query.all_rows else "FOR UPDATE"
        raise context.error(query.start, f"{clause} is not allowed in a subquery")


def _check_withs(context: Context, query: Query) -> None:
    for clause in query.withs:
        name = clause.name
        if name.upper() in _APEX:  # the words are those of the release notes of Summer '24
            raise context.error(
                clause.start,
                "rule soqlWithIdentifierClause failed predicate: "
                "{this.helper.allowApexSyntax() && this.helper.hasApexContext()}?",
            )
        raise context.error(clause.start, f"WITH {name} is not supported on sObject type '{query.source.text}'")


def _check_numbers(context: Context, query: Query) -> None:
    for clause, number in (("LIMIT", query.limit), ("OFFSET", query.offset)):
        if number is not None and number < 0:
            raise context.error(query.start, f"{clause} must not be negative: {number}")
    for ending in query.endings:
        if ending.startswith("UPDATE") and ending.split()[1] not in {"TRACKING", "VIEWSTAT"}:
            raise context.error(query.start, f"Invalid statement: {ending}")


def _check_versions(context: Context, query: Query) -> None:
    used = {
        "OFFSET": query.offset is not None,
        "USING SCOPE": query.scope is not None,
        "TYPEOF": any(isinstance(item, TypeOf) for item in query.select),
        "FIELDS": any(isinstance(item, AllFields) for item in query.select),
    }
    for clause, since in _SINCE.items():
        if used[clause] and context.version < since:
            raise context.error(query.start, f"{clause} is available from API version {since:.1f} on")


def _check_functions(context: Context, query: Query) -> None:
    typeof = next((item for item in query.select if isinstance(item, TypeOf)), None)
    if typeof is None:
        return
    if query.group_by:
        raise context.error(typeof.start, "TYPEOF cannot be used in queries with GROUP BY")
    if any(isinstance(item, Selected) and isinstance(item.what, Call) for item in query.select):
        raise context.error(typeof.start, "TYPEOF cannot be used in queries with functions in the SELECT clause")
