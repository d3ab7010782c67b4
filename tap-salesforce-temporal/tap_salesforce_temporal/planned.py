"""What a run reads of a stream, decided before its first request."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003  # evaluated by what makes structs of annotations

import msgspec

from tap_salesforce_temporal.bookmarks import Bookmark  # noqa: TC001  # likewise
from tap_salesforce_temporal.verification import Tally  # noqa: TC001  # likewise
from tap_salesforce_temporal.windows import Window

__all__ = ["Plan"]


class Plan(msgspec.Struct, frozen=True):
    """What a run reads of a stream.

    Attributes:
        bookmark: As it was stored.
        start: From where on; None when the object has no row.
        limit: Up to where.
        from_the_first_row: Whether nothing can be earlier.
        tally: Rows read by day; None of an object that is not verified.
        added: Parts of the org that the bookmark's run left out, and this one is to read.
    """

    bookmark: Bookmark
    start: datetime | None
    limit: datetime
    from_the_first_row: bool
    tally: Tally | None
    added: tuple[str, ...]

    @property
    def new(self) -> Window | None:
        """What is read, the overlap included; None when that is nothing."""
        return None if self.start is None or self.start >= self.limit else Window(self.start, self.limit)

    @property
    def due(self) -> Window | None:
        """What is to be verified today; not what lies behind the limit."""
        due = None if self.tally is None else self.tally.due
        return None if due is None or due.end > self.limit else due
