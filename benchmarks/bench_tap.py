"""Rows per second of the tap over REST, beside the floor, on OpportunityFieldHistory rows of the mock org.

    make bench-tap ROWS=1000000

Everything in one run: the server is warmed first, floor and tap take turns, medians are printed, and the CPU of the
server is reported beside. The last line is `RESULT {json}`; a table is kept in `benchmarks/RESULTS.md`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.clock import OrgClock
from localcloud.salesforce.org import CLIENT_ID, USERNAME, Org
from microdecisions.session import open_session
from tap_salesforce_temporal.settings import TapSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
RUNS = 3
MARK = b'{"type":"RECORD"'


@dataclass(frozen=True)
class Figures:
    """One run of a process as a whole, start-up included."""

    rows_per_s: float
    rows_per_cpu_s: float
    rss_mib: float
    api_calls: int


def main() -> None:
    """Seed, warm, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        began = time.monotonic()
        aside(seed, work, rows)
        print(f"seeded {rows:,} rows in {time.monotonic() - began:.0f} s", flush=True)
        server = start_server(work)
        try:
            figures, server_share = measure(work, rows)
        finally:
            server.terminate()
            server.wait(30)
    report(rows, figures, server_share)


def aside(work: Callable[..., None], *arguments: object) -> None:
    """Do it in a process of its own: a child's peak memory is never told below that of the process it came from."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{work.__name__} failed")


def seed(work: Path, rows: int) -> None:
    """Make the org."""
    with Org.create(work / "org", clock=OrgClock(NOW)) as org:
        org.load("OpportunityFieldHistory", history(org, rows))


def history(org: Org, rows: int) -> Iterator[dict[str, object]]:
    """Rows of tracked changes over two years: stages, amounts, close dates and look-ups of 20,000 opportunities."""
    stages = ("Prospecting", "Qualification", "Needs Analysis", "Proposal/Price Quote", "Closed Won", "Closed Lost")
    step = timedelta(days=730) / rows
    for n in range(rows):
        at = NOW - timedelta(days=730, hours=1) + step * n
        row = {
            "Id": org.new_id("OpportunityFieldHistory", n + 1),
            "OpportunityId": org.new_id("Opportunity", n % 20_000 + 1),
            "CreatedById": org.new_id("User", n % 200 + 1),
            "CreatedDate": at.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "IsDeleted": False,
        }
        if n % 4 == 0:
            change: tuple[object, ...] = ("Amount", "Currency", Decimal(n % 9_973) + Decimal("0.5"), Decimal(n % 9_967))
        elif n % 4 == 1:
            change = ("CloseDate", "DateOnly", "2025-11-30", "2026-01-31")
        elif n % 4 == 2:
            change = ("Owner", "Text", "Integration User", "Sales Operations")
        else:
            change = ("StageName", "DynamicEnum", stages[n % 6], stages[(n + 1) % 6])
        yield row | dict(zip(("Field", "DataType", "OldValue", "NewValue"), change, strict=True))


def start_server(work: Path) -> subprocess.Popen[bytes]:
    """Start the mock org and wait until it answers."""
    ready = work / "ready"
    command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(work / "org"), "--port", "0"]
    server = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not ready.exists() or not ready.read_text():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit("the mock org did not start")
        time.sleep(0.05)
    url = f"http://{ready.read_text().split()[0]}"
    config = {
        "login_url": url,
        "client_id": CLIENT_ID,
        "username": USERNAME,
        "private_key_path": str(work / "org" / "jwt.key"),
    }
    (work / "config.json").write_text(json.dumps(config))
    (work / "pid").write_text(str(server.pid))
    return server


def measure(work: Path, rows: int) -> tuple[dict[str, Figures], float]:
    """Warm the server, then let floor and tap take turns."""
    config = json.loads((work / "config.json").read_text())
    session = open_session(TapSettings(**config))
    token = session.login()
    asked = {"url": token.instance_url, "token": token.access_token, "api_version": session.api_version}
    tap = Path(sys.executable).with_name("tap-salesforce-temporal")
    catalog = work / "catalog.json"
    found = json.loads(subprocess.check_output([tap, "--config", work / "config.json", "--discover"], text=True))
    for stream in found["streams"]:
        select = stream["tap_stream_id"] == "opportunity_field_history"
        next(entry for entry in stream["metadata"] if entry["breadcrumb"] == [])["metadata"]["selected"] = select
    catalog.write_text(json.dumps(found))
    commands = {
        "floor_rest": ([sys.executable, HERE / "floor.py"], json.dumps(asked)),
        "ours_rest": ([tap, "--config", work / "config.json", "--catalog", catalog], ""),
    }
    results: dict[str, list[Figures]] = {name: [] for name in commands}
    server_cpu, client_cpu = cpu_of(int((work / "pid").read_text())), 0.0
    for turn in range(RUNS + 1):
        for name, (command, given) in commands.items():
            figures, used = run(command, given, rows, work)
            if turn:  # the first turn warms the server
                results[name].append(figures)
                client_cpu += used
                print(f"{name}: {figures}", flush=True)
            else:
                server_cpu = cpu_of(int((work / "pid").read_text()))
    server_share = (cpu_of(int((work / "pid").read_text())) - server_cpu) / client_cpu
    return {name: median(figures) for name, figures in results.items()}, server_share


def run(command: list[object], given: str, rows: int, work: Path) -> tuple[Figures, float]:
    """Run one process to its end and account for it."""
    began = time.monotonic()
    with (work / "log").open("w+") as log, (work / "given").open("w+") as source:
        source.write(given)
        source.seek(0)
        process = subprocess.Popen(
            [str(part) for part in command], stdin=source, stdout=subprocess.PIPE, stderr=log, env=os.environ
        )
        assert process.stdout is not None
        delivered, tail = 0, b""
        while block := process.stdout.read(1 << 20):
            delivered += (tail + block).count(MARK)
            tail = block[1 - len(MARK) :]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        log.seek(0)
        said = log.read()
    if process.returncode or delivered != rows:
        sys.exit(f"{command[0]} delivered {delivered} of {rows} rows, exit code {process.returncode}:\n{said[-2000:]}")
    used = usage.ru_utime + usage.ru_stime
    calls = re.search(r"Run: (\d+) API calls|\"calls\": (\d+)", said)
    assert calls is not None
    api_calls = int(calls.group(1) or calls.group(2))
    return Figures(round(rows / seconds), round(rows / used), round(usage.ru_maxrss / 1024, 1), api_calls), used


def median(runs: list[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(
        rows_per_s=statistics.median(figures.rows_per_s for figures in runs),
        rows_per_cpu_s=statistics.median(figures.rows_per_cpu_s for figures in runs),
        rss_mib=statistics.median(figures.rss_mib for figures in runs),
        api_calls=int(statistics.median(figures.api_calls for figures in runs)),
    )


def cpu_of(pid: int) -> float:
    """CPU seconds of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def report(rows: int, figures: dict[str, Figures], server_share: float) -> None:
    """Print the table, keep it, and end with the RESULT line."""
    share = figures["ours_rest"].rows_per_cpu_s / figures["floor_rest"].rows_per_cpu_s
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = f"tap-salesforce-temporal {version('tap-salesforce-temporal')}, singer-sdk {version('singer-sdk')}"
    about = (
        f"{machine}; {versions}; median of {RUNS}; whole processes, start-up included; mock org on the same machine "
        f"({server_share:.2f} s of its CPU per second of the clients')."
    )
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d}: {rows:,} rows of OpportunityFieldHistory over REST",
        "",
        about,
        "",
        "| | rows/s | rows per CPU s | peak MiB | API calls |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {item.rows_per_s:,.0f} | {item.rows_per_cpu_s:,.0f} | {item.rss_mib} | {item.api_calls} |"
            for name, item in figures.items()
        ),
        "",
        f"The tap does {share:.0%} of the floor's rows per CPU second.",
        "",
    ]
    print("\n".join(lines))
    results = HERE / "RESULTS.md"
    if rows >= 1_000_000:
        kept = (
            results.read_text() if results.exists() else "# Results\n\nNewest first; `make bench-tap` adds to it.\n\n"
        )
        head, _, rest = kept.partition("\n\n## ")
        results.write_text(f"{head.rstrip()}\n\n" + "\n".join(lines) + (f"\n## {rest}" if rest else ""))
    result = {"rows": rows, **{name: asdict(item) for name, item in figures.items()}, "machine": machine}
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    main()
