"""The control endpoint: what a tester may ask of the catalog beside its API."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan.crawling import Crawl, crawl
from localcloud.atlan.entities import Entities, EntityIn, Flags
from localcloud.atlan.errors import AtlanError
from localcloud.atlan.login import TokenControl  # noqa: TC001 - msgspec reads them at run time
from localcloud.atlan.switches import Failure, Loss, PrivilegeControl, RateControl  # noqa: TC001
from localcloud.atlan.types import Value  # noqa: TC001
from localcloud.salesforce.storage import instant_text
from localcloud.serving import control
from localcloud.serving.control import Positive  # noqa: TC001
from localcloud.serving.faults import Cut, Delay  # noqa: TC001

if TYPE_CHECKING:
    from localcloud.atlan.login import Logins
    from localcloud.atlan.store import Store
    from localcloud.atlan.switches import Switches
    from localcloud.journal import Journal

TESTER = "tester"


class Clock(control.Clock, forbid_unknown_fields=True):
    """Sets the catalog's clock, then moves it; `tell` is whether answers have a `Date`."""

    tell: bool | None = None


class New(msgspec.Struct, forbid_unknown_fields=True):
    """An asset, as another crawler or a person would make it."""

    type_name: str
    attributes: dict[str, Value]


class Control(msgspec.Struct, forbid_unknown_fields=True):
    """What the control endpoint takes; what is left out stays as it is."""

    reset: bool = False
    clear_journal: bool = False
    latency_ms: Positive | None = None
    delay: list[Delay] = []
    fail: list[Failure] = []
    drop: list[Cut] = []
    rate_limit: RateControl | None = None
    index_lag_seconds: Positive | None = None
    tokens: TokenControl | None = None
    privileges: PrivilegeControl | None = None
    refuse: list[str] | None = None
    lose: list[Loss] = []
    clock: Clock | None = None
    add: list[New] = []
    crawl: Crawl | None = None
    archive: list[str] = []
    purge: list[str] = []


class State(msgspec.Struct, frozen=True):
    """How things stand after a control request; `added` are the GUIDs of assets that it made by `add`."""

    now: str
    assets: dict[str, int]
    latency_ms: float
    fail: list[Failure]
    drop: list[Cut]
    delay: list[Delay]
    blocked: bool
    index_lag_seconds: float
    attributes_ever_defined: int
    added: list[str] = []
    crawled: int = 0


_DECODER = msgspec.json.Decoder(Control)


class Controller:
    """Turns the switches of a catalog that is being served.

    Args:
        store: The catalog's memory.
        switches: Its switches.
        logins: Who may ask.
        journal: What it was asked.
    """

    def __init__(self, store: Store, switches: Switches, logins: Logins, journal: Journal) -> None:
        self._store = store
        self._switches = switches
        self._logins = logins
        self._journal = journal
        self._entities = Entities(store)

    def apply(self, body: bytes) -> State:
        """Do what a control request asks.

        Raises:
            ValueError: The body is not right; what came before the fault is done.
        """
        asked = _DECODER.decode(body or b"{}")  # its errors are ValueErrors
        if asked.clear_journal:
            self._journal.clear()
        self._turn(asked)
        if asked.clock is not None:
            asked.clock.turn(self._store.clock)
            if asked.clock.tell is not None:
                self._switches.tells_time = asked.clock.tell
        try:
            added = [
                self._entities.save([EntityIn(one.type_name, attributes=one.attributes)], Flags(), TESTER)
                for one in asked.add
            ]
        except AtlanError as error:
            raise ValueError(error.message) from error
        for guids, purge in ((asked.archive, False), (asked.purge, True)):
            unknown = [guid for guid in guids if self._store.get(guid) is None]
            if unknown:
                raise ValueError(f"there is no asset {unknown[0]}")
            if guids:
                self._entities.delete(guids, purge=purge, who=TESTER)
        crawled = crawl(self._store, asked.crawl) if asked.crawl is not None else 0
        return self.state([one.guid for mutation in added for one in mutation.created], crawled)

    def state(self, added: list[str] | None = None, crawled: int = 0) -> State:
        """How things stand."""
        switches = self._switches
        return State(
            now=instant_text(self._store.clock.now()),
            assets=dict(sorted(Counter(one.type_name for one in self._store.assets() if one.active).items())),
            latency_ms=switches.latency_ms,
            fail=switches.failures,
            drop=switches.cuts,
            delay=switches.delays,
            blocked=self._store.clock.now_ms() < switches.blocked_until_ms,
            index_lag_seconds=self._store.lag_seconds,
            attributes_ever_defined=self._store.definitions.ever,
            added=added or [],
            crawled=crawled,
        )

    def _turn(self, asked: Control) -> None:
        switches = self._switches
        if asked.reset:
            switches.reset()
            self._store.lag_seconds = 0.0
            self._logins.restore()
        if asked.latency_ms is not None:
            switches.latency_ms = asked.latency_ms
        switches.delays += asked.delay
        switches.failures += asked.fail
        switches.cuts += asked.drop
        switches.losses += asked.lose
        if asked.rate_limit is not None:
            switches.limit(asked.rate_limit)
        if asked.index_lag_seconds is not None:
            self._store.lag_seconds = asked.index_lag_seconds
        if asked.tokens is not None:
            self._logins.control(asked.tokens)
        if asked.privileges is not None:
            switches.denied = set(asked.privileges.deny)
        if asked.refuse is not None:
            switches.refused = set(asked.refuse)
