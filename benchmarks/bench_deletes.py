"""Deletes per second of tap-salesforce-deletes beside a bare receiver and the official example's way.

    make bench-deletes DELETES=250000

Change events of single records (no merged ones) with a schema of 50 fields besides the header, on one topic of the mock
org, which runs in a process of its own. A rate counts from the first page that the tap writes to its last, whole lines
on its standard output, without its start (login, describe) and without the idle time in which it learns that a topic is
drained. With a round trip of 80 ms (the server waits as long before each response) a topic can have 100 events on the
way, so 1,250 a second are the bound; ten topics are ten channels of one object. Memory is the tap's peak; `growth` is
what it gained from a quarter of the events to the last. The last line is `RESULT {json}`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import requests

from benchmarks.measured import cpu_of
from localcloud.clock import OrgClock
from localcloud.salesforce.changes import Change, Transaction
from localcloud.salesforce.fields import text
from localcloud.salesforce.org import CLIENT_ID, USERNAME, Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.settings import Channel, Member

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

HERE = Path(__file__).parent
OFFICIAL = HERE.parent / ".envs" / "conformance" / "aiosfpubsub" / "bin" / "python"
TOPIC = "/data/AccountChangeEvent"
CHANNELS = tuple(f"Deletes{n}__chn" for n in range(10))
FIELDS = 50
MARK = b'{"type":"RECORD"'
RTT_MS = 80
CREDIT = 100
WANTED = {"deletes_per_s": 80_000, "rtt80_share": 0.95, "topics10_ratio": 9.0, "rss_mib": 120}
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ORIGIN = "com/salesforce/api/rest/60.0;client=SfdcInternalAPI/"


@dataclass(frozen=True)
class Figures:
    """One run of the tap.

    Attributes:
        deletes: Records written.
        per_s: Records per second.
        cpu_us: CPU time of the tap per record, in microseconds, its start included.
        rss_mib: Peak memory.
        growth_mib: Of it, what came after a quarter of the records.
        server_cpu_s: CPU seconds of the server meanwhile.
    """

    deletes: int
    per_s: float
    cpu_us: float
    rss_mib: float
    growth_mib: float
    server_cpu_s: float


def main() -> None:
    """Publish, serve, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--deletes", type=int, default=250_000)
    parser.add_argument("--slow-deletes", type=int, default=6_000, help="on each topic, with the round trip")
    parser.add_argument("--runs", type=int, default=3, help="of the tap without round trip; the median counts")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        aside(publish, work / "many", options.deletes)
        with Served(work / "many") as served:
            served.peer("floor", sys.executable, options.deletes)  # warms the server
            found["floor_per_s"] = served.peer("floor", sys.executable, options.deletes)["events_per_s"]
            runs = [served.tap([TOPIC], options.deletes) for _ in range(options.runs)]
            found["runs"] = [asdict(one) for one in runs]
            found["deletes_per_s"] = statistics.median(one.per_s for one in runs)
            found["rss_mib"] = max(one.rss_mib for one in runs)
            found["growth_mib"] = max(one.growth_mib for one in runs)
            if OFFICIAL.exists():
                found["official_per_s"] = served.peer("official", OFFICIAL, min(3_000, options.deletes))["events_per_s"]
        aside(publish, work / "few", options.slow_deletes)
        with Served(work / "few") as served:
            served.control(pubsub={"latency_ms": RTT_MS})
            one = served.tap([TOPIC], options.slow_deletes)
            ten = served.tap([f"/data/{name}" for name in CHANNELS], options.slow_deletes * len(CHANNELS))
        found["rtt80"] = {"one": asdict(one), "ten": asdict(ten)}
        found["rtt80_share"] = round(one.per_s / (CREDIT * 1000 / RTT_MS), 3)
        found["topics10_ratio"] = round(ten.per_s / one.per_s, 2)
    report(options.deletes, found)


def aside(job: Callable[..., None], *arguments: object) -> None:
    """Do it in a process of its own, so that its memory is not counted as another's."""
    process = multiprocessing.get_context("spawn").Process(target=job, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{job.__name__} failed")


def publish(path: Path, deletes: int) -> None:
    """Make an org with so many deletes of accounts on its bus, each in a transaction of its own."""
    with Org.create(path, clock=OrgClock()) as org:
        bus = Bus(org)
        bus.configure(selected=("Account",), delete_triggers=())
        missing = FIELDS + 1 - len(bus.schema_of("Account").names)
        bus.configure(
            more_fields={"Account": tuple(text(f"Field{n}__c") for n in range(missing))},
            channels=tuple(Channel(name, (Member("Account"),)) for name in CHANNELS),
        )
        for start in range(0, deletes, 1_000):
            with org.db:
                for n in range(start, min(start + 1_000, deletes)):
                    change = Change("Account", org.new_id("Account", n), "DELETE")
                    bus.publish(Transaction(str(uuid.uuid4()), org.clock.now(), org.user_id, _ORIGIN, (change,)))


class Served:
    """The mock org in a process of its own."""

    def __init__(self, org: Path) -> None:
        self.org = org
        ready = org.with_suffix(".ready")
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(org)]
        self.process = subprocess.Popen([*command, "--ready-file", str(ready)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("the mock org did not start")
            time.sleep(0.02)
        http, self.pubsub = ready.read_text().split()[:2]
        self.url = f"http://{http}"
        self.control(quota={"max": 10**9}, limits={"DailyDeliveredPlatformEvents": {"max": 10**9}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def control(self, **asked: object) -> None:
        """Set something."""
        requests.post(f"{self.url}/__localcloud__/control", json=asked, timeout=30).raise_for_status()

    def peer(self, kind: str, python: str | Path, events: int) -> dict[str, Any]:
        """Another way to read the topic."""
        words = [str(python), str(HERE / "deletes_peers.py"), kind]
        asked = {**self._session(), "pubsub": self.pubsub, "url": self.url, "topic": TOPIC, "events": events}
        done = subprocess.run(words, input=json.dumps(asked), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{kind}: {done.stderr[-2000:]}")
        outcome: dict[str, Any] = json.loads(done.stdout)
        print(f"{kind}: {outcome}", flush=True)
        return outcome

    def tap(self, topics: list[str], deletes: int) -> Figures:
        """The tap itself, from the earliest event until it has them all."""
        config = {
            "login_url": self.url,
            "client_id": CLIENT_ID,
            "username": USERNAME,
            "private_key_path": str(self.org / "jwt.key"),
            "pubsub_endpoint": self.pubsub,
            "pubsub_plaintext": True,
            "topics": topics,
            "idle_timeout_seconds": 3,
            "reconcile": "never",
            "enrich": "never",
        }
        path = self.org.with_suffix(".json")
        path.write_text(json.dumps(config))
        before = cpu_of(self.process.pid)
        words = [sys.executable, "-m", "tap_salesforce_deletes", "--config", str(path)]
        with open(self.org.with_suffix(".log"), "w+b") as log:  # noqa: PTH123
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log)
            measured = _Reading(process, deletes)
            measured.to_the_end()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            log.seek(0)
            said = log.read().decode("utf-8", "replace")
        if process.returncode or measured.records != deletes:
            sys.exit(f"the tap wrote {measured.records} of {deletes}, exit code {process.returncode}:\n{said[-3000:]}")
        peak = usage.ru_maxrss / 1024
        figures = Figures(
            deletes=deletes,
            per_s=round(measured.rate),
            cpu_us=round((usage.ru_utime + usage.ru_stime) / deletes * 1e6, 2),
            rss_mib=round(peak, 1),
            growth_mib=round(peak - measured.quarter_mib, 1),
            server_cpu_s=round(cpu_of(self.process.pid) - before, 2),
        )
        print(f"tap, {len(topics)} topics: {asdict(figures)}", flush=True)
        return figures

    def _session(self) -> dict[str, str]:
        claims = {
            "iss": CLIENT_ID,
            "sub": USERNAME,
            "aud": "https://login.salesforce.com",
            "exp": int(time.time()) + 120,
        }
        signed = jwt.encode(claims, (self.org / "jwt.key").read_text(), algorithm="RS256")
        form = {"grant_type": _GRANT, "assertion": signed}
        answer = requests.post(f"{self.url}/services/oauth2/token", data=form, timeout=30).json()
        return {"token": answer["access_token"], "org_id": answer["id"].rsplit("/", 2)[1]}


class _Reading:
    """Reads what the tap writes, and notes when the first and the last page of records came."""

    def __init__(self, process: subprocess.Popen[bytes], expected: int) -> None:
        self._process = process
        self._expected = expected
        self.records = 0
        self.quarter_mib = 0.0
        self._first = (0.0, 0)
        self._last = 0.0

    @property
    def rate(self) -> float:
        """Records per second behind the first page."""
        began, before = self._first
        return (self.records - before) / max(1e-9, self._last - began)

    def to_the_end(self) -> None:
        """Read all of it."""
        assert self._process.stdout is not None
        tail = b""
        source = self._process.stdout.fileno()
        while block := os.read(source, 1 << 20):
            found = (tail + block).count(MARK)
            tail = block[1 - len(MARK) :]
            if not found:
                continue
            self._last = time.monotonic()
            self.records += found
            if not self._first[1]:
                self._first = (self._last, self.records)
            if not self.quarter_mib and self.records >= self._expected / 4:
                self.quarter_mib = _memory(self._process.pid)


def _memory(pid: int) -> float:
    """Memory of a process until now at its peak, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def _kept(path: Path) -> Iterator[list[str]]:
    """The lines of the results, to be added to."""
    lines = path.read_text().splitlines()
    yield lines
    path.write_text("\n".join(lines) + "\n")


def report(deletes: int, found: dict[str, Any]) -> None:
    """Print the table, keep it when the run was large enough, and end with the RESULT line."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    versions = {name: version(name) for name in ("tap-salesforce-deletes", "grpcio", "protobuf", "fastavro")}
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    rows = (
        ("deletes/s, one topic, socket to written line", found["deletes_per_s"], "80,000"),
        ("receive only (floor)", found["floor_per_s"], ""),
        ("the official example's way (Apache avro, schema parsed per event)", found.get("official_per_s"), ""),
        (f"share of 100/RTT at {RTT_MS} ms, one topic", found["rtt80_share"], "0.95"),
        ("ten topics to one", found["topics10_ratio"], "9"),
        ("peak memory, MiB", found["rss_mib"], "120"),
        ("of it after a quarter of the events, MiB", found["growth_mib"], "flat"),
    )
    table = [
        f"## {datetime.now(UTC):%Y-%m-%d}: {deletes:,} deletes, change events of single records, {FIELDS} fields",
        "",
        f"{machine}; {told}; mock org on the same machine; load {os.getloadavg()[0]:.1f}.",
        "",
        "| | | wanted |",
        "|---|---:|---:|",
        *(f"| {name} | {'' if value is None else f'{value:,}'} | {wanted} |" for name, value, wanted in rows),
        "",
    ]
    print("\n" + "\n".join(table))
    if deletes >= 250_000:
        with _kept(HERE / "RESULTS.md") as lines:
            place = next((n for n, line in enumerate(lines) if line.startswith("## ")), len(lines))
            lines[place:place] = table
    print("RESULT", json.dumps({**found, "wanted": WANTED, "versions": versions, "machine": machine}))


if __name__ == "__main__":
    main()
