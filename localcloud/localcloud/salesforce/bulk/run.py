"""Runs one Bulk query job: a fixed view of the rows, read once, straight into the job's file."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from localcloud.salesforce.bulk.job import LINE_ENDINGS
from localcloud.salesforce.bulk.spool import SpoolWriter
from localcloud.salesforce.functions import register

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from localcloud.salesforce.bulk.job import Job
    from localcloud.salesforce.bulk.plan import BulkPlan

_CHUNK_ROWS = 2_000


class Aborting(Exception):  # noqa: N818 - nothing went wrong
    """The job is not to go on."""


class Snapshot:
    """A connection that sees the rows as they are when it is made, whatever is written later.

    Args:
        folder: The org's.
    """

    def __init__(self, folder: Path) -> None:
        self.db = sqlite3.connect(folder / "org.sqlite", check_same_thread=False, timeout=120.0, isolation_level=None)
        self.db.text_factory = bytes
        register(self.db)
        self.db.execute("PRAGMA query_only = ON")
        self.db.execute("BEGIN")
        self.db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()  # the view begins with the first read

    def close(self) -> None:
        """Let the view go."""
        self.db.close()


def write(job: Job, plan: BulkPlan, snapshot: Snapshot, path: Path, going_on: Callable[[Job, int], None]) -> int:
    """Write the results of a job; returns their size in bytes.

    Args:
        job: The job.
        plan: How to answer it.
        snapshot: The rows.
        path: The file to write.
        going_on: Told the rows written so far, again and again; may raise `Aborting`.

    Raises:
        Aborting: As told.
        sqlite3.Error: The statement is more than SQLite takes.
    """
    cursor = snapshot.db.execute(plan.sql)
    with SpoolWriter(path, LINE_ENDINGS[job.asked.line_ending]) as spool:
        going_on(job, 0)
        while chunk := cursor.fetchmany(_CHUNK_ROWS):
            spool.write([line for (line,) in chunk])
            going_on(job, spool.rows)
        return spool.size
