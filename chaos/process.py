"""A plugin as a process that is ended at a chosen byte of its output, request or moment."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Any

from chaos.singer import TapRun, take

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from chaos.plan import Kill

__all__ = ["HungError", "command", "run_process"]

Json = dict[str, Any]

_PATIENCE_S = 180.0
_PIPE_BYTES = 4_096  # the least there is: the process is hardly ahead of what is read


class HungError(RuntimeError):
    """A process that did not end by itself."""


def command(
    program: str,
    work: Path,
    config: Json | None,
    *arguments: str,
    catalog: Json | None = None,
    state: Json | None = None,
) -> list[str]:
    """The command line of a run, with its files written into a folder."""
    line = [program, *arguments]
    for name, content in (("config", config), ("catalog", catalog), ("state", state)):
        if content is not None:
            path = work / f"{name}.json"
            path.write_text(json.dumps(content), encoding="utf-8")
            line += [f"--{name}", str(path)]
    return line


def run_process(
    line: Sequence[str], kill: Kill, work: Path, answered: Callable[[int], bool], env: Mapping[str, str] | None = None
) -> TapRun:
    """Run a process, and end it where the plan says; a run that ends sooner is whole.

    Args:
        line: The command.
        kill: Where it ends.
        work: A folder for its log.
        answered: Waits a little while for so many requests of this run; returns whether they were answered.
        env: Its environment; None: this process's.

    Raises:
        HungError: It did not end within three minutes.
    """
    number = signal.SIGTERM if kill.gently else signal.SIGKILL
    log_path = work / "tap.log"
    with (
        log_path.open("wb") as log,
        subprocess.Popen(  # noqa: S603 - our own
            list(line), stdout=subprocess.PIPE, stderr=log, env=env, pipesize=_PIPE_BYTES
        ) as process,
    ):
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        limit = threading.Timer(_PATIENCE_S, process.kill)
        limit.start()
        try:
            written = _read(process, process.stdout, kill, number, answered)
            process.wait()
            hung = limit.finished.is_set()
        finally:
            limit.cancel()
    if hung:
        raise HungError(f"{line[0]} did not end within {_PATIENCE_S:.0f} s")
    run = TapRun(process.returncode, log_path.read_text(encoding="utf-8", errors="replace"))
    for whole in written.split(b"\n")[:-1]:  # the last line is torn, or empty
        take(run, whole)
    return run


def _read(
    process: subprocess.Popen[bytes],
    output: IO[bytes],
    kill: Kill,
    number: signal.Signals,
    answered: Callable[[int], bool],
) -> bytes:
    """What the target got of the output."""
    if kill.at_bytes is not None:
        written = output.read(kill.at_bytes)
        if len(written) == kill.at_bytes:
            process.send_signal(number)
        rest = output.read()
        return written if kill.target != "reads on" and not kill.gently else written + rest
    watch = threading.Thread(target=_end_at, args=(process, kill, number, answered), daemon=True)
    watch.start()
    written = output.read()
    process.wait()
    watch.join()
    return written


def _end_at(
    process: subprocess.Popen[bytes], kill: Kill, number: signal.Signals, answered: Callable[[int], bool]
) -> None:
    if kill.at_request is not None:
        while process.poll() is None:
            if answered(kill.at_request):
                process.send_signal(number)
                return
        return
    try:
        process.wait(kill.at_seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
