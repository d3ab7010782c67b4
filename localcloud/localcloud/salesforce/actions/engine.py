"""The mutation engine: one action, told alike by the truth log, the rows, their history and the events."""

from __future__ import annotations

import contextlib
from itertools import groupby
from typing import TYPE_CHECKING

from localcloud.salesforce.actions import merging, saving
from localcloud.salesforce.actions.acting import IN_BIN, Acting
from localcloud.salesforce.actions.removal import Removal
from localcloud.salesforce.actions.transactions import Transactions
from localcloud.salesforce.ids import to_18
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from sqlite3 import Connection

    from localcloud.salesforce.actions.documents import Action, Outcome, Publisher, Record, RecordOutcome
    from localcloud.salesforce.actions.transactions import Joint, Work
    from localcloud.salesforce.actions.unit import Unit
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema, SObject


class Actions:
    """Changes an org as its users and programs do.

    Each method but `act` is one transaction. Its lines stand in the truth log before anybody can see its
    rows; rows, history, delete log and events appear together or not at all.

    Args:
        org: The org.
        bus: Where change events go; by default nowhere.
        truth: The truth log; by default nothing is written down.
    """

    def __init__(self, org: Org, bus: Publisher | None = None, *, truth: Path | None = None) -> None:
        self._org = org
        self._base = Transactions(org, bus, truth)

    def create(
        self,
        sobject: str,
        values: Sequence[Mapping[str, object]],
        *,
        actor: str | None = None,
        origin: str = "",
        schema: Schema | None = None,
        all_or_none: bool = False,
    ) -> list[RecordOutcome]:
        """Make records.

        Args:
            sobject: The object's API name.
            values: Field values by API name, of each record.
            actor: The id of the user who acts; by default the one who logs in.
            origin: What change events say as `changeOrigin`.
            schema: What the user may see and set; by default everything.
            all_or_none: Whether one refusal refuses all.

        Returns:
            What came of each record, in order, with its new id.

        Raises:
            ActionError: The object is not there or cannot be created.
        """
        found, seen = self._base.writable(sobject, "inserted"), schema or self._org.schema
        work: Work = lambda unit: (saving.create(self._org, unit, seen, found, values), 0)  # noqa: E731
        return self._base.run(work, actor, origin, all_or_none=all_or_none)[0]

    def update(
        self,
        sobject: str,
        values: Sequence[tuple[str, Mapping[str, object]]],
        *,
        actor: str | None = None,
        origin: str = "",
        schema: Schema | None = None,
        all_or_none: bool = False,
    ) -> list[RecordOutcome]:
        """Change records, given as id and field values; otherwise like `create`.

        Raises:
            ActionError: The object is not there or cannot be updated.
        """
        found, seen = self._base.writable(sobject, "updated"), schema or self._org.schema
        work: Work = lambda unit: (saving.update(self._org, unit, seen, found, values), 0)  # noqa: E731
        return self._base.run(work, actor, origin, all_or_none=all_or_none)[0]

    def save(
        self,
        records: Sequence[Record],
        *,
        actor: str | None = None,
        origin: str = "",
        schema: Schema | None = None,
        all_or_none: bool = False,
    ) -> list[RecordOutcome]:
        """Make and change records of any objects, in the order given; otherwise like `create` and `update`.

        Raises:
            ActionError: An object is not there, or cannot be created or updated.
        """
        seen, org = schema or self._org.schema, self._org
        for one in records:
            self._base.writable(one.sobject, "inserted" if one.id is None else "updated")

        def work(unit: Unit) -> tuple[list[RecordOutcome], int]:
            outcomes: list[RecordOutcome] = []
            for (name, new), some in groupby(records, lambda one: (one.sobject, one.id is None)):
                sobject, group = self._base.sobject(name), list(some)
                if new:
                    outcomes += saving.create(org, unit, seen, sobject, [one.values for one in group])
                else:
                    outcomes += saving.update(org, unit, seen, sobject, [(one.id or "", one.values) for one in group])
            return outcomes, 0

        return self._base.run(work, actor, origin, all_or_none=all_or_none)[0]

    def delete(
        self,
        sobject: str | None,
        ids: Sequence[str],
        *,
        actor: str | None = None,
        origin: str = "",
        schema: Schema | None = None,
        all_or_none: bool = False,
    ) -> list[RecordOutcome]:
        """Put records into the recycle bin with the children that go along.

        Args:
            sobject: Their object; None takes ids of any.
            ids: The records.
            actor: The id of the user who acts; by default the one who logs in.
            origin: What change events say as `changeOrigin`.
            schema: What the user may see; by default everything.
            all_or_none: Whether one refusal refuses all.

        Raises:
            ActionError: The object is not there.
        """
        found = None if sobject is None else self._base.sobject(sobject)
        seen = schema or self._org.schema
        return self._base.run(
            lambda unit: Removal(self._org, unit).delete(found, ids, seen), actor, origin, all_or_none=all_or_none
        )[0]

    def undelete(
        self, ids: Sequence[str], *, actor: str | None = None, origin: str = "", all_or_none: bool = False
    ) -> list[RecordOutcome]:
        """Take records out of the recycle bin, with what went there with them."""
        return self._base.run(
            lambda unit: Removal(self._org, unit).undelete(ids, self._org.schema),
            actor,
            origin,
            all_or_none=all_or_none,
        )[0]

    def merge(
        self,
        sobject: str,
        master: str,
        losers: Sequence[str],
        values: Mapping[str, object] | None = None,
        *,
        actor: str | None = None,
        origin: str = "",
    ) -> RecordOutcome:
        """Merge up to two records into another one; all of it or nothing is done.

        Args:
            sobject: The object of them all: Account, Case, Contact or Lead.
            master: The winner.
            losers: Those that are deleted; what pointed at them points at the winner.
            values: What the winner is saved with.
            actor: The id of the user who acts; by default the one who logs in.
            origin: What change events say as `changeOrigin`.

        Raises:
            ActionError: The object is not there.
        """
        found, schema = self._base.sobject(sobject), self._org.schema
        work: Work = lambda unit: (  # noqa: E731
            [merging.merge(self._org, unit, schema, found, master, losers, values or {})],
            0,
        )
        return self._base.run(work, actor, origin, all_or_none=True)[0][0]

    def hard_delete(self, ids: Sequence[str], *, actor: str | None = None, origin: str = "") -> list[RecordOutcome]:
        """Remove records for good; only live ones are announced, those in the bin were already."""
        return self._base.run(lambda unit: Removal(self._org, unit).hard_delete(ids, self._org.schema), actor, origin)[
            0
        ]

    def empty_bin(self, ids: Sequence[str] | None = None, *, actor: str | None = None) -> list[RecordOutcome]:
        """Remove records of the recycle bin for good, by default all; nothing announces it."""
        return self._base.run(
            lambda unit: Removal(self._org, unit).empty_bin(
                self._base.bin() if ids is None else ids, purge=ids is None
            ),
            actor,
            "",
        )[0]

    def purge(self) -> list[RecordOutcome]:
        """Remove what has been in the recycle bin for 15 days by the org's clock; nothing announces it."""
        until = instant_text(self._org.clock.now() - IN_BIN)
        return self._base.run(
            lambda unit: Removal(self._org, unit).empty_bin(self._base.bin(until), purge=True), None, ""
        )[0]

    @contextlib.contextmanager
    def together(self, *, actor: str | None = None, origin: str = "") -> Iterator[tuple[Joint, Connection]]:
        """Make everything that this thread does inside one transaction; one refusal takes all back.

        Args:
            actor: The id of the user who acts; by default the one who logs in.
            origin: What change events say as `changeOrigin`.

        Yields:
            What tells and decides whether it failed, and the connection that sees what was done so far.
        """
        with self._base.together(actor, origin) as joint:
            yield joint, self._org.db

    def is_live(self, sobject: SObject, key: str) -> bool:
        """Whether a record is there and not deleted."""
        return self._base.rows(f'SELECT "IsDeleted" FROM "{sobject.name}" WHERE "Id" = ?', (to_18(key),)) == [(0,)]

    def act(self, action: Action) -> Outcome:
        """Do one action that is given as data; any thread may ask.

        Raises:
            ActionError: It cannot be tried: something is missing, or the object, user or condition is wrong.
        """
        return Acting(self._base).act(action)
