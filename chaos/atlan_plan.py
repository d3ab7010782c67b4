"""Stories of target-atlan-metadata: what a source tells, what meets each run, where processes are ended."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from chaos.drawing import one_of, some_bytes, traps
from chaos.plan import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STEPS", "AtlanStory", "End", "Feed", "Meanwhile", "draw"]

Json = dict[str, Any]

STEPS: Final = (
    "ledger.add", "ledger.flush", "ledger.commit", "ledger.activities", "ledger.clean", "ledger.tell",
    "ledger.next_generation", "ledger.retain", "gateway.read", "gateway.write", "heartbeat.claim", "heartbeat.confirm",
    "writer.write", "state",
)  # fmt: skip
"""Steps before or behind which a process can end itself by SIGKILL."""

_SOMETIMES: Final = ("ledger.commit", "ledger.tell", "ledger.clean", "gateway.write", "writer.write", "state")
_HOUR: Final = 1 / 24
_MONTH: Final = 31 * 24.0
_ANY: Final = ("Case", "Lead", "Opportunity", "Case.Status", "Lead.Rating", "Opportunity.StageName")
"""Assets that somebody changes by hand; of some of them there may be no event yet."""

_FOR_EVER: Final = 10 * 365 * 86_400


class End(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a process is ended. A run that ends sooner is whole.

    Attributes:
        step: One of `STEPS`: there it ends itself, by SIGKILL.
        nth: The how-manieth time that it comes to the step.
        behind: Behind the step, not before it.
        at_request: When so many of its requests came in.
        at_seconds: So long after its start.
        gently: By SIGTERM.
    """

    step: str = ""
    nth: int = 1
    behind: bool = False
    at_request: int | None = None
    at_seconds: float | None = None
    gently: bool = False


class Feed(msgspec.Struct, frozen=True, tag="feed", omit_defaults=True):
    """One run of the target: what it is fed, and what it meets.

    Attributes:
        source: Which of the two pipelines that share the ledger.
        news: So many decisions were made since the run before.
        withheld: The part of its new messages that the run is not fed yet.
        overlap: So many messages before the bookmark come again.
        again: So many messages of any age come again, before the others.
        shuffled: Messages between two STATEs come in any order, and some of them twice.
        every: A STATE comes behind so many messages.
        drain_seconds: So often the target tells Atlan while it reads.
        states_lost: The newest STATEs that nobody kept.
        faults: What it meets.
        end: Where it is ended.
        installed: It is the installed program, on this machine's own clock.
        other_ledger: It has another ledger: another pipeline that nobody told of this one.
        beside: The other pipeline runs at the same time.
        settings: Of this run alone.
    """

    source: int = 0
    news: int = 0
    withheld: float = 0.0
    overlap: int = 0
    again: int = 0
    shuffled: bool = False
    every: int = 20
    drain_seconds: float = 60.0
    states_lost: int = 0
    faults: tuple[Fault, ...] = ()
    end: End | None = None
    installed: bool = False
    other_ledger: bool = False
    beside: bool = False
    settings: Json = {}


class Meanwhile(msgspec.Struct, frozen=True, tag="meanwhile", omit_defaults=True):
    """What happens between two runs.

    Attributes:
        kind: Its name in the counts; empty: nothing that counts.
        do: What the catalog's control endpoint is asked for, or what `chaos.atlan_catalog` says instead.
        days: So many days pass.
        ledger: What becomes of the ledger.
    """

    kind: str = ""
    do: Json = {}
    days: float = 0.0
    ledger: Literal["stays", "copied", "lost", "older", "rebuilt"] = "stays"


class AtlanStory(msgspec.Struct, frozen=True):
    """Runs, and what happens between them; clean runs and the verdict follow.

    Attributes:
        seed: Of the campaign.
        number: Of the story in it.
        settings: Of all runs.
        machine_off_hours: So far the machine's clock is ahead of Atlan's.
        tells_time: Atlan's answers have a `Date`.
        steps: In their order.
    """

    seed: int
    number: int
    settings: Json
    machine_off_hours: float
    tells_time: bool
    steps: tuple[Feed | Meanwhile, ...]


_BULK: Final = "POST /api/meta/entity/bulk"
_ASKED: Final = ("indexsearch", "entity/guid", "typedefs", "users/current", "")

_LIGHT: Final[tuple[Callable[[Random], Fault], ...]] = (
    traps("http_503", "fail", pattern=one_of(_BULK, *_ASKED), status=503, times=one_of(1, 2)),
    traps("http_500", "fail", pattern=one_of(_BULK, *_ASKED), status=one_of(500, 502, 504), times=one_of(1, 2)),
    traps("http_429", "fail", pattern=one_of(_BULK, *_ASKED), status=429, retry_after=1, times=one_of(1, 2)),
    traps("503_after_commit", "fail", pattern=_BULK, status=503, after_commit=True, times=one_of(1, 2)),
    traps("drop", "drop", pattern=one_of(_BULK, *_ASKED), mode=one_of("drop", "reset")),
    traps("drop_after_commit", "drop", pattern=one_of(_BULK, "typedefs"), mode="drop", after_bytes=0),
    traps("truncation", "drop", pattern=one_of(_BULK, *_ASKED), mode="truncate", after_bytes=some_bytes),
)
_HEAVY: Final[tuple[Callable[[Random], Fault], ...]] = (
    traps("http_503_exhausted", "fail", pattern=one_of(_BULK, *_ASKED), status=503, times=None),
    traps("http_429_exhausted", "fail", pattern=one_of(_BULK, *_ASKED), status=429, times=None),
    traps("commits_but_fails", "fail", pattern=_BULK, status=one_of(500, 503), after_commit=True, times=None),
    traps("drops_exhausted", "drop", pattern=one_of(_BULK, *_ASKED), mode="drop", times=None),
    traps("hang_after_commit", "drop", pattern=_BULK, mode="hang", after_bytes=0),
)


def _near(fault: Fault, chance: Random) -> Fault:
    """The same fault among the first requests: a run of the target makes about twenty."""
    do = {key: [{**trap, "skip": chance.choice([0, 0, 0, 1, 2, 4])} for trap in of] for key, of in fault.do.items()}
    return msgspec.structs.replace(fault, do=do)


def draw(seed: int, number: int) -> AtlanStory:
    """The story of a number in the campaign of a seed."""
    chance = Random(f"atlan/{seed}/{number}")  # noqa: S311 - a plan that can be repeated, nothing secret
    settings: Json = {"batch_size": chance.choice([1, 3, 10, 50]), "read_timeout_seconds": 1}
    settings["max_concurrent_requests"] = chance.choice([1, 2, 4])
    if chance.random() < 0.7:
        settings["lineage"] = "never"
    if chance.random() < 0.2:
        settings["keep_daily_days"] = 120
    if chance.random() < 0.2:
        settings["actor_names"] = True
    tells_time = chance.random() < 0.9
    off = chance.choice([0.0, 0.0, 1.0, -1.0, _MONTH, -_MONTH]) if tells_time else 0.0
    steps = tuple(_Teller(chance, tells_time=tells_time).steps())
    return AtlanStory(seed, number, settings, off, tells_time, steps)


class _Teller:
    """Draws the steps of one story.

    Args:
        chance: Of the story.
        tells_time: See `AtlanStory`.
    """

    def __init__(self, chance: Random, *, tells_time: bool) -> None:
        self._chance = chance
        self._tells_time = tells_time
        self._special = chance.choice(["ledger", "writer", "crawl", "lag", "none"])

    def steps(self) -> list[Feed | Meanwhile]:
        """All steps."""
        steps: list[Feed | Meanwhile] = [self._run(first=True)]
        special = self._special
        for place in range(6):
            steps += self._between()
            if place == 1 and special in {"ledger", "writer"}:
                steps += self._ledger() if special == "ledger" else self._writer()
            elif place in {2, 4} and special == "crawl":
                steps.append(self._crawl())
            elif place in {1, 4} and special == "lag":
                steps.append(Meanwhile(do={"index_lag_seconds": _FOR_EVER if place == 1 else 0}))
            steps.append(self._run())
            if place in {0, 3} and self._chance.random() < 0.4:
                steps += self._ended_twice()
        return steps

    def _between(self) -> list[Feed | Meanwhile]:
        chance = self._chance
        steps: list[Feed | Meanwhile] = [Meanwhile(days=chance.choice([_HOUR, _HOUR, 1.0, 6.0, 8.0, 25.0]))]
        if chance.random() < 0.15 and self._special != "lag":  # which would hide it
            steps.append(Meanwhile("changed_by_hand", {"tamper": {"Changes": 999_999}, "on": chance.choice(_ANY)}))
        return steps

    def _crawl(self) -> Meanwhile:
        objects = {"Shipment__c": ["Amount__c", "Status__c"]}
        return Meanwhile("crawled_anew", {"crawl": self._chance.choice([{"objects": objects}, {"new_guids": True}])})

    def _ledger(self) -> list[Feed | Meanwhile]:
        """The ledger is lost, or an older copy comes back; then it is filled again."""
        if self._chance.random() < 0.5:
            return [Meanwhile("ledger_lost", ledger="lost"), self._run(), Meanwhile(ledger="rebuilt")]
        told = Feed(news=30, overlap=5)
        older = Meanwhile("ledger_older", ledger="older")
        return [Meanwhile(ledger="copied"), told, older, self._run(), Meanwhile(ledger="rebuilt")]

    def _writer(self) -> list[Feed | Meanwhile]:
        """Another pipeline with a ledger of its own: refused, or let in by someone; then ours counts again."""
        other = Feed(source=1, news=10, other_ledger=True)
        if self._chance.random() < 0.5:
            return [Feed(news=10), other]
        mine = {"allow_ledger_change": True}
        allowed = msgspec.structs.replace(other, settings=mine)
        return [Feed(news=10), other, allowed, Feed(news=5), Feed(news=5, settings=mine)]

    def _ended_twice(self) -> list[Feed | Meanwhile]:
        """What a run counted and did not tell comes again; the next run ends when it has given its only STATE back."""
        chance = self._chance
        source = chance.choice([0, 0, 1])
        untold = End(chance.choice(["writer.write", "gateway.write"]), nth=chance.choice([1, 2]))
        given = End("state", behind=True)
        return [Feed(source=source, news=8, end=untold), Feed(source=source, every=200, drain_seconds=0.0, end=given)]

    def _run(self, *, first: bool = False) -> Feed:
        chance = self._chance
        installed = self._tells_time and chance.random() < 0.05
        fate = chance.random()
        faults: tuple[Fault, ...] = ()
        end: End | None = None
        if first and fate < 0.5:
            pass
        elif fate < 0.4:
            end = self._end(installed=installed)
            if end.at_request is not None and chance.random() < 0.5:
                faults = (_near(_HEAVY[-1](chance), chance),)
        elif fate < 0.7:
            faults = tuple(_near(chance.choice(_LIGHT)(chance), chance) for _ in range(chance.choice([1, 1, 2, 3])))
        elif fate < 0.82 and not installed:
            faults = (_near(chance.choice(_HEAVY)(chance), chance),)
        elif fate < 0.97 and not installed:
            faults = (self._midway(),)
        return Feed(
            source=chance.choice([0, 0, 1]),
            news=chance.choice([0, 5, 40, 40, 120]),
            withheld=chance.choice([0, 0, 0.3, 0.7]),
            overlap=chance.choice([0, 0, 3, 15, 60]),
            again=chance.choice([0, 0, 0, 20, 100]),
            shuffled=chance.random() < 0.3,
            every=chance.choice([3, 20, 50]),
            drain_seconds=60.0 if installed else chance.choice([60.0, 60.0, 0.0, 0.02]),
            states_lost=chance.choice([0, 0, 0, 1, 3]) if end is not None else 0,
            faults=faults,
            end=end,
            installed=installed,
            beside=not installed and end is None and chance.random() < 0.1,
            settings={"on_unresolved": chance.choice(["warn", "warn", "ignore", "fail"])},
        )

    def _end(self, *, installed: bool) -> End:
        chance = self._chance
        kind = chance.random()
        if kind < 0.65 and not installed:
            step = chance.choice(_SOMETIMES if chance.random() < 0.5 else STEPS)
            return End(step, nth=chance.choice([1, 1, 1, 2, 2, 3, 5]), behind=chance.random() < 0.5)
        gently = chance.random() < 0.2
        if kind < 0.9:
            return End(at_request=int(chance.triangular(1, 25, 8)), gently=gently)
        return End(at_seconds=chance.uniform(0.0, 4.0 if installed else 0.8), gently=gently)

    def _midway(self) -> Fault:
        """What happens in the catalog while the target runs, or lasts for one run."""
        chance = self._chance
        after = int(chance.triangular(2, 20, 7))
        limit = {"per_minute": chance.randrange(3, 15), "block_seconds": 60, "retry_after": chance.random() < 0.5}
        made: tuple[Fault, ...] = (
            Fault("bad_asset", {"refuse": [chance.choice(["Case", "Lead", "Case.Status", "Opportunity.StageName"])]}),
            Fault("rate_limit", {"rate_limit": limit}),
            Fault("permission_lost", {"privileges": {"deny": ["write_custom_metadata"]}}, after=after),
            Fault("token_revoked", {"tokens": {"revoke_keys": True}}, after=after),
            Fault("crawled_midway", {"crawl": {"new_guids": True}}, after=after),
            Fault("archived_midway", {"crawl": {"remove": [chance.choice(["Lead", "Case.Status"])]}}, after=after),
            Fault("purged_midway", {"purge": [chance.choice(["Lead", "Case.Priority"])]}, after=after),
            Fault("appeared_midway", {"crawl": {"objects": {"Shipment__c": ["Amount__c"]}}}, after=after),
            Fault("other_writer_midway", {"mark": "another ledger"}, after=after),
            Fault("changed_by_hand_midway", {"tamper": {"Changes": 5}, "on": chance.choice(_ANY)}, after=after),
        )
        return chance.choice(made)
