"""The campaign of tap-salesforce-deletes: `python -m chaos.deletes --runs 300 --seed 1`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.campaign import main
from chaos.deletes_owed import may_have_gone, owed_gaps
from chaos.deletes_plan import COVERED, NAMES, draw
from chaos.deletes_tap import QuickTap
from chaos.deletes_verdict import Gap, Terms, Told, compare, read_deletions
from chaos.loader import Loader
from chaos.plan import Decide
from chaos.process import command, run_process
from chaos.singer import catalog_of, run_here
from chaos.telling import Telling
from chaos.world import CLIENT_ID, World
from localcloud.clock import OrgClock
from localcloud.salesforce.login.credentials import load_credentials
from localcloud.salesforce.org import Org
from microdecisions.deletions import resolve, sighting_of
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_deletes import position

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterable

    from chaos.campaign import Outcome
    from chaos.plan import Run, Story
    from chaos.singer import TapRun

__all__ = ["play"]

Json = dict[str, Any]

_PROGRAM: Final = str(Path(sys.executable).with_name("tap-salesforce-deletes"))
_STREAM: Final = position.STREAM
_NOW: Final = datetime(2026, 3, 2, 8, tzinfo=UTC)
_ALWAYS: Final[Json] = {"pubsub": {"keepalive_seconds": 0.2, "latest_is_tip": True}}
"""A `latest_replay_id` may be ahead of the events beside it; nothing may be kept of it."""
_KEPT: Final = timedelta(hours=72)
_MARGIN: Final = timedelta(minutes=15)
_CLOCK: Final = timedelta(seconds=3)  # the tap reads Salesforce's clock in whole seconds
_AN_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_OF_THE_WAY: Final = frozenset({"replay_id", "topic"})
_A_WHILE: Final = timedelta(minutes=2)
_CEILING: Final = 3
_GAP: Final = 4
_ENDED: Final = frozenset({0, _GAP})
_HOLES: Final = frozenset({"stream_reset", "delete_log_purged", "entity_hidden"})
"""Kinds that may open a hole, beside time that passes; overflow does where the delete log is not asked."""
_DEAF: Final = frozenset({"half_open", "silent_stream", "entity_hidden", "event_ceiling"})
"""Kinds with which a run may end well before it has read all."""


def play(seed: int, number: int, orgs: Path, work: Path) -> Outcome:
    """Play one story.

    Args:
        seed: Of the campaign.
        number: Of the story.
        orgs: Not used: each story makes its org.
        work: A folder of its own.
    """
    del orgs
    ids = _make_org(work / "org")
    with World(work / "org", _ALWAYS) as world:
        return DeletesTelling(draw(seed, number), world, work, ids).tell()


class DeletesTelling(Telling):
    """A story of this tap; see `Telling`.

    Args:
        story: Its plan.
        world: Its org.
        work: A folder for the files of processes.
        ids: Ids of the org's first records by their names.
    """

    HONEST = frozenset({0, 1, 2, 3, 4})

    def __init__(self, story: Story, world: World, work: Path, ids: dict[str, str]) -> None:
        super().__init__(story, world, work, Loader(lasting=_lasting))
        self._ids = ids
        self._topics: list[str] = story.settings["topics"]
        self._catalog = catalog_of(_STREAM)
        self._overflowed: list[tuple[str, str]] = []
        self._purged = False
        self._forgotten: dict[str, str] = {}
        self._unread = ""
        self._pending = False
        self._hole = False
        self._instance = ""
        self._owed: frozenset[str] = frozenset()
        self._last: dict[str, datetime] = {}
        self._told_gaps: list[tuple[str, str, datetime, datetime]] = []

    def decide(self, step: Decide) -> None:
        """Let happen what a step says; names of records become their ids."""
        saves = []
        for save in step.saves:
            action = dict(save.action)
            if "ids" in action:
                action["ids"] = [self._ids[name] for name in action["ids"]]
            saves.append(msgspec.structs.replace(save, action=action))
        began = self.world.now
        moves = next((place for place, save in enumerate(saves, 1) if "migrate" in save.do.get("pubsub", {})), 0)
        if moves:
            self.world.decide(Decide(saves=tuple(saves[:moves])))
            self._note_unread(self.world.now)
            self._instance = saves[moves - 1].do["pubsub"]["migrate"]["instance"]
        self.world.decide(msgspec.structs.replace(step, saves=tuple(saves[moves:])))
        if "overflow" in step.kinds:
            self._overflowed.append((_second(began), _second(self.world.now)))
        if "delete_log_purged" in step.kinds:
            self._purged = True
            known = position.read(self.loader.state or {}).objects
            self._forgotten |= {name: _second(self.world.now) for name in NAMES if name not in known}

    def started(self, step: Run) -> TapRun:
        """Run the tap: as a process where it may be killed, else in this process and with little patience."""
        self._note_unread(self.world.now - _KEPT)
        forbidden = [fault.do["forbid"]["objects"] for fault in step.faults if "forbid" in fault.do]
        self._look({name for names in forbidden for name in names})
        config = self._config(step.settings)
        if step.kill is None:
            return self._here(config)
        line = command(_PROGRAM, self.work, config, catalog=self._catalog, state=self.loader.state)
        return run_process(line, step.kill, self.work, self.world.answered)

    def acquit(self, run: TapRun, struck: Counter[str]) -> None:
        """Ceilings that were not reached, and events that nobody read."""
        if run.code != _CEILING:
            del struck["event_ceiling"]
        if run.code == 0:
            del struck["blank_schema_id"], struck["corrupted_payload"]
        if not self._topics:
            for kind in ("expired_71h", "expired_80h"):
                del struck[kind]

    def judge(self, run: TapRun, began: datetime, place: str) -> None:
        """A gap has a reason and is said by the exit code; a run that ends well owes all that happened before it."""
        struck = self.struck
        self._hole = self._hole or bool(_HOLES & struck.keys()) or ("overflow" in struck and not self._log_is_asked)
        self._judge_gaps(run, began, place)
        self._judge_owed(run, place)
        if run.code in _ENDED:
            self._hole = False
            if not _DEAF & struck.keys():
                self._judge_success(began, place)

    def end(self) -> None:
        """Clean runs, an hour later and on the day after; then the verdict."""
        outcome = self.outcome
        for place, later in (("first", timedelta(hours=1)), ("second", timedelta(days=1, hours=1))):
            self.world.pass_to(self.world.now + later)
            self._look(frozenset())
            self.world.arm(())
            run = self.loader.load(self._here(self._config({})))
            self.world.disarm()
            outcome.told.append(f"{place} clean run: exit code {run.code}; {run.sentence}")
            self.judge_honesty(run, f"{place} clean run")
            self._judge_gaps(run, self.world.now, f"{place} clean run")
            self._judge_owed(run, f"{place} clean run")
            if run.code not in ({0, _GAP} if self._hole or self._purged or self._pending else {0}):
                outcome.wrong.append(f"{place} clean run: exit code {run.code}: {run.sentence}")
            self._hole = self._hole and run.code not in _ENDED
        found = compare(read_deletions(self.world.org), self._told(), self._gaps(), self._terms())
        outcome.lost += found.lost
        outcome.doubled += found.doubled + sum(map(len, self.loader.changed.values()))
        outcome.wrong += [f"at the end: {sentence}" for sentence in found.wrong]
        outcome.wrong += [f"at the end: {one} came with two contents" for one in self._changed()]

    def _look(self, hidden: Collection[str]) -> None:
        """Note what a run begins with: holes, what is still to be asked, and the gaps that it owes."""
        stored, now = position.read(self.loader.state or {}), self.world.now
        self._hole = self._hole or may_have_gone(stored, self._topics, now)
        self._pending = bool(stored.pending)  # to be asked, or to be given up where nobody may be asked
        self._owed = owed_gaps(stored, self._topics, hidden, self._instance, now, asked=self._log_is_asked)

    # --- judging ---------------------------------------------------------------------------------------

    def _judge_gaps(self, run: TapRun, began: datetime, place: str) -> None:
        wrong = self.outcome.wrong
        records = [record for record in run.records[_STREAM] if record["event_type"] == "gap"]
        if run.code >= 0 and (run.code == _GAP) != bool(records) and run.code in _ENDED:
            wrong.append(f"{place}: exit code {run.code} with {len(records)} gaps")
        for record in records:
            told, topic = record["context"]["metadata"], record["record_type"] in COVERED
            if not (self._hole or ((self._purged or self._pending) and not topic)):
                wrong.append(f"{place}: a gap without a hole: {told['why']}")
            start, end = datetime.fromisoformat(told["gap_start"]), datetime.fromisoformat(told["gap_end"])
            right = start < end <= self.world.now + _AN_HOUR  # it may end with an hour
            if topic:
                right = right and start >= self._last.get(record["record_type"], start)
                if not self._is_moved and self._log_is_asked:
                    begins = began - _KEPT + _MARGIN  # what is kept; the gap ends with an hour
                    right = right and begins - _A_WHILE < end < begins + _AN_HOUR + _A_WHILE
            if not right:
                wrong.append(f"{place}: a gap of {record['record_type']} with the wrong instants, {start} to {end}")
            if (
                self._log_is_asked
                and not (topic and self._is_moved)
                and self._told_before(record["record_type"], record["context"]["source"], start, end)
            ):
                wrong.append(f"{place}: a gap of {record['record_type']} again, {start} to {end}")
        self._note_last(run)
        if run.code in _ENDED:  # the state is kept: these are not to be told again
            for record in records:
                told = record["context"]["metadata"]
                span = (datetime.fromisoformat(told["gap_start"]), datetime.fromisoformat(told["gap_end"]))
                self._told_gaps.append((record["record_type"], record["context"]["source"], *span))

    def _judge_owed(self, run: TapRun, place: str) -> None:
        """A run that ends well has told the gaps of holes that were there before it."""
        told = {record["record_type"] for record in run.records[_STREAM] if record["event_type"] == "gap"}
        for subject in sorted(self._owed - told) if run.code in _ENDED else ():
            self.outcome.false_success += 1
            self.outcome.wrong.append(f"{place}: exit code {run.code} without a gap of {subject}")

    def _told_before(self, subject: str, source: str, start: datetime, end: datetime) -> bool:
        return any(
            (one, way) == (subject, source) and min(end, until) - max(start, since) > _MINUTE
            for one, way, since, until in self._told_gaps
        )

    def _judge_success(self, began: datetime, place: str) -> None:
        due = _second((began - _CLOCK).replace(second=0, microsecond=0))  # the delete log answers by whole minutes
        truth = read_deletions(self.world.org, _second(began))
        found = compare(truth, self._told(), self._gaps(), self._terms(), due)
        self.outcome.false_success += bool(found.lost)
        if found.lost:
            self.outcome.wrong += [f"{place}: said that it is complete, {sentence}" for sentence in found.wrong]

    @property
    def _is_moved(self) -> bool:
        """Whether the org was moved, once at least."""
        return "stream_reset" in self.outcome.faults

    @property
    def _log_is_asked(self) -> bool:
        return bool(self.story.settings.get("reconcile") != "never")

    def _note_unread(self, gone: datetime) -> None:
        """What has gone from the bus, up to an instant, is not owed where a topic was never read."""
        known = position.read(self.loader.state or {}).topics
        if any(COVERED[name] and name not in known for name in self._topics):
            self._unread = max(self._unread, _second(gone))

    def _note_last(self, run: TapRun) -> None:
        """Note the newest event of each topic whose position was kept behind it."""
        for record in run.records[_STREAM] if run.code in {*_ENDED, _CEILING} else ():
            topic = record["context"].get("metadata", {}).get("topic", "")
            at = datetime.fromisoformat(record["timestamp_recorded"])
            self._last[topic] = max(at, self._last.get(topic, at))

    def _events(self) -> list[MicroDecisionEvent]:
        records = self.loader.tables.get(_STREAM, {}).values()
        return [msgspec.convert(record, MicroDecisionEvent) for record in records]

    def _told(self) -> list[Told]:
        found = (sighting_of(event) for event in self._events())
        return [
            Told(one.record_type, one.record_id, one.at, one.actor_id, one.undeleted_at)
            for one in resolve(sighting for sighting in found if sighting is not None)
        ]

    def _gaps(self) -> list[Gap]:
        gaps = []
        for event in self._events():
            if event.event_type == "gap":
                subject, told = str(event.record_type), event.context.metadata
                objects = COVERED.get(subject, frozenset({subject}))
                gaps.append(Gap(objects, told["gap_start"], told["gap_end"]))
        return gaps

    def _terms(self) -> Terms:
        covered = frozenset[str]().union(*(COVERED[topic] for topic in self._topics))
        asked = frozenset(NAMES) if self._log_is_asked else frozenset()
        return Terms(covered, asked, self._overflowed, self._forgotten, self._unread, self._purged)

    def _changed(self) -> Iterable[str]:
        return sorted(event_id for ids in self.loader.changed.values() for event_id in ids)[:3]

    # --- one run ---------------------------------------------------------------------------------------

    def _here(self, config: Json) -> TapRun:
        state = json.loads(json.dumps(self.loader.state))  # the tap's own, to change
        return run_here(
            lambda: QuickTap(config=config, catalog=self._catalog, state=state),
            on_first_record=self.world.first_record,
        )

    def _config(self, settings: Json) -> Json:
        server = self.world.server
        return {
            "auth_flow": "client_credentials",
            "login_url": server.url,
            "client_id": CLIENT_ID,
            "client_secret": load_credentials(self.world.org).client_secret,
            "pubsub_endpoint": server.pubsub,
            "pubsub_plaintext": True,
            "idle_timeout_seconds": 1,
            **self.story.settings,
            **settings,
        }


def _make_org(path: Path) -> dict[str, str]:
    """An org with a few records; returns their ids by name."""
    ids: dict[str, str] = {}
    stamp = "2026-03-01T08:00:00.000+0000"
    more: dict[str, Json] = {
        "Opportunity": {"StageName": "Prospecting", "CloseDate": "2026-06-30"},
        "Lead": {"Company": "Some", "Status": "Open - Not Contacted"},
        "Case": {"Status": "New"},
    }
    names = {"Contact": "LastName", "Case": "Subject", "Lead": "LastName"}
    with Org.create(path, clock=OrgClock(_NOW)) as org:
        common = {"CreatedDate": stamp, "LastModifiedDate": stamp, "SystemModstamp": stamp, "IsDeleted": False}
        org.load("Organization", [{"Id": org.org_id, "Name": org.settings.name, "InstanceName": "LOCAL"}])
        for sobject, count in NAMES.items():
            rows = []
            for n in range(1, count + 1):
                ids[f"{sobject} {n}"] = key = org.new_id(sobject, n)
                row = {"Id": key, names.get(sobject, "Name"): f"{sobject} {n}", **more.get(sobject, {}), **common}
                if sobject in {"Contact", "Opportunity"}:  # these go along with their account
                    row["AccountId"] = ids[f"Account {(n + 2) // 3}"]
                rows.append(row)
            org.load(sobject, rows)
    return ids


def _lasting(record: Json) -> Json:
    """What of an event is the same whenever it comes.

    A duplicate has another replay id, another topic its own name, and a deleted row loses look-ups to what is erased.
    """
    lasting = {name: value for name, value in record.items() if name not in {"extracted_at", "extractor_version"}}
    context = dict(record["context"])
    of_the_way = _OF_THE_WAY | {"payload"} if context["source"] == "query_all" else _OF_THE_WAY
    context["metadata"] = {name: value for name, value in context.get("metadata", {}).items() if name not in of_the_way}
    return lasting | {"context": context}


def _second(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S")


def plan(seed: int, number: int) -> object:
    """The plan of a story, as JSON has it."""
    return msgspec.to_builtins(draw(seed, number))


if __name__ == "__main__":
    packages = ("tap-salesforce-deletes", "grpcio", "singer-sdk")
    versions = {name: version(name) for name in packages}
    sys.exit(main(play, plan, name="chaos.deletes", sizes=(), versions=versions, runs=300))
