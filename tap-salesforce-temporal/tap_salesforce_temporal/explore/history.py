"""How much history there is: rows, first and last date, tracked fields, and the API calls that it takes to read it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from microdecisions import soql, timestamps
from microdecisions.errors import NOT_FOR_THIS_USER
from tap_salesforce_temporal.composite import MOST_PARTS, MOST_QUERIES
from tap_salesforce_temporal.explore.asking import Reply, ask
from tap_salesforce_temporal.explore.findings import HistoryObject
from tap_salesforce_temporal.normalise.field_change import is_pseudo_field
from tap_salesforce_temporal.reading.choice import PAGE_ROWS, REST, Choice
from tap_salesforce_temporal.windows import Planner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from microdecisions.session import SalesforceSession
    from tap_salesforce_temporal.org import Org
    from tap_salesforce_temporal.settings import TapSettings
    from tap_salesforce_temporal.sources import Source

__all__ = ["Extent", "Tracked", "calls_per_day", "calls_to_backfill", "extents", "history_object", "tracked_fields"]

_OBJECTS_AT_ONCE: Final = 20  # of which the fields are asked for; each has 20 tracked ones, 60 with Field Audit Trail
SECOND: Final = timedelta(seconds=1)
"""What history is precise to."""

_RECENT: Final = timedelta(days=30)
_MANY_A_DAY: Final = 100  # rows from which on the last 30 days are counted: fewer make no difference to the calls
_SILENT: Final = logging.getLogger(f"{__name__}.silent")  # the choice between REST and Bulk is told by runs only
_SILENT.setLevel(logging.CRITICAL + 1)


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much of one object there is; what the org does not tell is None.

    Attributes:
        rows: Count.
        first: Cursor of the oldest row.
        last: Cursor of the newest row.
        rows_per_day: See `HistoryObject`.
        refused: Salesforce's error code to the last question; empty when all were answered.
    """

    rows: int | None = None
    first: datetime | None = None
    last: datetime | None = None
    rows_per_day: float | None = None
    refused: str = ""


class Tracked(msgspec.Struct, frozen=True):
    """Fields of one object whose changes are recorded.

    Attributes:
        fields: Their names, in order.
        known_from: See `HistoryObject.tracked_from`.
    """

    fields: tuple[str, ...] = ()
    known_from: Literal["definition", "history"] | None = None


class _Aggregate(msgspec.Struct):
    rows: int = msgspec.field(name="n")
    oldest: str | None = None
    newest: str | None = None


class _Entity(msgspec.Struct):
    name: str = msgspec.field(name="QualifiedApiName")


class _Field(msgspec.Struct):
    name: str = msgspec.field(name="QualifiedApiName")
    entity: _Entity = msgspec.field(name="EntityDefinition")


class _Recorded(msgspec.Struct):
    field: str = msgspec.field(name="Field")


def extents(session: SalesforceSession, sources: Sequence[Source], settings: TapSettings) -> dict[str, Extent]:
    """Count the rows of each source and find the first and the last; by stream. A call for five sources.

    Of no more than what a first run reads, from `start_date` on and before `end_date`. Objects that take no aggregates
    are counted by three statements of their own.

    Args:
        session: With the org.
        sources: What is counted.
        settings: Those of the run.

    Raises:
        MicroDecisionError: No statement can be run.
    """
    readable = [source for source in sources if not source.hidden]
    found = _uncountable(session, [source for source in readable if not source.countable])
    counted = [_dated(source, settings) for source in readable if source.countable]
    for source, reply in zip(counted, ask(session, [_all_at_once(source) for source in counted]), strict=True):
        for row in reply.rows(_Aggregate):
            found[source.stream] = Extent(rows=row.rows, first=_instant(row.oldest), last=_instant(row.newest))
    one_by_one = [source for source in counted if source.stream not in found]
    replies = iter(ask(session, [statement for source in one_by_one for statement in _one_by_one(source)]))
    for source, count, first, last in zip(one_by_one, replies, replies, replies, strict=True):
        refused = next((reply.code for reply in (first, last, count) if reply.error is not None), "")
        rows = None if count.error is not None else count.total
        found[source.stream] = Extent(rows=rows, first=_cursor(first), last=_cursor(last), refused=refused)
    return _with_rates(session, [source for source in readable if source.countable], found)


def _dated(source: Source, settings: TapSettings) -> Source:
    cursor, bounds = soql.identifier(source.cursor), ((">=", settings.begins), ("<", settings.ends))
    dates = [f"{cursor} {operator} {soql.datetime_literal(instant)}" for operator, instant in bounds if instant]
    return msgspec.structs.replace(source, conditions=(*dates, *source.conditions))


def _uncountable(session: SalesforceSession, sources: Sequence[Source]) -> dict[str, Extent]:
    """Big objects: whether they can be read at all is all that can be asked."""
    replies = ask(session, [soql.select(source.fields[:1], source.sobject, tail="LIMIT 1") for source in sources])
    return {source.stream: Extent(refused=reply.code) for source, reply in zip(sources, replies, strict=True)}


def _all_at_once(source: Source) -> str:
    cursor = soql.identifier(source.cursor)
    return (
        f"SELECT COUNT(Id) n, MIN({cursor}) oldest, MAX({cursor}) newest "  # noqa: S608  # checked names
        f"FROM {soql.identifier(source.sobject)}{_where(*source.conditions)}"
    )


def _one_by_one(source: Source) -> tuple[str, str, str]:
    ordered, conditions = f"ORDER BY {soql.identifier(source.cursor)}", source.conditions
    return (
        _count(source, *conditions),
        soql.select((source.cursor,), source.sobject, *conditions, tail=f"{ordered} ASC LIMIT 1"),
        soql.select((source.cursor,), source.sobject, *conditions, tail=f"{ordered} DESC LIMIT 1"),
    )


def _count(source: Source, *conditions: str) -> str:
    return f"SELECT COUNT() FROM {soql.identifier(source.sobject)}{_where(*conditions)}"  # noqa: S608  # checked names


def _where(*conditions: str) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _with_rates(
    session: SalesforceSession, sources: Sequence[Source], found: Mapping[str, Extent]
) -> dict[str, Extent]:
    since = session.server_time() - _RECENT
    rated = {stream: msgspec.structs.replace(extent, rows_per_day=_mean(extent)) for stream, extent in found.items()}
    many = [source for source in sources if (rated[source.stream].rows_per_day or 0) >= _MANY_A_DAY]
    recent = soql.datetime_literal(since)
    statements = [
        _count(source, f"{soql.identifier(source.cursor)} >= {recent}", *source.conditions) for source in many
    ]
    for source, reply in zip(many, ask(session, statements), strict=True):
        if reply.error is None:
            rate = reply.total / (_RECENT / timedelta(days=1))
            rated[source.stream] = msgspec.structs.replace(rated[source.stream], rows_per_day=rate)
    return rated


def _mean(extent: Extent) -> float | None:
    if extent.rows is None or extent.first is None or extent.last is None:
        return 0.0 if extent.rows == 0 else None
    return extent.rows / max(1.0, (extent.last - extent.first) / timedelta(days=1))


def _instant(text: str | None) -> datetime | None:
    return None if text is None else timestamps.parse(text)


def _cursor(reply: Reply) -> datetime | None:
    for row in reply.rows(dict[str, object]):
        return next((timestamps.parse(value) for value in row.values() if isinstance(value, str)), None)
    return None


def tracked_fields(
    session: SalesforceSession, sources: Sequence[Source], counted: Mapping[str, Extent]
) -> dict[str, Tracked]:
    """Tell the tracked fields of each field history, by stream; a call for a hundred objects.

    From the definitions of the fields. Where the user may not read those (they need View Setup and Configuration), or
    where they name no field of an object that has history, from the history itself.

    Raises:
        MicroDecisionError: No statement can be run.
    """
    histories = [source for source in sources if source.kind == "field_history" and source.parent is not None]
    defined = _defined(session, sorted({source.parent for source in histories if source.parent is not None}))
    found = {
        source.stream: Tracked(
            tuple(sorted(defined.get(source.parent or "", ()))), "definition" if source.parent in defined else None
        )
        for source in histories
    }
    unknown = [
        source
        for source in histories
        if not found[source.stream].fields and counted.get(source.stream, Extent()).rows != 0
    ]
    statements = [f"SELECT Field FROM {soql.identifier(one.sobject)} GROUP BY Field" for one in unknown]  # noqa: S608
    for source, reply in zip(unknown, ask(session, statements), strict=True):
        fields = tuple(sorted({row.field for row in reply.rows(_Recorded) if not is_pseudo_field(row.field)}))
        if fields:
            found[source.stream] = Tracked(fields, "history")
    return found


def _defined(session: SalesforceSession, parents: Sequence[str]) -> dict[str, list[str]]:
    groups = [parents[place : place + _OBJECTS_AT_ONCE] for place in range(0, len(parents), _OBJECTS_AT_ONCE)]
    found: dict[str, list[str]] = {}
    for group, reply in zip(groups, ask(session, [_definitions(group) for group in groups], "query"), strict=True):
        if reply.error is None:
            found |= {name: [] for name in group}
            for row in reply.rows(_Field):
                found.setdefault(row.entity.name, []).append(row.name)
    return found


def _definitions(parents: Sequence[str]) -> str:
    names = ", ".join(soql.quote(soql.identifier(name)) for name in parents)
    return soql.select(
        ("EntityDefinition.QualifiedApiName", "QualifiedApiName"),
        "FieldDefinition",
        f"EntityDefinition.QualifiedApiName IN ({names})",
        "IsFieldHistoryTracked = true",
    )


def history_object(source: Source, extent: Extent, tracked: Tracked, calls: int | None) -> HistoryObject:
    """What is known of one stream, put together."""
    return HistoryObject(
        stream=source.stream,
        object=source.sobject,
        parent=source.parent,
        selected=source.selected,
        rows=extent.rows,
        first=None if extent.first is None else timestamps.to_text(extent.first),
        last=None if extent.last is None else timestamps.to_text(extent.last),
        tracked_fields=tracked.fields,
        tracked_from=tracked.known_from,
        rows_per_day=None if extent.rows_per_day is None else round(extent.rows_per_day, 1),
        calls_to_backfill=calls,
        problem=_problem(source, extent),
    )


def _problem(source: Source, extent: Extent) -> str | None:
    if source.hidden:
        return (
            f"{', '.join(source.hidden)} of {source.sobject} hidden from the login user: in Setup, grant read access "
            f"to the fields of {source.parent or source.sobject}."
        )
    if extent.refused in NOT_FOR_THIS_USER or (extent.refused and not source.countable):
        return f"The login user may not read {source.sobject} ({extent.refused})."
    if not source.countable:
        return f"{source.sobject} is a big object, whose rows cannot be counted beforehand."
    if not extent.refused:
        return None
    return f"The org does not count {source.sobject} or does not sort it ({extent.refused})."


def calls_to_backfill(org: Org, settings: TapSettings, source: Source, rows: int | None) -> int | None:
    """About how many API calls the first run takes for one stream; None when nobody knows its rows.

    The content of each event log file is a call of its own.
    """
    if rows is None:
        return None
    files = rows if source.kind == "event_log_file" else 0
    planner = Planner(target_rows=REST.target_rows, most_rows=REST.most_rows)
    choice = Choice(settings.api_type, org.reader, None if source.rest_only else org.bulk, planner, "", _SILENT)
    choice.counted(rows)
    return 2 + choice.calls_for(rows) + files  # the oldest row is asked for, and the rows are counted


def calls_per_day(streams: int, described: int, rows_per_day: Sequence[float]) -> tuple[int, int]:
    """About how many API calls a run takes that finds little, and a day with one run.

    Args:
        streams: How many are read.
        described: How many of them are described in each run: all but field histories.
        rows_per_day: Of each stream.
    """
    run = 1 + -(-described // MOST_PARTS) + -(-streams // MOST_QUERIES)
    return run, run + sum(int(rows) // PAGE_ROWS for rows in rows_per_day)
