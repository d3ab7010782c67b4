"""`localcloud journal`: what a running server was asked, and what comes in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from localcloud import lifecycle
from localcloud.asking import ServerGoneError, ask
from localcloud.commands import UsageError
from localcloud.journal import JournalPage, Request

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from localcloud.lifecycle import Running

SHOWN = 20
_WAIT_S = 60  # how long the server holds a question that it has no answer to yet
_LONGEST = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--number", "-n", type=int, default=SHOWN, metavar="N", help=f"how many requests ({SHOWN})")
    parser.add_argument("--server", choices=("salesforce", "atlan"), default="salesforce", help="which one was asked")
    parser.add_argument("--follow", "-f", action="store_true", help="go on with the requests that come, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="one JSON object a line; without --follow, the totals last")


def run(options: argparse.Namespace) -> int:
    """Print the newest requests, and those that come.

    Raises:
        UsageError: No server runs.
    """
    org: Path = options.org
    server = lifecycle.find(options.server, org)
    if server is None:
        name = options.server.capitalize()
        raise UsageError(f"the {name} server of {org} is not running: start it with `localcloud up --org {org}`")
    page = ask(server, org, "journal?after=999999999999", JournalPage)
    page = ask(server, org, f"journal?after={max(page.total - options.number, 0)}", JournalPage)
    _show(page, as_json=options.json)
    if options.follow:
        _follow(server, org, page.total, as_json=options.json)
        print("The server has stopped.", file=sys.stderr)  # noqa: T201
    elif options.json:
        _say(msgspec.json.encode(msgspec.structs.replace(page, requests=[])).decode())
    else:
        _say(_totals(page))
    return 0


def _follow(server: Running, org: Path, seen: int, *, as_json: bool) -> None:
    """Print each request when it comes; ends with the server."""
    try:
        while True:
            page = ask(server, org, f"journal?after={seen}&wait={_WAIT_S}", JournalPage)
            if page.total < seen:  # it was cleared
                seen = 0
                continue
            if page.total == seen and lifecycle.find(server.name, org) is None:
                return
            _show(page, as_json=as_json)
            seen = page.total
    except ServerGoneError:
        return


def _show(page: JournalPage, *, as_json: bool) -> None:
    for one in page.requests:
        _say(msgspec.json.encode(one).decode() if as_json else _line(one))


def _line(one: Request) -> str:
    what = one.query or one.path
    what = what if len(what) <= _LONGEST else what[: _LONGEST - 3] + "..."
    parts = [f"{one.number:>6}", one.at[11:19], f"{one.status or 'none':>4}", f"{one.duration_ms:>7.0f} ms"]
    parts += [f"{one.rows:>7,} rows", f"{one.method} {what}"]
    return "  ".join(parts) + (f"  [{one.fault}]" if one.fault else "")


def _totals(page: JournalPage) -> str:
    by_status = ", ".join(f"{count:,} x {status}" for status, count in sorted(page.by_status.items()))
    return f"{page.total:,} requests, {page.api_calls:,} API calls, {page.rows:,} rows" + (
        f" ({by_status})" if by_status else ""
    )


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command
