"""The SELECT list of rows as SQL that writes each record's JSON: nested parents, children, TYPEOF."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from localcloud.salesforce import blobs
from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql.children import Children, child_sql
from localcloud.salesforce.soql.fieldsets import expanded
from localcloud.salesforce.soql.jsontext import Verbatim, concatenated
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.scope import quoted
from localcloud.salesforce.soql.syntax import Path, Query, Selected, TypeOf
from localcloud.salesforce.soql.typeofs import type_of
from localcloud.salesforce.storage import PLAIN_TYPES, json_of

if TYPE_CHECKING:
    from localcloud.salesforce.soql.scope import Context, Node, Scope

    Leaf = tuple[str, ...]
    Tree = dict[str, "Leaf | Tree"]

_SELECTED = frozenset({None, "TOLABEL", "CONVERTCURRENCY", "FORMAT", "DISTANCE"})


def row_json(scope: Scope, query: Query, level: int = 1, children: dict[str, Children] | None = None) -> str:
    """SQL for the JSON text of one record; the scope gains the joins that it needs.

    Args:
        scope: The rows.
        query: The statement or subquery.
        level: 1 for the root, 2 for its children, and so on.
        children: Gets how to read the children in pages, by the name of the relationship.

    Raises:
        SoqlError: An unknown or repeated field, or a function that has no place here.
    """
    tree: Tree = {}
    context = scope.context
    unnamed = 0
    for item in expanded(context, scope.root.sobject, query):
        if isinstance(item, Query):
            name, sql, pages = child_sql(scope, item, query, level, row_json)
            _put(tree, (name,), (sql,))
            if children is not None:
                children[name] = pages
        elif isinstance(item, TypeOf):
            way, sql = type_of(scope, item, row_json, _Named(scope).sql)
            _put(tree, way, (sql,))
        else:
            unnamed += _put_field(scope, tree, item, unnamed)
    return _object(scope, (), tree)


class _Named:
    """Writes a parent with some fields: the ELSE of a TYPEOF."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def sql(self, fields: tuple[Path, ...], way: tuple[str, ...]) -> str:
        tree: Tree = {}
        for path in fields:
            _put_field(self._scope, tree, Selected(path), 0)
        for step in way:
            below = tree[step]
            tree = below if isinstance(below, dict) else {}
        return _object(self._scope, way, tree)


def _put_field(scope: Scope, tree: Tree, item: Selected, unnamed: int) -> int:
    """Put a field where it belongs; returns how many names it took of `expr0`, `expr1`, ..."""
    context = scope.context
    found = operand(scope, item.what)
    if found.aggregate or found.function not in _SELECTED:
        raise context.error(found.start, f"Field must be grouped or aggregated: {found.label}")
    if item.alias is not None and isinstance(item.what, Path):
        raise context.error(found.start, "only aggregate expressions use field aliasing")
    if found.column is None or found.function == "FORMAT":
        way = found.column.way if found.column is not None and item.alias is None else ()
        name = item.alias or found.name or f"expr{unnamed}"
        _put(tree, (*way, name), (json_of(found.type, found.sql),))
        return int(item.alias is None and found.name is None)
    column = found.column
    field = column.field
    type_ = field.type
    # An id that has no row behind it makes the whole parent null, so its fields need no check of their own.
    nillable = field.nillable or column.node.alias is None
    leaf: Leaf = (json_of(type_, column.sql, nillable=nillable),)
    if type_ == "base64":
        leaf = (Verbatim('"'), blobs.url(context.version, column), Verbatim('"'))
    elif not nillable and type_ in PLAIN_TYPES:
        leaf = (Verbatim('"'), column.sql, Verbatim('"'))
    _put(tree, (*column.way, item.alias or field.name), leaf)
    return 0


def _put(tree: Tree, way: tuple[str, ...], leaf: Leaf) -> None:
    for step in way[:-1]:
        below = tree.setdefault(step, {})
        if isinstance(below, tuple):
            raise _duplicate(step)
        tree = below
    if way[-1] in tree:
        raise _duplicate(way[-1])
    tree[way[-1]] = leaf


def _duplicate(name: str) -> SoqlError:
    return SoqlError("INVALID_FIELD", f"duplicate field selected: {name}")  # it points nowhere


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
