"""`localcloud status`: which servers of an org run, what its clock shows, what it holds, what was spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud import lifecycle
from localcloud.asking import ask
from localcloud.commands import later
from localcloud.salesforce.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def run(org: Path, names: Sequence[str]) -> int:
    """Print it.

    Args:
        org: The org's folder.
        names: Its servers.

    Returns:
        0 when all servers run, else 1.
    """
    found = {name: lifecycle.find(name, org) for name in names}
    for name, server in found.items():
        _say(name, f"{server.url}, process {server.pid}" if server else "not running")
        if server and server.pubsub:
            _say("pubsub", server.pubsub)
    salesforce = found.get("salesforce")
    stands: Status = ask(salesforce, org, "status", Status) if salesforce else later("folder").stands(org)
    _say("org", f"{stands.name}, {stands.org_id}")
    _say("clock", f"{stands.now[:19].replace('T', ' ')} UTC")
    records = f"{stands.records:,} live records, {stands.deleted:,} deleted"
    _say("holds", f"{stands.objects} objects, {stands.rows:,} rows: {records}")
    if stands.spending:
        spent = stands.spending
        _say(
            "spent", f"{spent.api_calls:,} of {spent.maximum:,} API calls; {spent.requests:,} requests since the start"
        )
    return 0 if all(found.values()) else 1


def _say(name: str, what: str) -> None:
    print(f"{name:<10} {what}", flush=True)  # noqa: T201 - this is a command
