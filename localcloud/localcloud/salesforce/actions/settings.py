"""What can be set of how records are changed; kept with the org."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.actions.documents import Fault, RecordOutcome
from localcloud.salesforce.actions.rows import names_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import SObject

_KEY = "actions"
_CASE_FIELDS = {"Account": "AccountId", "Contact": "ContactId"}


class ActionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How records are changed.

    Attributes:
        cases_block_delete: Whether an account or contact with cases cannot be deleted (DELETE_FAILED), as is
            reported of real orgs; otherwise an account's cases go along and a contact's lose it.
    """

    cases_block_delete: bool = False


def load(db: sqlite3.Connection) -> ActionSettings:
    """The settings of an org."""
    row = db.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    return msgspec.json.decode(row[0], type=ActionSettings) if row else ActionSettings()


def save(org: Org, settings: ActionSettings) -> None:
    """Keep the settings of an org."""
    with org.lock, org.db:
        org.db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_KEY, msgspec.json.encode(settings).decode()))


def blockers(org: Org, found: Mapping[str, tuple[SObject, bool]]) -> dict[str, RecordOutcome]:
    """The records that cannot be deleted because they have cases, with what Salesforce says.

    The message is the one that a test of a public client quotes.
    """
    blocked: dict[str, list[str]] = {}
    for parent, field in _CASE_FIELDS.items():
        keys = [key for key, (sobject, _) in found.items() if sobject.name == parent]
        for key, number in org.db.execute(
            f'SELECT "{field}", "CaseNumber" FROM "Case" WHERE "IsDeleted" = 0 '
            f'AND "{field}" IN (SELECT value FROM json_each(?)) ORDER BY "CaseNumber"',
            (json.dumps(keys),),
        ):
            blocked.setdefault(key, []).append(str(number))
    names = names_of(org.db, org.schema, blocked)
    return {
        key: RecordOutcome(
            key,
            (
                Fault(
                    "DELETE_FAILED",
                    f"Your attempt to delete {names.get(key, key)} could not be completed because it is associated "
                    f"with the following cases.: {', '.join(numbers)}\n",
                ),
            ),
        )
        for key, numbers in blocked.items()
    }
