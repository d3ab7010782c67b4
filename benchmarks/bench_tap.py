"""Rows per second of the tap beside the floors and the peers, on OpportunityFieldHistory rows of the mock org.

    make bench-tap ROWS=1000000 ARGS=--more

Everything in one run, over TLS: the server is warmed first, then floors, tap and peers take turns, ours three times and
peers once each; the server's CPU is reported beside. Then the same with 80 ms added to every request and jobs that take
3 s; that run goes through a recorder, whose answers a static server then repeats from memory (`benchmarks/replay.py`),
so that no figure hangs on the mock org. `--more` reads five times as many rows to see whether memory stays flat. Each
target is printed with what was reached; the last line is `RESULT {json}`. From half a million rows on, the tables are
kept in `benchmarks/RESULTS.md`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contenders import OBJECT, ours, peers, without_proxies
from benchmarks.measured import SERVER, Contender, Figures, cpu_of_child, measure, median
from benchmarks.replay import Recorder, recorder
from benchmarks.results import keep
from benchmarks.targets import judged, lines_of
from conformance.place import Place, serve
from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HERE = Path(__file__).parent
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
RUNS = 3
LATENCY_MS, JOB_SECONDS = 80, 3.0
NOT_WITH_LATENCY = frozenset({"airbyte_incremental"})  # 26 jobs of 3 s, never the best peer: it would take minutes
Table = dict[str, Figures]


def main() -> None:
    """Seed, warm, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--without-peers", action="store_true", help="only the floors and our tap")
    parser.add_argument("--more", action="store_true", help="also five times as many rows, for the memory")
    options = parser.parse_args()
    began = time.monotonic()
    without_proxies()
    plain, latency, static = compared(options.rows, with_peers=not options.without_peers)
    more = memory_of_more(options.rows * 5) if options.more else {}
    report(options.rows, plain, latency, static, more, time.monotonic() - began)


def compared(rows: int, *, with_peers: bool) -> tuple[Table, Table, Table]:
    """All contenders on one org: as they are, with latency, and on recorded answers."""
    with made(rows) as place:
        contenders = [*ours(place), *(peers(place) if with_peers else ())]
        for contender in contenders[:4]:
            timed(place, contender, rows)  # warms the server
        plain = {one.name: several(one, lambda one: timed(place, one, rows)) for one in contenders}
        with recorder(place.url, place.folder, place.work) as tapes:
            there = replace(place, url=tapes.url, proxy=tapes.proxy)
            # Windows that end at one instant, whenever they are asked for: the same requests in both runs.
            contenders = [*ours(there, end_date=NOW), *(peers(there) if with_peers else ())]
            contenders = [one for one in contenders if one.name not in NOT_WITH_LATENCY]
            for one in contenders:
                if "floor" in one.name:
                    recorded(place, tapes, one, rows)
            place.control(latency_ms=LATENCY_MS, bulk={"delay_seconds": JOB_SECONDS})
            latency = {one.name: recorded(place, tapes, one, rows) for one in contenders if "floor" not in one.name}
            static = {one.name: several(one, lambda one: replayed(place, tapes, one, rows)) for one in contenders}
    return plain, latency, static


def memory_of_more(rows: int) -> dict[str, float]:
    """Peak memory of our tap at another size."""
    with made(rows) as place:
        return {one.name: timed(place, one, rows).rss_mib for one in ours(place) if one.name.startswith("ours")}


@contextmanager
def made(rows: int) -> Iterator[Place]:
    """An org with so many rows, served."""
    with tempfile.TemporaryDirectory() as folder:
        work, began = Path(folder), time.monotonic()
        aside(seed, work / "made", rows)
        print(f"seeded {rows:,} rows in {time.monotonic() - began:.0f} s", flush=True)
        with serve(work / "served", events=0, org=work / "made") as place:
            yield place


def several(contender: Contender, run: Callable[[Contender], Figures]) -> Figures:
    """Ours as often as it takes for a median, a peer once: it takes minutes."""
    return median([run(contender) for _ in range(1 if contender.is_peer else RUNS)])


def timed(place: Place, contender: Contender, rows: int) -> Figures:
    """One run, with the API calls that the server counted."""
    before, cpu = place.control()["quota_used"], cpu_of_child(SERVER)
    figures, _ = measure(contender, rows, place.work)
    calls = place.control()["quota_used"] - before
    figures = replace(figures, api_calls=calls, server_cpu_s=round(cpu_of_child(SERVER) - cpu, 2))
    print(f"{contender.name}: {figures}", flush=True)
    return figures


def recorded(place: Place, tapes: Recorder, contender: Contender, rows: int) -> Figures:
    """One run whose answers are recorded."""
    tapes.tape(contender.name, replay=False)
    return timed(place, contender, rows)


def replayed(place: Place, tapes: Recorder, contender: Contender, rows: int) -> Figures:
    """One run on recorded answers."""
    tapes.tape(contender.name, replay=True)
    cpu = tapes.cpu()
    figures, _ = measure(contender, rows, place.work)
    figures = replace(figures, api_calls=tapes.calls(), server_cpu_s=round(tapes.cpu() - cpu, 2))
    print(f"{contender.name}, static: {figures}", flush=True)
    return figures


def aside(work: Callable[..., None], *arguments: object) -> None:
    """Do it in a process of its own: a child's peak memory is never told below that of the process it came from."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{work.__name__} failed")


def seed(folder: Path, rows: int) -> None:
    """Make the org."""
    with Org.create(folder, clock=OrgClock(NOW)) as org:
        org.load(OBJECT, history(org, rows))


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


def report(rows: int, plain: Table, latency: Table, static: Table, more: dict[str, float], seconds: float) -> None:
    """Print the tables and the targets, keep them, and end with the RESULT line."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = f"tap-salesforce-temporal {version('tap-salesforce-temporal')}, singer-sdk {version('singer-sdk')}"
    targets = judged(plain, latency, static, more)
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d}: {rows:,} rows of {OBJECT}, over TLS",
        "",
        f"{machine}; {versions}; whole processes, start-up included; ours: median of {RUNS}; peers: one run.",
        "",
        *table(plain.items()),
        "",
        f"With {LATENCY_MS} ms added to every request and jobs of {JOB_SECONDS:.0f} s, one run each:",
        "",
        *table(latency.items()),
        "",
        "On the same answers, repeated by a static server:",
        "",
        *table(static.items()),
        "",
        *(
            [f"Peak MiB at {rows * 5:,} rows: {', '.join(f'{name} {size}' for name, size in more.items())}.", ""]
            if more
            else ()
        ),
        *lines_of(targets),
        "",
        f"All of it took {seconds / 60:.0f} minutes.",
        "",
    ]
    print("\n".join(["", *lines]))
    if rows >= 500_000 and plain.keys() & {"singer_io_rest"}:
        keep(HERE / "RESULTS.md", lines)
    found: dict[str, object] = {name: asdict(figures) for name, figures in plain.items()}
    found["latency"] = {name: asdict(figures) for name, figures in latency.items()}
    found["static"] = {name: asdict(figures) for name, figures in static.items()}
    found["rss_mib_5m"] = more or None
    found["targets"] = {target.name: {"got": target.got, "reached": target.reached} for target in targets}
    print("RESULT", json.dumps({"rows": rows, **found, "versions": versions, "machine": machine}))


def table(items: Iterable[tuple[str, Figures]]) -> Iterator[str]:
    """Lines of a table of figures."""
    yield "| | rows/s | rows per CPU s | peak MiB | API calls | server CPU s |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name, item in items:
        yield (
            f"| {name} | {item.rows_per_s:,.0f} | {item.rows_per_cpu_s:,.0f} | {item.rss_mib} "
            f"| {item.api_calls} | {item.server_cpu_s} |"
        )


if __name__ == "__main__":
    main()
