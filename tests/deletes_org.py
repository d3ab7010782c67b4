"""The org of tap-salesforce-deletes' end-to-end tests: what is done in it, and what the truth log tells of that."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import msgspec

from localcloud.salesforce.server import Running


def act(server: Running, action: str, **more: object) -> None:
    """Do something to records."""
    server.control(act=[{"action": action, **more}])


def later(server: Running, step: timedelta) -> None:
    """Let the org's clock move on."""
    server.control(clock={"advance_seconds": step.total_seconds()})


def accounts(server: Running, count: int, name: str = "Account {n}") -> None:
    """Create accounts."""
    act(server, "create", object="Account", values={"Name": name}, count=count)


def contacts(server: Running, count: int) -> None:
    """Create contacts."""
    act(server, "create", object="Contact", values={"LastName": "Contact {n}"}, count=count)


def delete_accounts(server: Running, name: str, **more: object) -> None:
    """Delete the accounts with a name like this."""
    act(server, "delete", object="Account", where=f"Name LIKE '{name}'", **more)


class Truth(msgspec.Struct):
    """One line of the truth log, as far as deletes go."""

    at: str
    actor: str
    action: str
    object: str
    record: str
    cascade: tuple[tuple[str, str], ...] = ()
    losers: tuple[str, ...] = ()
    restored: tuple[tuple[str, str, str], ...] = ()
    transaction: str = ""


def truth(org: Path, *actions: str) -> list[Truth]:
    """Lines of the truth log about these actions."""
    lines = (org / "truth.jsonl").read_text().splitlines()
    return [msgspec.convert(line, Truth) for line in map(json.loads, lines) if line.get("action") in actions]


def deleted_ids(lines: Iterable[Truth]) -> list[str]:
    """Every deletion that the truth log tells of, by record: those that went along and those that lost a merge too."""
    found: list[str] = []
    for line in lines:
        if line.action == "delete":
            found.append(line.record)
        found += line.losers
        found += [record for _, record in line.cascade]
    return found


def expected(org: Path) -> set[str]:
    """The records that the truth log tells were deleted."""
    return set(deleted_ids(truth(org, "delete")))
