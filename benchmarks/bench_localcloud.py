"""How fast the mock org is: seeding, REST pages, Bulk results and Pub/Sub events, read by bare clients.

    make bench-localcloud ROWS=2000000

Everything is cold: the server keeps no pages, and each is read once. The clients are processes of their own that
parse nothing (`benchmarks/bare.py`). Beside rows per second stand the CPU seconds of both sides, because other work on
the machine changes only the former. The last line is `RESULT {json}`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import requests

from localcloud.salesforce.changes import Change, Transaction
from localcloud.salesforce.org import CLIENT_ID, USERNAME, Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.seed import seed_org

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
HISTORIES = ("AccountHistory", "ContactHistory", "CaseHistory", "OpportunityFieldHistory", "Invoice__History",
             "OpportunityHistory")  # fmt: skip
FLOORS = {"seed": 50_000, "rest": 200_000, "bulk": 150_000, "events": 300_000, "rss_mib": 500}
SEED = 7
EVENTS = 300_000
_CHANGES = 1_000
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def main() -> None:
    """Seed, serve, measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2_000_000, help="history rows, about")
    parser.add_argument("--events", type=int, default=EVENTS, help="events on the topic")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        aside(seed, work, options.rows)
        figures["seed"] = json.loads((work / "seed.json").read_text())
        print(f"seed: {figures['seed']}", flush=True)
        aside(publish, work, options.events)
        server = Server(work)
        try:
            figures |= server.figures(options.events)
        finally:
            server.stop()
    report(figures)


def aside(job: Callable[..., None], *arguments: object) -> None:
    """Do it in a process of its own, so that its memory is not counted as another's."""
    process = multiprocessing.get_context("spawn").Process(target=job, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(f"{job.__name__} failed")


def seed(work: Path, rows: int) -> None:
    """Make the org as `localcloud seed` does, and say how long that took."""
    began = time.monotonic()
    report = seed_org(work / "org", events=rows * 5 // 4, seed=SEED)  # four of five events are rows of a history
    seconds = time.monotonic() - began
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(one.ru_utime + one.ru_stime for one in used)
    with Org.open(work / "org") as org:
        counts = [org.db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in HISTORIES]  # noqa: S608
    figures = {
        "rows": report.rows,
        "history_rows": sum(counts),
        "rows_per_s": round(report.rows / seconds),
        "rows_per_cpu_s": round(report.rows / cpu),
        "rss_mib": round(max(one.ru_maxrss for one in used) / 1024, 1),
        "file_mib": round((work / "org" / "org.sqlite").stat().st_size / 2**20),
    }
    (work / "seed.json").write_text(json.dumps(figures))


def publish(work: Path, events: int) -> None:
    """Put change events of accounts on the bus, in transactions of a thousand."""
    with Org.open(work / "org") as org:
        bus = Bus(org)
        bus.configure(selected=("Account",))
        now = org.clock.now()
        for start in range(0, events, _CHANGES):
            changes = tuple(
                Change("Account", org.new_id("Account", n), "UPDATE", {"Name": f"Account {n}"}, {"Name": "Account"})
                for n in range(start, min(start + _CHANGES, events))
            )
            with org.db:
                bus.publish(Transaction(f"{start:032x}", now, org.user_id, "", changes))


class Server:
    """The mock org in a process of its own."""

    def __init__(self, work: Path) -> None:
        self.org = work / "org"
        ready = work / "ready"
        command = [sys.executable, "-m", "localcloud.salesforce.server", "--org", str(self.org)]
        self.process = subprocess.Popen([*command, "--ready-file", str(ready)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit("the mock org did not start")
            time.sleep(0.02)
        http, self.pubsub = ready.read_text().split()[:2]
        self.url = f"http://{http}"
        claims = {
            "iss": CLIENT_ID,
            "sub": USERNAME,
            "aud": "https://login.salesforce.com",
            "exp": int(time.time()) + 120,
        }
        signed = jwt.encode(claims, (self.org / "jwt.key").read_text(), algorithm="RS256")
        form = {"grant_type": _GRANT, "assertion": signed}
        answer = requests.post(f"{self.url}/services/oauth2/token", data=form, timeout=30).json()
        self.token, self.org_id = answer["access_token"], answer["id"].rsplit("/", 2)[1]
        unlimited = {"quota": {"max": 10**9}, "limits": {"DailyDeliveredPlatformEvents": {"max": 10**9}}}
        requests.post(f"{self.url}/__localcloud__/control", json=unlimited, timeout=30).raise_for_status()

    def figures(self, events: int) -> dict[str, Any]:
        """All readers, one after the other."""
        statements = [f"SELECT {self.fields(name)} FROM {name}" for name in HISTORIES]  # noqa: S608 - SOQL
        asked = {"url": self.url, "token": self.token, "statements": statements}
        topic = {"pubsub": self.pubsub, "org_id": self.org_id, "topic": "/data/AccountChangeEvent", "events": events}
        found: dict[str, Any] = {"server_rss_idle_mib": self.memory("VmRSS")}
        for name, kind, given in (
            ("rest", "rest", asked | {"gzip": False}),
            ("rest_gzip", "rest", asked | {"gzip": True}),
            ("bulk", "bulk", asked | {"gzip": False}),
            ("bulk_gzip", "bulk", asked | {"gzip": True}),
            ("events", "events", topic | {"url": self.url, "token": self.token, "streams": 1}),
            ("events_2_streams", "events", topic | {"url": self.url, "token": self.token, "streams": 2}),
        ):
            found[name] = self.read(kind, given)
            print(f"{name}: {found[name]}", flush=True)
        found["server_rss_peak_mib"] = self.memory("VmHWM")
        return found

    def fields(self, sobject: str) -> str:
        """All fields of an object."""
        url = f"{self.url}/services/data/v60.0/sobjects/{sobject}/describe"
        answer = requests.get(url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30).json()
        return ",".join(field["name"] for field in answer["fields"])

    def read(self, kind: str, asked: dict[str, Any]) -> dict[str, float]:
        """One bare client, and what the server spent meanwhile."""
        before = self.cpu()
        command = [sys.executable, str(HERE / "bare.py"), kind]
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{kind}: {done.stderr[-2000:]}")
        outcome = json.loads(done.stdout)
        server_cpu = self.cpu() - before
        return {
            "rows": outcome["rows"],
            "rows_per_s": round(outcome["rows"] / outcome["seconds"]),
            "rows_per_server_cpu_s": round(outcome["rows"] / server_cpu),
            "server_cpu_s": round(server_cpu, 2),
            "client_cpu_s": round(outcome["cpu_s"], 2),
            "mib": round(outcome["bytes"] / 2**20, 1),
        }

    def cpu(self) -> float:
        """CPU seconds of the server so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, what: str) -> float:
        """A line of the server's memory, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(status.partition(f"{what}:")[2].split()[0]) / 1024, 1)

    def stop(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait(30)


def report(figures: dict[str, Any]) -> None:
    """Print the table, and end with the RESULT line."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    history = figures["seed"]["history_rows"]
    print(f"\n## {datetime.now(UTC):%Y-%m-%d}: the mock org, {history:,} history rows\n\n{machine}\n")
    print("| | rows/s | rows per server CPU s | wanted |\n|---|---:|---:|---:|")
    seeded = figures["seed"]
    print(f"| seed | {seeded['rows_per_s']:,} | {seeded['rows_per_cpu_s']:,} | {FLOORS['seed']:,} |")
    for name in ("rest", "rest_gzip", "bulk", "bulk_gzip", "events", "events_2_streams"):
        one = figures[name]
        wanted = f"{FLOORS[name]:,}" if name in FLOORS else ""
        print(f"| {name} | {one['rows_per_s']:,} | {one['rows_per_server_cpu_s']:,} | {wanted} |")
    peak = figures["server_rss_peak_mib"]
    print(
        f"\nThe server's memory: {figures['server_rss_idle_mib']} MiB idle, {peak} MiB at most ({FLOORS['rss_mib']}).\n"
    )
    load = os.getloadavg()[0]
    print("RESULT", json.dumps({**figures, "wanted": FLOORS, "machine": machine, "load_1m": round(load, 2)}))


if __name__ == "__main__":
    main()
