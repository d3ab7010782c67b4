"""How an org stands: its clock, its rows, what was spent. Served by the server, printed by the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from localcloud.page.reading import ObjectCount, Reader
    from localcloud.salesforce.org import Org


class Spending(msgspec.Struct, frozen=True):
    """API calls of the last 24 hours by the org's clock, how many there may be, and requests since the start."""

    api_calls: int
    maximum: int
    requests: int


class Status(msgspec.Struct, frozen=True):
    """How an org stands.

    `objects` have rows, `records` are their live rows that are no history, `deleted` their deleted ones,
    `rows` all there are. `spending` is known only to a running server.
    """

    name: str
    org_id: str
    now: str
    objects: int
    records: int
    deleted: int
    rows: int
    spending: Spending | None = None


def status(org: Org, reader: Reader, spending: Spending | None = None) -> Status:
    """Look at an org.

    Args:
        org: The org.
        reader: Counts its rows.
        spending: What its server knows.
    """
    counts: list[ObjectCount] = reader.counts()
    return Status(
        name=org.settings.name,
        org_id=org.org_id,
        now=instant_text(org.clock.now()),
        objects=sum(1 for one in counts if one.live or one.deleted),
        records=sum(one.live for one in counts if not one.history),
        deleted=sum(one.deleted for one in counts if not one.history),
        rows=sum(one.live + one.deleted for one in counts),
        spending=spending,
    )
