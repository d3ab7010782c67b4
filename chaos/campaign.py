"""A campaign: stories are played side by side until so many runs were disturbed; one RESULT line at the end."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.seed import seed_org

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

__all__ = ["Outcome", "Totals", "campaign", "main"]

Play = Callable[[int, int, Path, Path], "Outcome"]
"""Plays a story: seed, number, the folder of the campaign's orgs (`0`, `1`, ...), and an empty folder of its own."""


@dataclass
class Outcome:
    """What came of one story.

    Attributes:
        number: Of the story.
        runs: Runs that a fault struck.
        killed: Of them, ended by SIGKILL.
        lost: Events that were decided and are not there after the clean runs.
        doubled: Events that are there too often, or as nobody decided them.
        false_success: Runs that said success while data was missing.
        faults: How many runs each kind of fault struck.
        exit_codes: How the runs of steps ended; negative: the signal.
        wrong: What is wrong, as sentences.
        told: A line about each run.
    """

    number: int = 0
    runs: int = 0
    killed: int = 0
    lost: int = 0
    doubled: int = 0
    false_success: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    exit_codes: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.false_success or self.wrong)


@dataclass
class Totals(Outcome):
    """What came of all stories.

    Attributes:
        stories: How many there were.
        failed: How many of them went wrong.
    """

    stories: int = 0
    failed: int = 0

    def add(self, outcome: Outcome) -> None:
        """Add one story."""
        self.stories += 1
        self.failed += not outcome.well
        self.runs += outcome.runs
        self.killed += outcome.killed
        self.lost += outcome.lost
        self.doubled += outcome.doubled
        self.false_success += outcome.false_success
        self.faults += outcome.faults
        self.exit_codes += outcome.exit_codes
        self.wrong += outcome.wrong
        self.told += outcome.told

    def result(self, seed: int, **more: object) -> str:
        """The RESULT line."""
        keys = ("runs", "killed", "lost", "doubled", "false_success")
        figures = {"seed": seed, **{key: getattr(self, key) for key in keys}}
        figures |= {"faults": dict(sorted(self.faults.items())), "exit_codes": dict(sorted(self.exit_codes.items()))}
        figures |= {"stories": self.stories, "failed": self.failed}
        return f"RESULT {json.dumps(figures | more)}"


def campaign(
    play: Play,
    *,
    seed: int,
    runs: int,
    sizes: Sequence[int],
    workers: int,
    say: Callable[[str], None],
    repeat: str,
) -> Totals:
    """Play stories until enough runs were disturbed.

    Args:
        play: Plays a story; a function of a module, where there are workers.
        seed: Of the campaign.
        runs: So many runs at least; stories are played to their end.
        sizes: Events of the orgs that stories begin with.
        workers: Processes; 0: in this one.
        say: Takes a line about each story that went wrong, and about how far it is.
        repeat: The command that repeats one, with `{number}`.
    """
    totals, told = Totals(), 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        orgs = seed_orgs(Path(folder), seed, sizes)
        for outcome in _outcomes(play, seed, orgs, workers, lambda: totals.runs >= runs):
            totals.add(outcome)
            if not outcome.well:
                what = outcome.wrong[0] if outcome.wrong else "see the counts"
                say(f"story {outcome.number}: {what}; repeat with: {repeat.format(number=outcome.number)}")
            if totals.runs // 50 > told:
                told = totals.runs // 50
                say(f"{totals.runs} runs in {totals.stories} stories, {totals.failed} of them wrong")
    return totals


def seed_orgs(folder: Path, seed: int, sizes: Sequence[int]) -> Path:
    """Make the orgs that stories begin with; returns their folder."""
    orgs = folder / "orgs"
    for number, events in enumerate(sizes):
        seed_org(orgs / str(number), events=events, seed=seed * 100 + number)
    return orgs


def _outcomes(play: Play, seed: int, orgs: Path, workers: int, enough: Callable[[], bool]) -> Iterator[Outcome]:
    """Stories in the order of their numbers, until there are enough."""
    if not workers:
        for number in count(1):
            yield _played(play, seed, number, orgs)
            if enough():
                return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_quietly) as pool:
        numbers = count(1)
        waiting: list[Future[Outcome]] = []
        while not enough():
            while len(waiting) < workers * 2:
                waiting.append(pool.submit(_played, play, seed, next(numbers), orgs))
            yield waiting.pop(0).result()
        for future in waiting:
            if not future.cancel():
                yield future.result()


def _quietly() -> None:
    """Let a worker's logs go: who wants them repeats the story."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _played(play: Play, seed: int, number: int, orgs: Path) -> Outcome:
    with tempfile.TemporaryDirectory(prefix=f"chaos-{number}-") as folder:
        try:
            return play(seed, number, orgs, Path(folder))
        except Exception as error:  # noqa: BLE001 - one story must not end the campaign
            return Outcome(number, wrong=[f"{type(error).__name__}: {error}"])


def main(
    play: Play,
    show: Callable[[int, int], object],
    *,
    name: str,
    sizes: Sequence[int],
    versions: dict[str, str],
    runs: int = 500,
    arguments: Sequence[str] | None = None,
) -> int:
    """The command line of a campaign.

    Args:
        play: Plays a story.
        show: The plan of a story, as msgspec encodes it.
        name: Of the module that is run.
        sizes: Events of the orgs that stories begin with; none: each story makes its own.
        versions: What is tested, for the RESULT line.
        runs: Of the campaign of record.
        arguments: By default those of the process.

    Returns:
        0 when nothing was lost, doubled, or called a success that was none; else 1.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--runs", type=int, default=runs, help="runs under faults, at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, metavar="N", help="play one story, with its plan and its logs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    repeat = f"python -m {name} --seed {options.seed} --only {{number}}"
    if options.only is not None:
        totals = _one(play, show, options.seed, options.only, sizes)
    else:
        totals = campaign(
            play, seed=options.seed, runs=options.runs, sizes=sizes, workers=options.workers, say=_say, repeat=repeat
        )
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    seconds = round(time.monotonic() - began)
    _say(totals.result(options.seed, seconds=seconds, versions=versions, machine=machine))
    return 1 if totals.failed else 0


def _one(
    play: Play,
    show: Callable[[int, int], object],
    seed: int,
    number: int,
    sizes: Sequence[int],
) -> Totals:
    """One story, with all that is known about it."""
    _say(json.dumps(show(seed, number), indent=1))
    totals = Totals()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        totals.add(_played(play, seed, number, seed_orgs(Path(folder), seed, sizes)))
    for sentence in (*totals.told, *totals.wrong):
        _say(sentence)
    return totals


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
