"""Actions that are given as data: which records they mean, in which transactions."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from localcloud.salesforce.actions import merging, saving
from localcloud.salesforce.actions.documents import MOST_SHOWN, Action, ActionError, Kind, Outcome, RecordOutcome
from localcloud.salesforce.actions.removal import Removal
from localcloud.salesforce.errors import SoqlError
from localcloud.salesforce.ids import to_18
from localcloud.salesforce.soql.compiler import compile_soql
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from localcloud.salesforce.actions.transactions import Transactions, Work

IN_BIN = timedelta(days=15)
"""How long a deleted record stays in the recycle bin."""
BATCH = 200
"""Records of one transaction where a caller asks for batches."""
_VERSION = 60.0


def decode_actions(body: bytes) -> list[Action]:
    """The actions of a JSON document: one object, or a list of them; numbers stay as they were written.

    Raises:
        ActionError: The document is not right.
    """
    try:
        found = msgspec.json.Decoder(Action | list[Action], float_hook=Decimal).decode(body)
    except msgspec.DecodeError as error:
        raise ActionError(f"The action cannot be read: {error}") from error
    return found if isinstance(found, list) else [found]


class Acting:
    """Does actions that are given as data.

    Args:
        base: Where they are done.
    """

    def __init__(self, base: Transactions) -> None:
        self._base = base

    def act(self, action: Action) -> Outcome:
        """Do one action that is given as data; any thread may ask.

        Raises:
            ActionError: It cannot be tried: something is missing, or the object, user or condition is wrong.
        """
        actor = self._user(action.user)
        tally = _Tally(action.action)
        if action.action == "create":
            found = self._base.writable(self._object_of(action), "inserted")
            total = action.count or 1
            for start in range(0, total, self._step(action, total)):
                end = min(start + self._step(action, total), total)
                made = [_numbered(action.values, n + 1) if action.count else action.values for n in range(start, end)]
                work: Work = lambda unit, made=made: (  # type: ignore[misc]  # noqa: E731
                    saving.create(self._base.org, unit, self._base.org.schema, found, made),
                    0,
                )
                tally.add(self._base.run(work, actor, action.origin))
            return tally.outcome()
        if action.action == "merge":
            return self._merge(action, actor, tally)
        purge = action.action == "purge" or (action.action == "empty_bin" and not action.ids and action.where is None)
        until = instant_text(self._base.org.clock.now() - IN_BIN) if action.action == "purge" else None
        ids = self._base.bin(until) if purge else self._chosen(action)
        work_on = self._work(action, purge=purge)
        step = self._step(action, len(ids))
        for start in range(0, len(ids), step):
            tally.add(self._base.run(work_on(ids[start : start + step]), actor, action.origin))
        return tally.outcome()

    def _work(self, action: Action, *, purge: bool) -> Callable[[Sequence[str]], Work]:
        org, schema = self._base.org, self._base.org.schema
        match action.action:
            case "update":
                found = self._base.writable(self._object_of(action), "updated")
                return lambda ids: (
                    lambda unit: (
                        saving.update(org, unit, schema, found, [(key, action.values) for key in ids]),
                        0,
                    )
                )
            case "delete":
                own = None if action.object is None else self._base.sobject(action.object)
                return lambda ids: lambda unit: Removal(org, unit).delete(own, ids, schema)
            case "undelete":
                return lambda ids: lambda unit: Removal(org, unit).undelete(ids, schema)
            case "hard_delete":
                return lambda ids: lambda unit: Removal(org, unit).hard_delete(ids, schema)
            case _:
                return lambda ids: lambda unit: Removal(org, unit).empty_bin(ids, purge=purge)

    def _merge(self, action: Action, actor: str, tally: _Tally) -> Outcome:
        ids = list(action.ids)
        master = action.master or (ids.pop(0) if ids else None)
        if master is None:
            raise ActionError("A merge needs a master and the ids that lose.")
        found = self._base.sobject(self._object_of(action))
        work: Work = lambda unit: (  # noqa: E731
            [merging.merge(self._base.org, unit, self._base.org.schema, found, master, ids, action.values)],
            0,
        )
        tally.add(self._base.run(work, actor, action.origin, all_or_none=True))
        return tally.outcome()

    def _step(self, action: Action, total: int) -> int:
        return BATCH if action.transaction == "batches" else max(total, 1)

    def _object_of(self, action: Action) -> str:
        if action.object is None:
            raise ActionError(f"The action {action.action} needs an object.")
        return action.object

    def _chosen(self, action: Action) -> list[str]:
        """The ids an action is about: those it names, or those its condition finds now."""
        if (action.where is None) == (not action.ids):
            raise ActionError(f"The action {action.action} needs either ids or a where.")
        if action.where is None:
            return list(action.ids[: action.count])
        sobject = self._base.sobject(self._object_of(action))
        all_rows = action.action in {"undelete", "empty_bin"}
        dead = f' AND "IsDeleted" = {int(all_rows)}' if action.action != "hard_delete" else ""
        statement = f"SELECT Id FROM {sobject.name} WHERE {action.where}"
        try:
            plan = compile_soql(
                statement, self._base.org.schema, _VERSION, self._base.org.clock.now(), all_rows=all_rows
            )
        except SoqlError as error:
            reason = error.message.strip().splitlines()[-1].partition(". If you are attempting")[0]
            raise ActionError(f"The condition {action.where!r} cannot be used: {reason}.") from error
        if plan.kind != "rows":
            raise ActionError(f"The condition {action.where!r} does not find records.")
        limit = -1 if action.count is None else action.count
        found = self._base.rows(
            f'SELECT "Id" FROM "{sobject.name}" WHERE rowid IN ({plan.sql}){dead} ORDER BY "Id" LIMIT ?', (limit,)
        )
        return [key for (key,) in found]

    def _user(self, given: str | None) -> str:
        if given is None:
            return self._base.org.user_id
        key = to_18(given)
        found = self._base.rows(
            'SELECT "Id" FROM "User" WHERE "Id" = ? OR "Username" = ? OR "Name" = ? ORDER BY "Id" LIMIT 1',
            (key, given, given),
        )
        if not found:
            raise ActionError(f"There is no user {given!r}.")
        return str(found[0][0])


class _Tally:
    """Adds up what came of an action, transaction by transaction."""

    def __init__(self, action: Kind) -> None:
        self._action = action
        self._counts = {"succeeded": 0, "failed": 0, "along": 0, "transactions": 0}
        self._ids: list[str] = []
        self._errors: list[RecordOutcome] = []

    def add(self, done: tuple[list[RecordOutcome], int]) -> None:
        outcomes, along = done
        good = [one.id for one in outcomes if one.success and one.id is not None]
        bad = [one for one in outcomes if not one.success]
        self._counts["succeeded"] += len(good)
        self._counts["failed"] += len(bad)
        self._counts["along"] += along
        self._counts["transactions"] += bool(good)
        self._ids += good[: MOST_SHOWN - len(self._ids)]
        self._errors += bad[: MOST_SHOWN - len(self._errors)]

    def outcome(self) -> Outcome:
        return Outcome(self._action, **self._counts, ids=tuple(self._ids), errors=tuple(self._errors))


def _numbered(values: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {
        name: value.replace("{n}", str(number)) if isinstance(value, str) else value for name, value in values.items()
    }
