"""One process as a whole, start-up included: rows per second, rows per CPU second, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


SERVER = "localcloud.salesforce.server"


@dataclass(frozen=True)
class Figures:
    """What a run took; `api_calls` by the server's own count, and what it cost the server beside."""

    rows_per_s: float
    rows_per_cpu_s: float
    rss_mib: float
    api_calls: int
    server_cpu_s: float = 0.0


@dataclass(frozen=True)
class Contender:
    """A client that reads all rows of one object.

    Attributes:
        name: Its key in the results.
        command: The process.
        mark: What stands once in its output for each row.
        given: Its standard input.
        environment: Its variables.
        folder: Where it runs.
        is_peer: Whether it is somebody else's.
    """

    name: str
    command: Sequence[object]
    mark: bytes
    environment: Mapping[str, str]
    given: str = ""
    folder: Path | None = None
    is_peer: bool = False


def measure(contender: Contender, rows: int, work: Path) -> tuple[Figures, float]:
    """Run a contender to its end; returns its figures (calls are left at 0) and its CPU seconds."""
    began = time.monotonic()
    with (work / "log").open("w+b") as log, (work / "given").open("w+") as source:
        source.write(contender.given)
        source.seek(0)
        process = subprocess.Popen(
            [str(part) for part in contender.command],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(contender.environment),
            cwd=contender.folder,
        )
        assert process.stdout is not None
        delivered, tail = 0, b""
        while block := process.stdout.read(1 << 20):
            delivered += (tail + block).count(contender.mark)
            tail = block[1 - len(contender.mark) :]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        log.seek(0)
        said = log.read().decode("utf-8", "replace")
    if process.returncode or delivered != rows:
        sys.exit(
            f"{contender.name} delivered {delivered} of {rows} rows, exit code {process.returncode}:\n{said[-2000:]}"
        )
    used = usage.ru_utime + usage.ru_stime
    return Figures(round(rows / seconds), round(rows / used), round(usage.ru_maxrss / 1024, 1), 0), used


def median(runs: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(
        rows_per_s=statistics.median(figures.rows_per_s for figures in runs),
        rows_per_cpu_s=statistics.median(figures.rows_per_cpu_s for figures in runs),
        rss_mib=statistics.median(figures.rss_mib for figures in runs),
        api_calls=int(statistics.median(figures.api_calls for figures in runs)),
        server_cpu_s=statistics.median(figures.server_cpu_s for figures in runs),
    )


def cpu_of_child(module: str) -> float:
    """CPU seconds of this process's children that run a module."""
    me = os.getpid()
    children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
    return sum(cpu_of(int(pid)) for pid in children if module in Path(f"/proc/{pid}/cmdline").read_text())


def cpu_of(pid: int) -> float:
    """CPU seconds of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
