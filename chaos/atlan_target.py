"""The target as a process of its own, whose clock can be put, and that can end itself by SIGKILL between two steps."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from chaos.singer import TapRun
from microdecisions import command
from target_atlan_metadata import gateway, heartbeat, rebuild, target, writer
from target_atlan_metadata.ledger import Ledger
from target_atlan_metadata.publisher import AtlanPublisher
from target_atlan_metadata.reading import blocks
from target_atlan_metadata.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import Logger
    from multiprocessing.context import ForkServerProcess

    from target_atlan_metadata.settings import TargetSettings

__all__ = ["Launch", "launched", "left_by"]

Json = dict[str, Any]

_PROGRAM: Final = str(Path(sys.executable).with_name("target-atlan-metadata"))
_SMALL_BLOCK: Final = 4_096
_CLASSES: Final[dict[str, type]] = {
    "ledger": Ledger,
    "gateway": gateway.Gateway,
    "heartbeat": heartbeat.Heartbeat,
    "writer": writer.Writer,
}


class Launch(msgspec.Struct, frozen=True):
    """How a process of the target is started.

    Attributes:
        config: Its settings.
        folder: Where its files are: `input` is there; `output`, `log` and `config.json` are made.
        shift_seconds: How far the clock of its machine is ahead of this one's.
        drain_seconds: So often it tells Atlan while it reads.
        step: Where it ends itself; empty: nowhere.
        nth: The how-manieth time.
        behind: Behind the step.
        installed: It is the installed program, and none of the others apply.
        rebuild: Files to rebuild from, instead of a run.
    """

    config: Json
    folder: str
    shift_seconds: float = 0.0
    drain_seconds: float = 60.0
    step: str = ""
    nth: int = 1
    behind: bool = False
    installed: bool = False
    rebuild: tuple[str, ...] = ()


def launched(launch: Launch) -> ForkServerProcess:
    """Start it: a process that is forked where everything is imported, because pyatlan takes seconds for that."""
    for name in ("output", "log"):  # one that ends before it has opened them would leave those of the run before
        (Path(launch.folder) / name).write_bytes(b"")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(msgspec.json.encode(launch),))
    process.start()
    return process


def left_by(process: ForkServerProcess, folder: Path) -> TapRun:
    """What a process that has ended left behind; a torn line is nobody's.

    Raises:
        TimeoutError: It has not ended; now it has.
    """
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError("a run did not end within three minutes")
    run = TapRun(process.exitcode, (folder / "log").read_text(encoding="utf-8", errors="replace"))
    run.states = [json.loads(line) for line in (folder / "output").read_bytes().split(b"\n")[:-1] if b"{" in line]
    return run


def _run(encoded: bytes) -> None:
    launch = msgspec.json.decode(encoded, type=Launch)
    folder = Path(launch.folder)
    config = folder / "config.json"
    config.write_text(json.dumps(launch.config), encoding="utf-8")
    for number, name, flags in (
        (0, "input", os.O_RDONLY),
        (1, "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(folder / name, flags, 0o600), number)
    if launch.installed:
        os.execv(_PROGRAM, [_PROGRAM, "--config", str(config)])  # noqa: S606 - our own
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - as long as it lives
    verb = ["rebuild"] if launch.rebuild else []
    sys.argv = [_PROGRAM, *verb, "--config", str(config), *launch.rebuild]
    _Clocked.shift = timedelta(seconds=launch.shift_seconds)
    if launch.drain_seconds != target._DRAIN_SECONDS:
        vars(target)["_DRAIN_SECONDS"] = launch.drain_seconds
        vars(blocks)["_BLOCK_BYTES"] = _SMALL_BLOCK
    if launch.step:
        _trap(launch)
    try:
        command.run_plugin(_Clocked, {"rebuild": rebuild.command})
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


class _Clocked(target.TargetAtlanMetadata):
    """The target on a machine with another clock. It does not wait between tries: Atlan's clock goes on instead."""

    shift = timedelta()

    @cached_property
    def run(self) -> Run:
        """The run, made as the target makes it."""
        run = Run(self.settings, _publisher, self.logger, os.environ)
        try:
            run.start()
        except BaseException:
            run.close()
            raise
        return run


def _now() -> datetime:
    return datetime.now(UTC) + _Clocked.shift


def _publisher(settings: TargetSettings, log: Logger) -> AtlanPublisher:
    slept = [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds
        body = json.dumps({"clock": {"advance_seconds": seconds}}).encode()
        url = f"{settings.origin}/__localcloud__/control"
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10):  # noqa: S310 - loopback
            pass

    def monotonic() -> float:
        return time.monotonic() + slept[0]

    return AtlanPublisher(settings, log, lambda given: gateway.Gateway(given, sleep, monotonic, _now))


def _trap(launch: Launch) -> None:
    """Have the process end itself when it comes to a step."""
    left = launch.nth

    def ended(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*parts: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and not launch.behind:
                os.kill(os.getpid(), signal.SIGKILL)
            result = step(*parts, **more)
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return run

    place, _, name = launch.step.partition(".")
    if place == "state":
        write, flush = sys.stdout.write, sys.stdout.flush

        def written(text: str) -> int:
            number = write(text)
            flush()
            return number

        sys.stdout.write = ended(written)  # type: ignore[method-assign]
    else:
        setattr(_CLASSES[place], name, ended(getattr(_CLASSES[place], name)))
