"""The command `localcloud`: seed an org, let time pass in it, and run its two servers."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud import lifecycle
from localcloud.lifecycle import LifecycleError, Running
from localcloud.progress import Progress
from localcloud.salesforce.org import Org
from localcloud.seed import SeedError, advance, seed_event_log, seed_generated
from localcloud.snowflake.address import DEFAULT_PORT, target_account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SALESFORCE_PORT = 8180
SNOWFLAKE_PORT = DEFAULT_PORT
EVENTS = 20_000
SEED = 7
SCHEMA = "SALESFORCE"
DEMO_ORG = Path(".localcloud/demo")
SERVERS = ("salesforce", "snowflake")


class UsageError(Exception):
    """The command cannot be carried out; the message is one sentence for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it was done, 1 when not (with one sentence on the error stream), 2 for a wrong command line,
        130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (UsageError, LifecycleError, SeedError) as error:
        print(f"localcloud: {str(error).rstrip('.')}.", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localcloud", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--org", type=Path, required=True, metavar="DIR", help="the org's folder")
        sub.set_defaults(command=command)
        return sub

    seed = add("seed", _seed, "Make an org: from an event log, or made up.")
    seed.add_argument("--event-log", type=Path, metavar="FILE", help="XES, XES.gz or CSV")
    seed.add_argument("--as", dest="target", choices=("opportunity", "case", "approval"), help="what a case becomes")
    seed.add_argument("--events", type=_positive, default=None, help=f"size of a made-up org (default {EVENTS})")
    seed.add_argument("--seed", type=int, default=SEED, help="the same seed makes the same org")

    advance = add("advance", _advance, "Let days pass in the org, with the decisions that they bring.")
    advance.add_argument("--days", type=_positive, default=1)

    up = add("up", _up, "Start the org's Salesforce and Snowflake servers in the background.")
    up.add_argument("--salesforce-port", type=_port, default=SALESFORCE_PORT, help="0 takes any free port")
    up.add_argument("--snowflake-port", type=_port, default=SNOWFLAKE_PORT, help="0 takes any free port")

    add("down", _down, "Stop the org's servers; its data stays.")
    add("status", _status, "Say which of the org's servers run, and where.")

    sql = add("sql", _sql, "Ask the org's warehouse; starts its server for as long as that takes.")
    sql.add_argument("--schema", default=SCHEMA, help="schema that unqualified table names mean")
    sql.add_argument("--query", "-q", help="statements to run; without them, a prompt")
    sql.add_argument("--json", action="store_true", help="answer with one JSON object a line")
    return parser


def _seed(options: argparse.Namespace) -> int:
    org: Path = options.org
    if (org / "org.sqlite").exists():
        msg = f"there is an org in {org} already: choose another folder, or remove this one"
        raise UsageError(msg)
    if (options.event_log is None) != (options.target is None):
        msg = "--event-log FILE and --as opportunity|case|approval go together"
        raise UsageError(msg)
    if options.event_log and options.events:
        msg = "--events is the size of a made-up org; an event log has its own"
        raise UsageError(msg)
    if options.event_log and not options.event_log.is_file():
        msg = f"there is no event log {options.event_log}"
        raise UsageError(msg)
    with Progress("seeding") as progress:
        if options.event_log:
            seeded = seed_event_log(org, options.event_log, options.target, seed=options.seed, progress=progress)
        else:
            seeded = seed_generated(org, events=options.events or EVENTS, seed=options.seed, progress=progress)
    _say(f"{seeded.decisions:,} decisions, {seeded.events:,} events to find: {org}")
    return 0


def _advance(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    with Progress("living through the days") as progress:
        grown = advance(org, days=options.days, progress=progress)
    if server := lifecycle.find("salesforce", org):
        _set_clock(server, org)
    days = f"{options.days} day" + ("s" if options.days > 1 else "")
    _say(f"{days} later: {grown.decisions:,} new decisions, {grown.events:,} new events to find: {org}")
    return 0


def _set_clock(server: Running, org: Path) -> None:
    """Set the clock that a running server keeps in its memory to the one of the org's folder."""
    with Org.open(org) as opened:
        shown = opened.clock.now()
    body = json.dumps({"clock": {"set": shown.isoformat()}}).encode()
    request = urllib.request.Request(f"{server.url}/__localcloud__/control", body)  # noqa: S310 - our own address
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


def _up(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    _say(lifecycle.BANNER)
    running = start_both(org, options.salesforce_port, options.snowflake_port)
    for server in running:
        word = "started" if server.started_here else "runs already"
        _say(f"{server.name:<10} {server.url}  {word}, process {server.pid}, log {org}/run/{server.name}.log")
    usual = running[0].port == SALESFORCE_PORT and running[1].port == SNOWFLAKE_PORT
    if not usual or org.resolve() != DEMO_ORG.resolve():  # otherwise meltano.yml says the same
        for name, value in meltano_environment(org, SCHEMA, *running).items():
            _say(f"export {name}={shlex.quote(value)}")
    return 0


def _down(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    for name in SERVERS:
        _say(f"{name:<10} {'stopped' if lifecycle.stop(name, org) else 'was not running'}")
    return 0


def _status(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    found = {name: lifecycle.find(name, org) for name in SERVERS}
    for name, server in found.items():
        _say(f"{name:<10} {f'{server.url}, process {server.pid}' if server else 'not running'}")
    return 0 if all(found.values()) else 1


def _sql(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    if not (org / lifecycle.WAREHOUSE).is_dir():
        msg = f"nothing has been loaded from {org} yet: run `make demo` first"
        raise UsageError(msg)
    server = lifecycle.start(lifecycle.snowflake(org), org)
    try:
        client = [str(lifecycle.snowflake_python()), "-m", "localcloud.snowflake.sql", "--port", str(server.port)]
        client += ["--database", lifecycle.DATABASE, "--schema", options.schema]
        client += [*(["--json"] if options.json else []), *(["-c", options.query] if options.query else [])]
        signal.signal(signal.SIGINT, lambda _number, _frame: None)  # Ctrl-C is the prompt's, not ours
        return subprocess.run(client, check=False).returncode  # noqa: S603 - our own client
    finally:
        if server.started_here:
            lifecycle.stop(server.name, org)


def start_both(org: Path, salesforce_port: int = 0, snowflake_port: int = 0) -> tuple[Running, Running]:
    """Start both servers of an org; if the second one fails, the first is stopped again.

    Raises:
        LifecycleError: One of them could not be started.
    """
    warehouse = lifecycle.snowflake(org)
    first = lifecycle.start(lifecycle.salesforce(org), org, port=salesforce_port)
    try:
        return first, lifecycle.start(warehouse, org, port=snowflake_port)
    except BaseException:
        if first.started_here:
            lifecycle.stop(first.name, org)
        raise


def meltano_environment(org: Path, schema: str, salesforce: Running, snowflake: Running) -> dict[str, str]:
    """The variables that lead `meltano run` in the environment `local` to these servers."""
    return {
        "TAP_SALESFORCE_TEMPORAL_LOGIN_URL": salesforce.url,
        "TAP_SALESFORCE_TEMPORAL_PRIVATE_KEY_PATH": str(org.resolve() / "jwt.key"),
        "TARGET_SNOWFLAKE_ACCOUNT": target_account(snowflake.port, lifecycle.DATABASE, schema),
        "TARGET_SNOWFLAKE_SCHEMA": schema,
        "TARGET_SNOWFLAKE_DEFAULT_TARGET_SCHEMA": schema,
    }


def _existing(org: Path) -> Path:
    if not (org / "org.sqlite").exists():
        msg = f"there is no org in {org}: make one with `localcloud seed --org {org}`"
        raise UsageError(msg)
    return org


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        msg = f"{text!r} is not a positive whole number"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65_535:
        msg = f"{text!r} is not a port (0 to 65535)"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    sys.exit(main())
