"""What one transaction did to records, as data: the one story that every surface of the org tells."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec reads it at run time
from datetime import datetime  # noqa: TC003 - msgspec reads it at run time
from typing import Literal

import msgspec

ChangeKind = Literal["CREATE", "UPDATE", "DELETE", "UNDELETE"]


class Change(msgspec.Struct, frozen=True):
    """One record that a transaction changed.

    `values` holds API field names and values as the org stores them after the change: all fields of a
    CREATE or UNDELETE, the changed ones of an UPDATE (None: emptied), nothing of a DELETE. `before` holds
    the values that an UPDATE replaced. Values are str, int, Decimal, bool or None; instants and dates are
    text in the org's own form. `cascade` marks a record that went only because its parent did: no Apex
    trigger runs for it.
    """

    sobject: str
    record_id: str
    kind: ChangeKind
    values: Mapping[str, object] = {}
    before: Mapping[str, object] = {}
    cascade: bool = False


class Transaction(msgspec.Struct, frozen=True):
    """What was committed together, in order.

    `key` is the transaction's UUID, `at` the instant of its commit by the org's clock, `actor` the id of the
    user who did it, `origin` what a change event names as its `changeOrigin`.
    """

    key: str
    at: datetime
    actor: str
    origin: str
    changes: tuple[Change, ...]
