"""What all RPCs of the service share, and the frame that each one runs in: identity, errors, journal."""

from __future__ import annotations

import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from localcloud.journal import Request
from localcloud.salesforce.limits import DELIVERED_EVENTS
from localcloud.salesforce.pubsub import connections, store
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.contract import FULL_SERVICE
from localcloud.salesforce.pubsub.errors import PubSubError, ending
from localcloud.salesforce.pubsub.metadata import identify
from localcloud.salesforce.pubsub.patience import Mailbox, RealPatience
from localcloud.salesforce.pubsub.switches import ConnectionCut, Hang, PubSubSwitches, RpcFailure, Victim
from localcloud.salesforce.storage import instant_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.journal import Journal
    from localcloud.salesforce.faults import Switches
    from localcloud.salesforce.limits import Usage
    from localcloud.salesforce.login.sessions import Sessions
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.pubsub.metadata import Caller
    from localcloud.salesforce.pubsub.patience import Patience
    from localcloud.salesforce.pubsub.switches import StreamTrap

_HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class Gone(Exception):  # noqa: N818 - no error: the caller is not there any more
    """The caller went away, or its connection was cut."""


class Room:
    """What the RPCs work with.

    Args:
        org: The org, opened for this service alone.
        sessions: Who is logged in.
        forbids: What the user may not see; the same switches as of REST.
        usage: Where deliveries and publications are counted.
        journal: Where each RPC is noted.
        patience: The time that streams live in.

    Attributes:
        bus: The event bus; hold `lock` while using it.
        switches: Faults and settings of this service.
        port: Where it listens.
    """

    def __init__(
        self,
        org: Org,
        sessions: Sessions,
        forbids: Switches,
        usage: Usage,
        journal: Journal,
        patience: Patience | None = None,
    ) -> None:
        self.org = org
        self.sessions = sessions
        self.forbids = forbids
        self.usage = usage
        self.journal = journal
        self.patience = patience or RealPatience()
        self.bus = Bus(org)
        self.bus.hub.usage = usage
        self.lock = org.lock  # the bus lives in the org's connection, which others write through
        self.switches = PubSubSwitches()
        self.port = 0
        self._streams = 0
        self._count_lock = Lock()
        self._second = (-1, "")

    def hidden(self) -> frozenset[str]:
        """Entities that the user may not see, in lower case."""
        return frozenset(name.lower() for name in self.forbids.forbidden_objects)

    def now_text(self) -> str:
        """The instant that the org's clock shows, as it is stored; a date is formatted once a second."""
        second, thousandths = divmod(self.org.clock.now_ms(), 1_000)
        known, text = self._second
        if second != known:
            text = instant_text(datetime.fromtimestamp(second, UTC))
            self._second = second, text
        return f"{text[:-8]}{thousandths:03d}{text[-5:]}"

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream while it is open.

        Raises:
            PubSubError: There are too many.
        """
        with self._count_lock:
            if self._streams >= self.switches.streams:
                raise PubSubError("concurrent.client.limit.exceeded")
            self._streams += 1
        try:
            yield
        finally:
            with self._count_lock:
                self._streams -= 1

    def allowed(self, wanted: int) -> int:
        """How many of so many events the org's allocation lets through.

        Raises:
            PubSubError: It is used up.
        """
        left = int(self.usage.maximum(DELIVERED_EVENTS) - self.usage.used(DELIVERED_EVENTS))
        if left <= 0:
            raise PubSubError("subscription.limit.exceeded")
        return min(wanted, left)

    def delivered(self, count: int) -> None:
        """Count events that are delivered."""
        self.usage.add(DELIVERED_EVENTS, count)

    def tip_id(self, position: int) -> bytes:
        """A replay id for a position with no event behind it yet: what a keepalive carries."""
        with self.lock:
            db, now = self.org.db, self.org.clock.now_ms()
            known = store.tip_at(db, position, now - 3_600_000)
            if known is not None:
                return known
            with db:
                store.lock(db)
                numbers = store.numbers(db)
                replay_id = numbers.next_replay(self.bus.settings.replay_ids)
                store.keep_tip(db, replay_id, position, now)
                store.keep_numbers(db, numbers)
            return replay_id


class Rpc:
    """One RPC under way.

    Args:
        room: What it works with.
        name: `Subscribe`, `GetTopic`, ...
        context: gRPC's side of it.

    Attributes:
        id: What the answer and an error call it.
        subject: The topic or schema it is about, for the journal.
        delivered: Events sent on it.
        mailbox: Where its end shows.
    """

    def __init__(self, room: Room, name: str, context: grpc.ServicerContext) -> None:
        self.room = room
        self.name = name
        self.id = str(uuid.uuid4())
        self.subject: str | None = None
        self.delivered = 0
        self.sent_bytes = 0
        self.mailbox: Mailbox[Any] = Mailbox(room.patience)
        self.caller: Caller | None = None
        self._context = context
        self._victim: Victim | None = None
        self._fault: str | None = None

    @contextmanager
    def answering(self, kind: str) -> Iterator[Caller]:
        """Identify the caller, and turn what goes wrong into a status with trailers; journals the RPC.

        Raises:
            Exception: What gRPC takes as the end of the call.
        """
        started, status = time.perf_counter(), 200
        parts: tuple[str, ...] = ()
        context = self._context
        if not context.add_callback(self.mailbox.cancel):
            self.mailbox.cancel()
        try:
            with self.room.lock:
                tenant = self.room.org.org_id
            self.caller = identify(context.invocation_metadata() or (), self.room.sessions, tenant)
            yield self.caller
        except PubSubError as error:
            status, parts = _HTTP_STATUS.get(error.status, 500), (error.status.name, error.code)
            self._abort(error)
        except GeneratorExit:
            status = 499
            raise
        except Gone:
            status, parts = 499, (grpc.StatusCode.CANCELLED.name, "")
            context.abort(grpc.StatusCode.CANCELLED, "the call is over")
        finally:
            took = round((time.perf_counter() - started) * 1000, 3)
            self.note(kind, rows=self.delivered, size=self.sent_bytes, status=status, parts=parts, took_ms=took)

    def note(
        self,
        kind: str,
        *,
        rows: int = 0,
        size: int = 0,
        status: int = 200,
        parts: tuple[str, ...] = (),
        took_ms: float = 0.0,
    ) -> None:
        """Write a line of the journal.

        The status is that of HTTP which the gRPC status maps to; `parts` holds its name and the error code.
        """
        room = self.room
        at = room.now_text()
        path = f"/{FULL_SERVICE}/{self.name}"
        client = None if self.caller is None else self.caller.client
        room.journal.add(
            Request(0, kind, at, "GRPC", path, status, self.subject, rows, client, size, 0, took_ms, parts, self._fault)
        )

    def about(self, subject: str) -> None:
        """Say what it is about, and meet the traps that are set for that.

        Raises:
            PubSubError: A trap says so.
            Gone: A trap cut the connection.
        """
        self.subject = subject
        self._victim = Victim(self.room.switches, f"{self.name} {subject}")
        self.meet_traps()

    def meet_traps(self) -> None:
        """Let a trap strike, if one does now.

        Raises:
            PubSubError: It ends the RPC with an error.
            Gone: It cut the connection, or the RPC hung until the client left.
        """
        trap = self._victim.struck(self.delivered) if self._victim and self.room.switches.traps else None
        if trap is not None:
            self._strike(trap)

    def room_until_trap(self) -> int | None:
        """How many events may go before traps are to be met again; None: any number."""
        return self._victim.room(self.delivered) if self._victim and self.room.switches.traps else None

    def pause(self, seconds: float) -> None:
        """Wait, unless the client goes or asks too much meanwhile.

        Raises:
            Gone: It went.
            PubSubError: It asked too much.
        """
        if seconds > 0:
            self.mailbox.sleep(seconds)
        if self.mailbox.cancelled:
            raise Gone
        if self.mailbox.overflowed:
            raise PubSubError("service.protection.stream.limit.triggered")

    def finished(self) -> bool:
        """Whether the client sends no more, though it is there.

        Raises:
            Gone: It is not.
        """
        if not self.mailbox.finished:
            return False
        if not self._context.is_active():  # a call that is cancelled ends its requests too
            raise Gone
        return True

    def _strike(self, trap: StreamTrap) -> None:
        if isinstance(trap, RpcFailure):
            self._fault = f"fail {trap.code}"
            raise trap.error(self.subject or "", self.room.org.org_id)
        if isinstance(trap, ConnectionCut):
            self._fault = trap.mode
            connections.spoil(self.room.port, self._context.peer(), trap.mode)
        elif isinstance(trap, Hang):
            self._fault = f"hang {trap.mode}"
            if trap.mode == "frozen":
                connections.spoil(self.room.port, self._context.peer(), "frozen")
        self.note("pubsub_fault", rows=self.delivered, status=0)  # what hangs shows before it ends
        self.mailbox.wait_for_cancel()
        raise Gone

    def _abort(self, error: PubSubError) -> NoReturn:
        end = ending(error, self.name, self.id)
        self._context.set_trailing_metadata(end.trailers)
        self._context.abort(error.status, end.details)
        raise AssertionError("abort raises")
