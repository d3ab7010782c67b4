"""What a run does, from what was stored and what the org shows: where topics begin, which objects are asked."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import timestamps
from microdecisions.errors import ConfigurationError
from tap_salesforce_deletes.channels import carried_by, covered, hidden_objects
from tap_salesforce_deletes.pubsub.subscription import After, Earliest, Latest, Start
from tap_salesforce_deletes.reconcile.deciding import MARGIN, RETENTION, is_of_past
from tap_salesforce_deletes.reconcile.objects import objects_to_reconcile
from tap_salesforce_deletes.topics import Topic, price_warning

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_salesforce_deletes.channels import Carried
    from tap_salesforce_deletes.position import Positions, TopicPosition
    from tap_salesforce_deletes.run import Run

__all__ = ["Plan", "TopicPlan", "check_org", "make_plan", "start_of"]

_ONCE_A_DAY: Final = timedelta(hours=23)  # so that a daily schedule, which is never punctual, does ask daily


class TopicPlan(msgspec.Struct, frozen=True):
    """One topic of a run.

    Attributes:
        topic: The topic.
        objects: Objects to ask about when the topic has a hole.
        hidden: Objects on it that the login user does not see.
        moved: Whether the org has another event bus than the stored position is of.
        too_late: Whether it was last read, without an event or a keepalive, so long ago that events may have come and
            gone since.
        price: What to warn of before it is read; None when there is nothing to warn of.
    """

    topic: Topic
    objects: tuple[str, ...]
    hidden: tuple[str, ...]
    moved: bool
    too_late: bool = False
    price: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """What a run does.

    Attributes:
        topics: To be drained.
        asked: Objects whose delete log is asked in this run, whatever the topics tell.
    """

    topics: tuple[TopicPlan, ...]
    asked: tuple[str, ...]


def check_org(run: Run, positions: Positions) -> Positions:
    """Check whose the state is; a state of another org is taken over where that is allowed.

    Raises:
        ConfigurationError: It is another org's, or an instant of it is still to come.
    """
    others = {name: place.org_id for name, place in positions.topics.items() if _differ(place.org_id, run.org_id)}
    if _differ(positions.org_id, run.org_id):
        others.setdefault("the delete log", positions.org_id)
    if others and not run.settings.allow_org_change:
        what, other = next(iter(others.items()))
        raise ConfigurationError(
            f"The state is of another org: the position of {what} belongs to {other}, and the login leads to "
            f"{run.org_id}. Log in to the org of the state, use another state id, or set `allow_org_change` to go on "
            "from these positions in this org."
        )
    now = run.session.server_time()
    for sobject, at in positions.objects.items():
        if not is_of_past(at, now):
            raise ConfigurationError(
                f"The state says that the delete log of {sobject} was read up to {timestamps.to_text(at)}, which is "
                f"still to come: set `objects.{sobject}` of stream `delete_events` right with `meltano state set`, or "
                "remove it to read what the log still keeps."
            )
    if others:
        run.log.warning("The state of the org %s is taken over for %s.", ", ".join(set(others.values())), run.org_id)
    return msgspec.structs.replace(positions, org_id=run.org_id)


def make_plan(run: Run, positions: Positions) -> Plan:
    """Plan a run; one API call for the list of objects, and one or two more where a channel is among the topics.

    Raises:
        ConfigurationError: A pattern of `reconcile_objects` fits no object.
        SalesforceError, UnreachableError: The org cannot be asked.
    """
    settings = run.settings
    may_be_asked: tuple[str, ...] = ()
    if settings.reconcile != "never":
        may_be_asked = objects_to_reconcile(
            tuple(run.objects.values()), settings.reconcile_objects, positions.objects.keys()
        )
    carried = carried_by(run.session, run.topics)
    topics = []
    for topic in run.topics:
        on_it = carried[topic.name]
        place = positions.topics.get(topic.name)
        moved = place is not None and (_differ(place.org_id, run.org_id) or _differ(place.instance, run.instance))
        objects = tuple(sorted(on_it.objects)) if on_it.objects else may_be_asked
        topics.append(
            TopicPlan(
                topic,
                objects,
                tuple(hidden_objects(on_it, run.objects)),
                moved,
                _too_late(place, run.started),
                price_warning(topic, on_it.objects or (), filtered=on_it.filtered),
            )
        )
    return Plan(tuple(topics), _asked(run, positions, may_be_asked, carried))


def start_of(run: Run, position: TopicPosition | None) -> Start:
    """Where a topic begins: behind what was written, else by `start_from`.

    A topic that was read before and has no replay id begins with the oldest event: nothing may lie between.
    """
    if position is not None and position.replay_id is not None:
        return After(position.replay_id)
    if position is None and run.settings.start_from == "latest":
        return Latest()
    return Earliest()


def _asked(
    run: Run, positions: Positions, may_be_asked: tuple[str, ...], carried: Mapping[str, Carried]
) -> tuple[str, ...]:
    if run.settings.reconcile == "always":
        return may_be_asked
    by_topics = covered(carried.values())
    return tuple(
        sobject
        for sobject in may_be_asked
        if sobject not in by_topics or _long_ago(positions.objects.get(sobject), run.started)
    )


def _too_late(place: TopicPosition | None, now: datetime) -> bool:
    if place is None or place.replay_id is not None or place.drained_at is None:
        return False
    return now - place.drained_at >= RETENTION - MARGIN


def _long_ago(asked_at: datetime | None, now: datetime) -> bool:
    return asked_at is None or now - asked_at >= _ONCE_A_DAY


def _differ(stored: str, found: str) -> bool:
    """Whether two names differ, as far as both are known; ids of orgs may have 15 or 18 characters."""
    return bool(stored and found) and stored[:15] != found[:15]
