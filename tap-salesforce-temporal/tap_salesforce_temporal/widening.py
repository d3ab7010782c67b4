"""What a bookmark's run left out and this one is to read: fields or objects that the settings or the org add later.

A bookmark says up to when rows were read, and `parts` of which: `Case` whole, or `Case.Status`. When more is wanted, or
the archive shows another object, what was left out is read from the beginning up to the bookmark, before the news. How
far that came is in the state, so that a run that ends early does not begin anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from microdecisions import soql
from tap_salesforce_temporal.bookmarks import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tap_salesforce_temporal.sources import Narrowing, Source

__all__ = ["added", "left_out_before", "scope_of", "widening"]

_IN_PARTS = frozenset({"field_history", "field_history_archive", "activity_history"})


def scope_of(source: Source, narrowing: Narrowing) -> Scope:
    """What of the org a source reads.

    Args:
        source: As it is narrowed.
        narrowing: What the user wants of field histories.
    """
    if source.kind not in _IN_PARTS:
        return Scope(source.sobject)
    parts: list[str] = []
    for parent in source.parents or (source.parent or source.sobject,):
        fields = narrowing.fields_of(parent)
        parts += [parent] if fields is None else [f"{parent}.{field}" for field in fields]
    return Scope(source.sobject, tuple(sorted(parts)))


def added(before: Scope, now: Scope) -> tuple[str, ...]:
    """The parts that are read now and were not when the bookmark was written.

    A bookmark that does not say what was read, as those of earlier versions, counts as one of the same parts.
    """
    if before.parts is None or now.parts is None:
        return ()
    known = {part.lower() for part in before.parts}
    return tuple(
        part for part in now.parts if part.lower() not in known and part.partition(".")[0].lower() not in known
    )


def left_out_before(source: Source, before: Scope, parts: Iterable[str]) -> Source:
    """The source of no more than what was left out, where Salesforce can tell that apart.

    Args:
        source: As it is read now.
        before: What the bookmark speaks of.
        parts: What was added to it.
    """
    if source.kind == "field_history":
        fields = sorted(part.partition(".")[2] for part in parts)
        if all(fields):
            return replace(source, conditions=(f"Field IN ({_quoted(fields)})",))
        known = sorted(part.partition(".")[2] for part in before.parts or () if "." in part)
        return replace(source, conditions=(f"Field NOT IN ({_quoted(known)})",) if known else ())
    if source.kind == "field_history_archive":
        new = {part.partition(".")[0].lower() for part in parts}
        kept = [place for place, parent in enumerate(source.parents) if parent.lower() in new]
        return replace(
            source,
            parents=tuple(source.parents[place] for place in kept),
            one_by_one=tuple(source.one_by_one[place] for place in kept),
        )
    return source


def widening(before: Scope, now: Scope, until: datetime | None) -> Scope:
    """What a bookmark says while parts are added to it.

    Args:
        before: What it spoke of.
        now: What it is to speak of.
        until: Up to when what was added is read; None when it is complete.
    """
    return now if until is None else replace(before, widening=now.parts or (), widened_to=until)


def _quoted(names: Iterable[str]) -> str:
    return ",".join(soql.quote(name) for name in names)
