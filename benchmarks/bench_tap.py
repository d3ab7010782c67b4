"""Rows per second of the tap beside the floors and the peers, on OpportunityFieldHistory rows of the mock org.

    make bench-tap ROWS=1000000

Everything in one run, over TLS: the server is warmed first, then floors, tap and peers take turns, ours three times and
peers once each; the server's CPU is reported beside. Then the same with 80 ms added to every request and jobs that take
3 s, and with five times as many rows to see whether memory stays flat (`--more`). The last line is `RESULT {json}`; a
table is kept in `benchmarks/RESULTS.md` from a million rows on.
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
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.contenders import OBJECT, ours, peers, without_proxies
from benchmarks.measured import Contender, Figures, measure, median
from conformance.place import Place, serve
from localcloud.clock import OrgClock
from localcloud.salesforce.org import Org

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

HERE = Path(__file__).parent
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
RUNS = 3
LATENCY_MS, JOB_SECONDS = 80, 3.0


def main() -> None:
    """Seed, warm, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--without-peers", action="store_true", help="only the floors and our tap")
    parser.add_argument("--more", action="store_true", help="also five times as many rows, for the memory")
    options = parser.parse_args()
    without_proxies()
    found = compared(options.rows, with_peers=not options.without_peers)
    if options.more:
        found["rss_mib_5m"] = memory_of_more(options.rows * 5)
    report(options.rows, found)


def compared(rows: int, *, with_peers: bool) -> dict[str, object]:
    """All contenders on one org, as they are and with latency."""
    with tempfile.TemporaryDirectory() as folder, made(Path(folder), rows) as place:
        contenders = [*ours(place), *(peers(place) if with_peers else ())]
        for contender in contenders[:4]:
            timed(place, contender, rows)  # warms the server
        figures: dict[str, object] = {one.name: asdict(several(place, one, rows)) for one in contenders}
        place.control(latency_ms=LATENCY_MS, bulk={"delay_seconds": JOB_SECONDS})
        figures["latency"] = {
            one.name: asdict(timed(place, one, rows)) for one in contenders if "floor" not in one.name
        }
        return figures


def memory_of_more(rows: int) -> dict[str, float]:
    """Peak memory of our tap at another size."""
    with tempfile.TemporaryDirectory() as folder, made(Path(folder), rows) as place:
        return {one.name: timed(place, one, rows).rss_mib for one in ours(place) if one.name.startswith("ours")}


def made(work: Path, rows: int) -> AbstractContextManager[Place]:
    """An org with so many rows, served."""
    began = time.monotonic()
    aside(seed, work / "made", rows)
    print(f"seeded {rows:,} rows in {time.monotonic() - began:.0f} s", flush=True)
    return serve(work / "served", events=0, org=work / "made")


def several(place: Place, contender: Contender, rows: int) -> Figures:
    """Ours as often as it takes for a median, a peer once: it takes minutes."""
    times = RUNS if contender.environment is None else 1
    return median([timed(place, contender, rows) for _ in range(times)])


def timed(place: Place, contender: Contender, rows: int) -> Figures:
    """One run, with the API calls that the server counted."""
    before = place.control()["quota_used"]
    figures, _ = measure(contender, rows, place.work)
    figures = replace(figures, api_calls=place.control()["quota_used"] - before)
    print(f"{contender.name}: {figures}", flush=True)
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


def report(rows: int, found: dict[str, object]) -> None:
    """Print the table, keep it, and end with the RESULT line."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = f"tap-salesforce-temporal {version('tap-salesforce-temporal')}, singer-sdk {version('singer-sdk')}"
    latency = found["latency"]
    assert isinstance(latency, dict)
    lines = [
        f"## {datetime.now(UTC):%Y-%m-%d}: {rows:,} rows of {OBJECT}, over TLS",
        "",
        f"{machine}; {versions}; whole processes, start-up included; ours: median of {RUNS}; peers: one run.",
        "",
        *table(item for item in found.items() if item[0] not in {"latency", "rss_mib_5m"}),
        "",
        f"With {LATENCY_MS} ms added to every request and jobs of {JOB_SECONDS:.0f} s:",
        "",
        *table(latency.items()),
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
    print("RESULT", json.dumps({"rows": rows, **found, "machine": machine}))


def table(items: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Lines of a table of figures."""
    yield "| | rows/s | rows per CPU s | peak MiB | API calls |"
    yield "|---|---:|---:|---:|---:|"
    for name, item in items:
        assert isinstance(item, dict)
        yield (
            f"| {name} | {item['rows_per_s']:,.0f} | {item['rows_per_cpu_s']:,.0f} | {item['rss_mib']} "
            f"| {item['api_calls']} |"
        )


if __name__ == "__main__":
    main()
