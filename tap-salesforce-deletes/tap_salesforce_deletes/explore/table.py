"""An exploration as a table for people: 80 columns, aligned, nothing but text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microdecisions.exploring import headed, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_salesforce_deletes.explore.findings import Exploration, TopicFinding

__all__ = ["table"]


def table(found: Exploration) -> str:
    """Write an exploration for people; ends with a line end."""
    return "\n".join(line.rstrip() for line in _lines(found)) + "\n"


def _lines(found: Exploration) -> Iterator[str]:
    yield f"Org {found.org_id}{f' on {found.instance}' if found.instance else ''}, API {found.api_version}"
    yield found.instance_url
    yield from headed(f"Topics at {found.pubsub_endpoint}")
    if not found.topics:
        yield "none"
    for topic in found.topics:
        yield from _topic(topic)
    yield from headed("Objects whose delete log is asked")
    if not found.objects:
        yield "none"
    for one in found.objects:
        carried = f", on {', '.join(one.topics)}" if one.topics else ""
        yield from wrapped(f"{one.object:<30} {one.asked}{carried}", " " * 31)
    yield from _prices(found)
    if found.advice:
        yield from headed("To know")
        for sentence in found.advice:
            yield from wrapped(f"- {sentence}", "  ")


def _topic(topic: TopicFinding) -> Iterator[str]:
    yield from wrapped(f"{'yes' if topic.ready else 'NO':<7}{topic.topic} ({topic.kind.replace('_', ' ')})", " " * 7)
    if topic.objects is None:
        yield from wrapped(f"{'':7}the org does not tell which objects are on it", " " * 9)
    elif topic.objects:
        filtered = ", filtered" if topic.filtered else ""
        yield from wrapped(f"{'':7}{', '.join(topic.objects)}{filtered}", " " * 9)
    if topic.fields:
        fields = ", ".join(f"{name} from {field}" for name, field in topic.fields.items())
        yield from wrapped(f"{'':7}{fields}", " " * 9)
    if topic.kind == "platform_event":
        yield from wrapped(f"{'':7}publish behavior: {topic.publish_behavior or 'not told'}", " " * 9)
    if topic.problem is not None:
        yield from wrapped(f"{'':7}{topic.problem}", " " * 9)


def _prices(found: Exploration) -> Iterator[str]:
    yield from headed("Prices, about")
    yield f"API calls of a run     {found.calls_per_run:>9,}"
    yield f"a day with a run an hour {found.calls_per_day:>7,}"
    left = "the org does not tell what is left"
    if found.calls_left is not None and found.calls_allowed is not None:
        left = f"{found.calls_left:,} of {found.calls_allowed:,} left in these 24 hours"
    yield f"this exploration       {found.calls_used:>9,}   {left}"
    deliveries = "the org does not tell"
    if found.deliveries_left is not None and found.deliveries_allowed is not None:
        deliveries = f"{found.deliveries_left:,} of {found.deliveries_allowed:,} left in these 24 hours"
    yield f"event deliveries       {deliveries}"
