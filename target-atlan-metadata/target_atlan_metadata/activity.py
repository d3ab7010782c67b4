"""What happened to an object or a field, as the ledger tells it and figures are made of it."""

from __future__ import annotations

import msgspec

__all__ = ["CellActivity", "Counts", "Last"]


class Counts(msgspec.Struct, frozen=True, gc=False):
    """How many decisions of each kind; the fields are `counting.COLUMNS`."""

    changes: int = 0
    stage_changes: int = 0
    approvals: int = 0
    rejections: int = 0
    others: int = 0
    automated: int = 0
    emptied: int = 0
    reopened: int = 0
    deletes: int = 0


class Last(msgspec.Struct, frozen=True, order=True, gc=False):
    """A change; of several the greatest is the last.

    Attributes:
        at: When it happened, in canonical text.
        event: Digest of its id, which decides between changes of one instant.
        actor_id: Who made it.
        actor_name: Their name, where the ledger keeps names.
    """

    at: str
    event: bytes
    actor_id: str | None = None
    actor_name: str | None = None


class CellActivity(msgspec.Struct, frozen=True, gc=False):
    """What happened to an object itself, or to one field of it.

    Attributes:
        cell: Number in the ledger.
        object: API name.
        field: API name as history names it; None for what is about the object and no field of it.
        dirty: How often it changed since Atlan was told; 0 for never.
        total: All there ever was.
        recent: What happened in the days that the quality score looks at.
        week: Changes in the last 7 days.
        month: Changes in the last 30 days.
        last: The last change; None where there is none.
    """

    cell: int
    object: str
    field: str | None
    dirty: int
    total: Counts
    recent: Counts
    week: int
    month: int
    last: Last | None
