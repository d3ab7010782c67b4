"""The quick way to fill a new org: no journal, indexes made at the end, no search for cyclic garbage.

Only for an org that is thrown away when anything goes wrong meanwhile, as one that is being seeded.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.salesforce.org import Org


@contextmanager
def filling(org: Org) -> Iterator[None]:
    """Load rows into a new org quickly while the context lasts; nothing else may have it open.

    Raises:
        sqlite3.IntegrityError: At the end, an id is there twice.
    """
    indexes = _indexes(org)
    with org.db:
        for name in indexes:
            org.db.execute(f'DROP INDEX "{name}"')
    org.db.execute("PRAGMA journal_mode = OFF")
    org.db.execute("PRAGMA synchronous = OFF")
    with without_collection():
        yield
    with org.db:
        for statement in indexes.values():
            org.db.execute(statement)
    org.db.execute("PRAGMA synchronous = NORMAL")
    org.db.execute("PRAGMA journal_mode = WAL")


@contextmanager
def without_collection() -> Iterator[None]:
    """No search for cyclic garbage while the context lasts.

    Among rows by the million there are no cycles, and looking for them takes a quarter of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _indexes(org: Org) -> dict[str, str]:
    """The indexes of the org's objects by name, and how they are made."""
    found = org.db.execute("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    return {name: sql for name, table, sql in found if org.schema.get(table) is not None}
