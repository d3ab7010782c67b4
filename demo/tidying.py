"""The demo's deletes: somebody tidies up in the org, takes some of it back, and deletes one thing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from localcloud.asking import ask
from localcloud.commands.act import Acted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from localcloud.lifecycle import Running

_WHERE = "Id != null"
_PAUSE_S = 300
_SETTLED_S = 1_800  # well past what a run leaves to the next one


def tidy(salesforce: Running, atlan: Running, org: Path) -> str:
    """Delete, undelete and delete again, with minutes of both clocks between; say in a line what was done."""
    accounts = _act(salesforce, org, action="delete", object="Account", where=_WHERE, count=1)
    _pass((salesforce, atlan), org, _PAUSE_S)
    taken_back = _act(salesforce, org, action="undelete", ids=accounts.ids) if accounts.ids else accounts
    _pass((salesforce, atlan), org, _PAUSE_S)
    done = [accounts]
    for sobject, count in (("Contact", 2), ("Opportunity", 2), ("Case", 2), ("Invoice__c", 1)):
        done.append(_act(salesforce, org, action="delete", object=sobject, where=_WHERE, count=count))
    _pass((salesforce, atlan), org, _SETTLED_S)
    deleted, along = sum(one.succeeded for one in done), sum(one.along for one in done)
    return (
        f"{deleted} records deleted and {along} with them; of these {taken_back.succeeded + taken_back.along} restored"
    )


def _act(salesforce: Running, org: Path, **action: Any) -> Any:
    (outcome,) = ask(salesforce, org, "act", Acted, msgspec.json.encode(action)).outcomes
    return outcome


def _pass(servers: Iterable[Running], org: Path, seconds: int) -> None:
    for server in servers:
        ask(server, org, "control", dict[str, Any], msgspec.json.encode({"clock": {"advance_seconds": seconds}}))
