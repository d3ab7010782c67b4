"""The command `localcloud`: make an org, let time pass in it, run its servers, act on it, see what was asked."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud import lifecycle
from localcloud.asking import ask
from localcloud.commands import UsageError, act, journal, later, status
from localcloud.lifecycle import LifecycleError, Running
from localcloud.snowflake.address import DEFAULT_PORT, target_account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SALESFORCE_PORT = 8180
SNOWFLAKE_PORT = DEFAULT_PORT
PUBSUB_PORT = 8182
ATLAN_PORT = 8183
EVENTS = 20_000
SEED = 7
SCHEMA = "SALESFORCE"
DEMO_ORG = Path(".localcloud/demo")
SERVERS = ("salesforce", "snowflake", "atlan")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it was done, 1 when not (with one sentence on the error stream), 2 for a wrong command line,
        130 after Ctrl-C.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and (not hasattr(options, "words") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    elif rest:
        options.words += rest  # values may stand behind an option too
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (UsageError, LifecycleError) as error:
        print(f"localcloud: {str(error).rstrip('.')}.", file=sys.stderr)  # noqa: T201
        return 1
    except BrokenPipeError:  # whoever read our lines has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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

    up = add("up", _up, "Start the org's Salesforce, Snowflake and Atlan servers in the background.")
    up.add_argument("--salesforce-port", type=_port, default=SALESFORCE_PORT, help="0 takes any free port")
    up.add_argument("--pubsub-port", type=_port, default=PUBSUB_PORT, help="0 takes any free port")
    up.add_argument("--snowflake-port", type=_port, default=SNOWFLAKE_PORT, help="0 takes any free port")
    up.add_argument("--atlan-port", type=_port, default=ATLAN_PORT, help="0 takes any free port")
    up.add_argument("--proxy-port", type=_port, help="a proxy for clients that hard-code Salesforce's hosts; 0: any")
    up.add_argument("--tls", action="store_true", help="speak TLS, by an authority of the org's own (DIR/tls/ca.pem)")
    up.add_argument("--scenario", type=Path, metavar="FILE", help="what is to happen when (YAML, see SCENARIOS.md)")

    add("down", _down, "Stop the org's servers; its data stays.")
    add("status", _status, "Say which of the org's servers run, what its clock shows, what it holds, what was spent.")

    act.add_arguments(add("act", _act, "Create, change, delete, undelete or merge records, with all that follows."))
    journal.add_arguments(add("journal", _journal, "Show what the running Salesforce or Atlan server was asked."))

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
    _say(later("seeding").make(options, EVENTS))
    return 0


def _advance(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    said = later("seeding").live(org, options.days)
    for name in ("salesforce", "atlan"):
        if server := lifecycle.find(name, org):  # it keeps a clock in its memory
            shown = later("folder").clock(org).isoformat()
            ask(server, org, "control", dict[str, Any], json.dumps({"clock": {"set": shown}}).encode())
    _say(said)
    return 0


def _up(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    scenario: Path | None = options.scenario
    script = later("script").text(scenario) if scenario else b""

    def tell(server: Running) -> None:
        if options.tls and server.name != "snowflake" and server.scheme != "https":
            name = server.name.capitalize()
            msg = f"the {name} server of {org} runs already, without TLS: `localcloud down --org {org}` stops it"
            raise UsageError(msg)
        word = "started" if server.started_here else "runs already"
        _say(f"{server.name:<10} {server.url}  {word}, process {server.pid}, log {org}/run/{server.name}.log")
        if server.pubsub:
            _say(f"{'pubsub':<10} {server.pubsub}  {'TLS' if server.scheme == 'https' else 'plaintext'}")
            _say(f"{'page':<10} {server.url}/")
        if server.proxy:
            _say(f"{'proxy':<10} http://{server.proxy}")
        if server.scheme == "https" and server.name == "salesforce":
            _say(f"{'trust':<10} {org}/tls/ca.pem")

    _say(lifecycle.BANNER)
    service = lifecycle.salesforce(
        org, pubsub_port=options.pubsub_port, proxy_port=options.proxy_port, tls=options.tls, scenario=scenario
    )
    wanted = [(service, options.salesforce_port), (lifecycle.snowflake(org), options.snowflake_port)]
    wanted += [(lifecycle.atlan(org, tls=options.tls), options.atlan_port)]
    salesforce, snowflake, atlan = _start(org, wanted, tell)
    if scenario and not salesforce.started_here:
        ask(salesforce, org, "scenario", dict[str, Any], script)
    usual = (salesforce.url, snowflake.port, atlan.port) == (
        f"http://{lifecycle.HOST}:{SALESFORCE_PORT}",
        SNOWFLAKE_PORT,
        ATLAN_PORT,
    )
    if not usual or org.resolve() != DEMO_ORG.resolve():  # otherwise meltano.yml says the same
        for name, value in meltano_environment(org, SCHEMA, salesforce, snowflake, atlan).items():
            _say(f"export {name}={shlex.quote(value)}")
    return 0


def _down(options: argparse.Namespace) -> int:
    org = _existing(options.org)
    for name in SERVERS:
        _say(f"{name:<10} {'stopped' if lifecycle.stop(name, org) else 'was not running'}")
    return 0


def _status(options: argparse.Namespace) -> int:
    return status.run(_existing(options.org), SERVERS)


def _act(options: argparse.Namespace) -> int:
    _existing(options.org)
    return act.run(options)


def _journal(options: argparse.Namespace) -> int:
    _existing(options.org)
    return journal.run(options)


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
    """Start an org's Salesforce and its warehouse; if the second one fails, the first is stopped again.

    Raises:
        LifecycleError: One of them could not be started.
    """
    wanted = [(lifecycle.salesforce(org), salesforce_port), (lifecycle.snowflake(org), snowflake_port)]
    salesforce, snowflake = _start(org, wanted)
    return salesforce, snowflake


def _start(
    org: Path,
    services: Sequence[tuple[lifecycle.Service, int]],
    tell: Callable[[Running], None] = lambda _server: None,
) -> list[Running]:
    """Start servers side by side, and say of each when it is ready; if one fails, none stays."""
    before = {one.name: lifecycle.find(one.name, org) for one, _ in services}
    running = []
    try:
        for starting in [lifecycle.begin(one, org, port=port) for one, port in services]:
            running.append(starting.ready())
            tell(running[-1])
    except BaseException:
        for name, found in before.items():
            if found is None:
                lifecycle.stop(name, org)
        raise
    return running


def meltano_environment(
    org: Path, schema: str, salesforce: Running, snowflake: Running, atlan: Running | None = None
) -> dict[str, str]:
    """The variables that lead `meltano run` in the environment `local` to these servers."""
    ledger = f"sqlite:///{org.resolve() / lifecycle.LEDGER}"
    catalog = (
        {}
        if atlan is None
        else {"TARGET_ATLAN_METADATA_BASE_URL": atlan.url, "TARGET_ATLAN_METADATA_LEDGER_URL": ledger}
    )
    events = {} if salesforce.pubsub is None else {"TAP_SALESFORCE_DELETES_PUBSUB_ENDPOINT": salesforce.pubsub}
    key = str(org.resolve() / "jwt.key")
    return (
        catalog
        | events
        | {
            "TAP_SALESFORCE_TEMPORAL_LOGIN_URL": salesforce.url,
            "TAP_SALESFORCE_TEMPORAL_PRIVATE_KEY_PATH": key,
            "TAP_SALESFORCE_DELETES_LOGIN_URL": salesforce.url,
            "TAP_SALESFORCE_DELETES_PRIVATE_KEY_PATH": key,
            "TARGET_SNOWFLAKE_ACCOUNT": target_account(snowflake.port, lifecycle.DATABASE, schema),
            "TARGET_SNOWFLAKE_SCHEMA": schema,
            "TARGET_SNOWFLAKE_DEFAULT_TARGET_SCHEMA": schema,
        }
    )


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
