"""What the end-to-end tests share: running the tap as a process and reading what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from chaos.process import command
from chaos.singer import TapRun, take
from chaos.world import CLIENT_ID, USERNAME, config_for
from tests.output import OUTPUT
from tests.warm import run_main

__all__ = [
    "CLIENT_ID", "TAP", "USERNAME", "Json", "TapRun", "config_for", "discover", "end_by", "run_tap", "select",
    "take", "tap_command",
]  # fmt: skip

TAP = str(Path(sys.executable).with_name("tap-salesforce-temporal"))
MODULE = "tap_salesforce_temporal.tap"

Json = dict[str, Any]


def run_tap(
    work: Path, config: Json, *arguments: str, catalog: Json | None = None, state: Json | None = None, **env: str
) -> TapRun:
    """Run the tap to its end."""
    words = tap_command(work, config, *arguments, catalog=catalog, state=state)
    done = run_main(MODULE, words, {"LOGLEVEL": "DEBUG", **os.environ, **env})
    OUTPUT.logs_in_with(config)
    run = TapRun(done.returncode, done.stderr)
    for line in done.stdout.split("\n")[:-1]:  # U+2028 is no line end
        take(run, line)
    return run


def tap_command(
    work: Path, config: Json, *arguments: str, catalog: Json | None = None, state: Json | None = None
) -> list[str]:
    """The command line of a run, with its files written into `work`."""
    return command(TAP, work, config, *arguments, catalog=catalog, state=state)


def end_by(process: subprocess.Popen[bytes], *numbers: signal.Signals) -> tuple[bytes, bytes]:
    """Send a process signals again and again, to the very end of its interpreter; returns the rest of its output."""
    with ThreadPoolExecutor(1) as reader:
        outcome = reader.submit(process.communicate, timeout=120)
        while not wait([outcome], 0.001).done:
            for number in numbers:
                process.send_signal(number)
        return outcome.result()


def discover(work: Path, config: Json) -> Json:
    """Run discovery and return the catalog."""
    words = tap_command(work, config, "--discover")
    done = run_main(MODULE, words, os.environ)
    assert done.returncode == 0, done.stderr
    catalog: Json = json.loads(done.stdout)
    return catalog


def select(catalog: Json, *streams: str, without: tuple[str, ...] = ()) -> Json:
    """Select exactly these streams of a catalog, leaving out some properties."""
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
            elif entry["breadcrumb"][-1] in without:
                entry["metadata"]["selected"] = False
    return catalog
