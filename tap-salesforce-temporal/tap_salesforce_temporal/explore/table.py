"""An exploration as a table for people: 80 columns, aligned, nothing but text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microdecisions.exploring import headed, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_salesforce_temporal.explore.findings import Exploration, HistoryObject, Permission

__all__ = ["table"]

_MARKS: Final = {"granted": "yes", "missing": "NO", "partly": "partly", "unknown": "?"}


def table(found: Exploration) -> str:
    """Write an exploration for people; ends with a line end."""
    return "\n".join(line.rstrip() for line in _lines(found)) + "\n"


def _lines(found: Exploration) -> Iterator[str]:
    yield f"Org {found.org_id}, API {found.api_version}"
    yield found.instance_url
    yield from _permissions(found.permissions)
    yield from _objects(found.objects)
    yield from _tracked(found)
    yield from _samples(found)
    yield from _calls(found)


def _permissions(permissions: Sequence[Permission]) -> Iterator[str]:
    yield from headed("Permissions of the login user")
    for permission in permissions:
        mark = _MARKS[permission.state]
        yield from wrapped(f"{mark:<7}{permission.name}: {permission.evidence}", " " * 7)
        if permission.state != "granted":
            yield from wrapped(f"{'':7}needed for {permission.needed_for}", " " * 9)
            yield from wrapped(f"{'':7}{permission.where}", " " * 9)


def _objects(objects: Sequence[HistoryObject]) -> Iterator[str]:
    yield from headed("Streams")
    yield f"{'stream':<30} {'rows':>13}  {'first':<10}  {'last':<10} {'API calls':>10}"
    for one in objects:
        yield from _named(one)
        if one.problem is not None:
            yield from wrapped(f"  {one.problem}", "  ")
    if not all(one.selected for one in objects):
        yield "* off by default, and not in the sums below"


def _named(one: HistoryObject) -> Iterator[str]:
    name = one.stream if one.selected else f"{one.stream} *"
    if len(name) > 30:
        yield name
        name = ""
    rows = "?" if one.rows is None else f"{one.rows:,}"
    calls = "?" if one.calls_to_backfill is None else f"{one.calls_to_backfill:,}"
    yield f"{name:<30} {rows:>13}  {(one.first or '')[:10]:<10}  {(one.last or '')[:10]:<10} {calls:>10}"


def _tracked(found: Exploration) -> Iterator[str]:
    yield from headed("Tracked fields")
    histories = [one for one in found.objects if one.tracked_from is not None]
    for one in histories:
        fields = ", ".join(one.tracked_fields) or "none"
        note = " (by its history so far)" if one.tracked_from == "history" else ""
        yield from wrapped(f"{one.parent}: {fields}{note}", "  ")
    if not histories:
        yield "No field history was found."
    if found.untracked_objects:
        yield from wrapped(f"Custom objects without history: {', '.join(found.untracked_objects)}", "  ")


def _samples(found: Exploration) -> Iterator[str]:
    if not found.samples:
        return
    yield from headed("Newest events" if found.values_shown else "Newest events (values only with --samples)")
    for one in found.samples:
        yield from wrapped(f"{one.at[:19]}Z {one.stream}: {one.event_type}", "  ")
        about = f"{one.record_type or 'no record'}.{one.field or '-'} by {one.actor_type or 'an unknown actor'}"
        change = f": {_shown(one.old_value)} -> {_shown(one.new_value)}" if found.values_shown else ""
        yield from wrapped(f"  {about}{change}", "    ")


def _calls(found: Exploration) -> Iterator[str]:
    yield from headed("API calls, about")
    left = "the org does not tell what is left"
    if found.calls_left is not None and found.calls_allowed is not None:
        left = f"{found.calls_left:,} of {found.calls_allowed:,} left in these 24 hours"
    yield f"first run, back-fill   {found.calls_to_backfill:>9,}"
    yield f"each later run         {found.calls_per_run:>9,}"
    yield f"a day with one run     {found.calls_per_day:>9,}"
    yield f"this exploration       {found.calls_used:>9,}   {left}"


def _shown(value: str | None) -> str:
    return (
        "null"
        if value is None
        else " ".join(value.split())
        if len(value) <= 60
        else " ".join(value[:57].split()) + "..."
    )
