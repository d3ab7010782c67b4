"""The mock org of a story: decisions between runs, faults before and in the middle of one, and which of them struck."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from chaos.verdict import Late
from localcloud.salesforce.server import Running, serve_in_thread
from localcloud.scenario import Scenario, parse_scenario
from localcloud.seed import advance

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chaos.plan import Decide, Fault, Hide

__all__ = ["CLIENT_ID", "USERNAME", "World", "config_for"]

Json = dict[str, Any]

CLIENT_ID = "localcloud.demo.app"
USERNAME = "integration@mock.localcloud.invalid"

_PAUSE_S = 0.005
_TRAPS = ("fail", "drop", "query_timeout", "expire_locator")


def config_for(url: str, org: Path, **more: object) -> Json:
    """Settings that log in to a mock org."""
    return {
        "login_url": url,
        "client_id": CLIENT_ID,
        "username": USERNAME,
        "private_key_path": str(org / "jwt.key"),
        **more,
    }


@dataclass
class World:
    """An org that is served, and disturbed.

    Attributes:
        org: Its folder.
        always: What its control endpoint is asked for before each run.
        clock_off_seconds: How far Salesforce's login service is ahead of this machine's clock.
        late: Rows that are seen late.
    """

    org: Path
    always: Json = field(default_factory=dict)
    clock_off_seconds: float = 0.0
    late: list[Late] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)
    _server: Running | None = None
    _first: int = 0
    _faults: Sequence[Fault] = ()
    _new: Counter[str] = field(default_factory=Counter)
    _recorded: bool = False

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def server(self) -> Running:
        """The server that runs."""
        assert self._server is not None  # noqa: S101 - while the context lasts
        return self._server

    @property
    def now(self) -> datetime:
        """What the org's clock shows."""
        return datetime.fromisoformat(self.server.control().now).astimezone(UTC)

    def _serve(self) -> None:
        self._server = self._stack.enter_context(
            serve_in_thread(self.org, real=lambda: time.time() + self.clock_off_seconds)
        )

    # Between runs.

    def decide(self, step: Decide) -> None:
        """Let happen what a step says."""
        begin = self.now.replace(microsecond=0)
        self._new.update(step.kinds)
        if step.days:
            self._stack.close()
            advance(self.org, days=step.days)
            self._serve()
        for save in step.saves:
            acts = [save.action] if save.action else []
            self.server.control(**{**save.do, "clock": {"advance_seconds": save.seconds}, "act": acts})
        end = self.now.replace(microsecond=0) + timedelta(seconds=1)
        for hide in step.hides:
            self._hide(hide, begin, end - begin)
        if step.rest_seconds:
            self.server.control(clock={"advance_seconds": step.rest_seconds})

    def _hide(self, hide: Hide, begin: datetime, length: timedelta) -> None:
        seconds = length.total_seconds()
        start, end = (begin + timedelta(seconds=int(part * seconds)) for part in (hide.begin, hide.end))
        if start >= end:
            return
        span = {"from": _text(start), "to": _text(end)}
        late = {"object": hide.sobject, **span, "delay_seconds": hide.delay_seconds}
        if self.server.control(delay_visibility=[late]).delayed:
            self.late.append(Late(hide.sobject, start, end, timedelta(seconds=hide.delay_seconds)))
            self._new[hide.kind] += 1

    def pass_to(self, instant: datetime) -> None:
        """Set the org's clock."""
        self.server.control(clock={"set": _text(instant)})

    # One run.

    def arm(self, faults: Sequence[Fault]) -> None:
        """Make ready what a run will meet."""
        self._first = self.server.journal().total
        self._faults, self._recorded = faults, False
        if self.always:
            self.server.control(**self.always)
        for fault in faults:
            if fault.after is None and not fault.at_record:
                self.server.control(**fault.do)
        steps = [
            {"name": fault.kind, "do": fault.do, "after": {"requests": fault.after, "matching": fault.matching}}
            for fault in faults
            if fault.after is not None
        ]
        self.server.play(parse_scenario(json.dumps({"steps": steps})))

    def first_record(self) -> None:
        """The run writes its first record: what waits for that happens."""
        self._recorded = True
        for fault in self._faults:
            if fault.at_record:
                self.server.control(**fault.do)

    def answered(self, requests: int) -> bool:
        """Wait a moment; whether so many requests of the run were answered."""
        if self.server.journal(self._first + requests).total >= self._first + requests:
            return True
        time.sleep(_PAUSE_S)
        return False

    def disarm(self) -> Counter[str]:
        """End all faults; returns which kinds struck the run, those of the steps before it included."""
        struck, self._new = self._new, Counter()
        state, played = self.server.control(), self.server.scenario().steps
        requests = self.server.journal(self._first).requests
        done = iter([step.done for step in played])
        left = {"bulk": iter(state.bulk_fail)} | {key: iter(getattr(state, key)) for key in _TRAPS}
        for fault in self._faults:
            times = int(self._recorded) if fault.at_record else 1
            if fault.after is not None:
                times = min(1, next(done))
            traps = [(key, trap) for key in left for trap in _traps(fault.do, key)]
            if traps:
                times = sum((trap.get("times", 1) or 1) - (next(left[key]).times or 0) for key, trap in traps)
            if fault.mark:
                said = (f"{request.status} {request.fault or ''} {' '.join(request.parts)}" for request in requests)
                times = sum(re.search(fault.mark, line) is not None for line in said)
            struck[fault.kind] += min(times, 1)
        self.server.play(Scenario())
        self.server.control(reset=True, quota={"used": 0})
        return +struck


def _traps(do: Json, key: str) -> list[Json]:
    """The traps of a fault under a key of the control endpoint."""
    found = do.get("bulk", {}).get("fail", []) if key == "bulk" else do.get(key, [])
    return list(found)


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
