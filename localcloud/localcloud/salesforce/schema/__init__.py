"""The objects of the stand-in org, as data: standard ones as Salesforce has them, and two custom ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.schema.activities import ACTIVITIES
from localcloud.salesforce.schema.administration import ADMINISTRATION
from localcloud.salesforce.schema.approvals import APPROVALS, FLOW_APPROVALS
from localcloud.salesforce.schema.histories import BIG_HISTORIES, DATA_TYPES, HISTORIES, history
from localcloud.salesforce.schema.people import ACTOR_GROUP, PEOPLE
from localcloud.salesforce.schema.records import RECORDS

if TYPE_CHECKING:
    from localcloud.salesforce.sobject import SObject

__all__ = ["DATA_TYPES", "OBJECTS", "history"]

OBJECTS: tuple[SObject, ...] = tuple(
    msgspec.structs.replace(sobject, label=sobject.label or sobject.name)
    for sobject in (
        *PEOPLE,
        ACTOR_GROUP,
        *RECORDS,
        *HISTORIES,
        *APPROVALS,
        *ACTIVITIES,
        *ADMINISTRATION,
        *FLOW_APPROVALS,
        *BIG_HISTORIES,
    )
)
"""What a new org has."""
