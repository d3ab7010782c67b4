"""Draws the stories of the tap's campaign: all faults, kills and decisions come from the seed here."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from chaos.drawing import few, one_of, some_bytes, traps
from chaos.plan import Decide, Fault, Hide, Kill, Run, Save, Story

if TYPE_CHECKING:
    from chaos.plan import Step, Target

__all__ = ["ORG_EVENTS", "draw"]

Json = dict[str, Any]

ORG_EVENTS = (250, 900, 2_500, 6_000)
"""Sizes of the orgs that stories begin with."""

_HOUR = 3_600.0
_DAY = 86_400.0
_LONGEST_S = 3 * _DAY
"""Of a story: with two days that rows may be late, and the clean runs, all of it lies in the days that are verified."""
_OVERLAP_S = 900
_HISTORIES = (
    "AccountHistory", "CaseHistory", "ContactHistory", "LeadHistory", "OpportunityFieldHistory", "OpportunityHistory",
    "Invoice__History",
)  # fmt: skip
_MAPPED = ("case_history", "opportunity_history", "opportunity_field_history")
_STAGES = ("Prospecting", "Qualification", "Needs Analysis", "Proposal/Price Quote", "Closed Won", "Closed Lost")
_STATUSES = {"Case": ("New", "Working", "Escalated", "Closed"), "Task": ("Not Started", "In Progress", "Completed")}
_NEW: dict[str, Json] = {
    "Account": {"Name": "New {n}"},
    "Case": {"Subject": "New {n}", "Status": "New"},
    "Contact": {"LastName": "New {n}"},
    "Lead": {"LastName": "New {n}", "Company": "New", "Status": "Open - Not Contacted"},
    "Opportunity": {"Name": "New {n}", "StageName": "Prospecting", "CloseDate": "2026-06-30", "Amount": 5_000},
    "Task": {"Subject": "New {n}", "Status": "Not Started", "Priority": "Normal"},
}
_OVERWRITTEN = "FROM (?:Task|Event|ProcessInstance(?:Step|Workitem)?|ApprovalSubmission|ApprovalWorkItem) WHERE"
_REQUESTS = ("", "queryAll|/query/|composite|jobs/query", "queryAll|composite", "jobs/query", "FROM .*History")


def draw(seed: int, number: int) -> Story:
    """The story of a number in the campaign of a seed."""
    chance = Random(f"{seed}/{number}")  # noqa: S311 - a plan that can be repeated, nothing secret
    bulk = number % 2 == 1
    settings: Json = {"api_type": "bulk2" if bulk else chance.choice(["rest", "rest", "auto"])}
    if bulk:
        settings["bulk_page_size"] = 1_000
    settings["max_concurrent_requests"] = chance.choice([1, 3, 5, 5, 8])
    if chance.random() < 0.15:  # some records take the SDK's own path
        settings["stream_maps"] = {name: {"__filter__": "event_id != ''"} for name in _MAPPED}
    org = chance.randrange(len(ORG_EVENTS))
    steps: list[Step] = [_run(chance, bulk=bulk, events=ORG_EVENTS[org])]
    left = _LONGEST_S
    for _ in range(chance.randrange(5, 8)):
        step, seconds = _decide(chance, left)
        left -= seconds
        steps += [step, _run(chance, bulk=bulk)]
    return Story(seed, number, org, settings, every_stream=chance.random() < 0.25, steps=tuple(steps))


# --- what is decided -------------------------------------------------------------------------------


def _decide(chance: Random, left: float) -> tuple[Decide, float]:
    """What happens between two runs, and how many seconds it takes at most."""
    days = 1 if left > 1.5 * _DAY and chance.random() < 0.3 else 0
    saves = tuple(Save(chance.choice([0, 1, 1, 20, 90]), _action(chance)) for _ in range(chance.randrange(2, 9)))
    rest = chance.choice([0, 20, 61, 120, 600, 1_000, 3 * _HOUR])
    if rest + _HOUR > left:
        rest = 0
    hides = _hides(chance) if chance.random() < 0.6 else ()
    return Decide(days, saves, hides, rest), days * _DAY + sum(save.seconds for save in saves) + rest


def _action(chance: Random) -> Json:
    sobject = chance.choice(["Opportunity", "Opportunity", "Opportunity", "Case", "Account", "Contact", "Task", "Lead"])
    values: Json
    if sobject == "Opportunity":
        values = chance.choice(
            [
                {"StageName": chance.choice(_STAGES)},
                {"Amount": chance.randrange(1_000, 99_999)},
                {"CloseDate": f"2026-0{chance.randrange(4, 9)}-15", "StageName": chance.choice(_STAGES)},
            ]
        )
    elif sobject in _STATUSES:
        values = {"Status": chance.choice(_STATUSES[sobject])}
    else:
        values = {"Phone": f"+49 {chance.randrange(10**6, 10**7)}"}
    some = f"CreatedDate < {chance.choice(['2024-09-01', '2025-03-01', '2025-10-01', '2026-12-01'])}T00:00:00Z"
    if chance.random() < 0.15:
        return {"action": "create", "object": sobject, "count": chance.randrange(1, 4), "values": _NEW[sobject]}
    if chance.random() < 0.15:
        return {"action": "delete", "object": sobject, "where": some, "count": 1}
    return {"action": "update", "object": sobject, "where": some, "count": chance.randrange(1, 5), "values": values}


def _hides(chance: Random) -> tuple[Hide, ...]:
    """Rows that are seen late: in slices of the step's time, each with a delay of its own, so in another order."""
    two_days = chance.random() < 0.35
    found = []
    for sobject in chance.sample(_HISTORIES, chance.randrange(1, len(_HISTORIES) + 1)):
        slices = chance.randrange(1, 5)
        for n in range(slices):
            if two_days:
                seconds, kind = chance.randrange(int(1.9 * _DAY), int(2 * _DAY)), "late_two_days"
            else:
                seconds, kind = chance.randrange(30, _OVERLAP_S), "late_within_overlap"
            if slices > 1:
                kind = kind.replace("late", "out_of_order")
            found.append(Hide(sobject, n / slices, (n + 1) / slices, seconds, kind))
    return tuple(found)


# --- what meets a run ------------------------------------------------------------------------------


def _run(chance: Random, *, bulk: bool, events: int = 0) -> Run:
    """A run; the first one reads so many events of the past."""
    killed = chance.random() < (0.6 if events else 0.33)
    faults = _FAULTS + (_BULK_FAULTS * 2 if bulk else _REST_FAULTS)
    chosen = dict.fromkeys(chance.choices(faults, k=chance.choice([0, 1] if killed else [1, 1, 2, 2, 3])))
    settings: Json = {}
    clock = 0
    if not killed and chance.random() < 0.12:
        clock = chance.choice([-3_600, 3_600])
        # An assertion that is signed by a wrong clock is refused; a secret is not.
        settings = {} if chance.random() < 0.3 else {"auth_flow": "client_credentials"}
    drawn = tuple(fault(chance) for fault in chosen)
    if not killed and chance.random() < 0.1:
        ceiling = chance.choice(["own_quota_ceiling", "time_ceiling"])
        if ceiling == "own_quota_ceiling":
            settings["quota_percent_run"] = chance.randrange(1, 4)
            drawn = (*drawn, Fault(ceiling, {"quota": {"max": 1_000, "used": 0}}))
        else:
            settings["max_run_seconds"] = 1
            drawn = (*drawn, Fault(ceiling, {"latency_ms": chance.choice([0, 20, 60])}))
    return Run(drawn, _kill(chance, bulk=bulk, events=events) if killed else None, clock, settings)


def _kill(chance: Random, *, bulk: bool, events: int) -> Kill:
    """Most kills hit while records are written: the first run writes about a thousand bytes for each event."""
    targets: tuple[Target, ...] = ("reads on", "writes", "loses")
    fate = Kill(
        gently=chance.random() < 0.12, target=chance.choice(targets), states_lost=chance.choice([0, 0, 0, 0, 1, 3])
    )
    where = chance.random()
    if where < 0.55:
        most = events * 1_000 if events else 150_000
        place = chance.randrange(1, most) if chance.random() < 0.8 else int(10 ** chance.uniform(0, 4))
        return replace(fate, at_bytes=place)
    if where < 0.85:
        most = 140 if bulk else 48 if events else 20
        return replace(fate, at_request=chance.randrange(1, most))
    return replace(fate, at_seconds=round(chance.uniform(0.2, 2.5), 2))


def _short_page(chance: Random) -> Fault:
    """A page in the middle of a query, or a whole one, that lacks rows; increments are asked for by composites."""
    pages = chance.random() < 0.5
    trap = {"pattern": "/query/01g" if pages else "SELECT (?!COUNT).*WHERE", "mode": "shorten", "skip": few(chance),
            "after_rows": _some_rows(chance)}  # fmt: skip
    size: Json = {"queries": {"page_bytes": chance.randrange(6_000, 40_000)}} if pages else {}
    return Fault("short_page", {**size, "drop": [trap]})


def _short_page_overwritten(chance: Random) -> Fault:
    """The same of an object whose rows change and vanish, so that fewer may be right; most orgs hold few of them."""
    trap = {"pattern": "SELECT (?!COUNT).*" + _OVERWRITTEN, "mode": "shorten", "skip": chance.choice([0, 0, 0, 1, 2]),
            "after_rows": int(chance.triangular(0, 12, 0))}  # fmt: skip
    return Fault("short_page_overwritten", {"drop": [trap]})


def _some_rows(chance: Random) -> int:
    return int(chance.triangular(0, 60, 0))


def _session(chance: Random) -> Fault:
    if chance.random() < 0.5:
        return Fault("expired_session", {"expire_sessions_after": chance.randrange(30)}, mark="^401")
    return Fault("expired_session", {"expire_sessions": True}, after=chance.randrange(1, 30), mark="^401")


def _permission(chance: Random) -> Fault:
    objects = chance.sample((*_HISTORIES, "Task", "ProcessInstanceStep", "SetupAuditTrail"), chance.randrange(1, 3))
    return Fault("permission_lost", {"forbid": {"objects": objects}}, after=chance.randrange(1, 30))


def _field(chance: Random) -> Fault:
    hidden = chance.choice(["CaseHistory.NewValue", "OpportunityHistory.Amount", "Task.Status", "AccountHistory.Field"])
    return Fault("field_lost", {"forbid": {"fields": [hidden]}}, after=chance.randrange(1, 30))


def _quota(chance: Random) -> Fault:
    return Fault("quota_ended", {"quota": {"left": int(chance.triangular(0, 45, 5))}}, mark="quota|^403")


def _decisions(chance: Random) -> Fault:
    acts = [_action(chance) for _ in range(chance.randrange(1, 4))]
    return Fault("decisions_midway", {"act": acts}, after=chance.randrange(1, 25))


def _job(chance: Random) -> Fault:
    state = chance.choice(["Failed", "Failed", "Aborted"])
    trap: Json = {"state": state, "times": chance.randrange(1, 4), "skip": chance.randrange(15)}
    trap["after_rows"] = chance.randrange(50)
    if state == "Failed":
        trap["message"] = chance.choice(
            [
                "InternalServerError : Retried more than fifteen times",
                "QUERY_TIMEOUT: Your query request was running for too long.",
                "InvalidEntity: is not supported by the Bulk API",
            ]
        )
    timeout = "QUERY_TIMEOUT" in trap.get("message", "")
    kind = "query_timeout" if timeout else f"bulk_job_{state.lower()}"
    return Fault(kind, {"bulk": {"fail": [trap]}})


def _small_sets(chance: Random) -> Fault:
    """Sets of few rows, so that there are locators, and one of them has gone."""
    trap = {"pattern": "results.*locator=", "status": 400, "code": "API_ERROR", "message": "Invalid locator",
            "skip": chance.randrange(4)}  # fmt: skip
    bulk = {"set_bytes": chance.randrange(800, 9_000), "order": chance.choice(["created", "reversed"])}
    return Fault("expired_locator", {"bulk": bulk, "fail": [trap]})


def _small_pages(chance: Random) -> Fault:
    """Pages of few rows, so that there are locators, and some of them have gone."""
    trap = {"times": chance.choice([1, 1, 2]), "skip": chance.randrange(6)}
    return Fault("expired_locator", {"queries": {"page_bytes": chance.randrange(6_000, 40_000)},
                                     "expire_locator": [trap]})  # fmt: skip


_FAULTS = (
    traps("http_503", "fail", pattern=one_of(*_REQUESTS, "oauth2/token", "describe"), status=503,
           times=one_of(1, 2, 3), retry_after=one_of(None, None, 0, 1)),
    traps("http_429", "fail", pattern=one_of(*_REQUESTS), status=429, times=one_of(1, 2),
           retry_after=one_of(None, 0, 1)),
    traps("http_500", "fail", pattern=one_of(*_REQUESTS), status=one_of(500, 502), times=one_of(1, 2)),
    traps("reset", "drop", pattern=one_of(*_REQUESTS, "oauth2/token"), mode=one_of("reset", "drop"),
           times=one_of(1, 2), after_bytes=some_bytes),
    traps("truncation", "drop", pattern=one_of(*_REQUESTS), mode=one_of("truncate", "shorten", "shorten"),
           times=one_of(1, 2), after_bytes=some_bytes),
    _session, _session, _permission, _field, _quota, _quota, _decisions, _decisions,
)  # fmt: skip
_REST_FAULTS = (
    traps("query_timeout", "query_timeout", pattern=one_of("WHERE", "History WHERE", "queryAll", "ORDER BY"),
           times=one_of(1, 2, 5)),
    _small_pages, _small_pages, _short_page, _short_page, _short_page_overwritten, _short_page_overwritten,
)  # fmt: skip
_BULK_FAULTS = (
    _job, _job, _small_sets,
    traps("short_page", "drop", pattern="results", mode="shorten", skip=few, times=one_of(1, 2),
           after_rows=_some_rows),
)  # fmt: skip
