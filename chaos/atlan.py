"""The campaign of target-atlan-metadata: `python -m chaos.atlan --runs 300 --seed 1`."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from random import Random
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.atlan_catalog import Catalog
from chaos.atlan_feeding import feed
from chaos.atlan_plan import Feed, Meanwhile, draw
from chaos.atlan_target import Launch, launched, left_by
from chaos.atlan_truth import Truth, perhaps
from chaos.atlan_verdict import compare, due, figures, lasting
from chaos.campaign import Outcome, main
from localcloud.atlan.running import serve_in_thread
from localcloud.clock import OrgClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from chaos.atlan_plan import AtlanStory, End
    from chaos.singer import TapRun
    from chaos.verdict import Difference

__all__ = ["play"]

Json = dict[str, Any]

_HONEST: Final = frozenset({0, 1, 2})
_PATIENCE_S: Final = 180.0
_PAUSE_S: Final = 0.003
_TAKE_OVER: Final = "allow_ledger_change"
_NOWHERE: Final = frozenset(
    {"appeared_midway", "crawled_midway", "purged_midway", "changed_by_hand_midway", "other_writer_midway"}
)
"""What may happen behind the last look of a run; the next one makes it good."""

_CATALOG: Final = _NOWHERE | {"archived_midway", "bad_asset"}
"""What keeps a STATE from saying that all before it is in Atlan: an asset is new, or refused, or changed by others."""

_BEGIN: Final = datetime(2026, 3, 2, tzinfo=UTC)


def play(seed: int, number: int, orgs: Path, work: Path) -> Outcome:
    """Play one story.

    Args:
        seed: Of the campaign.
        number: Of the story.
        orgs: Not needed.
        work: A folder of its own.
    """
    del orgs
    story = draw(seed, number)
    clock = OrgClock(_BEGIN + timedelta(seconds=number * 12_345 % 86_400))
    with serve_in_thread(work / "atlan", seed=seed * 1_000 + number, requests_per_minute=None, clock=clock) as served:
        return AtlanTelling(story, Catalog(served), clock, work).tell()


class AtlanTelling:
    """Plays a story: feeds runs, keeps STATE, and judges.

    Args:
        story: Its plan.
        catalog: Its Atlan.
        clock: Of that Atlan.
        work: A folder for ledgers and the files of processes.
    """

    def __init__(self, story: AtlanStory, catalog: Catalog, clock: OrgClock, work: Path) -> None:
        self._story = story
        self._catalog = catalog
        self._clock = clock
        self._work = work
        self._chance = Random(f"atlan/{story.seed}/{story.number}/told")  # noqa: S311 - repeated, nothing secret
        self._truth = Truth()
        self._read = [0, 0]
        self._fed = [0, 0]
        self._states: list[list[int]] = [[], []]
        self._new: Counter[str] = Counter()
        self._lagging: set[str] | None = None
        self._has_told = False
        self._ledger_is_whole = True
        self._is_over = False
        self._is_as_told = True
        self.outcome = Outcome(story.number)

    @property
    def now(self) -> datetime:
        """What Atlan's clock shows."""
        return self._clock.now()

    def tell(self) -> Outcome:
        """Play all steps and the clean runs behind them, and judge."""
        self._catalog.do({"clock": {"tell": self._story.tells_time}})
        for number, step in enumerate(self._story.steps):
            if isinstance(step, Meanwhile):
                self._pass(step)
            else:
                self._feed(step, f"step {number}")
        self._end()
        return self.outcome

    # Between runs.

    def _pass(self, step: Meanwhile) -> None:
        self._catalog.do({"clock": {"advance_seconds": step.days * 86_400}})
        self._is_as_told &= not step.do and step.ledger == "stays"
        file = self._work / "ledger.db"
        done = True
        if step.do:
            done = self._catalog.do(step.do)
        if step.ledger == "copied":
            done = self._copy(file, self._work / "copy.db")
        elif step.ledger == "older":
            done = self._copy(self._work / "copy.db", file)
            self._ledger_is_whole = False
        elif step.ledger == "lost":
            self._remove(file)
            self._ledger_is_whole = False
        elif step.ledger == "rebuilt":
            self._rebuild()
        if "index_lag_seconds" in step.do:
            seen = {one.guid for one in self._catalog.served.assets()}
            self._lagging = seen if step.do["index_lag_seconds"] else None
        if step.kind and done:
            self._new[step.kind] += 1

    @staticmethod
    def _remove(file: Path) -> None:
        for one in file.parent.glob(f"{file.name}*"):
            one.unlink()

    def _copy(self, source: Path, to: Path) -> bool:
        """Copy a ledger with what stands beside its file, as a person would who knows SQLite."""
        if not source.exists():
            return False
        self._remove(to)
        for one in source.parent.glob(f"{source.name}*"):
            shutil.copyfile(one, to.with_name(to.name + one.name.removeprefix(source.name)))
        return True

    def _rebuild(self) -> None:
        """Fill the ledger from what both sources have told, with more and with repeats."""
        files = []
        for number, source in enumerate(self._truth.sources):
            file = self._work / f"rebuild_{number}.jsonl"
            rows = [{"type": "RECORD", "stream": one.stream, "record": one.record} for one in source]
            told = rows[: self._read[number]]
            file.write_text("".join(f"{json.dumps(row)}\n" for row in [*told, *told[-5:]]), encoding="utf-8")
            files.append(str(file))
        tells = bool(due(self._truth, self._read)[0])  # files that hold nothing are refused
        for _ in range(2):  # a second time changes nothing
            run = self._played(self._launch({}, rebuild=tuple(files)), None)
            if bool(run.code) == tells:
                self.outcome.wrong.append(f"rebuild: exit code {run.code}: {run.sentence}")
        self._ledger_is_whole = tells

    # One run.

    def _feed(self, step: Feed, place: str) -> TapRun:
        outcome, catalog = self.outcome, self._catalog
        if not self._is_over:
            self._truth.grow(self._chance, self.now, step.news)
        source, read = self._truth.sources[step.source], self._read[step.source]
        end = feed(self._work / "input", source, read, step, self._chance)
        catalog.arm(step.faults)
        began = self.now
        launch = self._launch(
            step.settings, "other.db" if step.other_ledger else "ledger.db",
            drain_seconds=step.drain_seconds, installed=step.installed,
            **({"step": step.end.step, "nth": step.end.nth, "behind": step.end.behind} if step.end else {}),
        )  # fmt: skip
        before = self._read.copy()
        with self._another(step):
            run = self._played(launch, step.end)
        struck, self._new = self._new + catalog.disarm(), Counter()
        self._note_strikes(step, run, struck)
        if not step.other_ledger:
            self._fed[step.source] = max(self._fed[step.source], end)
            states = [state["position"] for state in run.states]
            lost = step.states_lost if run.code < 0 else 0
            states = states[: len(states) - lost] if lost else states
            self._read[step.source] = states[-1] if states else self._read[step.source]
        outcome.runs += bool(struck)
        outcome.killed += run.code == -signal.SIGKILL
        outcome.faults += Counter(dict.fromkeys(struck, 1))
        outcome.exit_codes[run.code] += 1
        met = ", ".join(sorted(struck)) or "nothing"
        outcome.told.append(f"{place}: exit code {run.code}, {catalog.asked()} requests; it met {met}; {run.sentence}")
        self._judge(step, run, struck, (began, self.now), end, place)
        self._judge_state(step, run, struck, before, place)
        return run

    def _note_strikes(self, step: Feed, run: TapRun, struck: Counter[str]) -> None:
        if run.code in {-signal.SIGKILL, -signal.SIGTERM}:
            struck["sigkill" if run.code == -signal.SIGKILL else "signal"] += 1
        elif step.end is not None and step.end.gently and "Interrupted" in run.log:
            struck["sigterm"] += 1
        off = self._story.machine_off_hours
        self.outcome.faults["client_clock_off"] += bool(off or step.installed)
        self.outcome.faults["no_date"] += not self._story.tells_time
        for kind, is_so in (
            ("overlap", step.overlap and self._read[step.source]), ("replayed", step.again and any(self._read)),
            ("out_of_order", step.shuffled), ("another_writer", step.other_ledger or step.beside),
            ("index_lag", self._lagging is not None),
        ):  # fmt: skip
            if is_so:
                struck[kind] += 1

    def _judge(
        self, step: Feed, run: TapRun, struck: Counter[str], clock: tuple[datetime, datetime], end: int, place: str
    ) -> None:
        outcome = self.outcome
        if run.code not in _HONEST and run.code >= 0:
            outcome.wrong.append(f"{place}: exit code {run.code}: {run.sentence}")
        if "Internal error" in run.log or "Traceback" in run.log:
            outcome.wrong.append(f"{place}: {run.sentence}")
        if self._catalog.served.api_key in run.log:
            outcome.wrong.append(f"{place}: the token is in the log")
        outcome.wrong += [f"{place}: {sentence}" for sentence in self._catalog.strange]
        self._catalog.strange.clear()
        if run.code == 0 and step.other_ledger and self._has_told and not step.settings.get(_TAKE_OVER):
            outcome.false_success += 1
            outcome.wrong.append(f"{place}: another ledger was let in")
        if run.code or step.other_ledger:
            return
        if self._read[step.source] != end:
            outcome.wrong.append(f"{place}: exit code 0, but the last STATE did not come back")
        self._has_told = True
        if _NOWHERE & struck.keys() or step.beside:
            return
        found = self._differs(clock)
        outcome.false_success += bool(found.wrong)
        outcome.wrong += [f"{place}: exit code 0, {sentence}" for sentence in found.wrong[:3]]

    def _judge_state(self, step: Feed, run: TapRun, struck: Counter[str], before: Sequence[int], place: str) -> None:
        """A STATE that came back says that all before it is in Atlan, also where the run did not come to its end.

        Judged are sums and last changes of objects that the messages before it are about. Where something else
        changed the catalog or the ledger, only a whole run makes it good.
        """
        self._is_as_told &= not (step.other_ledger or step.beside or _CATALOG & struck.keys())
        if run.code == 0 and not step.other_ledger:
            self._is_as_told = self._ledger_is_whole and not (step.beside or _CATALOG & struck.keys())
        elif self._is_as_told and self._read[step.source] > before[step.source]:
            moved = self._truth.sources[step.source][before[step.source] : self._read[step.source]]
            objects = {self._truth.decisions[message.decision].sobject for message in moved}
            objects -= perhaps(self._truth, self._read, self._fed)
            decisions, open_ = due(self._truth, self._read)
            wanted = figures(decisions, self.now.date(), names=bool(self._story.settings.get("actor_names")))
            shown = [one for one in self._catalog.shown(self._lagging) if one.sobject in objects]
            found = compare(lasting(wanted), [one.lasting() for one in shown], open_)
            self.outcome.lost += found.lost
            self.outcome.doubled += found.doubled
            self.outcome.wrong += [f"{place}: its STATE came back, {sentence}" for sentence in found.wrong[:3]]

    def _differs(self, clock: tuple[datetime, datetime]) -> Difference:
        """How what is shown differs from what both sources have told; a run at midnight may have either day."""
        decisions, open_ = due(self._truth, self._read)
        names = bool(self._story.settings.get("actor_names"))
        left_out = perhaps(self._truth, self._read, self._fed)
        shown = [one for one in self._catalog.shown(self._lagging) if one.sobject not in left_out]
        found = [
            compare(figures(decisions, day, names=names), shown, open_)
            for day in sorted({instant.date() for instant in clock})
        ]
        return min(found, key=lambda one: len(one.wrong))

    def _launch(self, settings: Json, ledger: str = "ledger.db", **more: Any) -> Launch:
        served = self._catalog.served
        config = {
            "base_url": served.url,
            "api_key": served.api_key,
            "ledger_url": f"sqlite:///{self._work / ledger}",
            "ledger_wait_seconds": 5,
            "report_path": str(self._work / "report.json"),
            **self._story.settings,
            **settings,
        }
        machine = self.now + timedelta(hours=self._story.machine_off_hours)
        shift = (machine - datetime.now(UTC)).total_seconds()
        return Launch(config, str(self._work), shift_seconds=shift, **more)

    @contextlib.contextmanager
    def _another(self, step: Feed) -> Iterator[None]:
        """The other pipeline at the same time, with the same ledger: it waits, or is refused."""
        if not step.beside:
            yield
            return
        folder = self._work / "beside"
        folder.mkdir(exist_ok=True)
        number = 1 - step.source
        source = self._truth.sources[number]
        feed(folder / "input", source, self._read[number], Feed(source=number, every=10**6), self._chance)
        launch = msgspec.structs.replace(self._launch({}), folder=str(folder))
        process = launched(launch)
        yield
        process.join(_PATIENCE_S)
        run = left_by(process, folder)
        self.outcome.told.append(f"beside: exit code {run.code}; {run.sentence}")
        self._fed[number] = len(source)
        if run.states:
            self._read[number] = run.states[-1]["position"]
        if run.code not in _HONEST:
            self.outcome.wrong.append(f"beside: exit code {run.code}: {run.sentence}")

    def _played(self, launch: Launch, end: End | None) -> TapRun:
        if launch.rebuild:
            (self._work / "input").write_text("", encoding="utf-8")
        process = launched(launch)
        assert process.pid is not None  # noqa: S101 - it was started
        deadline = time.monotonic() + _PATIENCE_S
        if end is not None and end.at_seconds is not None:
            process.join(end.at_seconds)
        while end is not None and end.at_request is not None and process.is_alive():
            if self._catalog.asked() >= end.at_request or time.monotonic() > deadline:
                break
            time.sleep(_PAUSE_S)
        if end is not None and not end.step and process.is_alive():
            os.kill(process.pid, signal.SIGTERM if end.gently else signal.SIGKILL)
        process.join(max(0.0, deadline - time.monotonic()))
        return left_by(process, self._work)

    # The end.

    def _end(self) -> None:
        """Clean runs of both sources, then all of it again, which changes nothing."""
        outcome = self.outcome
        self._catalog.do({"reset": True, "index_lag_seconds": 0})
        self._lagging = None
        if not self._ledger_is_whole:
            self._rebuild()
        self._catalog.do({"clock": {"advance_seconds": 3_600}})
        self._truth.grow(self._chance, self.now, 0)
        self._is_over = True
        for source, place in ((0, "first"), (1, "second"), (0, "third"), (1, "fourth")):
            again = place in {"third", "fourth"}
            step = Feed(source=source, overlap=10**6 if again else 0)
            run = self._clean(step, f"{place} clean run")
            if run.code == 0 and again and (writes := self._report().get("writes")):
                outcome.wrong.append(f"{place} clean run: {writes} writes for nothing new")
            if place == "second":  # before all of it is fed again, which would heal a loss
                self._compare("behind the clean runs")
        if any(end != len(source) for end, source in zip(self._read, self._truth.sources, strict=True)):
            outcome.wrong.append("at the end: not everything was read")
        self._compare("at the end")

    def _compare(self, place: str) -> None:
        found = self._differs((self.now - timedelta(minutes=2), self.now))
        self.outcome.lost += found.lost
        self.outcome.doubled += found.doubled
        self.outcome.wrong += [f"{place}: {sentence}" for sentence in found.wrong]

    def _clean(self, step: Feed, place: str) -> TapRun:
        runs, faults, codes = self.outcome.runs, self.outcome.faults.copy(), self.outcome.exit_codes.copy()
        run = self._feed(step, place)
        if run.code == 2 and _TAKE_OVER in run.log:  # as the sentence says: this ledger is whole
            run = self._feed(msgspec.structs.replace(step, settings={_TAKE_OVER: True}), place)
        self.outcome.runs, self.outcome.faults, self.outcome.exit_codes = runs, faults, codes
        if run.code:
            self.outcome.wrong.append(f"{place}: exit code {run.code}: {run.sentence}")
        return run

    def _report(self) -> Json:
        report: Json = json.loads((self._work / "report.json").read_bytes())
        return report


def plan(seed: int, number: int) -> object:
    """The plan of a story, as JSON has it."""
    return msgspec.to_builtins(draw(seed, number))


if __name__ == "__main__":
    versions = {name: version(name) for name in ("target-atlan-metadata", "pyatlan", "singer-sdk")}
    sys.exit(main(play, plan, name="chaos.atlan", sizes=(), runs=300, versions=versions))
