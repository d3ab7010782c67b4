"""What the tests of actions share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from localcloud.salesforce.actions import Actions, RecordOutcome
from localcloud.salesforce.changes import Change, Transaction
from localcloud.salesforce.org import Org

Records = Callable[..., list[dict[str, Any]]]


class Notes:
    """A publisher that keeps what it is told, and what could be seen when it was woken."""

    def __init__(self) -> None:
        self.transactions: list[Transaction] = []
        self.woken = 0
        self.fails = False

    def publish(self, transaction: Transaction) -> None:
        if self.fails:
            raise RuntimeError("the bus is broken")
        self.transactions.append(transaction)

    def wake(self) -> None:
        self.woken += 1

    @property
    def changes(self) -> list[Change]:
        return [change for transaction in self.transactions for change in transaction.changes]

    def told(self) -> list[tuple[str, str, str]]:
        return [(change.kind, change.sobject, change.record_id) for change in self.changes]


def truth(org: Org) -> list[dict[str, Any]]:
    path = org.path / "truth.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def done(outcomes: Sequence[RecordOutcome]) -> list[str]:
    """The ids of records that were all done."""
    assert [one.errors for one in outcomes] == [()] * len(outcomes)
    return [str(one.id) for one in outcomes]


def codes(outcomes: Sequence[RecordOutcome]) -> list[str]:
    return [one.errors[0].code if one.errors else "" for one in outcomes]


def deal(actions: Actions, **values: object) -> str:
    fields = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2024-06-01", **values}
    return done(actions.create("Opportunity", [fields]))[0]
