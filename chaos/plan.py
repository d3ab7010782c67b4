"""A story as data: what an org decides, which faults meet the runs, where they are killed; the same for a seed."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

__all__ = ["Decide", "Fault", "Hide", "Kill", "Run", "Save", "Step", "Story", "Target"]

Json = dict[str, Any]
Target = Literal["reads on", "writes", "loses"]


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault that a run meets.

    Attributes:
        kind: Its name in the counts.
        do: What the mock org's control endpoint is asked for (localcloud/SCENARIOS.md).
        after: It happens when so many requests of the run that match were answered; None: before the run.
        matching: Searched in `METHOD path?decoded query`.
        mark: Searched in `status fault parts` of each request of the run: found, it struck. Without one, traps are
            known to have struck by how often they still would.
        at_record: It happens when the run writes its first record; only runs in this process can tell.
    """

    kind: str
    do: Json
    after: int | None = None
    matching: str = ""
    mark: str = ""
    at_record: bool = False


class Kill(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a process is ended, by SIGKILL unless `gently`, and what becomes of its target.

    One of the first three says where. A run that ends sooner is not killed.

    Attributes:
        at_bytes: When it has written so many bytes.
        at_request: When so many of its requests were answered.
        at_seconds: So long after its start.
        gently: By SIGTERM: the plugin may finish its line.
        target: `reads on` takes what is in the pipe; the other two die with the tap: one writes what it has,
            one loses what came behind the last STATE.
        states_lost: The newest STATEs of the run that nobody kept, though their records are written.
    """

    at_bytes: int | None = None
    at_request: int | None = None
    at_seconds: float | None = None
    gently: bool = False
    target: Target = "reads on"
    states_lost: int = 0


class Save(msgspec.Struct, frozen=True, omit_defaults=True):
    """One action on records, so many seconds after the one before it.

    Attributes:
        seconds: After the one before it.
        action: What is done; empty: nothing.
        do: What the mock org's control endpoint is asked for before that.
    """

    seconds: float
    action: Json
    do: Json = {}


class Hide(msgspec.Struct, frozen=True):
    """Rows that are seen late.

    Attributes:
        sobject: Of which object.
        begin: From which part of the step's time on they were created, 0 to 1.
        end: Up to which part.
        delay_seconds: They are seen so long after their creation.
        kind: Its name in the counts.
    """

    sobject: str
    begin: float
    end: float
    delay_seconds: int
    kind: str


class Decide(msgspec.Struct, frozen=True, tag="decide", omit_defaults=True):
    """What happens in the org between two runs.

    Attributes:
        days: So many days pass, with the decisions that the org has in store; the server starts anew.
        saves: Then these actions.
        hides: Rows of this step that are seen late.
        rest_seconds: Then so long nothing.
        kinds: What the next run meets because of it, as faults are counted.
    """

    days: int = 0
    saves: tuple[Save, ...] = ()
    hides: tuple[Hide, ...] = ()
    rest_seconds: float = 0.0
    kinds: tuple[str, ...] = ()


class Run(msgspec.Struct, frozen=True, tag="run", omit_defaults=True):
    """One run of the plugin.

    Attributes:
        faults: What it meets.
        kill: Where it is ended; a run that may be killed is a process of its own.
        clock_off_seconds: How far the machine's clock is behind that of Salesforce's login service.
        settings: Settings of this run alone.
    """

    faults: tuple[Fault, ...] = ()
    kill: Kill | None = None
    clock_off_seconds: int = 0
    settings: Json = {}


Step = Decide | Run


class Story(msgspec.Struct, frozen=True):
    """Runs under faults and decisions between them; clean runs and the verdict follow.

    Attributes:
        seed: Of the campaign.
        number: Of the story in it; seed and number make the same story again.
        org: Which of the campaign's seeded orgs it begins with.
        settings: Settings of all its runs.
        every_stream: Also the streams that are off by default.
        steps: In their order.
    """

    seed: int
    number: int
    org: int
    settings: Json
    every_stream: bool
    steps: tuple[Step, ...]
