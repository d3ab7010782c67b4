"""Custom objects by the number, each with its field history: for orgs that have many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.salesforce.fields import audit, flag, ident, lookup, picklist, text
from localcloud.salesforce.ids import make_id
from localcloud.salesforce.schema.histories import history
from localcloud.salesforce.schema.people import ACTORS
from localcloud.salesforce.sobject import SObject

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["tracked_objects"]

_FIRST_PREFIX = 36 * 62**2 + 62
"""`a10`, behind those of the objects that each org has."""


def tracked_objects(count: int) -> Iterator[SObject]:
    """Yield `Item1__c`, `Item2__c`, ... and the field history of each, `Item1__History`, ...; at most 1,000."""
    for number in range(1, count + 1):
        name = f"Item{number}"
        yield SObject(
            f"{name}__c",
            make_id("000", _FIRST_PREFIX + number)[12:15],
            (
                ident(),
                lookup("OwnerId", *ACTORS),
                flag("IsDeleted"),
                text("Name", 80, name_field=True),
                picklist("Status__c", "Open", "Closed"),
                *audit(),
            ),
            label=name,
        )
        yield history(f"{name}__History", f"{name}__c", "ParentId")
