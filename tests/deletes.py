"""What the end-to-end tests of tap-salesforce-deletes share: its settings, its runs, and what a target holds."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from chaos.process import command
from localcloud.salesforce.login.credentials import load_credentials
from localcloud.salesforce.server import Running
from microdecisions.deletions import Deletion, resolve, sighting_of
from microdecisions.errors import MicroDecisionError
from microdecisions.event import MicroDecisionEvent
from tap_salesforce_deletes.position import STREAM
from tap_salesforce_deletes.run import Run
from tap_salesforce_deletes.tap import TapSalesforceDeletes
from tap_salesforce_deletes.waiting import IdleRule
from tests.harness import CLIENT_ID, Json, TapRun, take
from tests.warm import run_main

TAP = str(Path(sys.executable).with_name("tap-salesforce-deletes"))
ACCOUNTS = "/data/AccountChangeEvent"
ALL = "/data/ChangeEvents"
PLATFORM_EVENT = "/event/Record_Deleted__e"
MODULE = "tap_salesforce_deletes.tap"
QUICK = IdleRule(idle_seconds=0.4, longest_seconds=2.0)


def settings_for(server: Running, org: Path, **more: object) -> Json:
    """Settings that read a mock org's deletes; the login that takes the least time."""
    return {
        "auth_flow": "client_credentials",
        "login_url": server.url,
        "client_id": CLIENT_ID,
        "client_secret": load_credentials(org).client_secret,
        "pubsub_endpoint": server.pubsub,
        "pubsub_plaintext": True,
        **more,
    }


def quick_tap(rule: IdleRule) -> type[TapSalesforceDeletes]:
    """The tap with another patience: what it waits for is a parameter of its run."""

    class QuickTap(TapSalesforceDeletes):
        @cached_property
        def run(self) -> Run:
            return Run(self.settings, self.stop, self.logger, rule=rule)

    return QuickTap


def run_deletes(
    config: Json, *, state: Json | None = None, rule: IdleRule = QUICK, output: io.BytesIO | None = None
) -> TapRun:
    """Run the tap in this process, with little patience."""
    output = output or io.BytesIO()
    run = TapRun(0, "")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with redirect_stdout(io.TextIOWrapper(output, write_through=True)):
        try:
            tap = quick_tap(rule)(config=config, state=state)
            tap.sync_all()
            tap.finish()
        except MicroDecisionError as error:
            run.code, run.log = error.exit_code, str(error)
        finally:
            lines = output.getvalue().decode().split("\n")
            for number, handler in handlers.items():  # the SDK sets its own when a tap is made
                signal.signal(number, handler)
    assert lines[-1] == "", "a line is torn"
    for line in lines[:-1]:
        take(run, line)
    return run


def run_process(work: Path, config: Json, *arguments: str, state: Json | None = None, **env: str) -> TapRun:
    """Run the tap as a process to its end."""
    words = command(TAP, work, config, *arguments, state=state)
    done = run_main(MODULE, words, {**os.environ, **env})
    run = TapRun(done.returncode, done.stderr)
    for line in done.stdout.split("\n")[:-1]:  # U+2028 is no line end
        take(run, line)
    return run


def events_of(run: TapRun) -> list[MicroDecisionEvent]:
    """The records of a run as events."""
    return [msgspec.convert(record, MicroDecisionEvent) for record in run.records[STREAM]]


@dataclass
class Store:
    """What a target that upserts by event id holds after some runs, and the last STATE."""

    state: Json | None = None
    events: dict[str, MicroDecisionEvent] = field(default_factory=dict)
    codes: list[int] = field(default_factory=list)

    def run(self, config: Json, rule: IdleRule = QUICK) -> TapRun:
        """Let the tap go on from the last STATE, and take what it writes."""
        return self.load(run_deletes(config, state=self.state, rule=rule))

    def load(self, run: TapRun) -> TapRun:
        """Take what a run wrote."""
        for one in events_of(run):
            self.events[one.event_id] = one
        self.codes.append(run.code)
        self.state = run.states[-1] if run.states else self.state
        return run

    def deletions(self) -> list[Deletion]:
        """The deletions that the events tell of."""
        found = (sighting_of(one) for one in self.events.values())
        return resolve(sighting for sighting in found if sighting is not None)

    def told(self) -> set[str]:
        """The records that were deleted."""
        return {one.record_id for one in self.deletions()}

    def gaps(self) -> list[MicroDecisionEvent]:
        """The gap events."""
        return [one for one in self.events.values() if one.event_type == "gap"]


def replay_id(state: Json | None, topic: str) -> str:
    """The stored replay id of a topic."""
    assert state is not None
    position: dict[str, Any] = state["bookmarks"][STREAM]["topics"][topic]
    return str(position["replay_id"])
