"""Draws the stories of the campaign of tap-salesforce-deletes: topics, deletes, faults and kills come from the seed."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from chaos.drawing import one_of, some_bytes, traps
from chaos.plan import Decide, Fault, Kill, Run, Save, Story

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.plan import Step, Target

__all__ = ["ALL", "CHANNEL", "COVERED", "NAMES", "draw"]

Json = dict[str, Any]

ALL = "/data/ChangeEvents"
CHANNEL = "/data/Deletes__chn"
ACCOUNTS = "/data/AccountChangeEvent"
TRIGGER = "/event/Record_Deleted__e"
COVERED: dict[str, frozenset[str]] = {
    ALL: frozenset({"Account", "Contact", "Opportunity", "Case", "Invoice__c"}),
    CHANNEL: frozenset({"Account", "Contact"}),
    ACCOUNTS: frozenset({"Account"}),
    TRIGGER: frozenset(),
}
"""Topics, and the objects whose change events they carry."""
NAMES = {"Account": 24, "Contact": 24, "Opportunity": 12, "Case": 10, "Lead": 10}
"""How many records of each object there are at first; they are called `Account 1`, `Account 2`, and so on."""

_TOPICS: tuple[tuple[str, ...], ...] = (
    (), (ACCOUNTS,), (ALL,), (ALL,), (CHANNEL,), (CHANNEL,), (TRIGGER,), (ALL, TRIGGER), (CHANNEL, TRIGGER),
    (ACCOUNTS, TRIGGER), (ACCOUNTS, CHANNEL), (ALL, CHANNEL, TRIGGER),
)  # fmt: skip
_NAME_FIELDS = {"Account": "Name", "Contact": "LastName", "Opportunity": "Name", "Case": "Subject", "Lead": "LastName"}
_FILTER = "ChangeEventHeader.changeType IN ('DELETE', 'UNDELETE', 'GAP_DELETE', 'GAP_UNDELETE', 'GAP_OVERFLOW')"
_SETUP: Json = {
    "channels": [
        {
            "name": "Deletes__chn",
            "members": [{"entity": "Account", "filter": _FILTER}, {"entity": "Contact", "filter": _FILTER}],
        }
    ]
}
_HOUR = 3_600.0


def draw(seed: int, number: int) -> Story:
    """The story of a number in the campaign of a seed."""
    chance = Random(f"deletes/{seed}/{number}")  # noqa: S311 - a plan that can be repeated, nothing secret
    topics = chance.choice(_TOPICS)
    settings: Json = {"topics": list(topics)}
    if ALL in topics and chance.random() < 0.25:
        settings["reconcile"] = "never"
    elif chance.random() < 0.2:
        settings["reconcile"] = "always"
    elif chance.random() < 0.5:
        settings["reconcile_objects"] = list(NAMES)
    if chance.random() < 0.25:
        settings["enrich"] = "never"
    setup: Json = {**_SETUP, "replay_ids": chance.choice(["numeric", "opaque"])}
    setup["change_event_ids"] = chance.random() < 0.5
    teller = _Teller(chance, topics, settings)
    steps: list[Step] = [Decide(saves=(Save(0, {}, {"pubsub": {"setup": setup}}), *teller.saves()), rest_seconds=300.0)]
    steps.append(teller.run())
    for _ in range(chance.randrange(5, 8)):
        step = teller.decide()
        steps += [step, teller.run(refused="expired_71h" in step.kinds)]
    return Story(seed, number, 0, settings, every_stream=False, steps=tuple(steps))


class _Teller:
    """Draws the steps of one story.

    Args:
        chance: Of the story.
        topics: That it reads.
        settings: Of all its runs.
    """

    def __init__(self, chance: Random, topics: Sequence[str], settings: Json) -> None:
        self._chance = chance
        self._topics = topics
        self._changes = any(COVERED[topic] for topic in topics)
        self._log = settings.get("reconcile") != "never"

    # --- what is decided -------------------------------------------------------------------------------

    def saves(self) -> tuple[Save, ...]:
        """Some actions, moments or minutes apart."""
        chance = self._chance
        return tuple(Save(chance.choice([0, 1, 1, 20, 90, 400]), self._action()) for _ in range(chance.randrange(2, 7)))

    def decide(self) -> Decide:
        """What happens between two runs."""
        chance = self._chance
        saves = self.saves()
        rest = chance.choice([0, 20, 61, 61, 120, 600, 2 * _HOUR])
        special = chance.random()
        if special < 0.45:
            return Decide(saves=saves, rest_seconds=rest) if special > 0.1 else Decide(saves=(), rest_seconds=rest)
        if special < 0.75 and self._changes:
            ways = [self._gaps, self._overflow, self._schema, self._duplicates, self._moved]
            ways += [] if self._log else [self._overflow] * 3  # then it is a gap
            return chance.choice(ways)(saves, rest)
        hours = chance.choice([71, 80, 80])
        if special < 0.9:
            return Decide(
                saves=(*saves, Save(hours * _HOUR, {}), *self.saves()), rest_seconds=rest, kinds=(f"expired_{hours}h",)
            )
        return self._purged(saves, rest)

    def _gaps(self, saves: tuple[Save, ...], rest: float) -> Decide:
        """Changes that come as gap events."""
        save = Save(1, self._delete(), {"pubsub": {"setup": {"gap_next": self._chance.randrange(1, 9)}}})
        return Decide(saves=(save, *saves), rest_seconds=rest, kinds=("gap_events",))

    def _overflow(self, saves: tuple[Save, ...], rest: float) -> Decide:
        """A transaction with more changes than events; only deletes, as nobody names undeletes that overflow."""
        setup: Json = {"overflow_ceiling": self._chance.randrange(4)}
        save = Save(1, self._delete("one"), {"pubsub": {"setup": setup}})
        back = Save(1, {}, {"pubsub": {"setup": {"overflow_ceiling": 100_000}}})
        return Decide(saves=(save, back, *saves), rest_seconds=rest, kinds=("overflow",))

    def _schema(self, saves: tuple[Save, ...], rest: float) -> Decide:
        """A field that is added between two deletes."""
        return Decide(
            saves=(*saves, Save(1, self._delete(), _more_field(self._chance)), *self.saves()),
            rest_seconds=rest,
            kinds=("schema_change",),
        )

    def _duplicates(self, saves: tuple[Save, ...], rest: float) -> Decide:
        """The newest events come twice, the second time with another replay id."""
        duplicate = {"topic": self._topics[0], "count": self._chance.randrange(1, 12)}
        return Decide(
            saves=(*saves, Save(1, {}, {"pubsub": {"duplicate": [duplicate]}})),
            rest_seconds=rest,
            kinds=("duplicates",),
        )

    def _moved(self, saves: tuple[Save, ...], rest: float) -> Decide:
        """The org gets another instance: its bus begins anew, and what was on it is gone."""
        moved = Save(1, {}, {"pubsub": {"migrate": {"instance": f"USA{self._chance.randrange(10, 99)}"}}})
        return Decide(saves=(*saves, moved, *self.saves()), rest_seconds=rest, kinds=("stream_reset",))

    def _purged(self, saves: tuple[Save, ...], rest: float) -> Decide:
        """The delete log forgets: it is trimmed, or the whole recycle bin is emptied."""
        chance = self._chance
        if chance.random() < 0.5:
            forgets = Save(3 * _HOUR, {}, {"replication": {"trim_log_to": chance.randrange(4)}})
        else:
            forgets = Save(60, {"action": "empty_bin"})
        return Decide(saves=(*saves, forgets, *self.saves()), rest_seconds=rest, kinds=("delete_log_purged",))

    def _action(self) -> Json:
        chance = self._chance
        kind = chance.random()
        if kind < 0.5:
            return self._delete()
        sobject = chance.choice(list(NAMES))
        if kind < 0.68:
            return {"action": "undelete", "object": sobject, "where": self._some(sobject, 6)}
        if kind < 0.76:
            ids = [f"Account {n}" for n in chance.sample(range(1, NAMES["Account"] + 1), 3)]
            return {"action": "merge", "object": "Account", "ids": ids[: chance.randrange(2, 4)]}
        if kind < 0.88:
            gone = "hard_delete" if kind < 0.84 else "empty_bin"
            return {"action": gone, "object": sobject, "where": self._some(sobject, 2)}
        if kind < 0.94:
            values = {_NAME_FIELDS[sobject]: f"{sobject} {chance.randrange(1, NAMES[sobject] + 1)}"}
            if sobject == "Lead":
                values["Company"] = "New"
            if sobject == "Opportunity":
                values |= {"StageName": "Prospecting", "CloseDate": "2026-06-30"}
            return {"action": "create", "object": sobject, "values": values, "count": 3}
        return {"action": "update", "object": "Account", "where": self._some("Account", 6), "values": {"Phone": "1"}}

    def _delete(self, transaction: str | None = None) -> Json:
        chance = self._chance
        sobject = chance.choice(["Account", "Account", "Account", "Contact", "Contact", *NAMES])
        asked = {"action": "delete", "object": sobject, "where": self._some(sobject, 5)}
        return asked | {"transaction": transaction or chance.choice(["one", "batches"])}

    def _some(self, sobject: str, most: int) -> str:
        """A condition for some records; those that are not in the right state are left out by the action."""
        numbers = self._chance.sample(range(1, NAMES[sobject] + 1), self._chance.randrange(1, most + 1))
        names = ", ".join(f"'{sobject} {n}'" for n in numbers)
        return f"{_NAME_FIELDS[sobject]} IN ({names})"

    # --- what meets a run ------------------------------------------------------------------------------

    def run(self, *, refused: bool = False) -> Run:
        """A run, killed or not, with faults.

        Args:
            refused: Whether stored replay ids are refused, though nothing of the bus has gone.
        """
        chance = self._chance
        killed = chance.random() < 0.3
        kinds = list(_HTTP) if self._log else []
        if self._topics:
            kinds += [*_CODES * 2, *_STREAM * 4]
        chosen = chance.choices(kinds, k=chance.choice([0, 0, 1] if killed else [1, 1, 1, 2, 2, 3]))
        drawn = [fault(chance) for fault in dict.fromkeys(chosen)]
        drawn += [_REFUSED] if refused and self._topics else []
        settings: Json = {}
        if not killed:
            drawn += [self._midway()] if chance.random() < 0.35 else []
            if any("hang" in fault.do.get("pubsub", {}) for fault in drawn) and chance.random() < 0.7:
                settings["idle_timeout_seconds"] = 2  # so long that the watchdog is first
            if self._topics and chance.random() < 0.07:
                settings["max_events_per_run"] = chance.randrange(1, 12)
                drawn.append(Fault("event_ceiling", {"pubsub": {"chunk": chance.randrange(1, 4)}}))
        else:  # a hang is sat out by a process: its patience is that of Salesforce
            drawn = [fault for fault in drawn if "hang" not in fault.do.get("pubsub", {})]
        return Run(tuple(drawn), self._kill() if killed else None, settings=settings)

    def _midway(self) -> Fault:
        """What happens when the first record of a run is written."""
        chance = self._chance
        choices: list[Fault] = [Fault("expired_session", {"expire_sessions": True}, at_record=True, mark="^401")]
        acts = [{**self._delete(), "transaction": "one"} for _ in range(chance.randrange(1, 3))]
        choices.append(Fault("deletes_midway", {"act": acts}, at_record=True))
        if self._changes:
            choices.append(
                Fault("schema_change_midway", {**_more_field(chance), "act": [self._delete()]}, at_record=True)
            )
            duplicate = {"topic": self._topics[0], "count": chance.randrange(1, 9)}
            choices.append(Fault("duplicates_midway", {"pubsub": {"duplicate": [duplicate]}}, at_record=True))
            grace = chance.choice([0.0, 0.0, 0.2])
            choices.append(Fault("goaway", {"pubsub": {"go_away": {"grace_seconds": grace}}}, at_record=True))
        return chance.choice(choices)

    def _kill(self) -> Kill:
        chance = self._chance
        targets: tuple[Target, ...] = ("reads on", "writes", "loses")
        fate: Json = {"gently": chance.random() < 0.1, "target": chance.choice(targets)}
        fate["states_lost"] = chance.choice([0, 0, 0, 1, 2])
        where = chance.random()
        if where < 0.5:
            return Kill(at_bytes=int(10 ** chance.uniform(2.5, 4.8)), **fate)
        if where < 0.85:
            return Kill(at_request=chance.randrange(1, 30), **fate)
        return Kill(at_seconds=round(chance.uniform(0.5, 3.0), 2), **fate)


def _more_field(chance: Random) -> Json:
    entity = chance.choice(["Account", "Account", "Contact"])
    return {"pubsub": {"add_field": [{"entity": entity, "name": f"More{chance.randrange(10**6)}__c"}]}}


def _code(code: str, pattern: str, times: Sequence[int]) -> Callable[[Random], Fault]:
    """An RPC ends with a documented error, at once or in the middle of a stream."""

    def fault(chance: Random) -> Fault:
        after = chance.choice([0, 0, 1, 3, 8, 20]) if pattern == "Subscribe" else 0
        trap = {"pattern": pattern, "code": code, "times": chance.choice(times), "after_events": after}
        chunk = {} if not after else {"chunk": chance.choice([1, 3, 100])}
        return Fault(code, {"pubsub": {"fail": [trap], **chunk}}, mark=f"fail {code}$|fail {code} ")

    return fault


def _stream(kind: str, key: str, mark: str, **trap: object) -> Callable[[Random], Fault]:
    """A stream that is spoilt; what is callable in the trap is drawn."""

    def fault(chance: Random) -> Fault:
        drawn = {name: value(chance) if callable(value) else value for name, value in trap.items()}
        return Fault(kind, {"pubsub": {key: [drawn], "chunk": chance.choice([1, 3, 100])}}, mark=mark)

    return fault


def _events(chance: Random) -> int:
    return chance.choice([0, 1, 2, 5, 12, 25])


def _allocation(chance: Random) -> Fault:
    allocation = {"max": int(chance.triangular(0, 30, 4)), "used": 0}
    do = {"allocation": allocation, "chunk": chance.choice([1, 3, 100])}
    return Fault("allocation_ended", {"pubsub": do}, mark="subscription.limit.exceeded")


def _hidden(chance: Random) -> Fault:
    """The login user may not see an object of a channel any more; until the next run it may."""
    return Fault("entity_hidden", {"forbid": {"objects": [chance.choice(["Contact", "Account"])]}})


def _session(chance: Random) -> Fault:
    return Fault("expired_session", {"expire_sessions_after": chance.randrange(20)}, mark="^401")


_CORRUPTED = "subscription.fetch.replayid.corrupted"
_REFUSED = Fault(_CORRUPTED, {"pubsub": {"fail": [{"pattern": "Subscribe", "code": _CORRUPTED}]}}, mark=_CORRUPTED)
_OFTEN = (1, 1, 2, 3)
_ONCE = (1,)
_CODES = (
    *(_code(code, "Subscribe", _OFTEN) for code in (
        "service.unavailable", "subscription.internal.error", "subscription.fetch.replay.repeated", "RST_STREAM",
        "service.auth.error")),
    *(_code(code, "Subscribe", _ONCE) for code in (
        "service.protection.triggered", "service.protection.stream.limit.triggered", "service.auth.headers.invalid",
        "service.auth.refresh.invalid", "service.tenant.license", "concurrent.client.limit.exceeded",
        "topic.not.found", "topic.meta.permission", "topic.validation.empty", "topic.api.unavailable",
        _CORRUPTED, "subscription.fetch.replayid.validation.failed",
        "subscription.fetch.overflow", "subscription.fetch.requested.events.invalid",
        "subscription.fetch.topic.mismatch", "subscription.fetch.request.invalid", "subscription.limit.exceeded",
        "subscription.topic.cannot.subscribe")),
    *(_code(code, "GetSchema", _ONCE) for code in (
        "schema.meta.permission", "schema.validation.failed", "schema.api.unavailable", "service.auth.error",
        "service.unavailable")),
    *(_code(code, "GetTopic", _ONCE) for code in ("topic.api.unavailable", "topic.not.found")),
)  # fmt: skip
_STREAM = (
    _stream("half_open", "hang", "hang frozen", mode="frozen", pattern="Subscribe", after_events=_events),
    _stream("silent_stream", "hang", "hang silent", mode="silent", pattern="Subscribe", after_events=_events),
    _stream("connection_reset", "cut", "reset", mode="reset", pattern="Subscribe", after_events=_events),
    _stream("connection_closed", "cut", "close", mode="close", pattern="Subscribe", after_events=_events),
    _stream("blank_schema_id", "blank_schema_id", "", pattern="Subscribe", skip=_events),
    _stream("corrupted_payload", "corrupt", "", pattern="Subscribe", skip=_events),
    _allocation, _allocation, _hidden, _hidden,
)  # fmt: skip
_PLACES = ("", "deleted", "deleted", "queryAll", "describe", "oauth2/token", "tooling", "sobjects$")
_HTTP = (
    traps("http_503", "fail", pattern=one_of(*_PLACES), status=503, times=one_of(1, 2, 3), retry_after=one_of(None, 0)),
    traps("http_429", "fail", pattern=one_of(*_PLACES), status=429, times=one_of(1, 2), retry_after=one_of(None, 0)),
    traps("http_500", "fail", pattern=one_of(*_PLACES), status=one_of(500, 502), times=one_of(1, 2)),
    traps("reset", "drop", pattern=one_of(*_PLACES), mode=one_of("reset", "drop"), times=one_of(1, 2),
          after_bytes=some_bytes),
    traps("truncation", "drop", pattern=one_of(*_PLACES), mode=one_of("truncate", "shorten"), times=one_of(1, 2),
          after_bytes=some_bytes),
    _session,
)  # fmt: skip
