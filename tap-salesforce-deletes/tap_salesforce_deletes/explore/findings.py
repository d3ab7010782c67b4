"""What an exploration finds, as data: the JSON for programs is these structs."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Exploration", "ObjectFinding", "TopicFinding"]


class TopicFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One topic of the setting `topics`.

    Attributes:
        topic: Its name.
        kind: `platform_event`, `change_events` or `channel`.
        ready: Whether a run can read it.
        problem: Why it cannot, or what is wrong with it, one sentence; None when nothing is.
        objects: Objects whose changes it carries, as far as the org tells.
        hidden: Those of them that the login user does not see: their events are left out without a word.
        filtered: Whether each member of the channel has a filter.
        fields: Of platform events, where each fact is read from, by its name; of others empty.
        publish_behavior: Of platform events: `PublishAfterCommit` or `PublishImmediately`; None where the org does not
            tell.
    """

    topic: str
    kind: str
    ready: bool
    problem: str | None = None
    objects: tuple[str, ...] | None = None
    hidden: tuple[str, ...] = ()
    filtered: bool = False
    fields: dict[str, str] = {}
    publish_behavior: str | None = None


class ObjectFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One object of `reconcile_objects`.

    Attributes:
        object: API name.
        asked: When its delete log is asked: in each run, or daily and after a hole.
        topics: Topics of change events that carry its deletes.
    """

    object: str
    asked: Literal["each run", "daily"]
    topics: tuple[str, ...] = ()


class Exploration(msgspec.Struct, frozen=True, kw_only=True):
    """An org as this tap sees it.

    Attributes:
        org_id: 18-character id.
        instance_url: Where it is.
        instance: Name of its instance; empty where the user may not see it.
        api_version: In use.
        pubsub_endpoint: In use.
        at: Salesforce's own time, canonical text.
        topics: Those of the setting.
        objects: Whose delete log is asked.
        deliveries_allowed: Event deliveries of 24 hours, for all subscribers together; None where the org does not
            tell.
        deliveries_left: What is left of them.
        calls_per_run: API calls of a run that finds little, about.
        calls_per_day: The same of a day with a run an hour, about.
        calls_used: API calls of this exploration.
        calls_allowed: The org's API calls of 24 hours; None where the org does not tell.
        calls_left: What is left of them.
        advice: What would make it better, a sentence each.
    """

    org_id: str
    instance_url: str
    instance: str
    api_version: str
    pubsub_endpoint: str
    at: str
    topics: tuple[TopicFinding, ...]
    objects: tuple[ObjectFinding, ...]
    deliveries_allowed: int | None
    deliveries_left: int | None
    calls_per_run: int
    calls_per_day: int
    calls_used: int
    calls_allowed: int | None
    calls_left: int | None
    advice: tuple[str, ...]
