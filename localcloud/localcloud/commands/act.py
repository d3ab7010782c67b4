"""`localcloud act`: one action on records, through the running server or else on the org's folder."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import msgspec

from localcloud import lifecycle
from localcloud.asking import ask
from localcloud.commands import UsageError, later
from localcloud.salesforce.actions.documents import Action, Outcome

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable
    from pathlib import Path

KINDS = ("create", "update", "delete", "undelete", "merge", "hard-delete", "empty-bin", "purge")
_PAST = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "undelete": "restored",
    "merge": "merged",
    "hard_delete": "removed for good",
    "empty_bin": "removed from the recycle bin",
    "purge": "removed from the recycle bin after 15 days in it",
}
_ALONG = {"delete": "deleted with them", "undelete": "restored with them", "merge": "went over to them"}
_IDS_SHOWN = 10
_REASONS_SHOWN = 5
_FIELD = re.compile(r"([A-Za-z]\w*)=(.*)", re.DOTALL)


class Acted(msgspec.Struct, frozen=True):
    """What the control endpoint answers."""

    outcomes: list[Outcome]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("action", choices=KINDS, metavar="ACTION", help=", ".join(KINDS))
    parser.add_argument("words", nargs="*", metavar="OBJECT | Field=value", help="the object, and values to set")
    parser.add_argument("--where", metavar="CONDITION", help="a SOQL condition that finds the records")
    parser.add_argument("--id", action="append", default=[], dest="ids", metavar="ID", help="a record; may be repeated")
    parser.add_argument("--master", metavar="ID", help="the record that stays when others are merged into it")
    parser.add_argument("--count", type=int, metavar="N", help="the most records; of a create: how many ({n} counts)")
    parser.add_argument("--user", metavar="NAME", help="who acts: an id, Username or Name of a user")
    parser.add_argument("--origin", default="", metavar="TEXT", help="what change events say as their changeOrigin")
    parser.add_argument("--together", action="store_true", help="one transaction, not one for each 200 records")
    parser.add_argument("--json", action="store_true", help="print what came of it as JSON")


def run(options: argparse.Namespace) -> int:
    """Carry the action out.

    Returns:
        0 when all records were done, 1 when some were refused.

    Raises:
        UsageError: It cannot be tried; one sentence.
        LifecycleError: The server refuses it.
    """
    org: Path = options.org
    action = _action(options)
    server = lifecycle.find("salesforce", org)
    if server is not None:
        encoded = msgspec.json.Encoder(decimal_format="number").encode(action)
        (outcome,) = ask(server, org, "act", Acted, encoded).outcomes
    else:
        outcome = later("folder").act(org, action)
    if options.json:
        print(msgspec.json.encode(outcome).decode())  # noqa: T201
    else:
        _tell(outcome)
    return 1 if outcome.failed else 0


def _action(options: argparse.Namespace) -> Action:
    words: list[str] = options.words
    pairs = [_FIELD.fullmatch(word) for word in words]
    names = [word for word, pair in zip(words, pairs, strict=True) if pair is None]
    if len(names) > 1:
        raise UsageError(f"{names[1]!r} is neither the object nor Field=value: write one object, then the values")
    return _valid(
        {
            "action": options.action.replace("-", "_"),
            "object": names[0] if names else None,
            "ids": options.ids,
            "where": options.where,
            "count": options.count,
            "values": {pair.group(1): pair.group(2) or None for pair in pairs if pair},
            "master": options.master,
            "user": options.user,
            "origin": options.origin,
            "transaction": "one" if options.together else "batches",
        }
    )


def _valid(document: dict[str, object]) -> Action:
    try:
        return msgspec.convert(document, Action)
    except msgspec.ValidationError as error:
        raise UsageError(str(error)) from error


def _tell(outcome: Outcome) -> None:
    along = f", {outcome.along:,} {_ALONG.get(outcome.action, 'with them')}" if outcome.along else ""
    ids = f": {_listed(outcome.ids, outcome.succeeded)}" if outcome.ids else ""
    if outcome.succeeded or not outcome.failed:
        print(f"{_records(outcome.succeeded)} {_PAST[outcome.action]}{along}{ids}")  # noqa: T201
    if outcome.failed:
        reasons = [
            f"{one.id or 'new'}: {fault.code}: {fault.message}" for one in outcome.errors for fault in one.errors
        ]
        print(f"localcloud: {_records(outcome.failed)} refused.", file=sys.stderr)  # noqa: T201
        for reason in reasons[:_REASONS_SHOWN]:
            print(f"  {reason}", file=sys.stderr)  # noqa: T201
        if len(reasons) > _REASONS_SHOWN:
            print(f"  ... {len(reasons) - _REASONS_SHOWN:,} more", file=sys.stderr)  # noqa: T201


def _records(count: int) -> str:
    return f"{count:,} record" + ("" if count == 1 else "s")


def _listed(ids: Iterable[str], total: int) -> str:
    shown = list(ids)[:_IDS_SHOWN]
    return ", ".join(shown) + (f", ... {total - len(shown):,} more" if total > len(shown) else "")
