"""What time does to rows: old history is copied into the archive, old activities are archived."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from localcloud.salesforce.storage import instant_text
from localcloud.seed.model import ARCHIVE_DAYS, MODELS

if TYPE_CHECKING:
    from localcloud.salesforce.org import Org

ACTIVITY_DAYS = 365
"""How old a closed task or a past event is when it is archived."""


def archive_before(at: str) -> str:
    """Return the instant, as the org stores it, before which history is copied by an archiving at ``at``."""
    midnight = datetime.fromisoformat(at).replace(hour=0, minute=0, second=0)
    return instant_text(midnight - timedelta(days=ARCHIVE_DAYS))


def archive_history(org: Org, sobject: str, at: str) -> int:
    """Copy the history rows of an object that are old enough and not copied yet; returns how many.

    The live rows stay, as Salesforce leaves them, and each copy keeps the live row's id in `HistoryId`.

    Args:
        org: where the rows are.
        sobject: whose history.
        at: when the copies are made, as the truth log says it.
    """
    model, before = MODELS[sobject], archive_before(at)
    label = org.schema.get(sobject)
    made = datetime.fromisoformat(at)
    with org.db:
        number = org.db.execute('SELECT coalesce(max(rowid), 0) FROM "FieldHistoryArchive"').fetchone()[0]
        found = org.db.execute(
            f'SELECT "Id", "{model.parent_column}", "CreatedDate", "CreatedById", "Field", "OldValue", "NewValue" '
            f'FROM "{model.history}" WHERE "CreatedDate" < ? AND "Id" NOT IN '
            '(SELECT "HistoryId" FROM "FieldHistoryArchive" WHERE "FieldHistoryType" = ?) ORDER BY "Id"',
            (before, sobject),
        ).fetchall()
        shown = label.label if label else sobject
        org.db.executemany(
            'INSERT INTO "FieldHistoryArchive" ("Id", "HistoryId", "ParentId", "CreatedDate", "CreatedById", "Field", '
            '"OldValue", "NewValue", "FieldHistoryType", "ArchiveParentType", "ArchiveParentName", "ArchiveFieldName", '
            '"ArchiveTimestamp", "IsDeleted") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)',
            [
                (
                    org.new_id("FieldHistoryArchive", number + n),
                    *row,
                    sobject,
                    sobject,
                    shown,
                    row[4],
                    instant_text(made),
                )
                for n, row in enumerate(found, 1)
            ],
        )
    return len(found)


def archive_activities(org: Org) -> None:
    """Mark what is a year old by the org's clock: closed tasks, and events that are over."""
    day = org.clock.now() - timedelta(days=ACTIVITY_DAYS)
    with org.db:
        org.db.execute(
            'UPDATE "Task" SET "IsArchived" = 1 '
            'WHERE "IsClosed" = 1 AND "IsArchived" = 0 AND coalesce("ActivityDate", "CreatedDate") < ?',
            (day.date().isoformat(),),
        )
        org.db.execute(
            'UPDATE "Event" SET "IsArchived" = 1 WHERE "IsArchived" = 0 AND "EndDateTime" < ?', (instant_text(day),)
        )
