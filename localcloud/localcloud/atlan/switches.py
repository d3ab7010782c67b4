"""Switches that make the catalog misbehave, the limit of requests a minute, and the privileges of the caller."""

from __future__ import annotations

import math
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from localcloud.atlan.errors import AtlanError, forbidden, invalid_parameters, too_fast
from localcloud.serving.faults import CommonSwitches, Trap, note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localcloud.atlan.assets import Asset
    from localcloud.clock import OrgClock

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
    always that. With `body` that text is the answer, as of something on the way that knows better, also with a status
    of success.
    """

    status: Annotated[int, msgspec.Meta(ge=200, le=599)] = 503
    retry_after: int | str | None = None
    after_commit: bool = False
    html: bool = False
    body: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.status < HTTPStatus.BAD_REQUEST and self.body is None:
            raise ValueError("a `status` of success goes with a `body`")

    def error(self) -> AtlanError:
        """The answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        message = _MESSAGES.get(self.status, "Service Unavailable")
        return AtlanError(self.status, str(self.status), message, headers)

    @property
    def as_html(self) -> bool:
        """Whether its body is a page."""
        return self.html or self.status in {502, 504}


class Loss(Trap, forbid_unknown_fields=True):
    """Searches answer without some assets: with `counted` those of a page that the index has and the graph has not.

    atlas-metastore counts them all the same (`EntityDiscoveryService.prepareSearchResult`). Without it they are left
    out of the count too, as where a part of the index does not answer in time. `guids` are theirs; searches that would
    show none of them are not struck.
    """

    guids: frozenset[str] = frozenset()
    counted: bool = True


class RateControl(msgspec.Struct, forbid_unknown_fields=True):
    """Requests a minute before callers are shut out for a while; 0: no limit. `retry_after`: the answer says when."""

    per_minute: Annotated[int, msgspec.Meta(ge=0)] | None = None
    block_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    retry_after: bool | None = None


class PrivilegeControl(msgspec.Struct, forbid_unknown_fields=True):
    """What the caller may not do from now on; replaces what was set."""

    deny: list[Privilege] = []


class Switches(CommonSwitches):
    """The state of all switches.

    Args:
        clock: The catalog's clock, by which requests are counted.
        per_minute: The usual limit of requests; 0: none.

    Attributes:
        refused: GUIDs and qualified names of assets that no write may hold.
        tells_time: Whether answers have a `Date`; like the clock itself, it stays when switches are turned off.
    """

    def __init__(self, clock: OrgClock, per_minute: int = USUAL_PER_MINUTE) -> None:
        self._clock = clock
        self._usual = per_minute
        self._asked: deque[int] = deque()
        self.blocked_until_ms = 0
        self.tells_time = True
        super().__init__()

    def reset(self) -> None:
        """Turn all switches off."""
        super().reset()
        self.failures: list[Failure] = []
        self.refused: set[str] = set()
        self.losses: list[Loss] = []
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

    def failure(self, text: str) -> Failure | None:
        """The failure that a request meets, if any."""
        found = self._first(self.failures, text)
        if found is not None:
            note(f"fail {found.status}{' after commit' if found.after_commit else ''}")
        return found

    def loss(self, found: Iterable[Asset], *, counted: bool) -> frozenset[str]:
        """GUIDs that a search leaves out of what it found; a loss that is counted is one of a page."""
        losses = [one for one in self.losses if one.counted == counted]
        if not losses:
            return frozenset()
        guids = {one.guid for one in found}
        loss = self._first([one for one in losses if not guids.isdisjoint(one.guids)], "indexsearch")
        if loss is None:
            return frozenset()
        note(f"lose {len(guids.intersection(loss.guids))}")
        return loss.guids

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
