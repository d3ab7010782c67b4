"""TYPEOF: the fields of a parent that depend on what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.soql.scope import Scope
from localcloud.salesforce.soql.syntax import Path, Query, Selected

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.soql.syntax import TypeOf

    Record = Callable[[Scope, Query], str]
    Named = Callable[[tuple[Path, ...], tuple[str, ...]], str]


def type_of(scope: Scope, item: TypeOf, record: Record, named: Named) -> tuple[tuple[str, ...], str]:
    """The place of the parent in the record, and SQL for its JSON.

    Args:
        scope: The rows.
        item: The expression.
        record: Writes a record of the rows of a scope.
        named: Writes the parent at the end of a way with some of its fields.

    Raises:
        SoqlError: INVALID_FIELD, the relationship is not polymorphic; INVALID_TYPE, it cannot be of a type.
    """
    context = scope.context
    node, reference, way = scope.reference(item.relationship)
    if reference.relationship is None or not reference.polymorphic:
        raise context.error(item.start, f"'{item.relationship.text}' is no polymorphic relationship", "INVALID_FIELD")
    column = node.sql(reference)
    place = (*way, reference.relationship)
    targets = {target.name.lower(): target for target in scope.targets(reference)}
    cases = []
    rest = "'null'"
    for branch in item.branches:
        if branch.type_name is None:
            rest = named(tuple(Path((*place, *path.parts), path.start) for path in branch.fields), place)
            continue
        target = targets.get(branch.type_name.lower())
        if target is None:
            raise context.error(
                item.start, f"'{item.relationship.text}' cannot be of type '{branch.type_name}'", "INVALID_TYPE"
            )
        context.count_parent(scope.root.sobject, (*place, target.name), item.start)
        inner = Scope(context, target)
        query = Query(tuple(Selected(path) for path in branch.fields), Path((target.name,), item.start))
        written = record(inner, query)
        cases.append(
            f"WHEN '{target.key_prefix}' THEN "
            f"coalesce((SELECT {written} {inner.source} WHERE {inner.root.identity} = {column}),'null')"
        )
    if not cases:
        return place, rest
    return place, f"CASE substr({column},1,3) {' '.join(cases)} ELSE {rest} END"
