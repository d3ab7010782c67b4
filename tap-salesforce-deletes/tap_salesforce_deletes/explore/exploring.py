"""The exploration itself: log in, ask about each topic and object, and add up what a run costs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from microdecisions import soql, timestamps
from microdecisions.errors import InterruptedRunError, MicroDecisionError, SalesforceError
from tap_salesforce_deletes.channels import carried_by, hidden_objects
from tap_salesforce_deletes.explore.findings import Exploration, ObjectFinding, TopicFinding
from tap_salesforce_deletes.planning import make_plan
from tap_salesforce_deletes.position import Positions
from tap_salesforce_deletes.prices import deliveries_of
from tap_salesforce_deletes.topics import TopicKind, bind_fields, price_warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from tap_salesforce_deletes.channels import Carried
    from tap_salesforce_deletes.run import Run
    from tap_salesforce_deletes.tap import TapSalesforceDeletes
    from tap_salesforce_deletes.topics import Topic

__all__ = ["explore", "look_at"]

_RUNS_A_DAY: Final = 24  # an example: a run an hour
_IMMEDIATELY: Final = "PublishImmediately"


def explore(tap: TapSalesforceDeletes) -> Exploration:
    """Find out what an org lets this tap read.

    Takes about five API calls, one more for each platform event, and a call of the Pub/Sub API for each topic. No event
    is delivered.

    Args:
        tap: With checked settings.

    Raises:
        MicroDecisionError: The org cannot be reached, or refuses the login.
    """
    run = tap.run
    with closing(run):
        run.connect()
        carried = carried_by(run.session, run.topics)
        topics = tuple(look_at(run, topic, carried[topic.name]) for topic in run.topics)
        overhead = 3 + any(topic.kind is TopicKind.CHANNEL for topic in run.topics)  # login user, organization, objects
        objects = _objects(run, carried)
        deliveries = deliveries_of(run)
        each_run = sum(one.asked == "each run" for one in objects)
        usage = run.session.usage
        return Exploration(
            org_id=run.org_id,
            instance_url=run.session.instance_url,
            instance=run.instance,
            api_version=run.session.api_version,
            pubsub_endpoint=run.settings.pubsub_endpoint,
            at=timestamps.to_text(run.session.server_time()),
            topics=topics,
            objects=objects,
            deliveries_allowed=None if deliveries is None else deliveries.max,
            deliveries_left=None if deliveries is None else deliveries.remaining,
            calls_per_run=overhead + each_run,
            calls_per_day=_RUNS_A_DAY * (overhead + each_run) + len(objects) - each_run,
            calls_used=usage.calls,
            calls_allowed=None if usage.limits is None else usage.limits.maximum,
            calls_left=None if usage.limits is None else max(0, usage.limits.maximum - usage.limits.used),
            advice=tuple(_advice(run, topics)),
        )


def look_at(run: Run, topic: Topic, carried: Carried) -> TopicFinding:
    """Ask whether a topic can be read.

    Args:
        run: The run.
        topic: The topic.
        carried: What it carries.
    """
    objects = None if carried.objects is None else tuple(sorted(carried.objects))
    hidden = tuple(hidden_objects(carried, run.objects))
    finding = TopicFinding(
        topic=topic.name,
        kind=topic.kind.value,
        ready=False,
        objects=objects,
        hidden=hidden,
        filtered=carried.filtered,
    )
    try:
        told = run.client.topic(topic.name)
        if not told.can_subscribe:
            return msgspec.structs.replace(
                finding,
                problem=f"The login user may not subscribe to {topic.name}: grant View All Records on its objects, or "
                "Read on the platform event.",
            )
        fields: dict[str, str] = {}
        if topic.kind is TopicKind.PLATFORM_EVENT and told.schema_id:
            bound = bind_fields(topic, run.client.schema(told.schema_id).fields)
            fields = {name: field for name, field in msgspec.structs.asdict(bound).items() if field is not None}
    except InterruptedRunError:
        raise
    except MicroDecisionError as error:
        return msgspec.structs.replace(finding, problem=str(error))
    behavior = _publish_behavior(run, topic) if topic.kind is TopicKind.PLATFORM_EVENT else None
    problem: str | None = None
    if hidden:
        problem = (
            f"{', '.join(hidden)} cannot be seen by the login user: its deletes are left out of {topic.name} without a "
            "word. Grant View All Records."
        )
    elif behavior == _IMMEDIATELY:
        problem = (
            f"Events of {topic.name} are published immediately: they also tell of deletes that were rolled back. Set "
            "the event's publish behavior to Publish After Commit."
        )
    return msgspec.structs.replace(finding, ready=True, problem=problem, fields=fields, publish_behavior=behavior)


class _Metadata(msgspec.Struct, rename="camel"):
    publish_behavior: str | None = None


class _CustomObject(msgspec.Struct):
    metadata: _Metadata | None = msgspec.field(name="Metadata", default=None)


class _CustomObjects(msgspec.Struct):
    records: list[_CustomObject]


def _publish_behavior(run: Run, topic: Topic) -> str | None:
    """When the events of a platform event are published, as its definition says; one API call.

    Source: Metadata API guide, "CustomObject", `publishBehavior`; the Tooling API shows it in `Metadata`, which can be
    asked of one row at a time.
    """
    namespace, _, name = topic.entity.removesuffix("__e").rpartition("__")
    where = [f"DeveloperName = {soql.quote(name)}"]
    if namespace:
        where.append(f"NamespacePrefix = {soql.quote(namespace)}")
    statement = soql.select(("Metadata",), "CustomObject", *where, tail="LIMIT 1")
    try:
        rows = run.session.get_json("tooling/query", {"q": statement}, kind=_CustomObjects).records
    except SalesforceError:
        return None  # the user may not see definitions, or this org knows none
    metadata = rows[0].metadata if rows else None
    return None if metadata is None else metadata.publish_behavior


def _objects(run: Run, carried: dict[str, Carried]) -> tuple[ObjectFinding, ...]:
    now: datetime = run.started
    asked_now = set(make_plan(run, Positions()).asked)
    known = Positions()
    for sobject in asked_now:
        known = known.with_object(sobject, now)
    each_run = set(make_plan(run, known).asked)
    return tuple(
        ObjectFinding(
            object=sobject,
            asked="each run" if sobject in each_run else "daily",
            topics=tuple(name for name, on_it in carried.items() if sobject in (on_it.objects or ())),
        )
        for sobject in sorted(asked_now)
    )


def _advice(run: Run, topics: Sequence[TopicFinding]) -> Iterator[str]:
    if not topics:
        yield (
            "No topics are set: deletes come from the delete log and the recycle bin alone. Topics would add "
            "undeletes, the exact order, and who deleted what is no longer in the bin; docs/pubsub-setup.md tells how."
        )
    if any(one.kind == TopicKind.PLATFORM_EVENT for one in topics):
        yield (
            "Apex triggers do not fire for records that are deleted by cascade: change events or the delete log have "
            "to tell of those."
        )
    for topic, finding in zip(run.topics, topics, strict=True):
        warning = price_warning(topic, finding.objects or (), filtered=finding.filtered)
        if warning is not None:
            yield warning
    if run.settings.reconcile == "never":
        yield "`reconcile` is `never`: each hole becomes a `gap` event, though the delete log might fill it."
