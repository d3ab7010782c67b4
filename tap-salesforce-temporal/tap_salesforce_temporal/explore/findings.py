"""What an exploration finds, as data: the JSON for programs is these structs."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Exploration", "HistoryObject", "Permission", "Sample", "State"]

State = Literal["granted", "missing", "partly", "unknown"]


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One permission that matters.

    Attributes:
        name: As Setup writes it.
        state: `partly` when it is granted for some of the objects only; `unknown` when the org does not tell.
        needed_for: What cannot be read without it.
        where: Words of the Setup pages on the way to it.
        evidence: What was asked, and what the org said to it.
    """

    name: str
    state: State
    needed_for: str
    where: str
    evidence: str


class HistoryObject(msgspec.Struct, frozen=True, kw_only=True):
    """One stream.

    Attributes:
        stream: Its name.
        object: API name of the object that is read.
        parent: Object that the rows are about, where it is one.
        selected: Whether it is read when nobody says otherwise.
        rows: How many there are, archived ones included; None where the org does not count them.
        first: When the first one was recorded, canonical text; None without rows, or where the org does not tell.
        last: When the last one was recorded.
        tracked_fields: Fields whose changes are recorded; empty where that is not a question of fields.
        tracked_from: Where they are known from: `definition` (what is switched on now), `history` (what was recorded
            so far), or None.
        rows_per_day: Of the last 30 days, or on the average of all days where rows are few.
        calls_to_backfill: API calls that it takes to read all rows, about.
        problem: Why it cannot be read or counted, one sentence; None when nothing is in the way.
    """

    stream: str
    object: str
    parent: str | None = None
    selected: bool = True
    rows: int | None = None
    first: str | None = None
    last: str | None = None
    tracked_fields: tuple[str, ...] = ()
    tracked_from: Literal["definition", "history"] | None = None
    rows_per_day: float | None = None
    calls_to_backfill: int | None = None
    problem: str | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the org, as a run would write it.

    Attributes:
        stream: Its stream.
        event_type: Kind of decision.
        at: When, canonical text.
        actor_type: `user`, `system`, `automation` or `integration`.
        record_type: What it is about.
        field: Field that changed.
        old_value: Only with `--samples`, because values belong to the org's customers.
        new_value: The same.
    """

    stream: str
    event_type: str
    at: str
    actor_type: str | None
    record_type: str | None
    field: str | None
    old_value: str | None = None
    new_value: str | None = None


class Exploration(msgspec.Struct, frozen=True, kw_only=True):
    """An org as its login user sees it.

    Attributes:
        org_id: 18-character id.
        instance_url: Where it is.
        api_version: In use.
        at: Salesforce's own time at the end, canonical text.
        permissions: Those that matter.
        objects: One per stream, in order of name.
        untracked_objects: Custom objects without a history object.
        samples: A few of the newest events.
        values_shown: Whether `samples` carries values.
        calls_to_backfill: API calls of a first run over the streams that are selected by default, about.
        calls_per_run: API calls of each later run that finds little, about.
        calls_per_day: API calls of a day with one run, about.
        calls_used: API calls of this exploration.
        calls_left: What is left of the org's API calls of 24 hours; None where the org does not tell.
        calls_allowed: The org's API calls of 24 hours.
    """

    org_id: str
    instance_url: str
    api_version: str
    at: str
    permissions: tuple[Permission, ...]
    objects: tuple[HistoryObject, ...]
    untracked_objects: tuple[str, ...]
    samples: tuple[Sample, ...]
    values_shown: bool
    calls_to_backfill: int
    calls_per_run: int
    calls_per_day: int
    calls_used: int
    calls_left: int | None
    calls_allowed: int | None
