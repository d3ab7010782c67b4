"""A story while it is played, whatever the plugin: runs are armed, started, loaded, counted and judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from chaos.campaign import Outcome
from chaos.plan import Decide

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from chaos.loader import Loader
    from chaos.plan import Run, Story
    from chaos.singer import TapRun
    from chaos.world import World

__all__ = ["Telling"]


class Telling(ABC):
    """Plays the steps of a story, and then what a plugin's campaign ends it with.

    Args:
        story: Its plan.
        world: Its org.
        work: A folder for the files of processes.
        loader: The target.

    Attributes:
        outcome: What came of it so far.
        struck: The kinds of faults that struck the last run.
    """

    HONEST: ClassVar[frozenset[int]]
    """Exit codes that a run under faults may have."""

    def __init__(self, story: Story, world: World, work: Path, loader: Loader) -> None:
        self.story = story
        self.world = world
        self.work = work
        self.loader = loader
        self.outcome = Outcome(story.number)
        self.struck: Counter[str] = Counter()

    def tell(self) -> Outcome:
        """Play all steps and the clean runs behind them, and judge."""
        for number, step in enumerate(self.story.steps):
            if isinstance(step, Decide):
                self.decide(step)
            else:
                self._run(step, f"step {number}")
        self.end()
        return self.outcome

    def decide(self, step: Decide) -> None:
        """Let happen what a step says."""
        self.world.decide(step)

    @abstractmethod
    def started(self, step: Run) -> TapRun:
        """Run the plugin as a step says."""

    @abstractmethod
    def acquit(self, run: TapRun, struck: Counter[str]) -> None:
        """Take kinds of faults away that did not strike the run after all."""

    @abstractmethod
    def judge(self, run: TapRun, began: datetime, place: str) -> None:
        """Say what a run that was loaded owes; `began` by the org's clock."""

    @abstractmethod
    def end(self) -> None:
        """Make the clean runs, and judge the whole story."""

    def judge_honesty(self, run: TapRun, place: str) -> None:
        """A run ends with a code that it may have, and with no traceback."""
        if run.code not in self.HONEST and run.code >= 0:
            self.outcome.wrong.append(f"{place}: exit code {run.code}: {run.sentence}")
        if "Internal error" in run.log or "Traceback" in run.log:
            self.outcome.wrong.append(f"{place}: {run.sentence}")

    def _run(self, step: Run, place: str) -> None:
        world, outcome, began = self.world, self.outcome, self.world.now
        world.clock_off_seconds = step.clock_off_seconds
        world.arm(step.faults)
        run = self.started(step)
        struck = self.struck = world.disarm()
        world.clock_off_seconds = 0
        self.acquit(run, struck)
        if step.clock_off_seconds:
            struck["client_clock_off"] += 1
        if run.code < 0:
            struck["sigkill" if run.code == -9 else "signal"] += 1
        elif step.kill is not None and step.kill.gently and "Interrupted" in run.log:
            struck["sigterm"] += 1
        self.loader.load(run, step.kill)
        outcome.runs += bool(struck)
        outcome.killed += run.code == -9
        outcome.faults += Counter(dict.fromkeys(struck, 1))
        outcome.exit_codes[run.code] += 1
        met, records = ", ".join(sorted(struck)) or "nothing", sum(map(len, run.records.values()))
        outcome.told.append(f"{place}: exit code {run.code}, {records} records; it met {met}; {run.sentence}")
        self.judge_honesty(run, place)
        self.judge(run, began, place)
