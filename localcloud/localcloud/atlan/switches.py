"""Switches that make the catalog misbehave, the limit of requests a minute, and the privileges of the caller."""

from __future__ import annotations

import math
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from localcloud.atlan.errors import AtlanError, forbidden, invalid_parameters, too_fast
from localcloud.salesforce.faults import Cut, Delay, Trap, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localcloud.atlan.assets import Asset
    from localcloud.clock import OrgClock

Struck = TypeVar("Struck", bound=Trap)
Privilege = Literal["create_custom_metadata", "write_custom_metadata", "create_assets", "update_assets", "search"]
USUAL_PER_MINUTE = 400
USUAL_BLOCK_S = 60
_MESSAGES = {
    429: "Too Many Requests",
    500: "There was an error processing your request.",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}


class Failure(Trap, forbid_unknown_fields=True):
    """Answers with an error status; `retry_after`, seconds or an HTTP date, becomes a header.

    With `after_commit` the request is carried out first. `html` is what a gateway in front sends; 502 and 504 are
    always that.
    """

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    retry_after: int | str | None = None
    after_commit: bool = False
    html: bool = False

    def error(self) -> AtlanError:
        """The answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        message = _MESSAGES.get(self.status, "Service Unavailable")
        return AtlanError(self.status, str(self.status), message, headers)

    @property
    def as_html(self) -> bool:
        """Whether its body is a page."""
        return self.html or self.status in {502, 504}


class RateControl(msgspec.Struct, forbid_unknown_fields=True):
    """Requests a minute before callers are shut out for a while; 0: no limit. `retry_after`: the answer says when."""

    per_minute: Annotated[int, msgspec.Meta(ge=0)] | None = None
    block_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    retry_after: bool | None = None


class PrivilegeControl(msgspec.Struct, forbid_unknown_fields=True):
    """What the caller may not do from now on; replaces what was set."""

    deny: list[Privilege] = []


class Switches:
    """The state of all switches.

    Args:
        clock: The catalog's clock, by which requests are counted.
        per_minute: The usual limit of requests; 0: none.

    Attributes:
        latency_ms: Added to each request.
        refused: GUIDs and qualified names of assets that no write may hold.
        tells_time: Whether answers have a `Date`; like the clock itself, it stays when switches are turned off.
    """

    def __init__(self, clock: OrgClock, per_minute: int = USUAL_PER_MINUTE) -> None:
        self._clock = clock
        self._usual = per_minute
        self._lock = Lock()
        self._asked: deque[int] = deque()
        self.blocked_until_ms = 0
        self.tells_time = True
        self.reset()

    def reset(self) -> None:
        """Turn all switches off."""
        self.latency_ms = 0.0
        self.delays: list[Delay] = []
        self.failures: list[Failure] = []
        self.cuts: list[Cut] = []
        self.refused: set[str] = set()
        self.denied: set[Privilege] = set()
        self._per_minute = self._usual
        self._block_s: float = USUAL_BLOCK_S
        self._retry_after = False
        self._asked.clear()
        self.blocked_until_ms = 0

    def limit(self, asked: RateControl) -> None:
        """Set the limit of requests; who is shut out is let in again."""
        self._per_minute = self._per_minute if asked.per_minute is None else asked.per_minute
        self._block_s = self._block_s if asked.block_seconds is None else asked.block_seconds
        self._retry_after = self._retry_after if asked.retry_after is None else asked.retry_after
        self._asked.clear()
        self.blocked_until_ms = 0

    def check_rate(self) -> None:
        """Count a request.

        Raises:
            AtlanError: 429, there were too many; then all are refused until the block is over.
        """
        now = self._clock.now_ms()
        if now < self.blocked_until_ms:
            note("rate limit")
            left = self.blocked_until_ms - now
            raise too_fast(math.ceil(left / 1_000) if self._retry_after else None)
        if not self._per_minute:
            return
        while self._asked and self._asked[0] <= now - 60_000:
            self._asked.popleft()
        self._asked.append(now)
        if len(self._asked) > self._per_minute:
            self.blocked_until_ms = now + int(self._block_s * 1_000)
            self._asked.clear()
            note("rate limit")
            raise too_fast(math.ceil(self._block_s) if self._retry_after else None)

    def delay(self, text: str) -> float:
        """How long a request is to wait, in seconds."""
        with self._lock:
            seconds = sum(one.seconds for one in self.delays if one.strikes(text)) + self.latency_ms / 1_000
        if seconds:
            note(f"delay {seconds:g} s")
        return seconds

    def failure(self, text: str) -> Failure | None:
        """The failure that a request meets, if any."""
        found = self._first(self.failures, text)
        if found is not None:
            note(f"fail {found.status}{' after commit' if found.after_commit else ''}")
        return found

    def cut(self, text: str) -> Cut | None:
        """How the connection of a request is to be spoilt, if it is."""
        found = self._first(self.cuts, text)
        if found is not None:
            note(found.mode)
        return found

    def require(self, privilege: Privilege, what: str) -> None:
        """Check a privilege.

        Raises:
            AtlanError: 403, the caller does not have it.
        """
        if privilege in self.denied:
            note(f"deny {privilege}")
            raise forbidden("service-account", what)

    def guard(self, asset: Asset, old: Asset | None) -> None:
        """Check a write of an asset.

        Args:
            asset: As it would be.
            old: As it is, or None.

        Raises:
            AtlanError: 403, the caller lacks a privilege; 400, a tester wants it refused.
        """
        if not self.refused.isdisjoint((asset.guid, asset.qualified_name)):
            note("refuse")
            raise invalid_parameters(f"{asset.type_name} {asset.guid} is refused")
        if old is None:
            self.require("create_assets", f"create entity: type={asset.type_name}")
        elif (old.attributes, old.references, old.status) != (asset.attributes, asset.references, asset.status):
            self.require("update_assets", f"update entity: type={asset.type_name}")
        before = {} if old is None else old.custom_metadata
        for name in {*before, *asset.custom_metadata}:
            if before.get(name) != asset.custom_metadata.get(name):
                where = f"guid={asset.guid}, business-metadata-name={name}"
                self.require("write_custom_metadata", f"add/update business-metadata: {where}")

    def _first(self, traps: Sequence[Struck], text: str) -> Struck | None:
        with self._lock:
            return next((trap for trap in traps if trap.strikes(text)), None)
