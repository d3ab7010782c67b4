"""The campaign of tap-salesforce-temporal: `python -m chaos.tap --runs 500 --seed 1`."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from chaos.campaign import main
from chaos.loader import Loader, is_void
from chaos.process import command, run_process
from chaos.singer import catalog_of, run_here
from chaos.tap_plan import ORG_EVENTS, draw
from chaos.telling import Telling
from chaos.verdict import compare, missing
from chaos.world import World, config_for
from tap_salesforce_temporal.tap import TapSalesforceTemporal

if TYPE_CHECKING:
    from collections import Counter
    from datetime import datetime

    from chaos.campaign import Outcome
    from chaos.plan import Run, Story
    from chaos.singer import TapRun

__all__ = ["play"]

Json = dict[str, Any]

_PROGRAM = str(Path(sys.executable).with_name("tap-salesforce-temporal"))
_HONEST = frozenset({0, 1, 2, 3})
"""Exit codes of runs under faults: no gap is among the faults."""
_CEILING = 3


def play(seed: int, number: int, orgs: Path, work: Path) -> Outcome:
    """Play one story.

    Args:
        seed: Of the campaign.
        number: Of the story.
        orgs: The folder of the campaign's orgs; they are copied.
        work: A folder of its own.
    """
    story = draw(seed, number)
    shutil.copytree(orgs / str(story.org), work / "org")
    with World(work / "org") as world:
        return TapTelling(story, world, work).tell()


class TapTelling(Telling):
    """A story of this tap; see `Telling`."""

    HONEST = _HONEST

    def __init__(self, story: Story, world: World, work: Path) -> None:
        super().__init__(story, world, work, Loader())
        self._streams = self._discovered()
        self._catalog = catalog_of(*self._streams)

    def started(self, step: Run) -> TapRun:
        """Run the tap: as a process where it may be killed."""
        if step.kill is None:
            return self._here(step.settings)
        state, config = self.loader.state, self._config(step.settings)
        line = command(_PROGRAM, self.work, config, catalog=self._catalog, state=state)
        return run_process(line, step.kill, self.work, self.world.answered)

    def acquit(self, run: TapRun, struck: Counter[str]) -> None:
        """Ceilings that were not reached, and permissions that were lost behind the last need of them."""
        if run.code != _CEILING:  # everything was read before that
            del struck["own_quota_ceiling"], struck["time_ceiling"]
        if run.code == 0:
            del struck["permission_lost"], struck["field_lost"]

    def judge(self, run: TapRun, began: datetime, place: str) -> None:
        """A run that says success owes all that could be seen."""
        if run.code == 0:
            world = self.world
            found = missing(world.org, (began, world.now), self._streams, self._tables(), world.late)
            self.outcome.false_success += bool(found.lost)
            self.outcome.wrong += [f"{place}: exit code 0, {sentence}" for sentence in found.wrong]

    def end(self) -> None:
        """Clean runs: when all rows can be seen, and on the day after, as the promise says; then the verdict."""
        world, outcome = self.world, self.outcome
        seen = max([world.now, *(rows.end + rows.delay for rows in world.late)])
        for place, instant in (("first", seen + timedelta(hours=1)), ("second", seen + timedelta(days=1, hours=1))):
            world.pass_to(instant)
            run = self.loader.load(self._here({}))
            self.judge_honesty(run, f"{place} clean run")
            if run.code:
                outcome.wrong.append(f"{place} clean run: exit code {run.code}: {run.sentence}")
        found = compare(world.org, world.now, self._streams, self._tables(), self._changed())
        outcome.lost += found.lost
        outcome.doubled += found.doubled
        outcome.wrong += [f"at the end: {sentence}" for sentence in found.wrong]

    def _tables(self) -> dict[str, dict[str, Json]]:
        tables = self.loader.tables
        return {
            stream: {event_id: record for event_id, record in table.items() if not is_void(record)}
            for stream, table in tables.items()
        }

    def _changed(self) -> dict[str, set[str]]:
        """Ids that came with two contents; a save of an opportunity is corrected when the one before comes late."""
        late = {"opportunity_history"} if self.world.late else set()
        return {stream: ids for stream, ids in self.loader.changed.items() if stream not in late}

    def _here(self, settings: Json) -> TapRun:
        state = json.loads(json.dumps(self.loader.state))  # the tap's own, to change
        config = self._config(settings)
        return run_here(lambda: TapSalesforceTemporal(config=config, catalog=self._catalog, state=state))

    def _config(self, settings: Json) -> Json:
        org = self.world.org
        config = config_for(self.world.server.url, org, **self.story.settings, **settings)
        if config.get("auth_flow") == "client_credentials":
            secret = json.loads((org / "login.json").read_text(encoding="utf-8"))["client_secret"]
            del config["username"], config["private_key_path"]
            config["client_secret"] = secret
        return config

    def _discovered(self) -> list[str]:
        """The streams that are read: each is named in the catalog, so none may go missing without a word."""
        found = json.loads(TapSalesforceTemporal(config=self._config({})).catalog_json_text)["streams"]
        return [
            stream["tap_stream_id"]
            for stream in found
            for entry in stream["metadata"]
            if not entry["breadcrumb"]
            and (self.story.every_stream or entry["metadata"].get("selected-by-default", True))
        ]


def plan(seed: int, number: int) -> object:
    """The plan of a story, as JSON has it."""
    return msgspec.to_builtins(draw(seed, number))


if __name__ == "__main__":
    names = ("tap-salesforce-temporal", "singer-sdk")
    sys.exit(main(play, plan, name="chaos.tap", sizes=ORG_EVENTS, versions={name: version(name) for name in names}))
