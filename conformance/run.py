"""Runs clients that nobody here wrote, unmodified, against a mock org, and checks what they deliver.

    make conformance

Every client lives in an environment of its own (`.envs/conformance/<name>`, pinned in `conformance/constraints`)
and speaks TLS by the org's private authority, through the org's proxy where it hard-codes Salesforce's hosts. One
line per client; the last line is `RESULT {json}`. The exit code is 0 when every client got every row exactly once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.catalog import Pyatlan
from conformance.place import HISTORIES, serve
from conformance.strangers import Run, checks, runs
from conformance.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.place import Place

EVENTS = 60_000


def main() -> int:
    """Seed, serve, let each client work, judge; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS, help="size of the org")
    parser.add_argument("--org", type=Path, help="work on a copy of this org instead of making one")
    parser.add_argument("--only", default="", help="run the clients whose name or mode has this in it")
    parser.add_argument("--keep", type=Path, help="work in this new folder and keep it; logs hold the mock's secrets")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the server is stopped too
    began = time.monotonic()
    verdicts: dict[str, Verdict] = {}
    with _work(options.keep) as work, serve(work, events=options.events, org=options.org) as place:
        rows = sum(len(place.holds(name)) for name in HISTORIES)
        print(f"{rows:,} history rows, served after {time.monotonic() - began:.0f} s", flush=True)
        for name in HISTORIES:
            if wrong := place.differs_from_truth(name):
                print(f"{wrong} rows of {name} are not what the truth log says was decided")
                return 1
        for run in (*runs(place), *Pyatlan(place).runs(), *checks()):
            if options.only in run.name:
                verdicts[run.name] = _one(run, place)
    figures = {
        "clients": {name: verdict.figures() for name, verdict in verdicts.items()},
        "versions": {"localcloud": version("localcloud"), "python": platform.python_version()},
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "seconds": round(time.monotonic() - began),
    }
    print(f"RESULT {json.dumps(figures)}")
    return 0 if verdicts and all(verdict.ok for verdict in verdicts.values()) else 1


@contextlib.contextmanager
def _work(keep: Path | None) -> Iterator[Path]:
    """The folder of the org, of logs and of what clients leave behind; removed unless it was named."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        yield Path(folder)


def _one(run: Run, place: Place) -> Verdict:
    began = time.monotonic()
    try:
        verdict = run.do()
    except Exception as error:  # noqa: BLE001 - one client's failure is its line, the others still run
        verdict = Verdict(why=[place.redact(f"{type(error).__name__}: {error}")])
    word = "ok" if verdict.ok else "NOT OK"
    numbers = f"expected {verdict.expected}, got {verdict.got}, duplicates {verdict.duplicates}"
    print(
        f"{run.name}: {numbers}, damaged {verdict.damaged}: {word} ({time.monotonic() - began:.0f} s)",
        flush=True,
    )
    for sentence in verdict.why:
        print(f"    {sentence}", flush=True)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
