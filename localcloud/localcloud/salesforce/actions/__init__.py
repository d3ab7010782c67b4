"""Everything that changes records: create, update, delete, undelete, merge, and the end of the recycle bin."""

from __future__ import annotations

from localcloud.salesforce.actions.acting import decode_actions
from localcloud.salesforce.actions.documents import (
    Action,
    ActionError,
    Fault,
    Outcome,
    Publisher,
    Record,
    RecordOutcome,
    Silence,
)
from localcloud.salesforce.actions.engine import Actions
from localcloud.salesforce.actions.transactions import Joint

__all__ = [
    "Action",
    "ActionError",
    "Actions",
    "Fault",
    "Joint",
    "Outcome",
    "Publisher",
    "Record",
    "RecordOutcome",
    "Silence",
    "decode_actions",
]
