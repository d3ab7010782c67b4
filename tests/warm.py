"""Runs of a plugin as processes that share one start: each is forked off a process that has imported the plugin.

A process of Python's own spends half a second on imports before it reads its command line. What comes after them is
the same here: `main`, arguments, environment, folder, standard output and error, exit code, the interpreter's end.
Tests that send signals, close pipes or fill disks start the plugin's script itself.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.output import OUTPUT

__all__ = ["run_main"]

_WAITING = """
import gc, json, os, signal, sys
from {module} import main
gc.freeze()  # what is imported stays to the end
for line in iter(sys.stdin.buffer.raw.readline, b""):
    asked = json.loads(line)
    if (child := os.fork()) == 0:
        signal.alarm(asked["seconds"])
        for number, name in enumerate(("input", "output", "errors")):
            os.dup2(os.open(asked[name], os.O_WRONLY if number else os.O_RDONLY), number)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        sys.argv = asked["command"]
        main()
        sys.exit()
    os.write(1, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


class _Waiting:
    """The process that has imported a plugin."""

    def __init__(self, module: str) -> None:
        code = _WAITING.format(module=module)
        self._process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        atexit.register(self._end)

    def ask(self, asked: Mapping[str, object]) -> int:
        """Fork and wait; returns the exit code, negative: the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that imports the plugin has ended: its error is above"
        return int(answer)

    def _end(self) -> None:
        self._process.communicate(timeout=20)


_waiting = cache(_Waiting)


def run_main(
    module: str, command: Sequence[str], env: Mapping[str, str], *, seconds: int = 120
) -> subprocess.CompletedProcess[str]:
    """Run the `main` of a module in a process, to its end.

    Args:
        module: Where it is.
        command: Its command line.
        env: Its whole environment.
        seconds: It is ended by SIGALRM after so many.
    """
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        output.touch()
        errors.touch()
        files = {"input": os.devnull, "output": str(output), "errors": str(errors), "folder": str(Path.cwd())}
        code = _waiting(module).ask({"command": command, "environment": {**env}, "seconds": seconds, **files})
        done = subprocess.CompletedProcess([*command], code, output.read_text("utf-8"), errors.read_text("utf-8"))
    OUTPUT.keep(done.stderr)
    return done
