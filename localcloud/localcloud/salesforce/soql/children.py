"""Subqueries in the SELECT list: the records below each record, and the pages of those that have many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.soql import clauses, filters
from localcloud.salesforce.soql.jsontext import Verbatim, concatenated
from localcloud.salesforce.soql.operands import operand
from localcloud.salesforce.soql.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.sobject import ChildRelationship, SObject
    from localcloud.salesforce.soql.syntax import Query

    Record = Callable[[Scope, Query, int], str]

BATCH = 2_000
"""The most children that come with their parent; the others have a `nextRecordsUrl`."""
MARK = "~child:"
"""Begins a `nextRecordsUrl` that has no cursor yet: `~child:` relationship `:` id of the parent."""
_LEVELS = ((58.0, 5), (0.0, 2))


class Children(msgspec.Struct, frozen=True):
    """How to read the children of one record: `sql` gives row numbers and takes the parent's id; `page_sql`."""

    sobject: str
    sql: str
    page_sql: str


def child_sql(scope: Scope, query: Query, parent: Query, level: int, record: Record) -> tuple[str, str, Children]:
    """The name of the relationship, SQL for the JSON of all children, and how to read them in pages.

    Args:
        scope: The rows of the parent.
        query: The subquery.
        parent: The query that it stands in.
        level: 1 for the subqueries of the root, and so on.
        record: Writes a record of the rows of a scope at a level.

    Raises:
        SoqlError: INVALID_TYPE, there is no such relationship; MALFORMED_QUERY, it is too deep or not allowed.
    """
    context = scope.context
    way, child = _relationship(scope, query)
    most = next(levels for since, levels in _LEVELS if context.version >= since)
    if level >= most:
        raise context.error(
            query.start,
            f"SOQL statements cannot query aggregate relationships more than {most - 1} "
            f"level{'s' if most > 2 else ''} away from the root entity object.",
        )
    context.count_child(query.start)
    clauses.check_child(context, query, parent)
    inner = Scope(context, child, (query.alias, child.name, way.name), query.aliases)
    written = record(inner, query, level + 1)
    condition = filters.where(inner, query, root=False)
    order = filters.order_by(context, query.order_by, lambda what: operand(inner, what))
    # The LIMIT keeps SQLite from dropping the order of the inner select.
    window = filters.window(query) or " LIMIT -1"
    linked = f'{inner.source} WHERE {inner.alias}."{way.field}" = '
    rows = f"SELECT {written} AS j {linked}{scope.root.identity} AND {condition}{order}{window}"
    ids = f"SELECT {inner.alias}.rowid {linked}? AND {condition}{order}{window}"
    whole = f"iif(count(*),{_result('true', '')},'null')"
    if level > 1:  # deeper ones come whole
        return way.name, f"(SELECT {whole} FROM ({rows}))", Children(child.name, ids, "")
    selected = Scope(context, child, (query.alias, child.name, way.name), query.aliases)
    page = (
        f'SELECT {record(selected, query, level + 1)} FROM json_each(?) CROSS JOIN "{child.name}" {selected.alias} '
        f"ON {selected.alias}.rowid = json_each.value{selected.joins}"
    )
    first = f"(SELECT group_concat(j,',') FROM (SELECT j FROM ({rows}) LIMIT {BATCH}))"
    url = f"'{MARK}{way.name}:'||{scope.root.identity}"
    many = _result("false", f',"nextRecordsUrl":"\'||{url}||\'"', first)
    found = f"(SELECT iif(count(*)>{BATCH},{many},{whole}) FROM ({rows}))"
    return way.name, found, Children(child.name, ids, page)


def _result(done: str, further: str, records: str = "group_concat(j,',')") -> str:
    """SQL of a query result; `further` may hold SQL between `'||` and `||'`."""
    if further:
        head = f'\'{{"totalSize":\'||count(*)||\',"done":{done}{further},"records":[\''
        return f"{head}||{records}||']}}'"
    return concatenated(
        [
            Verbatim('{"totalSize":'),
            "count(*)",
            Verbatim(f',"done":{done},"records":['),
            records,
            Verbatim("]}"),
        ]
    )


def _relationship(scope: Scope, query: Query) -> tuple[ChildRelationship, SObject]:
    context = scope.context
    parts = query.source.parts
    if len(parts) > 1 and scope.is_self(parts[0]):
        parts = parts[1:]
    name = ".".join(parts)
    way = context.schema.children(scope.root.sobject.name).get(name.lower())
    child = context.schema.get(way.child) if way else None
    if way is None or child is None or child.since > context.version:
        raise context.error(
            query.source.start,
            f"Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to use a "
            "custom relationship, be sure to append the '__r' after the custom relationship name. Please reference "
            "your WSDL or the describe call for the appropriate names.",
            "INVALID_TYPE",
        )
    return way, child
