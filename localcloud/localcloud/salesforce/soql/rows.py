"""The SELECT list of rows as SQL that writes each record's JSON: nested parents, children, TYPEOF."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localcloud.salesforce.sobject import SObject
from localcloud.salesforce.soql import filters
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.scope import Node, Scope, quoted
from localcloud.salesforce.soql.syntax import AllFields, Call, Path, Query, Selected, TypeOf
from localcloud.salesforce.storage import PLAIN_TYPES, json_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.salesforce.soql.scope import Context

    Leaf = tuple[str, ...]
    Tree = dict[str, "Leaf | Tree"]

_MOST_WITH_ALL_FIELDS = 200
_MOST_VALUES = 100  # SQLite takes 127 arguments of a function


def row_json(scope: Scope, query: Query) -> str:
    """SQL for the JSON text of one record; the scope gains the joins that it needs.

    Raises:
        SoqlError: An unknown or repeated field, or a function that has no place here.
    """
    tree: Tree = {}
    context = scope.context
    for item in query.select:
        if isinstance(item, Query):
            name, sql = _children(scope, item)
            _put(context, tree, (name,), (sql,), item.start)
        elif isinstance(item, TypeOf):
            name, sql = _type_of(scope, item)
            _put(context, tree, (name,), (sql,), item.start)
        elif isinstance(item, AllFields):
            for field_name in _all_fields(scope, item, query):
                _put_field(scope, tree, Selected(Path((field_name,), item.start)))
        else:
            _put_field(scope, tree, item)
    return _object(scope, (), tree)


def _all_fields(scope: Scope, item: AllFields, query: Query) -> list[str]:
    if item.which != "STANDARD" and (query.limit is None or query.limit > _MOST_WITH_ALL_FIELDS):
        raise scope.context.error(item.start, "The SOQL FIELDS function must have a LIMIT of at most 200")
    fields = scope.context.fields(scope.root.sobject)
    if item.which == "ALL":
        return [field.name for field in fields]
    return [field.name for field in fields if field.custom == (item.which == "CUSTOM")]


def _put_field(scope: Scope, tree: Tree, item: Selected) -> None:
    found = operand(scope, item.what)
    if found.aggregate or found.column is None:
        raise scope.context.error(found.start, "a function in the SELECT list needs GROUP BY")
    if item.alias is not None and isinstance(item.what, Path):
        raise scope.context.error(found.start, "only aggregate expressions use field aliasing")
    column = found.column
    field = column.field
    type_ = "string" if isinstance(item.what, Call) and item.what.name == "FORMAT" else field.type
    # An id that has no row behind it makes the whole parent null, so its fields need no check of their own.
    nillable = field.nillable or column.node.alias is None
    leaf: Leaf = (json_of(type_, column.sql, nillable=nillable),)
    if not nillable and type_ in PLAIN_TYPES:
        leaf = (Verbatim('"'), column.sql, Verbatim('"'))
    _put(scope.context, tree, (*column.way, item.alias or field.name), leaf, found.start)


def _put(context: Context, tree: Tree, way: tuple[str, ...], leaf: Leaf, start: int) -> None:
    for step in way[:-1]:
        below = tree.setdefault(step, {})
        if isinstance(below, tuple):
            raise context.error(start, f"duplicate field selected: {step}", "INVALID_FIELD")
        tree = below
    if way[-1] in tree:
        raise context.error(start, f"duplicate field selected: {way[-1]}", "INVALID_FIELD")
    tree[way[-1]] = leaf


def _object(scope: Scope, way: tuple[str, ...], tree: Tree) -> str:
    node = scope.node(way)
    pieces = _attributes(scope.context, node)
    for name, inside in tree.items():
        pieces.append(Verbatim(f",{json.dumps(name)}:"))
        pieces += inside if isinstance(inside, tuple) else (_object(scope, (*way, name), inside),)
    pieces.append(Verbatim("}"))
    sql = concatenated(pieces)
    return f"iif({node.identity} IS NULL,'null',{sql})" if way else sql


def _attributes(context: Context, node: Node) -> list[str]:
    root = f"/services/data/v{context.version:.1f}/sobjects/"
    name = node.sobject.name
    start = '{"attributes":{"type":"' + name + '","url":"' + root
    if node.alias is not None:
        return [Verbatim(f"{start}{name}/"), node.identity, Verbatim('"}')]
    cases = " ".join(f"WHEN '{target.key_prefix}' THEN {quoted(target.name)}" for target in node.targets)
    type_name = f"CASE substr({node.identity},1,3) {cases} ELSE 'Name' END" if cases else "'Name'"
    return [Verbatim(start), type_name, Verbatim("/"), node.identity, Verbatim('"}')]


class Verbatim(str):
    """A piece of JSON that stands as it is; any other piece is SQL for one."""

    __slots__ = ()


def concatenated(pieces: Iterable[str]) -> str:
    """SQL that joins pieces of JSON.

    It uses `format`, which takes about half the time of a chain of `||`.
    """
    parts, template, values = [], "", []
    for piece in pieces:
        if isinstance(piece, Verbatim):
            template += piece.replace("%", "%%")
            continue
        template += "%s"
        values.append(piece)
        if len(values) == _MOST_VALUES:
            parts.append(f"format({quoted(template)},{','.join(values)})")
            template, values = "", []
    parts.append(f"format({','.join([quoted(template), *values])})")
    return "||".join(parts)


def _children(scope: Scope, query: Query) -> tuple[str, str]:
    context = scope.context
    way = context.schema.children(scope.root.sobject.name).get(query.source.text.lower())
    child = context.schema.get(way.child) if way else None
    if way is None or child is None:
        raise context.error(
            query.source.start,
            f"Didn't understand relationship '{query.source.text}' in FROM part of query call. If you are attempting "
            "to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please "
            "reference your WSDL or the describe call for the appropriate names.",
            "INVALID_TYPE",
        )
    if query.group_by or query.having or query.count_only:
        raise context.error(query.start, "a subquery in the SELECT list takes no aggregates")
    inner = Scope(context, child, (query.alias, child.name, way.name), query.aliases)
    record = row_json(inner, query)
    condition = filters.where(inner, query)
    order = filters.order_by(context, query.order_by, lambda what: operand(inner, what))
    # The LIMIT keeps SQLite from dropping the order of the inner select.
    limit = filters.window(query) or " LIMIT -1"
    rows = (
        f'SELECT {record} AS j {inner.source} WHERE {inner.alias}."{way.field}" = {scope.root.identity} '
        f"AND {condition}{order}{limit}"
    )
    found = concatenated(
        [
            Verbatim('{"totalSize":'),
            "count(*)",
            Verbatim(',"done":true,"records":['),
            "group_concat(j,',')",
            Verbatim("]}"),
        ]
    )
    return way.name, f"(SELECT iif(count(*),{found},'null') FROM ({rows}))"


def _type_of(scope: Scope, item: TypeOf) -> tuple[str, str]:
    context = scope.context
    reference = scope.root.sobject.by_relationship.get(item.relationship.lower())
    if reference is None or reference.relationship is None or not reference.polymorphic:
        raise context.error(item.start, f"'{item.relationship}' is no polymorphic relationship", "INVALID_FIELD")
    column = scope.root.sql(reference)
    targets = {target.name.lower(): target for target in scope.targets(reference)}
    cases = []
    rest = f"iif({column} IS NULL,'null',{concatenated([*_attributes(context, _any(column, targets)), Verbatim('}')])})"
    for branch in item.branches:
        paths = tuple(Selected(path) for path in branch.fields)
        if branch.type_name is None:
            other = Scope(context, scope.root.sobject, alias=scope.alias)
            named = tuple(Selected(Path((reference.relationship, *path.parts), path.start)) for path in branch.fields)
            tree: Tree = {}
            for one in named:
                _put_field(other, tree, one)
            below = tree[reference.relationship]
            rest = below[0] if isinstance(below, tuple) else _object(other, (reference.relationship,), below)
            if other.joins:
                raise context.error(item.start, "the ELSE of a TYPEOF takes fields of Name only")
            continue
        target = targets.get(branch.type_name.lower())
        if target is None:
            raise context.error(
                item.start, f"'{item.relationship}' cannot be of type '{branch.type_name}'", "INVALID_TYPE"
            )
        inner = Scope(context, target)
        record = row_json(inner, Query(paths, Path((target.name,), item.start)))
        cases.append(
            f"WHEN '{target.key_prefix}' THEN "
            f"coalesce((SELECT {record} {inner.source} WHERE {inner.root.identity} = {column}),'null')"
        )
    return reference.relationship, f"CASE substr({column},1,3) {' '.join(cases)} ELSE {rest} END"


def _any(column: str, targets: dict[str, SObject]) -> Node:
    return Node(SObject("Name", "", ()), column, None, tuple(targets.values()))
