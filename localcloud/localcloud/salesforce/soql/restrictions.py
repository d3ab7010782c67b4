"""What an object allows of SOQL beyond the language: big objects by their index only, metadata by equality."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.soql.operands import AGGREGATES
from localcloud.salesforce.soql.scope import quoted
from localcloud.salesforce.soql.syntax import Call, Comparison, Logic, Order, Path, Query, Selected
from localcloud.salesforce.storage import instant_text
from localcloud.salesforce.tracking import history_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.soql.scope import Context
    from localcloud.salesforce.soql.syntax import Condition, Expression

_BIG_OBJECT = "BIG_OBJECT_UNSUPPORTED_OPERATION"
_METADATA = "EXTERNAL_OBJECT_UNSUPPORTED_EXCEPTION"
_RANGES = frozenset({"<", ">", "<=", ">="})


def checked(context: Context, sobject: SObject, query: Query) -> Query:
    """The statement as the object's storage answers it.

    Rows of a big object come in the order of its index, so the answer may have an ORDER BY that was not
    written.

    Args:
        context: The statement's.
        sobject: The object of its FROM.
        query: The statement.

    Raises:
        SoqlError: The object does not allow what is asked. Sources: "SOQL Limits on Objects", "SOQL with Big
            Objects", "SOQL with FieldHistoryArchive", "SOQL Operation Limitations" of the Tooling API, and
            messages quoted in airbytehq/airbyte#68166 and singer-io/tap-salesforce#101.
    """
    if sobject.storage == "big_object":
        return _by_index(sobject, query)
    if sobject.storage == "metadata":
        _by_equality(sobject, query)
    elif not sobject.aggregates:
        _without_aggregates(context, query)
    return query


def seen(context: Context, sobject: SObject, alias: str) -> str:
    """SQL, beginning with AND, of what hides rows: they are old, or about fields that the user may not see."""
    hidden = _of_hidden_fields(context, sobject, alias)
    if sobject.archives and not context.all_rows:
        hidden += f' AND {alias}."IsArchived" = 0'
    if sobject.retention is not None:
        field, days = sobject.retention
        hidden += f""" AND {alias}."{field}" >= '{instant_text(context.now - timedelta(days=days))}'"""
    if sobject.associate_type == "History" and context.history_since is not None and not context.all_rows:
        # with the sign no index is taken for a bound that leaves nearly all rows
        hidden += f""" AND +{alias}."CreatedDate" >= '{instant_text(context.history_since)}'"""
    return hidden


def _of_hidden_fields(context: Context, sobject: SObject, alias: str) -> str:
    """What hides the history of hidden fields ("respects field level security on the parent object")."""
    names = {
        parent: ",".join(quoted(name) for field in fields for name in {field.name, history_name(field)})
        for parent, fields in context.schema.hidden.items()
    }
    if sobject.associate_type == "History" and sobject.associate_parent in names:
        return f' AND {alias}."Field" NOT IN ({names[sobject.associate_parent]})'
    if sobject.name == "FieldHistoryArchive":
        return "".join(
            f' AND NOT ({alias}."FieldHistoryType" = {quoted(parent)} AND {alias}."Field" IN ({listed}))'
            for parent, listed in names.items()
        )
    return ""


def _without_aggregates(context: Context, query: Query) -> None:
    if query.count_only:
        return
    for call in _aggregates(query):
        name = call.argument.text if isinstance(call.argument, Path) else "Id"
        raise context.error(call.start, f"field {name} does not support aggregate operator {call.name}")
    for what in query.group_by:
        name = what.text if isinstance(what, Path) else what.name if isinstance(what, Call) else "DISTANCE"
        raise context.error(what.start, f"field '{name}' can not be grouped in a query call")


def _grouped(query: Query) -> bool:
    return bool(query.group_by) or any(True for _ in _aggregates(query))


def _aggregates(query: Query) -> Iterator[Call]:
    for item in query.select:
        if isinstance(item, Selected) and isinstance(item.what, Call) and item.what.name in AGGREGATES:
            yield item.what


# Big objects


def _by_index(sobject: SObject, query: Query) -> Query:
    if query.count_only or _grouped(query):
        raise SoqlError(_BIG_OBJECT, "Aggregate functions not supported")
    filters = list(_conjuncts(query.where, _BIG_OBJECT))
    names = [_name(sobject, one.left) for one in filters]
    if None in names:
        return query  # the compiler says which field is unknown or cannot be filtered
    asked = list(dict.fromkeys(name for name in names if name is not None))
    order = [_name(sobject, key.what) for key in query.order_by]
    for index in sobject.indexes:
        columns = [column.removeprefix("-") for column in index]
        if set(columns[: len(asked)]) == set(asked) and columns[: len(order)] == order:
            break
    else:
        raise SoqlError(_BIG_OBJECT, "Filters may not have any gaps within the composite key")
    _check_operators(filters, columns[len(asked) - 1] if asked else None, sobject)
    for key, column in zip(query.order_by, index, strict=False):
        if key.descending != column.startswith("-"):
            direction = "DESCENDING" if key.descending else "ASCENDING"
            name = column.removeprefix("-").upper()
            raise SoqlError(_BIG_OBJECT, f"Unsupported order direction on filter column: {name} : {direction}")
    keys = tuple(
        Order(Path((name,), query.start), column.startswith("-")) for name, column in zip(columns, index, strict=True)
    )
    return msgspec.structs.replace(query, order_by=keys)


def _check_operators(filters: list[Comparison], last: str | None, sobject: SObject) -> None:
    for one in filters:
        name = _name(sobject, one.left)
        if isinstance(one.value, Query):
            raise SoqlError(_BIG_OBJECT, "Subqueries not supported")
        if one.operator == "=" or (name == last and (one.operator in _RANGES or one.operator == "IN")):
            continue
        raise SoqlError(_BIG_OBJECT, f"Unsupported filter operator on filter column: {name} : {one.operator}")


def _name(sobject: SObject, what: Expression) -> str | None:
    """The filterable field that stands there, or None."""
    if not isinstance(what, Path) or len(what.parts) != 1:
        return None
    field = sobject.by_name.get(what.parts[0].lower())
    return field.name if field is not None and field.filterable else None


# Metadata


def _by_equality(sobject: SObject, query: Query) -> None:
    if _grouped(query):
        raise SoqlError(
            "INVALID_OPERATION",
            "The requested operation is not yet supported by this SObject storage type, contact salesforce.com support "
            "for more information.",
        )
    keys = {name.lower() for name in ("DurableId", "QualifiedApiName", *sobject.required_filters)}
    required = {name.lower() for name in sobject.required_filters}
    found = not required
    for one in _conjuncts(query.where, _METADATA):
        column = _column(one.left)
        equal = one.operator in {"=", "IN"}
        if column in keys and not equal and one.operator != "LIKE":
            raise SoqlError(_METADATA, "Only equals comparisons permitted")
        if one.operator in {"INCLUDES", "EXCLUDES"}:
            raise SoqlError(_METADATA, "Unsupported filter type")
        found = found or (equal and column in required)
    if not found:
        listed = ",".join(sobject.required_filters)
        raise SoqlError("MALFORMED_QUERY", f"{sobject.name}: a filter on a reified column is required [{listed}]")


def _column(what: Expression) -> str:
    """The column that a filter is about, in lower case; a field of a parent counts as the look-up to it."""
    if not isinstance(what, Path):
        return ""
    return what.parts[0].lower() + ("id" if len(what.parts) > 1 else "")


def _conjuncts(condition: Condition | None, code: str) -> Iterator[Comparison]:
    """The comparisons of a condition that is made with AND only.

    Raises:
        SoqlError: There is an OR or a NOT.
    """
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Logic):
        if condition.operator == "OR":
            raise SoqlError(code, "Disjunctions not supported")
        if condition.operator == "NOT":
            raise SoqlError(code, "Only equals comparisons permitted")
        for part in condition.parts:
            yield from _conjuncts(part, code)
