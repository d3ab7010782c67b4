"""The demo: a mock org, real `meltano run`s into an embedded Snowflake and a mock Atlan, and an independent check.

    python demo/run.py load [--event-log FILE --as opportunity|case|approval] [--events N]
    python demo/run.py sql  [the same] [--query "select ..."]

Run again, it lets a day pass in the org and loads what is new. It may be killed at any moment: the next run
goes on from where the warehouse is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import catalog
import tidying

import pipeline
from localcloud import lifecycle
from localcloud.cli import ATLAN_PORT, meltano_environment, start_both
from localcloud.lifecycle import LifecycleError, Running
from pipeline import DemoError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
LOCALCLOUD = Path(sys.executable).with_name("localcloud")
EXAMPLES = {
    "opportunity": "select new_value as stage, count(*) as times from opportunity_history\n"
    "      where event_type = 'stage_change' group by 1 order by 2 desc",
    "case": "select new_value as status, count(*) as times from case_history\n"
    "      where field_name = 'Status' group by 1 order by 2 desc",
    "approval": "select new_value as step, count(*) as times from process_instance_step\n"
    "      group by 1 order by 2 desc",
}
SERVERS = ("salesforce", "snowflake", "atlan")
SCHEMA = "SALESFORCE"  # the one in the catalog: it was crawled once, whatever the size of the demo
ORG_FILES = ("org.sqlite", "meta.json", "truth.jsonl", "jwt.key")


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo: which org, and where everything of it lies.

    Attributes:
        event_log: An event log to make the org from, or None for a made-up org.
        target: What a case of the log becomes.
        events: Size of a made-up org, or None for the usual one.
        folder: Where the orgs' folders lie, relative to the project.
    """

    event_log: Path | None
    target: str | None
    events: int | None
    folder: Path = Path(".localcloud")

    @classmethod
    def chosen(cls, options: argparse.Namespace) -> Demo:
        """The demo that the command line asks for.

        Raises:
            DemoError: It makes no sense; said in the names that make has for the options.
        """
        log, target, events = options.event_log, options.target, options.events
        if (log is None) != (target is None):
            msg = "LOG=file and AS=opportunity|case|approval go together"
            raise DemoError(msg)
        if target is not None and target not in EXAMPLES:
            msg = f"AS={target} is none of {', '.join(EXAMPLES)}"
            raise DemoError(msg)
        if log and events:
            msg = "EVENTS= is the size of a made-up org; an event log has its own"
            raise DemoError(msg)
        if events is not None and not (events.isdecimal() and int(events)):
            msg = f"EVENTS={events} is not a positive whole number"
            raise DemoError(msg)
        return cls(log, target, int(events) if events else None, options.folder)

    @property
    def name(self) -> str:
        """`demo`, or a name made of what is special about this one."""
        if self.event_log:
            stem = self.event_log.name.partition(".")[0]
            return re.sub(r"[^a-z0-9]+", "-", f"{stem}-{self.target}".lower()).strip("-")
        return f"demo-{self.events}" if self.events else "demo"

    @property
    def org(self) -> Path:
        """The org's folder."""
        return self.folder / self.name

    @property
    def schema(self) -> str:
        """The schema in the warehouse."""
        suffix = self.name.removeprefix("demo").strip("-")
        return re.sub(r"[^A-Z0-9]+", "_", f"salesforce {suffix}".strip().upper())

    @property
    def variables(self) -> str:
        """The variables of make that mean this demo, for example ` EVENTS=500`."""
        log = f' LOG="{self.event_log}" AS={self.target}' if self.event_log else ""
        return log or (f" EVENTS={self.events}" if self.events else "")

    @property
    def has_warehouse(self) -> bool:
        """Whether anything was ever loaded."""
        return any((self.org / lifecycle.WAREHOUSE).glob("*"))

    @property
    def ledger(self) -> Path:
        """The ledger of target-atlan-metadata: beside the catalog that its figures are in."""
        return self.org.resolve() / lifecycle.LEDGER

    @property
    def empty_targets(self) -> list[str]:
        """Targets that hold nothing yet."""
        there = {pipeline.WAREHOUSE: self.has_warehouse, pipeline.CATALOG: self.ledger.exists()}
        return [target for target, holds in there.items() if not holds]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo or its SQL prompt; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("load", "sql"))
    parser.add_argument("--event-log", type=Path)
    parser.add_argument("--as", dest="target")
    parser.add_argument("--events")
    parser.add_argument("--query")
    parser.add_argument("--folder", type=Path, default=Path(".localcloud"), help="where the orgs' folders lie")
    options = parser.parse_args(arguments)
    for number in pipeline.SIGNALS:
        signal.signal(number, pipeline.interrupt)
    os.chdir(ROOT)
    try:
        demo = Demo.chosen(options)
        return load(demo) if options.action == "load" else sql(demo, options.query)
    except (DemoError, LifecycleError) as error:
        print(f"\nThe demo stopped: {str(error).rstrip('.')}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing is lost: the next `make demo` goes on from here.", file=sys.stderr)
        return 130


def load(demo: Demo) -> int:
    """Seed or advance the org, load it into both targets, check them, and say what happened."""
    print(lifecycle.BANNER)
    started = time.monotonic()
    with pipeline.only_one() as lock:
        step(1, "org")
        prepare_org(demo, lock)
        if empty := demo.empty_targets:
            pipeline.forget_states(demo.name, empty)
        with servers(demo) as cloud:
            print(f"   {tidying.tidy(cloud.salesforce, cloud.atlan, demo.org)}", flush=True)
            before = rows_per_table(demo) if demo.has_warehouse else {}
            calls = api_calls(cloud.salesforce)
            seconds = run_chain(3, demo, pipeline.WAREHOUSE, cloud, lock)
            with checker(demo, before) as snowflake:  # it works while Meltano does
                seconds += run_chain(4, demo, pipeline.CATALOG, cloud, lock)
                calls = api_calls(cloud.salesforce) - calls
                step(5, "check: the truth log against Snowflake, field by field, and against the figures in Atlan")
                checking = time.monotonic()
                equal = told(snowflake)
                equal = check_catalog(demo, cloud.atlan) and equal
            checking = time.monotonic() - checking
    in_all = time.monotonic() - started
    print(f"\n{calls:,} API calls; {seconds:.1f} s in Meltano, {checking:.1f} s checking, {in_all:.1f} s in all.")
    if not equal:
        print("Not everything is as it was decided: see the lines above.", file=sys.stderr)
        return 1
    print_what_next(demo)
    return 0


def sql(demo: Demo, query: str | None) -> NoReturn:
    """Become the warehouse's prompt, or the answer to one query."""
    command = [str(LOCALCLOUD), "sql", "--org", str(demo.org), "--schema", demo.schema]
    os.execv(LOCALCLOUD, [*command, *(["--query", query] if query else [])])  # noqa: S606 - our own command


# --- the steps -------------------------------------------------------------------------------------


def step(number: int, text: str) -> None:
    """Announce a step."""
    print(f"\n{number}. {text}", flush=True)


def prepare_org(demo: Demo, lock: int) -> None:
    """Make the org, or let a day pass in it.

    Raises:
        DemoError: Only a part of it is there.
    """
    demo.folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in ORG_FILES if not (demo.org / name).exists()]
    if not missing:
        run_localcloud(lock, "advance", "--org", str(demo.org), "--days", "1")
        return
    if len(missing) < len(ORG_FILES) or demo.has_warehouse:
        msg = f"{demo.org} lacks {', '.join(missing)}: remove the folder to begin anew, its warehouse goes with it"
        raise DemoError(msg)
    command = ["seed", "--org", str(demo.org)]
    if demo.event_log:
        command += ["--event-log", str(demo.event_log), "--as", str(demo.target)]
    elif demo.events:
        command += ["--events", str(demo.events)]
    run_localcloud(lock, *command)


@dataclass(frozen=True, slots=True)
class Cloud:
    """The servers of a demo."""

    salesforce: Running
    snowflake: Running
    atlan: Running


@contextmanager
def servers(demo: Demo) -> Iterator[Cloud]:
    """All servers, on free ports; stopped at the end unless somebody else had started them."""
    step(2, "localcloud up")
    marker = demo.org / "run" / "of-the-demo"  # what a killed demo left running is ours to stop
    ours = marker.exists() or not any(lifecycle.find(name, demo.org) for name in SERVERS)
    if ours:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    started = time.monotonic()
    try:
        salesforce, snowflake = start_both(demo.org)
        cloud = Cloud(salesforce, snowflake, lifecycle.start(lifecycle.atlan(demo.org), demo.org))
        seconds = time.monotonic() - started
        urls = f"Salesforce {salesforce.url}, Snowflake {snowflake.url}, Atlan {cloud.atlan.url}"
        print(f"   {urls} ({seconds:.1f} s)", flush=True)
        yield cloud
    finally:
        if ours:
            with pipeline.undisturbed():
                for name in SERVERS:
                    lifecycle.stop(name, demo.org)
                marker.unlink(missing_ok=True)


def run_chain(number: int, demo: Demo, target: str, cloud: Cloud, lock: int) -> float:
    """Bring what both taps read to a target; return its seconds."""
    step(number, f"meltano run {' '.join(pipeline.chain(target))}")
    log = demo.org / "logs" / f"{target}.log"
    variables = meltano_environment(demo.org, demo.schema, cloud.salesforce, cloud.snowflake, cloud.atlan)
    variables["TARGET_ATLAN_METADATA_WAREHOUSE_SCHEMA_QUALIFIED_NAME"] = catalog.schema_name(cloud.atlan.url, SCHEMA)
    seconds = pipeline.run(demo.name, target, variables, log, lock)
    print(f"   done ({seconds:.1f} s), log in {log}", flush=True)
    return seconds


@contextmanager
def checker(demo: Demo, before: dict[str, int]) -> Iterator[subprocess.Popen[str]]:
    """The independent checker of the warehouse, at work beside what else is to be done; `told` waits for it."""
    command = [sys.executable, "demo/check.py", str(demo.org), "--schema", demo.schema]
    command += ["--before", json.dumps(before), "--report", str(demo.org / "check.json")]
    command += ["--query", str(LOCALCLOUD), "sql", "--org", str(demo.org), "--schema", demo.schema, "--json", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def told(process: subprocess.Popen[str]) -> bool:
    """Print what a checker found, when it is ready; whether all is equal."""
    found, wrong = process.communicate()
    print(f"\n{found.rstrip()}", flush=True)
    print(wrong, end="", file=sys.stderr, flush=True)
    return process.returncode == 0


def check_catalog(demo: Demo, atlan: Running) -> bool:
    """Run the independent checker of the catalog; it prints what it found."""
    command = [sys.executable, "demo/figures.py", str(demo.org), "--atlan", atlan.url]
    command += ["--report", str(demo.org / "figures.json")]
    return subprocess.run(command, check=False).returncode == 0


def print_what_next(demo: Demo) -> None:
    """Say what can be done with it."""
    again = (
        "the log holds no more, so only deletes are new" if demo.event_log else "a day passes, what is new is loaded"
    )
    print(f"""
Every decision arrived, once. The warehouse stays in {demo.org}/{lifecycle.WAREHOUSE}, the catalog beside it.
Try next:

  make sql{demo.variables}
      {EXAMPLES[demo.target or "opportunity"]};
  .venv/bin/localcloud up --org {demo.org}
      and look at the figures and the lineage of an object in http://{lifecycle.HOST}:{ATLAN_PORT}/
  make demo{demo.variables}
      again: {again}""")


# --- helpers ---------------------------------------------------------------------------------------


def run_localcloud(lock: int, *arguments: str) -> None:
    """Run a localcloud command on the screen.

    Raises:
        DemoError: It failed, and has said why.
    """
    started = time.monotonic()
    command = [str(LOCALCLOUD), *arguments]
    print(f"   {' '.join(('localcloud', *arguments))}", flush=True)
    # A session of its own: Ctrl-C must not end it between the truth log and the org. It is over in seconds.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True, pass_fds=[lock]
    ) as process:
        said, _ = process.communicate()
    if process.returncode:
        msg = f"`localcloud {arguments[0]}` failed, see the line above; `make clean` removes every demo, to begin anew"
        raise DemoError(msg)
    print(f"   {said.strip()} ({time.monotonic() - started:.1f} s)", flush=True)


def rows_per_table(demo: Demo) -> dict[str, int]:
    """How many rows each table of events holds now."""
    where = f"table_schema = '{demo.schema}' and column_name = 'EVENT_ID'"
    tables = query_rows(demo, f"select table_name from information_schema.columns where {where}")  # noqa: S608
    names = [row["TABLE_NAME"] for row in tables]
    counts = " union all ".join(f"select '{name}' as t, count(*) as n from \"{name}\"" for name in names)  # noqa: S608
    return {str(row["T"]).lower(): int(str(row["N"])) for row in query_rows(demo, counts)} if counts else {}


def query_rows(demo: Demo, statement: str) -> list[dict[str, object]]:
    """The rows of one statement.

    Raises:
        DemoError: The warehouse did not answer.
    """
    command = [str(LOCALCLOUD), "sql", "--org", str(demo.org), "--schema", demo.schema, "--json", "-q", statement]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        msg = f"the warehouse did not answer: {answer.stderr.strip()}"
        raise DemoError(msg)
    return [json.loads(line) for line in answer.stdout.split("\n") if line]


def api_calls(salesforce: Running) -> int:
    """How many API calls the org has answered, by its own journal."""
    with urllib.request.urlopen(f"{salesforce.url}/__localcloud__/journal?after=999999999", timeout=10) as answer:  # noqa: S310
        journal = json.load(answer)
    return int(journal["api_calls"])


if __name__ == "__main__":
    sys.exit(main())
