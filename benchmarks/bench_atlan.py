"""How fast `target-atlan-metadata` counts, and how few requests it takes: `make bench-atlan`.

The input is a file of events of 40 objects with 25 fields each, over a year. The target, a process of its own, counts
them, validates each, and writes the figures to the mock Atlan, another process; then the same input comes once more.
`events_per_s` is from the first line on standard input to the commit of the last event in the ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import msgspec

from benchmarks.results import keep
from localcloud.atlan.login import API_KEY
from microdecisions import event, timestamps
from microdecisions.event import EventContext, MicroDecisionEvent

OBJECTS, FIELDS, DAYS = 40, 25, 365
RESULTS = Path(__file__).with_name("RESULTS.md")
ORG = "00D000000000001AAA"


@dataclass(frozen=True)
class Run:
    """One run of the target.

    Attributes:
        report: The target's own report.
        rss_mib: Peak memory.
        seconds: Of the whole process, its start included.
        writes: Requests that may change something, by the server's own count.
        requests: All requests, by the server's own count.
    """

    report: dict[str, Any]
    rss_mib: float
    seconds: float
    writes: int
    requests: int


class _Line(msgspec.Struct, tag_field="type", tag="RECORD"):
    stream: str
    record: MicroDecisionEvent


def main() -> None:
    """Make input, serve, run twice, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make_input(work / "input.jsonl", options.events)
        with Served(work / "org") as served:
            first = served.run(work)
            replay = served.run(work)
        size = sum(path.stat().st_size for path in work.glob("ledger.db*"))
    found = {
        "events": options.events,
        "events_per_s": round(options.events / first.report["ledger_seconds"]),
        "events_per_s_with_start_and_atlan": round(options.events / first.seconds),
        "replay_per_s": round(options.events / replay.report["ledger_seconds"]),
        "requests_first": first.requests,
        "write_requests_replay": replay.writes,
        "written_first": first.report["written"],
        "rss_mib": round(max(first.rss_mib, replay.rss_mib), 1),
        "ledger_bytes_per_event": round(size / options.events, 2),
        "seconds_first": round(first.seconds, 1),
        "seconds_replay": round(replay.seconds, 1),
        "versions": {"pyatlan": version("pyatlan"), "msgspec": msgspec.__version__},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    lines = [
        f"## bench-atlan, {datetime.now(UTC):%Y-%m-%d}, {options.events:,} events",
        "",
        "| figure | value |",
        "|---|---|",
        *(f"| `{name}` | {value} |" for name, value in found.items() if not isinstance(value, dict)),
    ]
    keep(RESULTS, lines)
    print(f"RESULT {json.dumps(found)}")


def make_input(path: Path, events: int) -> None:
    """Write a SCHEMA line for each object, and RECORD lines in the order of time."""
    chosen = random.Random(11)  # noqa: S311  # the same input each time
    now = datetime.now(UTC).replace(microsecond=0)
    step = timedelta(days=DAYS) / events
    encoder = msgspec.json.Encoder()
    with path.open("wb") as out:
        for number in range(OBJECTS):
            schema = {"type": "SCHEMA", "stream": _stream(number), "schema": event.json_schema()}
            schema["key_properties"] = ["event_id"]
            out.write(encoder.encode(schema) + b"\n")
        read = timestamps.to_text(now)
        block: list[_Line] = []
        for number in range(events):
            at = timestamps.to_text(now - (events - number) * step)
            one = number // 500 % OBJECTS  # a tap writes a page of one stream after the other
            row = f"017{number:012d}AAA"
            block.append(
                _Line(
                    _stream(one),
                    MicroDecisionEvent(
                        f"{ORG}:Bench{one}__History:{row}",
                        "field_change",
                        at,
                        at,
                        f"005{number % 97:012d}AAA",
                        "user" if number % 4 else "automation",
                        "Example User",
                        f"Bench{one}__c",
                        f"a00{chosen.randrange(100_000):012d}AAA",
                        f"Field{chosen.randrange(FIELDS)}__c",
                        "Some value before",
                        "Some value after" if number % 20 else None,
                        True,  # fields in order are seventeen times as fast
                        EventContext(f"Bench{one}__History", row, "rest", "Text"),
                        read,
                        "bench 1",
                    ),
                )
            )
            if len(block) == 5_000:
                out.write(encoder.encode_lines(block))
                block = []
        out.write(encoder.encode_lines(block))
        out.write(b'{"type":"STATE","value":{"bookmarks":{}}}\n')


def _stream(number: int) -> str:
    return f"bench{number}__history"


class Served:
    """The mock Atlan in a process of its own, with the objects of the input."""

    def __init__(self, org: Path) -> None:
        org.mkdir()
        ready = org.with_suffix(".ready")
        command = [sys.executable, "-m", "localcloud.atlan.server", "--org", str(org), "--ready-file", str(ready)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("the mock Atlan did not start")
            time.sleep(0.05)
        self.url = f"http://{ready.read_text().splitlines()[0]}"
        fields = [f"Field{number}__c" for number in range(FIELDS)]
        self.control(crawl={"objects": {f"Bench{number}__c": fields for number in range(OBJECTS)}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def control(self, **switches: object) -> None:
        """Turn switches."""
        self._ask("control", switches)

    def run(self, work: Path) -> Run:
        """Run the target on the input once."""
        self.control(clear_journal=True, rate_limit={"per_minute": 0})
        config = work / "config.json"
        settings = {
            "base_url": self.url,
            "api_key": API_KEY,
            "ledger_url": f"sqlite:///{work / 'ledger.db'}",
            "report_path": str(work / "report.json"),
        }
        config.write_text(json.dumps(settings))
        began = time.monotonic()
        with (work / "input.jsonl").open("rb") as source, (work / "log").open("w") as log:
            command = [sys.executable, "-m", "target_atlan_metadata", "--config", str(config)]
            process = subprocess.Popen(command, stdin=source, stdout=subprocess.DEVNULL, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit((work / "log").read_text()[-2_000:])
        seconds = time.monotonic() - began
        report = json.loads((work / "report.json").read_text())
        kinds = self._kinds()
        writes = sum(number for kind, number in kinds.items() if kind in _WRITES)
        return Run(report, usage.ru_maxrss / 1024, seconds, writes, sum(kinds.values()))

    def _kinds(self) -> dict[str, int]:
        """How many requests of each kind the server has served."""
        counts: dict[str, int] = {}
        for entry in self._ask("journal")["requests"]:
            counts[entry["kind"]] = counts.get(entry["kind"], 0) + 1
        return counts

    def _ask(self, what: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/__localcloud__/{what}", data)  # noqa: S310  # this machine
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")


_WRITES = frozenset({"bulk", "bulk_delete", "typedefs_create", "typedefs_update", "entity_update", "custom_metadata"})


if __name__ == "__main__":
    main()
