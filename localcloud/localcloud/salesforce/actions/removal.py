"""Deleting and restoring records with what hangs on them, by sets: one statement for however many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from localcloud.salesforce.actions import rows
from localcloud.salesforce.actions.choosing import Found, in_bin, not_in_bin, reachable
from localcloud.salesforce.actions.relations import relations
from localcloud.salesforce.actions.saving import all_values
from localcloud.salesforce.actions.settings import blockers, load
from localcloud.salesforce.ledger import forget_deleted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localcloud.salesforce.actions.documents import RecordOutcome
    from localcloud.salesforce.actions.relations import Fate
    from localcloud.salesforce.actions.unit import Unit
    from localcloud.salesforce.changes import ChangeKind
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema, SObject


Lookups = Mapping[str, list[tuple[str, str, str]]]
"""Look-ups that changed with a record, by its id: object, field and id of the child."""
_TABLE = (
    "CREATE TEMP TABLE IF NOT EXISTS picked (id TEXT PRIMARY KEY, object TEXT, root TEXT, depth INTEGER) WITHOUT ROWID"
)
_IDS = "(SELECT id FROM picked WHERE object = ?)"
_CHUNK = 500


class Removal:
    """The records that one transaction deletes, restores or removes for good.

    Args:
        org: The org, in an open transaction.
        unit: Receives what was done.
    """

    def __init__(self, org: Org, unit: Unit) -> None:
        self._org = org
        self._db = org.db
        self._unit = unit
        self._db.execute(_TABLE)
        self._db.execute("DELETE FROM temp.picked")

    def delete(self, sobject: SObject | None, ids: Sequence[str], schema: Schema) -> tuple[list[RecordOutcome], int]:
        """Put records into the recycle bin, with the children that go along.

        Returns:
            What came of each, and how many went along.
        """
        outcomes, found = reachable(self._db, sobject, ids, schema)
        blocked = blockers(self._org, found) if load(self._db).cases_block_delete else {}
        outcomes = [blocked.get(one.id or "", one) if one.success else one for one in outcomes]
        found = {key: value for key, value in found.items() if key not in blocked}
        along = self.pick_live(found)
        cleared = self._clear_lookups()
        self._mark_deleted()
        self._tell("delete", found, cleared, announce="DELETE")
        return outcomes, along

    def undelete(self, ids: Sequence[str], schema: Schema) -> tuple[list[RecordOutcome], int]:
        """Take records out of the recycle bin, with the children that had gone along.

        Returns:
            What came of each, and how many came along.
        """
        outcomes, found = in_bin(self._db, ids, schema)
        self._pick_from_bin(found)
        orphans = self._orphans()
        if orphans:
            outcomes = [not_in_bin(one.id) if one.id in orphans else one for one in outcomes]
            found = {key: value for key, value in found.items() if key not in orphans}
            self._db.execute("DELETE FROM temp.picked")
            self._pick_from_bin(found)
        restored = self._restore()
        along = self._tell("undelete", found, restored, announce="UNDELETE", lookups="restored")
        return outcomes, along

    def hard_delete(self, ids: Sequence[str], schema: Schema) -> tuple[list[RecordOutcome], int]:
        """Remove records for good: live ones, and those in the recycle bin.

        Returns:
            What came of each, and how many went along.
        """
        outcomes, live = reachable(self._db, None, ids, schema, dead_too=True)
        binned = {key: value for key, value in live.items() if value[1]}
        live = {key: value for key, value in live.items() if not value[1]}
        along = 0
        if live:
            along += self.pick_live(live)
            cleared = self._clear_lookups(for_good=True)
            self._mark_deleted()
            self._tell("hard_delete", live, cleared, announce="DELETE")
            self.erase()
            self._db.execute("DELETE FROM temp.picked")
        if binned:
            self._pick_from_bin(binned)
            cleared = self._clear_lookups(for_good=True)
            along += self._tell("hard_delete", binned, cleared, announce=None)
            self.erase()
        return outcomes, along

    def empty_bin(self, ids: Sequence[str], *, purge: bool = False) -> tuple[list[RecordOutcome], int]:
        """Remove records for good that are in the recycle bin, and what went there with them.

        Args:
            ids: Those that were put there themselves.
            purge: Whether the delete log loses them too, as when their time is over or an administrator empties
                the whole bin.

        Returns:
            What came of each, and how many went along.
        """
        outcomes, found = in_bin(self._db, ids, self._org.schema)
        self._pick_from_bin(found)
        cleared = self._clear_lookups(for_good=True)
        along = self._tell("purge" if purge else "hard_delete", found, cleared, announce=None)
        if purge:
            forget_deleted(self._db, "SELECT object, id FROM temp.picked")
        self.erase()
        return outcomes, along

    def pick_live(self, found: Found) -> int:
        """Choose live records and the children that go along; returns how many those are."""
        self._db.executemany(
            "INSERT INTO temp.picked VALUES (?, ?, ?, 0)",
            [(key, sobject.name, key) for key, (sobject, _) in found.items()],
        )
        depth, fresh, along = 0, {sobject.name for sobject, _ in found.values()}, 0
        while fresh:
            reached = set()
            for parent in sorted(fresh):
                for one in relations(self._org.schema, parent):
                    if one.fate != "cascade":
                        continue
                    added = self._db.execute(
                        f'INSERT OR IGNORE INTO temp.picked SELECT c."Id", ?, p.root, p.depth + 1 '
                        f"{self._children(one.child, one.field)} WHERE p.object = ? AND p.depth = ? "
                        'AND c."IsDeleted" = 0',
                        (one.child, parent, depth),
                    ).rowcount
                    along += added
                    if added:
                        reached.add(one.child)
            fresh, depth = reached, depth + 1
        return along

    def _children(self, child: str, field: str) -> str:
        """SQL: the chosen records `p` with the rows `c` of a child that point at them, the quick way round."""
        found = self._org.schema.get(child)
        indexed = found is not None and found.by_name[field.lower()].child_relationship is not None
        on = f'ON c."{field}" = p.id'
        return (
            f'FROM temp.picked p CROSS JOIN "{child}" c {on}'
            if indexed
            else f'FROM "{child}" c CROSS JOIN temp.picked p {on}'
        )

    def _objects(self) -> list[SObject]:
        names = [name for (name,) in self._db.execute("SELECT DISTINCT object FROM temp.picked")]
        return [sobject for sobject in self._org.schema if sobject.name in names]

    def _clear_lookups(self, *, for_good: bool = False) -> Lookups:
        """Empty the look-ups that lose their record; returns them by the root that took it away.

        Where the record goes `for_good`, rows in the recycle bin lose it too, and come back without.
        """
        cleared: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        fates, live = ({"clear", "cascade"}, "") if for_good else ({"clear"}, 'AND c."IsDeleted" = 0 ')
        for sobject in self._objects():
            for one in relations(self._org.schema, sobject.name):
                child = self._org.schema.get(one.child)
                if one.fate not in fates or child is None or not child.by_name[one.field.lower()].nillable:
                    continue
                found = self._db.execute(
                    f'SELECT p.root, p.id, c."Id" {self._children(one.child, one.field)} '
                    f'WHERE p.object = ? {live}AND c."Id" NOT IN (SELECT id FROM temp.picked)',
                    (sobject.name,),
                ).fetchall()
                for root, parent, key in found:
                    cleared[root].append((one.child, one.field, key))
                    if not for_good:
                        self._db.execute(
                            "INSERT INTO cleared_lookups VALUES (?, ?, ?, ?)", (parent, one.child, one.field, key)
                        )
                self._db.executemany(
                    f'UPDATE "{one.child}" SET "{one.field}" = NULL WHERE "Id" = ?', [(key,) for *_, key in found]
                )
        return cleared

    def _mark_deleted(self) -> None:
        for sobject in self._objects():
            self._stamp(sobject, deleted=1)
            for companion, condition in self._companions(sobject, "companion"):
                self._db.execute(f'UPDATE "{companion}" SET "IsDeleted" = 1 WHERE {condition}', (sobject.name,))
        for book, columns in (("delete_log", "object, id, ?"), ("recycle_bin", "id, object, root, ?")):
            self._db.execute(f"INSERT OR REPLACE INTO {book} SELECT {columns} FROM temp.picked", (self._unit.second,))

    def _stamp(self, sobject: SObject, *, deleted: int) -> None:
        stamps = {
            "LastModifiedDate": self._unit.second,
            "LastModifiedById": self._unit.actor,
            "SystemModstamp": self._unit.stamp,
        }
        own = {name: value for name, value in stamps.items() if name.lower() in sobject.by_name}
        assigned = "".join(f', "{name}" = ?' for name in own)
        self._db.execute(
            f'UPDATE "{sobject.name}" SET "IsDeleted" = ?{assigned} WHERE "Id" IN {_IDS}',
            (deleted, *own.values(), sobject.name),
        )

    def _companions(self, sobject: SObject, *fates: Fate) -> Iterator[tuple[str, str]]:
        """The objects whose rows follow the chosen records of an object, with SQL that finds those rows."""
        pending = [(sobject.name, _IDS)]
        while pending:
            parent, ids = pending.pop()
            for one in relations(self._org.schema, parent):
                if one.fate in fates:
                    condition = f'"{one.field}" IN {ids}'
                    yield one.child, condition
                    pending.append((one.child, f'(SELECT "Id" FROM "{one.child}" WHERE {condition})'))

    def _pick_from_bin(self, found: Found) -> None:
        """Choose deleted records and what went to the bin with them."""
        self._db.executemany(
            "INSERT INTO temp.picked VALUES (?, ?, ?, 0)",
            [(key, sobject.name, key) for key, (sobject, _) in found.items()],
        )
        self._db.execute(
            "INSERT OR IGNORE INTO temp.picked SELECT b.id, b.object, b.root, 1 FROM temp.picked p "
            "CROSS JOIN recycle_bin b ON b.root = p.id"
        )

    def _orphans(self) -> set[str]:
        """The chosen records that could not go back: what they hang on is still deleted, or gone for good."""
        orphans: set[str] = set()
        for parent in self._org.schema:
            for one in relations(self._org.schema, parent.name):
                child = self._org.schema.get(one.child)
                if one.fate != "cascade" or child is None:
                    continue
                lookup = child.by_name[one.field.lower()]
                gone = "" if lookup.nillable or lookup.polymorphic else 'OR p."Id" IS NULL'
                orphans.update(
                    root
                    for (root,) in self._db.execute(
                        f'SELECT DISTINCT k.root FROM temp.picked k CROSS JOIN "{one.child}" c ON c."Id" = k.id '
                        f'LEFT JOIN "{parent.name}" p ON p."Id" = c."{one.field}" '
                        f'WHERE k.object = ? AND k.id = k.root AND (p."IsDeleted" = 1 {gone}) '
                        'AND (p."Id" IS NULL OR p."Id" NOT IN (SELECT id FROM temp.picked))',
                        (one.child,),
                    )
                )
        return orphans

    def _restore(self) -> Lookups:
        """Bring the chosen records back; returns the look-ups that lead to them again, by root."""
        for sobject in self._objects():
            self._stamp(sobject, deleted=0)
            for companion, condition in self._companions(sobject, "companion"):
                self._db.execute(f'UPDATE "{companion}" SET "IsDeleted" = 0 WHERE {condition}', (sobject.name,))
            if "masterrecordid" in sobject.by_name:
                self._db.execute(
                    f'UPDATE "{sobject.name}" SET "MasterRecordId" = NULL WHERE "Id" IN {_IDS}', (sobject.name,)
                )
        self._db.execute("DELETE FROM delete_log WHERE (object, id) IN (SELECT object, id FROM temp.picked)")
        self._db.execute("DELETE FROM recycle_bin WHERE id IN (SELECT id FROM temp.picked)")
        restored: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
        lost = self._db.execute(
            "SELECT p.root, c.parent, c.object, c.field, c.id FROM temp.picked p "
            "CROSS JOIN cleared_lookups c ON c.parent = p.id"
        ).fetchall()
        for root, parent, child, field, key in lost:
            back = self._db.execute(
                f'UPDATE "{child}" SET "{field}" = ? WHERE "Id" = ? AND "{field}" IS NULL', (parent, key)
            )
            if back.rowcount:
                restored[root].append((child, field, key))
        self._db.execute("DELETE FROM cleared_lookups WHERE parent IN (SELECT id FROM temp.picked)")
        return restored

    def erase(self) -> None:
        """Remove the chosen records physically, with all rows about them; the delete log keeps them."""
        for sobject in self._objects():
            for companion, condition in reversed(list(self._companions(sobject, "companion", "attached"))):
                self._db.execute(f'DELETE FROM "{companion}" WHERE {condition}', (sobject.name,))
            self._db.execute(f'DELETE FROM "{sobject.name}" WHERE "Id" IN {_IDS}', (sobject.name,))
        self._db.execute("DELETE FROM recycle_bin WHERE id IN (SELECT id FROM temp.picked)")
        self._db.execute("DELETE FROM cleared_lookups WHERE parent IN (SELECT id FROM temp.picked)")

    def _tell(
        self,
        action: str,
        found: Found,
        lookups_of: Lookups,
        *,
        announce: ChangeKind | None,
        lookups: Literal["cleared", "restored"] = "cleared",
    ) -> int:
        """Write truth and changes; returns how many records went along."""
        along: dict[str, list[tuple[str, str]]] = defaultdict(list)
        order = [(sobject.name, key) for key, (sobject, _) in found.items()]
        for root, sobject, key in self._db.execute(
            "SELECT root, object, id FROM temp.picked WHERE depth > 0 ORDER BY depth, object, id"
        ):
            along[root].append((sobject, key))
            order.append((sobject, key))
        for key, (one, _) in found.items():
            beside: dict[str, tuple[tuple[str, ...], ...]] = {
                lookups: tuple(lookups_of.get(key, ())),
                "cascade": tuple(along.get(key, ())),
            }
            self._unit.tell(action, one.name, key, (), **beside)
        if announce == "DELETE":
            for sobject, key in order:
                self._unit.change(sobject, key, "DELETE", cascade=key not in found)
        elif announce == "UNDELETE":
            self._announce_restored(order, found)
        return len(order) - len(found)

    def _announce_restored(self, order: list[tuple[str, str]], found: Found) -> None:
        for start in range(0, len(order), _CHUNK):
            by_object: dict[str, list[str]] = defaultdict(list)
            for name, key in order[start : start + _CHUNK]:
                by_object[name].append(key)
            for name, keys in by_object.items():
                sobject = self._org.schema.get(name)
                if sobject is None:
                    continue
                current = rows.read(self._db, sobject, keys)
                for key in keys:
                    self._unit.change(
                        name, key, "UNDELETE", all_values(sobject, current[key]), cascade=key not in found
                    )
