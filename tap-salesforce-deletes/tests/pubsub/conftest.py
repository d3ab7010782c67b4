"""A mock org with its Pub/Sub server, and the client under test with a session of that org."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from localcloud.clock import OrgClock
from localcloud.journal import Journal, Request
from localcloud.salesforce.changes import Change, Transaction
from localcloud.salesforce.faults import Switches
from localcloud.salesforce.limits import Usage
from localcloud.salesforce.login import Sessions
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.control import PubSubControl, PubSubController
from localcloud.salesforce.pubsub.server import PubSubServer
from microdecisions.login import Token
from microdecisions.retries import RetryPolicy
from tap_salesforce_deletes.pubsub.client import PubSubClient, Timing
from tap_salesforce_deletes.pubsub.subscription import Event, Subscription

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ORIGIN = "com/salesforce/api/rest/60.0;client=tests"
PATIENCE = 20.0
POLICY = RetryPolicy(tries=4, base_seconds=0.01)


class Mock:
    """An org, what happens in it, its server, and clients of it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.clock = OrgClock(NOW, real=lambda: 1_700_000_000.0)
        self.org = stack.enter_context(Org.open(path, clock=self.clock))
        self.bus = Bus(self.org)
        self.sessions = Sessions(self.org.org_id)
        self.switches = Switches()
        self.usage = Usage(self.clock.now_ms)
        self.journal = Journal()
        self.server = PubSubServer(self.org, self.sessions, self.switches, self.usage, self.journal)
        stack.callback(self.server.stop)
        self.controller = PubSubController(self.server, self.org)
        self.logins = 0
        self.seen_before = False
        self._stack = stack

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def control(self, **asked: Any) -> None:
        self.controller.apply(PubSubControl(**asked))

    def id(self, n: int, sobject: str = "Account") -> str:
        return self.org.new_id(sobject, n)

    def commit(self, *changes: Change) -> None:
        with self.org.db:
            self.bus.publish(Transaction(str(uuid.uuid4()), self.clock.now(), self.org.user_id, ORIGIN, changes))
        self.bus.wake()

    def deletes(self, *numbers: int, sobject: str = "Account") -> None:
        """A transaction for each."""
        for n in numbers:
            self.commit(Change(sobject, self.id(n, sobject), "DELETE"))

    def token(self, _: Token | None = None) -> Token:
        """Logs in."""
        self.logins += 1
        return Token(
            access_token=self.sessions.issue(),
            instance_url="http://127.0.0.1",
            org_id=self.org.org_id,
            user_id=self.org.user_id,
            issued_at=NOW,
        )

    def client(self, **changes: Any) -> PubSubClient:
        options: dict[str, Any] = {
            "tokens": self.token,
            "plaintext": True,
            "policy": POLICY,
            "timing": Timing(unary=PATIENCE),
        }
        return self._stack.enter_context(PubSubClient(self.endpoint, **(options | changes)))

    def ids(self, client: PubSubClient, events: list[Event]) -> list[str]:
        """The records of events."""
        return [one for event in events for one in client.schema(event.schema_id).header(event.payload).record_ids]

    def seen(self, kind: str, count: int = 1) -> list[Request]:
        """The journal's requests of a kind, once there are so many."""
        news = threading.Event()
        ignore = self.journal.subscribe(news.set)
        try:
            while True:
                news.clear()
                found = [one for one in self.journal.requests() if one.kind == kind]
                if len(found) >= count:
                    return found
                assert news.wait(PATIENCE), f"{len(found)} of {count} {kind}"
        finally:
            ignore()


def read(subscription: Subscription, count: int) -> list[Event]:
    """So many events."""
    found: list[Event] = []
    while len(found) < count:
        delivery = subscription.receive(PATIENCE)
        assert delivery is not None, f"{len(found)} of {count}"
        found += delivery.events
    return found


@pytest.fixture(scope="session")
def blank_org(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an org without rows, closed; to be copied."""
    path = tmp_path_factory.mktemp("blank") / "org"
    Org.create(path, clock=OrgClock(NOW, real=lambda: 1_700_000_000.0)).close()
    return path


@pytest.fixture
def mock(blank_org: Path, tmp_path: Path) -> Iterator[Mock]:
    """An empty org on 2 March 2026 with its Pub/Sub server."""
    with ExitStack() as stack:
        yield Mock(shutil.copytree(blank_org, tmp_path / "org"), stack)


@pytest.fixture
def events_of() -> Callable[[Subscription, int], list[Event]]:
    """Reads so many events."""
    return read
