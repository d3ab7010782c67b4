"""What a SOQL statement uses: for APIs that take only part of the language, such as Bulk API 2.0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql.operands import AGGREGATES
from localcloud.salesforce.soql.parser import parse
from localcloud.salesforce.soql.syntax import AllFields, Call, Comparison, Logic, Path, Query, Selected, TypeOf

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import Schema, SObject
    from localcloud.salesforce.soql.syntax import Condition, Expression

COMPOUND_TYPES = frozenset({"address", "location"})


class Features(msgspec.Struct, frozen=True):
    """What a statement uses.

    Attributes:
        sobject: The object of the FROM, as the schema spells it where it has it.
        count_only: `SELECT COUNT()`.
        aggregates: Aggregate functions in the SELECT list, `COUNT()` too.
        group_by: GROUP BY, also ROLLUP and CUBE.
        having: HAVING.
        typeof: TYPEOF.
        subqueries: Parent-to-child subqueries in the SELECT list.
        semi_joins: Subqueries of an IN.
        fields_functions: `ALL`, `CUSTOM`, `STANDARD` of the FIELDS() in the SELECT list.
        order_by: ORDER BY.
        limit: LIMIT, if there is one.
        offset: OFFSET, if there is one.
        all_rows: ALL ROWS.
        compound: Selected fields of type address or location.
        base64: Selected fields of type base64.
    """

    sobject: str
    count_only: bool = False
    aggregates: bool = False
    group_by: bool = False
    having: bool = False
    typeof: bool = False
    subqueries: bool = False
    semi_joins: bool = False
    fields_functions: frozenset[str] = frozenset()
    order_by: bool = False
    limit: int | None = None
    offset: int | None = None
    all_rows: bool = False
    compound: tuple[str, ...] = ()
    base64: tuple[str, ...] = ()


def features(statement: str, schema: Schema) -> Features:
    """What a statement uses; whether its names are right is not asked here.

    Args:
        statement: SOQL.
        schema: The objects the user may see, for the types of the selected fields.

    Raises:
        SoqlError: MALFORMED_QUERY, it is no statement.
    """
    if not statement.strip():
        raise SoqlError("MALFORMED_QUERY", "A query string has to be specified")
    query = parse(statement)
    sobject = schema.get(query.source.text)
    types = [(path.text, _type(schema, sobject, path)) for path in _paths(query)]
    return Features(
        sobject=sobject.name if sobject else query.source.text,
        count_only=query.count_only,
        aggregates=any(
            isinstance(item, Selected) and isinstance(item.what, Call) and item.what.name in AGGREGATES
            for item in query.select
        ),
        group_by=bool(query.group_by),
        having=query.having is not None,
        typeof=any(isinstance(item, TypeOf) for item in query.select),
        subqueries=any(isinstance(item, Query) for item in query.select),
        semi_joins=_semi_joins(query.where),
        fields_functions=frozenset(item.which for item in query.select if isinstance(item, AllFields)),
        order_by=bool(query.order_by),
        limit=query.limit,
        offset=query.offset,
        all_rows=query.all_rows,
        compound=tuple(name for name, type_ in types if type_ in COMPOUND_TYPES),
        base64=tuple(name for name, type_ in types if type_ == "base64"),
    )


def _paths(query: Query) -> list[Path]:
    found = []
    for item in query.select:
        what: Expression | None = item.what if isinstance(item, Selected) else None
        while isinstance(what, Call):
            what = what.argument
        if isinstance(what, Path):
            found.append(what)
    return found


def _type(schema: Schema, sobject: SObject | None, path: Path) -> str | None:
    """The describe type of a field, through parents; None where a step is not there."""
    for part in path.parts[:-1]:
        reference = sobject.by_relationship.get(part.lower()) if sobject else None
        if reference is not None:
            sobject = schema.get(reference.reference_to[0])
        elif part is not path.parts[0]:  # the first may be the object's own alias
            return None
    field = sobject.by_name.get(path.parts[-1].lower()) if sobject else None
    return field.type if field else None


def _semi_joins(condition: Condition | None) -> bool:
    if isinstance(condition, Logic):
        return any(_semi_joins(part) for part in condition.parts)
    return isinstance(condition, Comparison) and isinstance(condition.value, Query)
