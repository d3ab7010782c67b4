"""The Subscribe RPC: one stream, from its first request to its end."""

from __future__ import annotations

from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import msgspec

from localcloud.salesforce.pubsub import store, wire
from localcloud.salesforce.pubsub.contract import ENUMS
from localcloud.salesforce.pubsub.errors import PubSubError
from localcloud.salesforce.pubsub.flow import MOST_OUTSTANDING, Due, Flow
from localcloud.salesforce.pubsub.room import Rpc
from localcloud.salesforce.pubsub.spoiling import Spoiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import grpc

    from localcloud.salesforce.pubsub.room import Room
    from localcloud.salesforce.pubsub.topics import Topic

    Send = Callable[[bytes | None], None]

RESPONSE_BYTES = 3_000_000
"""Events of one response at most, unless a single one is larger."""
_AT_ONCE = 0.0  # an instant that has long passed
_CUSTOM, _EARLIEST = ENUMS["ReplayPreset"]["CUSTOM"], ENUMS["ReplayPreset"]["EARLIEST"]


def subscribe(room: Room, requests: Iterator[Any], context: grpc.ServicerContext, send: Send) -> None:
    """Answer a Subscribe call: send encoded `FetchResponse` messages, and `None` at the end.

    The caller's thread waits for what time and other processes bring, and ends the call; a thread that reads the
    requests answers them where events are at hand, so that a busy stream costs no change of threads.
    """
    rpc = Rpc(room, "Subscribe", context)
    with rpc.answering("pubsub_subscribe"), room.stream():
        stop = room.bus.hub.listen(rpc.mailbox.ring)
        stream = _Stream(room, rpc, send)
        Thread(target=_read, args=(stream, rpc, requests), name="pubsub-requests", daemon=True).start()
        try:
            stream.run()
        finally:
            stop()
            stream.close()
    send(None)


def _read(stream: _Stream, rpc: Rpc, requests: Iterator[Any]) -> None:
    """Take in the requests of a stream until there are no more."""

    def following() -> Any:
        while stream.answers(request := next(requests)):
            pass
        return request

    rpc.mailbox.reading(following)


class _Batch(msgspec.Struct, frozen=True):
    """Events made ready before they are asked for: their bytes, how many, the replay id of the last."""

    entries: bytes
    count: int
    replay_id: bytes


class _Stream:
    def __init__(self, room: Room, rpc: Rpc, send: Send) -> None:
        self._room = room
        self._rpc = rpc
        self._send = send
        self._lock = Lock()
        self._db = store.connect(room.org.path)
        self._flow = Flow(room.patience.now())
        self._spoiler = Spoiler(room)
        self._block: list[bytes] = []
        self._next = 0
        self._position = 0
        self._topic: Topic | None = None
        self._ready: _Batch | None = None
        self._refused: PubSubError | None = None

    def run(self) -> None:
        """Send what the client gets, until the stream ends.

        Raises:
            PubSubError: It ends with an error.
            Gone: The client went away.
        """
        while True:
            with self._lock:
                until = self._turn()
            if until is None:
                return
            if until != _AT_ONCE:
                self._rpc.mailbox.wait(until)

    def answers(self, request: Any) -> bool:
        """Answer a request at once, if it is a plain one, and events were made ready for it; returns whether it was.

        All others are for `run`. For the thread that reads the requests.
        """
        switches = self._room.switches
        if switches.traps or switches.latency_ms > 0:
            return False
        with self._lock:
            topic, count, mailbox = self._topic, request.num_requested, self._rpc.mailbox
            if self._ready is None or topic is None or self._refused is not None or mailbox.waiting or count <= 0:
                return False
            if request.auth_refresh or request.topic_name not in {"", topic.name}:
                return False
            try:
                self._check_session()
                self._flow.ask(count)
                while self._flow.pending and self._load(topic):
                    self._serve(topic)
            except PubSubError as error:
                self._refused = error
                mailbox.ring()
            if self._flow.pending:
                mailbox.ring()
            return True

    def close(self) -> None:
        """Answer no more."""
        with self._lock:
            self._ready = None
            self._db.close()

    def _turn(self) -> float | None:
        """Do what is to be done; returns the instant until which nothing is, or None at the stream's end."""
        rpc = self._rpc
        self._hear()
        self._check_session()
        topic = self._topic
        if topic is None:
            if rpc.finished():
                return None
            self._is_due()
            return self._due().at
        rpc.meet_traps()
        if self._flow.pending and self._load(topic):
            self._serve(topic)
        elif rpc.finished():
            return None
        elif self._is_due():
            self._send(self._keepalive())
        else:
            return self._due().at
        return _AT_ONCE

    def _serve(self, topic: Topic) -> None:
        """Send a response with events, and make the next ones ready while the client works."""
        self._send(self._events())
        if not self._flow.pending and self._load(topic):
            self._ready = self._join(MOST_OUTSTANDING)

    def _hear(self) -> None:
        """Take in what the client asked."""
        if self._refused is not None:
            raise self._refused
        self._rpc.pause(0.0)
        while (request := self._rpc.mailbox.first()) is not None:
            self._check_session(request.auth_refresh)
            topic = self._topic
            if topic is None:
                topic = self._open(request)
            elif request.topic_name not in {"", topic.name}:
                raise PubSubError("subscription.fetch.topic.mismatch")
            self._flow.ask(request.num_requested)
            if self._load(topic):
                break  # what is at hand is sent before more is heard

    def _check_session(self, refresh: str = "") -> None:
        caller = self._rpc.caller
        if caller is None:
            return
        if refresh:
            if self._room.sessions.holder(refresh) is None:
                raise PubSubError("service.auth.refresh.invalid")
            caller.token = refresh
        caller.check(self._room.sessions)

    def _open(self, request: Any) -> Topic:
        """The first request says where to begin."""
        name = request.topic_name
        if not name:
            raise PubSubError("topic.validation.empty")
        room = self._room
        self._rpc.about(name)
        with room.lock:
            topic = room.bus.topic(name)
        if topic is None:
            raise PubSubError("topic.not.found", topic=name, tenant=_tenant(room))
        if topic.entity is not None and topic.entity.lower() in room.hidden():
            raise PubSubError("subscription.topic.cannot.subscribe")
        self._position = self._start(request)
        self._topic = topic
        self._rpc.note("pubsub_request", parts=(_preset_name(request.replay_preset),))
        return topic

    def _start(self, request: Any) -> int:
        if request.replay_preset == _EARLIEST:
            return 0
        if request.replay_preset != _CUSTOM:
            return store.tip(self._db)
        if not request.replay_id:
            raise PubSubError("subscription.fetch.replayid.validation.failed")
        found = store.place(self._db, request.replay_id, self._oldest())
        if found is None:
            raise PubSubError("subscription.fetch.replayid.corrupted")
        return found

    def _oldest(self) -> int:
        with self._room.lock:
            return self._room.bus.oldest_ms()

    def _load(self, topic: Topic) -> bool:
        """Whether there are events to send; reads ahead where there are none at hand."""
        if self._next < len(self._block):
            return True
        self._block, self._next = [], 0
        while not self._block:
            before = self._position
            block = store.read(self._db, topic.selection(self._room.hidden()), before, self._oldest())
            self._block, self._position = block.events, block.position
            if block.position == before:
                break
        return bool(self._block)

    def _join(self, most: int) -> _Batch:
        """The next events, no more than that, and no more than fit into a response."""
        batch = self._block[self._next : self._next + min(most, self._room.switches.chunk)]
        until_trap = self._rpc.room_until_trap()
        if until_trap is not None:
            del batch[until_trap:]
        if sum(map(len, batch)) > RESPONSE_BYTES:
            size = 0
            for count, entry in enumerate(batch):
                size += len(entry)
                if count and size > RESPONSE_BYTES:
                    del batch[count:]
                    break
        return _Batch(b"".join(self._spoiler.events(batch, self._rpc)), len(batch), wire.replay_id(batch[-1]))

    def _events(self) -> bytes:
        """The next response with events."""
        room, rpc, ready = self._room, self._rpc, self._ready
        self._ready = None
        if room.switches.latency_ms:
            rpc.pause(room.switches.latency_ms / 1000)
        allowed = room.allowed(self._flow.pending)
        if ready is None or ready.count > allowed or self._spoiler.spoils:
            ready = self._join(allowed)
        room.delivered(ready.count)
        self._next += ready.count
        self._flow.sent(ready.count, room.patience.now())
        rpc.delivered += ready.count
        latest = ready.replay_id
        if room.switches.latest_is_tip:
            latest = room.tip_id(store.tip(self._db))
        return self._response(ready.entries, latest, ready.count)

    def _keepalive(self) -> bytes:
        self._rpc.pause(self._room.switches.latency_ms / 1000)
        self._check_session()
        self._flow.sent(0, self._room.patience.now())
        return self._response(b"", self._room.tip_id(self._position), 0)

    def _response(self, entries: bytes, latest: bytes, count: int) -> bytes:
        rpc = self._rpc
        body = entries + wire.tail(latest, rpc.id, self._flow.pending) + self._spoiler.padding(rpc)
        rpc.sent_bytes += len(body)
        rpc.note("pubsub_fetch", rows=count, size=len(body))
        return body

    def _is_due(self) -> bool:
        """Whether it is time for a keepalive; a client that asked for nothing for too long is closed out."""
        due = self._due()
        if due.at > self._room.patience.now():
            return False
        if due.what == "close":
            raise PubSubError("RST_STREAM")
        return True

    def _due(self) -> Due:
        switches = self._room.switches
        return self._flow.due(switches.keepalive_seconds, switches.idle_close_seconds)


def _tenant(room: Room) -> str:
    return f"CORE/prod/{room.org.org_id}"


def _preset_name(number: int) -> str:
    return next((name for name, value in ENUMS["ReplayPreset"].items() if value == number), str(number))
