"""The demo's `meltano run`: one at a time, watched while it works, and ended in order when it is interrupted."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
# No .env: one that is filled in for `prod` must not lead the demo to a real org or a real warehouse.
MELTANO = [str(ROOT / ".envs" / "meltano" / "bin" / "meltano"), f"--env-file={os.devnull}"]
TAPS = ("tap-salesforce-temporal", "tap-salesforce-deletes")
WAREHOUSE, CATALOG = "target-snowflake", "target-atlan-metadata"
LAST_LINES = 30
SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_S = 10.0


class DemoError(Exception):
    """The demo cannot go on; the message is one sentence for the user."""


def chain(target: str) -> tuple[str, ...]:
    """The blocks of `meltano run` that bring what both taps read to a target."""
    return tuple(plugin for tap in TAPS for plugin in (tap, target))


def run(name: str, target: str, variables: Mapping[str, str], log: Path, lock: int) -> float:
    """Run both taps into a target, saying how far it is; return its seconds.

    Args:
        name: Tells the states of this demo from those of others; each pair of tap and target has its own.
        target: Where to.
        variables: Lead the plugins to their servers.
        log: Receives what Meltano says.
        lock: Of `only_one`.

    Raises:
        DemoError: Meltano failed; its last lines have been printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # --force: after a kill, Meltano takes the same run for running for five more minutes
    command = [*MELTANO, "run", "--force", f"--state-id-suffix={name}", *chain(target)]
    started = time.monotonic()
    with (
        noted() as is_interrupted,
        log.open("wb") as out,
        Progress("meltano") as progress,
        closing(LogWatch(log, target)) as watch,
    ):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(variables), pass_fds=[lock]
        )
        try:
            while process.poll() is None and not is_interrupted():
                progress.say(watch.how_far())
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                end(process)
    if process.returncode:
        lines = deque(log.read_text(encoding="utf-8", errors="replace").splitlines(), maxlen=LAST_LINES)
        print("\n".join(f"   | {line}" for line in lines), file=sys.stderr)
        msg = f"`meltano run` ended with code {process.returncode}; these were its last lines, the rest is in {log}"
        raise DemoError(msg)
    return time.monotonic() - started


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's variables with those of the demo, and without any that would lead elsewhere."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("TAP_", "TARGET_", "MELTANO_"))}
    return {
        **own,
        "MELTANO_ENVIRONMENT": "local",
        "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
        "NO_COLOR": "1",
        **extra,
    }


def forget_states(name: str, targets: Iterable[str]) -> None:
    """Forget the bookmarks of a demo: they must never be ahead of what its targets hold, and a new one holds nothing.

    Raises:
        DemoError: Meltano does not answer.
    """
    if not (ROOT / ".meltano" / "meltano.db").exists():
        return
    wanted = {f"local:{tap}-to-{target}:{name}" for target in targets for tap in TAPS}
    for state in sorted(wanted & set(_meltano("state", "list").split())):
        _meltano("state", "clear", "--force", state)


def _meltano(*arguments: str) -> str:
    done = subprocess.run([*MELTANO, *arguments], check=False, capture_output=True, text=True, env=environment({}))
    if done.returncode:
        msg = f"`meltano {' '.join(arguments)}` ended with code {done.returncode}: {done.stderr.strip()[-300:]}"
        raise DemoError(msg)
    return done.stdout


@contextmanager
def only_one() -> Iterator[int]:
    """Two runs of one tap in one Meltano project overwrite each other's state: one demo at a time.

    Yields:
        The lock's descriptor: what a killed demo leaves running inherits it, and holds the next one off.

    Raises:
        DemoError: Another one is running.
    """
    lock_file = ROOT / ".meltano" / "demo.lock"
    lock_file.parent.mkdir(exist_ok=True)
    with lock_file.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = "another demo is running in this project, or its last step is: try again when it has ended"
            raise DemoError(msg) from None
        yield lock.fileno()


@contextmanager
def noted() -> Iterator[Callable[[], bool]]:
    """Let an interruption only be noted, where an exception could lose a process that has just begun.

    Yields:
        Tells whether there was one.

    Raises:
        KeyboardInterrupt: There was one, and all that was to be done about it is done.
    """
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        if came:
            ignore_signals()
        else:
            for number, handler in before.items():
                signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal: the first one interrupts, and what it sets off is not disturbed by others."""
    ignore_signals()
    raise KeyboardInterrupt


def ignore_signals() -> dict[signal.Signals, Any]:
    """Ignore what interrupts; returns the handlers that were there."""
    return {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a clean-up come to its end, whatever else is typed; all that it waits for is bounded."""
    before = ignore_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end(process: subprocess.Popen[bytes], patience_s: float = PATIENCE_S) -> None:
    """Interrupt a process; kill it if that is not enough (Meltano at times waits for ever after a Ctrl-C)."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class LogWatch:
    """Follows Meltano's growing log and says in words how far the run is."""

    _COUNT = re.compile(r"tap-\S+\s+METRIC\s+metric_name=record_count metric_value=(\d+)")
    _READING = re.compile(r"Beginning sync of '(\w+)'")

    def __init__(self, log: Path, target: str) -> None:
        self._target = target
        self._lines = log.open(encoding="utf-8", errors="replace")
        self._read = 0
        self._doing = "starting Meltano"

    def close(self) -> None:
        """Let go of the log."""
        self._lines.close()

    def how_far(self) -> str:
        """For example `reading case_history, 12,000 events read`."""
        for line in self._lines:
            if count := self._COUNT.search(line):
                self._read += int(count[1])
            elif stream := self._READING.search(line):
                self._doing = f"reading {stream[1]}"
            elif self._target in line and "Processing batch" in line:
                self._doing = "writing to Snowflake"
        return f"{self._doing}, {self._read:,} events read" if self._read else self._doing
