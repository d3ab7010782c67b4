"""The history rows of saved records: one per tracked field, two for a look-up, and an opportunity's stages."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from localcloud.salesforce.actions import rows
from localcloud.salesforce.actions.values import same, shown
from localcloud.salesforce.ledger import take_numbers
from localcloud.salesforce.sobject import DECIMAL_TYPES, Field
from localcloud.salesforce.storage import converter
from localcloud.salesforce.tracking import (
    SNAPSHOT_FIELDS,
    data_type,
    history_name,
    history_of,
    is_long,
    is_tracked,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.salesforce.actions.rows import Row
    from localcloud.salesforce.actions.unit import Unit
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import SObject
    from localcloud.salesforce.storage import Stored

FIRST_NUMBER = 2 * 10**12
_any_value = converter(Field("OldValue", "anyType"))


class Historian:
    """Collects the history rows of one transaction and object, then writes them.

    Args:
        org: The org, in an open transaction.
        unit: Who acts, and when.
        sobject: The object of the records.
        names: What records are called that look-ups lead to, by id.
    """

    def __init__(self, org: Org, unit: Unit, sobject: SObject, names: Mapping[str, str]) -> None:
        self._org = org
        self._unit = unit
        self._names = names
        self._history = history_of(org.schema, sobject.name)
        self._tracked = [field for field in sobject.fields if is_tracked(sobject, field)]
        self._snapshots = org.schema.get("OpportunityHistory") if sobject.name == "Opportunity" else None
        self._activities = org.schema.get("ActivityFieldHistory") if sobject.name in {"Task", "Event"} else None
        self._rows: list[Row] = []
        self._stages: list[Row] = []

    def created(self, row: Row) -> None:
        """A record was made: the pseudo row `created`, and an opportunity's first stage."""
        self._add(row, "created", "Text", None, None)
        self._stage({}, row)

    def updated(self, before: Row, after: Row) -> None:
        """A record was saved: a row for each tracked field that changed, and one for a lead's conversion."""
        if after.get("IsConverted") and not before.get("IsConverted"):
            self._add(after, "leadConverted", "Text", None, None)
        for field in self._tracked:
            old, new = before.get(field.name), after.get(field.name)
            if same(field, old, new):
                continue
            name = history_name(field) if not field.custom else field.name
            if self._activities is not None:
                self._rows.append(self._activity_row(after, field, old, new))
            elif field.type == "reference":
                self._add(after, name, "Text", self._names.get(str(old)), self._names.get(str(new)))
                self._add(after, name, data_type(field), old, new)
            elif is_long(field):
                self._add(after, name, data_type(field), None, None)
            else:
                self._add(after, name, data_type(field), shown(field, old), shown(field, new))
        if any(before.get(name) != after.get(name) for name in SNAPSHOT_FIELDS):
            self._stage(before, after)

    def write(self) -> None:
        """Put the rows into the org."""
        for sobject, found in (
            (self._history[0] if self._history else self._activities, self._rows),
            (self._snapshots, self._stages),
        ):
            if sobject is None or not found:
                continue
            number = take_numbers(self._org.db, sobject.name, len(found), FIRST_NUMBER)
            for place, row in enumerate(found):
                row["Id"] = self._org.new_id(sobject.name, number + place)
            rows.insert(self._org.db, sobject, found)

    def _add(self, record: Row, field: str, kind: str, old: object, new: object) -> None:
        if self._history is None:
            return
        self._rows.append(
            {
                self._history[1].name: record["Id"],
                "Field": field,
                "DataType": kind,
                "OldValue": _any_value(old),
                "NewValue": _any_value(new),
                "CreatedById": self._unit.actor,
                "CreatedDate": self._unit.second,
            }
        )

    def _activity_row(self, record: Row, field: Field, old: Stored, new: Stored) -> Row:
        """A row of the big object that keeps the history of tasks and events: one, with ids, for a look-up."""
        row: Row = {
            "ActivityId": record["Id"],
            "FieldName": history_name(field),
            "DataType": data_type(field),
            "Operation": "Change",
            "IsDataAvailable": 1,
        }
        for side, value in (("Old", old), ("New", new)):
            if field.type == "date" and value is not None:
                row[f"{side}ValueDateTime"] = f"{value}T00:00:00.000+0000"
            else:
                row[f"{side}Value{'DateTime' if field.type in {'date', 'datetime'} else 'Text'}"] = value
        for name in ("Changed", "Created", "LastModified"):
            row[f"{name}ById"], row[f"{name}Date"] = self._unit.actor, self._unit.second
        return {**row, "SystemModstamp": self._unit.second}

    def _stage(self, before: Row, after: Row) -> None:
        if self._snapshots is None or all(
            _equal(self._snapshots, n, before.get(n), after.get(n)) for n in SNAPSHOT_FIELDS
        ):
            return
        self._stages.append(
            {name: after.get(name) for name in (*SNAPSHOT_FIELDS, "ExpectedRevenue")}
            | {
                "OpportunityId": after["Id"],
                "PrevAmount": before.get("Amount"),
                "PrevCloseDate": before.get("CloseDate"),
                "CreatedById": self._unit.actor,
                "CreatedDate": self._unit.second,
                "SystemModstamp": self._unit.second,
            }
        )


def _equal(sobject: SObject, name: str, one: Stored, other: Stored) -> bool:
    if one == other or one is None or other is None:
        return one == other
    field = sobject.by_name[name.lower()]
    return field.type in DECIMAL_TYPES and Decimal(one) == Decimal(other)
