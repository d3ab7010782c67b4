"""One transaction while it is being put together."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from localcloud.salesforce.actions.truth import TruthLine
from localcloud.salesforce.changes import Change, ChangeKind, Transaction
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from localcloud.salesforce.actions.truth import TruthChange


class Unit:
    """What one transaction did so far: its lines of the truth log, its changes.

    Args:
        at: When, by the org's clock.
        actor: The id of the user who acts.
        origin: What change events call its origin.

    Attributes:
        at: When it is committed.
        second: That instant in stored form, to the second: what audit fields and history show.
        stamp: The same with milliseconds: what SystemModstamp shows.
    """

    def __init__(self, at: datetime, actor: str, origin: str) -> None:
        self.key = str(uuid.uuid4())
        self.at = at
        self.actor = actor
        self.origin = origin
        self.second = instant_text(at.replace(microsecond=0))
        self.stamp = instant_text(at)
        self.lines: list[TruthLine] = []
        self._changes: list[Change] = []

    def tell(
        self, action: str, sobject: str, record: str, changes: tuple[TruthChange, ...] = (), **beside: Any
    ) -> None:
        """Add a line to the truth; `beside` holds what else the line says, as `TruthLine` names it."""
        at = f"{self.second[:19]}Z"
        self.lines.append(TruthLine(at, self.actor, action, sobject, record, changes, self.key, **beside))

    def change(
        self,
        sobject: str,
        record: str,
        kind: ChangeKind,
        values: Mapping[str, object] | None = None,
        before: Mapping[str, object] | None = None,
        *,
        cascade: bool = False,
    ) -> None:
        """Note what happened to a record; `cascade`: because it happened to its parent."""
        self._changes.append(Change(sobject, record, kind, values or {}, before or {}, cascade))

    @property
    def transaction(self) -> Transaction:
        """All of it, as change events are made of it."""
        return Transaction(self.key, self.at, self.actor, self.origin, tuple(self._changes))
