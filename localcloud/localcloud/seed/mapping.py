"""From an event log to decisions: the one mapping, as docs/event-log-mapping.md has it in a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from localcloud.seed.decisions import Action, Decision, Ref, Story, Value, date_text, instant_text, number_text
from localcloud.seed.errors import SeedError
from localcloud.seed.model import stage

if TYPE_CHECKING:
    from localcloud.seed.event_log import LogCase, LogEvent
    from localcloud.seed.people import Ids, People, Person

Target = Literal["opportunity", "case", "approval"]

CLOSE_AFTER_SECONDS = 30 * 86_400
"""An opportunity's CloseDate at creation: so long after it."""

AUTOMATIC = {"112": "automation", "SYSTEM": "automation", "Siebel": "integration"}
"""Resources that are no people: BPI 2012's automatic user, BPI 2020's system, BPI 2013's own software."""

_PROCESS_STEP = re.compile(
    r"(?:(?P<process>.+) )?(?P<act>SUBMITTED|SAVED|APPROVED|FINAL_APPROVED|REJECTED) by (?P<role>.+)"
)
_APPROVAL_ACTS: dict[str, Action] = {
    "SUBMITTED": "submit",
    "APPROVED": "approve",
    "FINAL_APPROVED": "approve",
    "REJECTED": "reject",
}
_AMOUNT_ATTRIBUTES = ("amount", "(case)_Amount", "(case)_RequestedAmount")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decisions_from(cases: Iterable[LogCase], target: Target, ids: Ids, people: People) -> list[Decision]:
    """Turn the cases of an event log into decisions in time order.

    Decisions of the same second keep the order of the cases in the file and of the events in a case.

    Args:
        cases: from ``read_cases``.
        target: what a case becomes.
        ids: gives the record ids.
        people: receives a user per resource.

    Raises:
        SeedError: the log has nothing that the target needs.
    """
    mapped = _MAPPINGS[target](cases, ids, people)
    decisions = [decision for story in mapped for decision in story.finish()]
    if not decisions:
        raise SeedError(f"The event log has no case that could become {_NEEDS[target]}.")
    decisions.sort(key=attrgetter("at"))
    return decisions


def _opportunities(cases: Iterable[LogCase], ids: Ids, people: People) -> Iterable[Story]:
    prefix: str | None = None
    for case in cases:
        if prefix is None:
            prefix = "A_" if case.events[0].activity.startswith("A_") else ""
        story = _opportunity(case, prefix, ids, people)
        if story:
            yield story


def _opportunity(case: LogCase, prefix: str, ids: Ids, people: People) -> Story | None:
    """Every stage event sets the stage, every event with another resource hands the record over."""
    story: Story | None = None
    stages = 0
    for event in _in_time(case):
        at, second, actor = _when(event), _second(event), _person(event, people)
        is_stage = event.lifecycle == "complete" and event.activity.startswith(prefix)
        if story is None and not is_stage:
            continue
        values: dict[str, Value] = {}
        if event.resource is not None or story is None:
            values["Owner"] = Ref(actor.id, actor.name)
        if is_stage:
            stages += 1
            follows = stage(event.activity)
            values |= {
                "StageName": event.activity,
                "Probability": follows.probability,
                "ForecastCategory": follows.forecast,
            }
            amount = _amount(event) or (_number(case.attributes.get("AMOUNT_REQ")) if stages == 2 else None)
            if amount is not None:
                values["Amount"] = amount
            if story is not None and follows.closed and not stage(story.text("StageName")).closed:
                values["CloseDate"] = date_text(second)
        if story is None:
            story = Story("Opportunity", ids.next("Opportunity"))
            values |= {"Name": _text(case.name), "CloseDate": date_text(second + CLOSE_AFTER_SECONDS)}
            story.create(at, actor.id, values)
        else:
            story.update(at, actor.id, values)
    return story


def _cases(cases: Iterable[LogCase], ids: Ids, people: People) -> Iterable[Story]:
    """Every event sets status, owner and priority."""
    for case in cases:
        story: Story | None = None
        for event in _in_time(case):
            at, actor = _when(event), _person(event, people)
            transition = event.attributes.get("lifecycle:transition", "")
            named = transition and transition.lower() != "complete"
            status = f"{event.activity}/{transition}" if named else event.activity
            values: dict[str, Value] = {"Status": status}
            if event.resource is not None or story is None:
                values["Owner"] = Ref(actor.id, actor.name)
            if event.attributes.get("impact"):
                values["Priority"] = event.attributes["impact"]
            if story is None:
                story = Story("Case", ids.next("Case"))
                story.create(at, actor.id, {"Subject": _text(case.name), **values})
            else:
                story.update(at, actor.id, values)
        if story:
            yield story


def _approvals(cases: Iterable[LogCase], ids: Ids, people: People) -> Iterable[Story]:
    steps = 0
    for case in cases:
        story = _approval(case, ids, people)
        steps += sum(d.action not in ("create", "update") for d in story.decisions)
        yield story
    if not steps:
        raise SeedError("The event log has no activity like 'Declaration SUBMITTED by EMPLOYEE', so no approvals.")


def _approval(case: LogCase, ids: Ids, people: People) -> Story:
    """SUBMITTED opens a round, each act of a role is a step, any other activity is a new status."""
    events = _in_time(case)
    story = Story("Declaration__c", ids.next("Declaration__c"))
    approver = people.named("STAFF MEMBER (SUPERVISOR)")
    instance: str | None = None
    for event in events:
        at, actor = _when(event), _actor_in_role(event, people)
        if not story.decisions:
            created: dict[str, Value] = {"Name": _text(case.name), "Status__c": "Open", "Amount__c": _amount(event)}
            story.create(at, actor.id, {**created, "Owner": Ref(actor.id, actor.name)})
        step = _PROCESS_STEP.fullmatch(event.activity)
        if step is None:
            story.update(at, actor.id, {"Status__c": event.activity})
        elif step["act"] != "SAVED":
            action = _APPROVAL_ACTS[step["act"]]
            if instance is None or action == "submit":
                instance = ids.next("ProcessInstance")
            story.approval(
                at,
                actor.id,
                action,
                process=f"{step['process'] or 'Request'} Approval",
                instance=instance,
                step=step["role"],
                assignee=approver.id if step["act"] in ("SUBMITTED", "APPROVED") else None,
            )
    return story


_Mapping = Callable[[Iterable["LogCase"], "Ids", "People"], Iterable[Story]]
_MAPPINGS: dict[Target, _Mapping] = {"opportunity": _opportunities, "case": _cases, "approval": _approvals}
_NEEDS: dict[Target, str] = {
    "opportunity": "an opportunity: none has a completed activity",
    "case": "a case",
    "approval": "an approval",
}


def _in_time(case: LogCase) -> list[LogEvent]:
    return sorted(case.events, key=attrgetter("at"))


def _second(event: LogEvent) -> int:
    return int((event.at - _EPOCH).total_seconds())


def _when(event: LogEvent) -> str:
    return instant_text(_second(event))


def _person(event: LogEvent, people: People) -> Person:
    """The event's resource as a user; work that names nobody was done by the integration user."""
    if event.resource is None:
        return people.integration
    match AUTOMATIC.get(event.resource):
        case "automation":
            return people.named(event.resource, "automation")
        case "integration":
            return people.named(event.resource, "integration")
        case _:
            return people.named(event.resource)


def _actor_in_role(event: LogEvent, people: People) -> Person:
    """The resource in its role, as the 2020 logs hide names: ``STAFF MEMBER (SUPERVISOR)``."""
    role = event.attributes.get("org:role", "UNDEFINED")
    if event.resource is None or event.resource in AUTOMATIC or role == "UNDEFINED":
        return _person(event, people)
    return people.named(f"{event.resource} ({role})")


def _amount(event: LogEvent) -> str | None:
    for name in _AMOUNT_ATTRIBUTES:
        if event.attributes.get(name):
            return _number(event.attributes[name])
    return None


def _number(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return number_text(text, places=2)
    except ValueError as error:
        raise SeedError(f"The event log has an amount that is not a number: {text!r}.") from error


def _text(text: str) -> str | None:
    return text[:120] or None
