"""The first page: what the org holds, what its topics carry, what it was asked and what that cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.page.html import Content, Html, element
from localcloud.page.layout import ROOT, Frame, document, figures, moment, readable, record_link, section, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localcloud.journal import JournalPage, Request
    from localcloud.page.reading import ObjectCount
    from localcloud.salesforce.pubsub.bus import ShownEvent, TopicSummary
    from localcloud.scenario import ScenarioState

_LONGEST_PATH = 140


class Spent(msgspec.Struct, frozen=True):
    """A limit of the org: what was used of it, and how much there is."""

    name: str
    used: float
    maximum: int


class Topic(msgspec.Struct, frozen=True):
    """A topic and its newest events."""

    summary: TopicSummary
    events: list[ShownEvent]


class Overview(msgspec.Struct, frozen=True):
    """All that the first page shows."""

    address: str
    pubsub: str | None
    counts: list[ObjectCount]
    topics: list[Topic]
    journal: JournalPage
    limits: list[Spent]
    scenario: ScenarioState


def overview(frame: Frame, shown: Overview) -> bytes:
    """The first page."""
    return document(
        frame,
        "Overview",
        "/",
        _figures(shown),
        element(
            "div",
            element("div", _objects(shown.counts)),
            element("div", _topics(shown.topics), _scenario(shown.scenario), _requests(shown.journal)),
            class_="columns",
        ),
    )


def requests_table(requests: Sequence[Request], caption: str) -> Html:
    """Requests, the newest first."""
    return table(
        ("#No.", "At", "Request", "Status", "#Rows", "#ms", "Fault"),
        [
            (
                str(one.number),
                element("time", readable(one.at)[11:]),
                (element("code", _shorter(f"{one.method} {one.query or one.path}")), _client(one)),
                _status(one.status),
                f"{one.rows:,}",
                f"{one.duration_ms:.0f}",
                element("span", one.fault, class_="tag bad") if one.fault else "",
            )
            for one in requests
        ],
        caption=caption,
    )


def _figures(shown: Overview) -> Html:
    journal = shown.journal
    spent = next((one for one in shown.limits if one.name == "DailyApiRequests"), None)
    pairs: list[tuple[str, Content]] = [("Address", shown.address)]
    if shown.pubsub:
        pairs.append(("Pub/Sub", shown.pubsub))
    if spent:
        pairs.append(("API calls spent", (f"{spent.used:,.0f} of {spent.maximum:,}", _meter(spent))))
    pairs += [
        ("Requests", f"{journal.total:,}"),
        ("Rows sent", f"{journal.rows:,}"),
        ("Records", f"{sum(one.live for one in shown.counts if not one.history):,}"),
    ]
    others = [one for one in shown.limits if one is not spent and one.used]
    limits = table(("Limit", "#Used", "#Of"), [(one.name, f"{one.used:,.0f}", f"{one.maximum:,}") for one in others])
    more = element("details", element("summary", "Other limits in use"), limits) if others else None
    return section("figures", "The org", figures(pairs), more, live=True)


def _objects(counts: Sequence[ObjectCount]) -> Html:
    filled = [one for one in counts if one.live or one.deleted]
    parts: list[Content] = []
    for heading, chosen in (
        ("Records", [one for one in filled if not one.history]),
        ("Histories", [one for one in filled if one.history]),
    ):
        if chosen:
            parts += [element("h3", heading), _count_table(chosen)]
    empty = [one for one in counts if one not in filled]
    if empty:
        links = [element("li", _object_link(one.name)) for one in empty]
        parts.append(element("details", element("summary", f"{len(empty)} objects without rows"), element("ul", links)))
    return section("objects", "Objects", parts, live=True)


def _count_table(counts: Sequence[ObjectCount]) -> Html:
    return table(
        ("Object", "#Live", "#Deleted"),
        [(_object_link(one.name), f"{one.live:,}", f"{one.deleted:,}") for one in counts],
    )


def _object_link(name: str) -> Html:
    return element("a", name, href=f"{ROOT}/object/{name}")


def _topics(topics: Sequence[Topic]) -> Html:
    parts: list[Content] = []
    for topic in topics:
        if topic.events:
            parts += [element("h3", element("code", topic.summary.name), " ", _held(topic.summary))]
            parts += [_events(topic.events)]
    quiet = [element("li", element("code", topic.summary.name)) for topic in topics if not topic.events]
    if quiet:
        parts.append(
            element("details", element("summary", f"{len(quiet)} topics without events"), element("ul", quiet))
        )
    return section("topics", "Last events", parts, live=True)


def _held(topic: TopicSummary) -> Html:
    text = f"{topic.events:,} event" + ("s" if topic.events != 1 else "")
    return element("span", text, class_="quiet")


def _events(events: Sequence[ShownEvent]) -> Html:
    return table(
        ("At", "Change", "Of", "Replay id"),
        [
            (
                moment(event.at),
                element("span", event.change_type or "event", class_=_tag(event.change_type)),
                (
                    event.entity,
                    [(" ", record_link(event.entity, key, key)) for key in event.record_ids[:3]],
                    f" and {len(event.record_ids) - 3} more" if len(event.record_ids) > 3 else None,
                    element("details", element("summary", "Payload"), element("pre", _payload(event))),
                ),
                element("code", event.replay_id, class_="line"),
            )
            for event in events
        ],
    )


def _tag(change: str | None) -> str:
    kind = {"DELETE": " bad", "CREATE": " good", "UNDELETE": " good"}.get(change or "", "")
    return f"tag{kind}"


def _payload(event: ShownEvent) -> str:
    filled = {name: value for name, value in event.payload.items() if value is not None}
    return msgspec.json.format(msgspec.json.encode(filled), indent=2).decode()


def _scenario(scenario: ScenarioState) -> Html | None:
    if not scenario.steps:
        return None
    rows = [
        (step.name, element("span", step.status, class_=f"tag{_mood(step.status)}"), str(step.done), step.error or "")
        for step in scenario.steps
    ]
    heading = f"Scenario: {scenario.name}" if scenario.name else "Scenario"
    return section("scenario", heading, table(("Step", "Status", "#Times", "Error"), rows), live=True)


def _mood(status: str) -> str:
    return {"failed": " bad", "done": " good"}.get(status, "")


def _requests(journal: JournalPage) -> Html:
    if not journal.requests:
        return section("requests", "Requests", element("p", "Nobody has asked anything.", class_="quiet"), live=True)
    shown = requests_table(journal.requests, f"The newest {len(journal.requests)} of {journal.total:,}")
    return section("requests", "Requests", shown, live=True)


def _meter(spent: Spent) -> Html:
    return element("meter", min=0, max=spent.maximum or 1, value=int(spent.used), aria_label="API calls spent")


def _status(status: int) -> Html:
    mood = " good" if 200 <= status < 300 else " bad"
    return element("span", str(status or "none"), class_=f"tag{mood}")


def _client(request: Request) -> Html | None:
    return element("div", request.client, class_="quiet") if request.client else None


def _shorter(text: str) -> str:
    return text if len(text) <= _LONGEST_PATH else text[: _LONGEST_PATH - 3] + "..."
