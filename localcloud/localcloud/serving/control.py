"""What control requests of every service may hold: instants, waits, and the service's clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from localcloud.clock import OrgClock

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Positive = Annotated[float, msgspec.Meta(ge=0)]


class Clock(msgspec.Struct, forbid_unknown_fields=True):
    """Sets the service's clock, then moves it."""

    set: Instant | None = None
    advance_seconds: float = 0.0

    def turn(self, clock: OrgClock) -> None:
        """Do so."""
        if self.set is not None:
            clock.set(self.set)
        if self.advance_seconds:
            clock.advance(timedelta(seconds=self.advance_seconds))
