"""A scenario: a script, as data, of what an org does when; read from YAML, played beside the server."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec
import yaml

from localcloud.salesforce.control import Control  # noqa: TC001 - msgspec reads it at run time

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localcloud.clock import OrgClock

_SHORTEST_WAIT_S = 0.05  # of a clock that stands still
_LONGEST_WAIT_S = 3_600.0
_PATH = re.compile(r" - at `\$(.*)`$")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")
_STEP_IN_PATH = re.compile(r"\[(\d+)\]|\.([A-Za-z_]\w*)")

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class ScenarioError(ValueError):
    """A scenario that cannot be played; the message is one sentence that says where it is wrong."""


class After(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """So many requests that match were answered; `matching` is searched in `METHOD path?decoded query`."""

    requests: Annotated[int, msgspec.Meta(ge=1)] = 1
    matching: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(self.matching)
        except re.error as error:
            raise ValueError(f"pattern {self.matching!r}: {error}") from error


class Step(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What happens at one time.

    At most one of `at` (an instant of the org's clock), `in_seconds` (so long after the scenario began, by the
    org's clock) and `after` says when; with none of them it happens at the start. `times` is how often it
    happens (None: without end): after that many more requests, or after as many seconds, again. `do` is what
    the control endpoint takes.
    """

    do: Control
    name: str = ""
    at: Instant | None = None
    in_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    after: After | None = None
    times: Annotated[int, msgspec.Meta(ge=1)] | None = 1

    def __post_init__(self) -> None:
        given = [one for one in (self.at, self.in_seconds, self.after) if one is not None]
        if len(given) > 1:
            raise ValueError("a step has one of `at`, `in_seconds` and `after`, not more")
        if self.times != 1 and not (self.after or self.in_seconds):
            raise ValueError("`times` needs `after`, or an `in_seconds` above 0")


class Scenario(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A script: `clock` sets the org's clock before the first step."""

    steps: tuple[Step, ...] = ()
    name: str = ""
    description: str = ""
    clock: Instant | None = None


_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(Scenario, float_hook=Decimal)


class StepState(msgspec.Struct, frozen=True):
    """How far a step is: `done` is how often it happened, `error` what went wrong the last time."""

    name: str
    status: Literal["waiting", "done", "failed"]
    done: int = 0
    error: str | None = None


class ScenarioState(msgspec.Struct, frozen=True):
    """The scenario that is being played, and how far it is."""

    name: str
    steps: tuple[StepState, ...]


class Applies(Protocol):
    """What carries out the `do` of a step."""

    def apply(self, body: bytes) -> object:
        """Do what a control request asks; raises ValueError where that cannot be done."""


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from a YAML file.

    Raises:
        ScenarioError: The file cannot be read, or what it says is not a scenario.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ScenarioError(f"the scenario {path} cannot be read: {reason}") from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, source: str = "the scenario") -> Scenario:
    """Read a scenario from YAML (or JSON, which is YAML too).

    Args:
        text: The document. Numbers keep the digits that they are written with.
        source: What an error calls it.

    Raises:
        ScenarioError: It is not one.
    """
    try:
        tree = yaml.compose(text, Loader=_Loader)
        document = {} if tree is None else _plain(tree, source)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ScenarioError(f"{source}{line}: {error.problem or 'not YAML'}") from error
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source} is not YAML: {str(error).splitlines()[0]}") from error
    try:
        return _DECODER.decode(_ENCODER.encode(document))
    except msgspec.ValidationError as error:
        found = _PATH.search(str(error))
        path = found.group(1) if found else ""
        where = f"{source}, line {_line(tree, path)}" + (f" ({path.lstrip('.')})" if path else "")
        raise ScenarioError(f"{where}: {_PATH.sub('', str(error))}") from error


class Player:
    """Plays one scenario at a time: hears of each request, and watches the org's clock.

    Args:
        clock: The org's clock.
        target: Carries the steps out.
    """

    def __init__(self, clock: OrgClock, target: Applies) -> None:
        self._clock = clock
        self._target = target
        self._name = ""
        self._cues: list[_Cue] = []
        self._wake: Callable[[], None] = lambda: None

    def play(self, scenario: Scenario) -> None:
        """Begin a scenario in place of the one that was played: set the clock, do what is due at the start."""
        self._name = scenario.name
        self._cues = [_Cue(step) for step in scenario.steps]
        if scenario.clock is not None:
            self._clock.set(scenario.clock)
        began = self._clock.now()
        for cue in self._cues:
            cue.begin(began)
        self.look_at_clock()
        self._wake()

    def answered(self, request: str) -> None:
        """A request was answered, or struck: `METHOD path?decoded query`; the steps that waited for it follow."""
        for cue in self._cues:
            if cue.counts(request):
                cue.act(self._target)

    def look_at_clock(self) -> float | None:
        """Do what has become due; returns the seconds of the org's clock to the next step, or None."""
        while True:
            now = self._clock.now()
            due = [(cue.due, number) for number, cue in enumerate(self._cues) if cue.due is not None]
            if not due:
                return None
            first, number = min(due)
            if first > now:
                return (first - now).total_seconds()
            self._cues[number].act(self._target)

    async def watch(self) -> None:
        """Do each step when the clock shows its instant; ends only by being cancelled."""
        moved = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(moved.set)

        self._wake = wake
        ignore = self._clock.subscribe(wake)
        try:
            while True:
                moved.clear()
                left = self.look_at_clock()
                wait = None if left is None else min(max(left, _SHORTEST_WAIT_S), _LONGEST_WAIT_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(moved.wait(), wait)
        finally:
            self._wake = lambda: None
            ignore()

    def state(self) -> ScenarioState:
        """How far it is."""
        return ScenarioState(self._name, tuple(cue.state(number) for number, cue in enumerate(self._cues)))


class _Cue:
    """One step, and whether it has happened."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._left = step.times
        self._heard = 0
        self._done = 0
        self._error: str | None = None
        self.due: datetime | None = None  # by the org's clock; None: it waits for requests, or is over

    def begin(self, now: datetime) -> None:
        if self._step.after is None:
            self.due = self._step.at or now + timedelta(seconds=self._step.in_seconds or 0.0)

    def counts(self, request: str) -> bool:
        after = self._step.after
        if after is None or self._left == 0 or not re.search(after.matching, request):
            return False
        self._heard += 1
        return self._heard % after.requests == 0

    def act(self, target: Applies) -> None:
        if self._left is not None:
            self._left -= 1
        if self.due is not None:  # before it acts: what it does may move the clock
            again = self._left != 0 and self._step.in_seconds
            self.due = self.due + timedelta(seconds=again) if again else None
        try:
            target.apply(_ENCODER.encode(self._step.do))
        except ValueError as error:
            self._error = str(error)
        else:
            self._error = None
        self._done += 1

    def state(self, number: int) -> StepState:
        over = "failed" if self._error else "done"
        status = over if self._left == 0 else "waiting"
        return StepState(self._step.name or f"step {number + 1}", status, self._done, self._error)  # type: ignore[arg-type]


class _Loader(yaml.SafeLoader):
    """Leaves instants and dates as the text that they are written as."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _plain(tree: yaml.Node, source: str) -> Any:
    """The node as JSON can say it: numbers as they are written, no key twice."""
    if isinstance(tree, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in tree.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ScenarioError(f"{source}, line {line}: a key must be a plain word")
            if key.value in found:
                raise ScenarioError(f"{source}, line {line}: `{key.value}` stands there twice")
            found[key.value] = _plain(value, source)
        return found
    if isinstance(tree, yaml.SequenceNode):
        return [_plain(one, source) for one in tree.value]
    return _scalar(tree, source)


def _scalar(node: yaml.Node, source: str) -> Any:
    """A single value; a number keeps its digits."""
    kind, _, tag = node.tag.rpartition(":")
    if kind != "tag:yaml.org,2002":
        raise ScenarioError(f"{source}, line {node.start_mark.line + 1}: {node.tag} is no plain value")
    if tag in {"int", "float"}:
        if _NUMBER.fullmatch(node.value) is None:
            line = node.start_mark.line + 1
            raise ScenarioError(f"{source}, line {line}: {node.value} is not a plain number (quote it if it is text)")
        return int(node.value) if tag == "int" else Decimal(node.value)
    if tag == "bool":
        return node.value.lower() in {"true", "yes", "on"}
    return None if tag == "null" else node.value


def _line(tree: yaml.Node | None, path: str) -> int:
    """The line of what a path such as `.steps[1].do` leads to, or of the last part of it that is there."""
    for index, name in _STEP_IN_PATH.findall(path):
        following = None
        if index and isinstance(tree, yaml.SequenceNode) and int(index) < len(tree.value):
            following = tree.value[int(index)]
        elif name and isinstance(tree, yaml.MappingNode):
            following = next((value for key, value in tree.value if key.value == name), None)
        if following is None:
            break
        tree = following
    return tree.start_mark.line + 1 if tree is not None else 1
