"""An action as data, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads it at run time
from typing import Annotated, Any, Literal, Protocol

import msgspec

from localcloud.salesforce.changes import Transaction  # noqa: TC001 - part of a protocol

Kind = Literal["create", "update", "delete", "undelete", "merge", "hard_delete", "empty_bin", "purge"]
MOST_SHOWN = 10_000
"""Ids and errors that an outcome lists; it counts all."""


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One action on records, as JSON or YAML spells it.

    Attributes:
        action: What to do.
        object: The sObject; needed by `create`, `update`, `merge` and with `where`.
        ids: The records, 15 or 18 characters each.
        where: A SOQL condition that finds the records instead.
        count: The most records of a `where`; for `create`, how many to make of the same values, in whose
            texts `{n}` becomes the number of the record, from 1.
        values: Field values by API name, of `create`, `update` and of the winner of a `merge`.
        master: The winner of a `merge`; without it, the first of `ids`.
        user: Who acts: a user's id, Username or Name; by default the user who logs in.
        origin: What a change event says as its `changeOrigin`; by default nothing.
        transaction: `one` for all records together, or `batches` of 200 records each.
    """

    action: Kind
    object: str | None = None
    ids: tuple[str, ...] = ()
    where: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=5_000_000)] | None = None
    values: dict[str, Any] = {}
    master: str | None = None
    user: str | None = None
    origin: str = ""
    transaction: Literal["one", "batches"] = "batches"


class Record(msgspec.Struct, frozen=True):
    """A record to make (without an id) or to change."""

    sobject: str
    id: str | None
    values: Mapping[str, object]


class Fault(msgspec.Struct, frozen=True):
    """Why a record was refused: Salesforce's status code, its message, the fields it is about."""

    code: str
    message: str
    fields: tuple[str, ...] = ()


class RecordOutcome(msgspec.Struct, frozen=True):
    """What came of one record; `id` is None where none was given or made."""

    id: str | None
    errors: tuple[Fault, ...] = ()

    @property
    def success(self) -> bool:
        """Whether it was done."""
        return not self.errors


class Outcome(msgspec.Struct, frozen=True):
    """What came of an action.

    Attributes:
        action: What was asked.
        succeeded: Records done.
        failed: Records refused.
        along: Further records that were deleted, restored or removed with them.
        transactions: How many transactions it took.
        ids: The records done, the first 10,000 of them.
        errors: The records refused, the first 10,000 of them.
    """

    action: Kind
    succeeded: int = 0
    failed: int = 0
    along: int = 0
    transactions: int = 0
    ids: tuple[str, ...] = ()
    errors: tuple[RecordOutcome, ...] = ()


class ActionError(ValueError):
    """An action that cannot be tried at all; one sentence says why."""


class Publisher(Protocol):
    """Where transactions go that change events are made of."""

    def publish(self, transaction: Transaction) -> None:
        """Take a transaction within the open database transaction; commit nothing."""

    def wake(self) -> None:
        """Tell the subscribers that something was committed."""


class Silence:
    """A publisher that nobody listens to."""

    def publish(self, transaction: Transaction) -> None:
        """Do nothing."""

    def wake(self) -> None:
        """Do nothing."""
