"""The transaction around every action: truth, rows and events appear together, or nothing does."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

from localcloud.salesforce.actions.documents import ActionError, Fault, Publisher, RecordOutcome, Silence
from localcloud.salesforce.actions.truth import TruthLog
from localcloud.salesforce.actions.unit import Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import SObject

    Work = Callable[[Unit], tuple[list[RecordOutcome], int]]

ROLLED_BACK = Fault(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


class Joint:
    """Several pieces of work that are one transaction.

    Args:
        unit: Receives what is done.

    Attributes:
        unit: The same.
        failed: Whether all of it is to be taken back; set where a record was refused, and by who knows more.
    """

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.failed = False


class _RolledBackError(Exception):
    """Ends a transaction of which one record failed."""


class Transactions:
    """Runs work on an org, one transaction at a time.

    Args:
        org: The org; nobody else may write through its connection meanwhile without its lock.
        bus: Where change events go; by default nowhere.
        truth: The truth log; by default nothing is written down.

    Attributes:
        org: The org.
    """

    def __init__(self, org: Org, bus: Publisher | None = None, truth: Path | None = None) -> None:
        self.org = org
        self._bus = bus or Silence()
        self._truth = TruthLog(truth)
        self._joint: Joint | None = None

    def run(
        self, work: Work, actor: str | None, origin: str, *, all_or_none: bool = False
    ) -> tuple[list[RecordOutcome], int]:
        """Do work in one transaction.

        Args:
            work: Does it; gives what came of each record and how many went along.
            actor: The id of the user who acts; by default the one who logs in.
            origin: What change events say as `changeOrigin`.
            all_or_none: Whether one refusal refuses all.
        """
        outcomes: list[RecordOutcome] = []
        try:
            with self._transaction(actor or self.org.user_id, origin) as unit:
                outcomes, along = work(unit)
                refused = not all(one.success for one in outcomes)
                if self._joint is not None:
                    self._joint.failed |= refused
                if all_or_none and refused:
                    raise _RolledBackError  # noqa: TRY301 - the transaction ends where any error ends it
        except _RolledBackError:
            return [one if one.errors else RecordOutcome(one.id, (ROLLED_BACK,)) for one in outcomes], 0
        return outcomes, along

    @contextlib.contextmanager
    def together(self, actor: str | None, origin: str) -> Iterator[Joint]:
        """Make everything that is run inside, by this thread, one transaction; one refusal takes all back.

        Args:
            actor: The id of the user who acts; by default the one who logs in.
            origin: What change events say as `changeOrigin`.
        """
        with contextlib.suppress(_RolledBackError), self._transaction(actor or self.org.user_id, origin) as unit:
            joint = self._joint = Joint(unit)
            try:
                yield joint
                if joint.failed:
                    raise _RolledBackError
            finally:
                self._joint = None

    @contextlib.contextmanager
    def _transaction(self, actor: str, origin: str) -> Iterator[Unit]:
        db, size, unit = self.org.db, None, Unit(self.org.clock.now(), actor, origin)
        with self.org.lock:
            if self._joint is not None:
                yield self._joint.unit
                return
            db.execute("BEGIN IMMEDIATE")
            try:
                yield unit
                if unit.lines:
                    size = self._truth.append(db, unit.lines)
                    transaction = unit.transaction
                    if transaction.changes:
                        self._bus.publish(transaction)
                db.commit()
            except BaseException:
                db.rollback()
                if size is not None:
                    self._truth.cut(size)
                raise
        if unit.lines:
            self._bus.wake()

    def rows(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """What a statement finds outside of any transaction."""
        with self.org.lock:  # another thread may be in the middle of a transaction
            return self.org.db.execute(statement, values).fetchall()

    def sobject(self, name: str) -> SObject:
        """An object by its API name.

        Raises:
            ActionError: It is not there.
        """
        found = self.org.schema.get(name)
        if found is None:
            raise ActionError(f"There is no object {name!r}.")
        return found

    def writable(self, name: str, verb: Literal["inserted", "updated"]) -> SObject:
        """An object whose records can be inserted or updated.

        Raises:
            ActionError: It is not there, or they cannot.
        """
        found = self.sobject(name)
        if not (found.writable if verb == "inserted" else found.can_update):
            raise ActionError(f"entity type cannot be {verb}: {found.label}")
        return found

    def bin(self, until: str | None = None) -> list[str]:
        """The ids of what was put into the recycle bin, up to an instant."""
        condition, values = ("AND deleted <= ?", (until,)) if until is not None else ("", ())
        return [
            key
            for (key,) in self.rows(
                f"SELECT id FROM recycle_bin WHERE id = root {condition} ORDER BY deleted, id", values
            )
        ]
