"""One topic, read without a hole and without a double: a stream that resumes behind what was handed out last.

`receive` does all the work in the thread of its caller; a second thread only moves responses from the connection into
a queue, a few at most, so that waiting has an end and the next events are on their way while these are worked on. For
each event that enters the queue one more is ordered, so that 100 are on order at any time. When a stream ends, whatever
the reason, what had arrived is handed out first; then the next stream begins behind it.

Sources: Pub/Sub API guide, "Pull Subscription and Flow Control", "Event Message Durability", "Retry RPC Calls".
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any, Final

import grpc
import msgspec
from google.protobuf.message import DecodeError

from microdecisions.errors import MicroDecisionError
from tap_salesforce_deletes.pubsub.contract import CUSTOM, EARLIEST, LATEST, new, parse
from tap_salesforce_deletes.pubsub.errors import (
    Action,
    ProtocolError,
    Refused,
    SubscriptionClosedError,
    error_of,
)
from tap_salesforce_deletes.pubsub.line import refused_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from microdecisions.login import Token
    from tap_salesforce_deletes.pubsub.line import Line

__all__ = ["After", "Delivery", "Earliest", "Event", "Latest", "Start", "Subscription"]

logger = logging.getLogger(__name__)

MOST_OUTSTANDING: Final = 100
"""Events on order at one time; the service treats more as this."""
_SLOWLY: Final = 5.0  # seconds to wait at least when the service asks for less
_MOST_AHEAD: Final = 4  # responses in the queue; each has 3 MB at most


class Earliest(msgspec.Struct, frozen=True):
    """From the oldest event that is kept: 72 hours."""


class Latest(msgspec.Struct, frozen=True):
    """Only what is published from the moment in which the service first answers."""


class After(msgspec.Struct, frozen=True):
    """Strictly after an event, or after the place that a keepalive named.

    Attributes:
        replay_id: Opaque bytes, as they were received.
    """

    replay_id: bytes


Start = Earliest | Latest | After


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event as it came.

    Attributes:
        id: Its EventUuid; not always there on change events.
        schema_id: The schema that its payload was written with.
        payload: Avro, without schema.
        replay_id: Its place on the bus.
    """

    id: str
    schema_id: str
    payload: bytes
    replay_id: bytes


class Delivery(msgspec.Struct, frozen=True):
    """One response of the service.

    Attributes:
        events: In the order of the bus; none in a keepalive.
        latest_replay_id: As the service said; of use in a keepalive only, as it may be ahead of the events.
        pending: Events that are still on order. It says nothing about how many wait on the bus.
    """

    events: Sequence[Event]
    latest_replay_id: bytes
    pending: int

    @property
    def replay_id(self) -> bytes:
        """Where to resume once all of this is written."""
        return self.events[-1].replay_id if self.events else self.latest_replay_id


class Subscription:
    """A topic under way; made by `PubSubClient.subscription`. It connects at the first `receive`.

    `receive` and `is_idle` are for one thread; `close` may be called by any.

    Attributes:
        topic: Its name.
        reconnects: Streams that ended and were resumed.
    """

    def __init__(self, line: Line, topic: str, start: Start) -> None:
        self.topic = topic
        self.reconnects = 0
        self._line = line
        self._position = start
        self._closed = threading.Event()
        self._stream: _Stream | None = None
        self._failure: MicroDecisionError | None = None
        self._tries = 0
        self._first_failure = 0.0
        self._not_before = 0.0

    @property
    def position(self) -> Start:
        """Behind what was handed out last; the start where nothing was."""
        return self._position

    @property
    def idle_seconds(self) -> float:
        """How long an open stream with events on order was silent; 0.0 while there is none."""
        stream = self._stream
        if stream is None or not stream.inbox.empty():
            return 0.0
        return max(0.0, self._line.clocks.monotonic() - stream.heard_at)

    def is_idle(self, seconds: float) -> bool:
        """Whether the topic was silent that long, on a connection that is alive: it is asked to answer now.

        Silence alone proves nothing, as a connection can be half open. What was not delivered stays on the bus for
        the next run.
        """
        if self._stream is None or self.idle_seconds < seconds:
            return False
        try:
            self._line.topic(self.topic, patient=False)
        except MicroDecisionError as error:
            logger.warning("%s is silent, and the Pub/Sub API does not answer: %s", self.topic, error)
            return False
        return self._stream.inbox.empty()

    def receive(self, timeout_seconds: float) -> Delivery | None:
        """The next response; reconnects and logs in again as needed.

        Args:
            timeout_seconds: How long to wait; a login or a try to connect that is under way is not broken off.

        Returns:
            The response, or None when nothing came in time, also while it waits to reconnect.

        Raises:
            SubscriptionClosedError: `close` was called.
            ReplayIdError: The start is no longer known: begin again with `Earliest`, and mind the hole.
            DeliveryLimitError: The org's allocation is used up.
            TopicPermissionError: The user may not subscribe.
            TopicNotFoundError: There is no such topic.
            ProtocolError: An event has no replay id, or a response is none.
            PubSubError: The service refused for good, or failed for too long.
            UnreachableError: It did not answer, after all tries.
            LoginError: No session is accepted.
            CertificateError: Its certificate is not trusted.
        """
        if self._failure is not None:
            raise self._failure
        now = self._line.clocks.monotonic
        until = now() + timeout_seconds
        while True:
            if self._closed.is_set():
                raise self._is_closed()
            stream = self._stream or self._connect(until)
            if stream is None:
                return None
            left = min(until, stream.heard_at + self._line.timing.watchdog) - now()
            try:
                came = stream.get(max(0.0, left))
            except queue.Empty:
                if now() - stream.heard_at >= self._line.timing.watchdog:
                    self._lost(stream, self._silent())
                elif now() >= until:
                    return None
                continue
            if isinstance(came, Refused):
                self._lost(stream, came)
            elif came is not None:
                return self._hand_out(came, stream)

    def close(self) -> None:
        """End the stream; a `receive` under way raises `SubscriptionClosedError`. Calling it again does nothing."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            stream.cancel()
        self._line.forget(self)

    def _connect(self, until: float) -> _Stream | None:
        """Open the next stream, after the pause that is due; None when that lasts longer."""
        clocks = self._line.clocks
        pause = self._not_before - clocks.monotonic()
        if pause > 0:
            self._closed.wait(max(0.0, min(pause, until - clocks.monotonic())))
            if self._closed.is_set():
                raise self._is_closed()
            if clocks.monotonic() < self._not_before:
                return None
        try:
            token = self._line.token()
        except MicroDecisionError as error:
            self._failure = error
            raise
        stream = _Stream(self._line, self.topic, token, self._first_request())
        self._stream = stream
        if self._closed.is_set():  # by another thread, which did not see this stream
            stream.cancel()
        return stream

    def _is_closed(self) -> SubscriptionClosedError:
        return SubscriptionClosedError(f"The subscription to {self.topic} was closed.")

    def _first_request(self) -> bytes:
        position = self._position
        if isinstance(position, After):
            asked: dict[str, object] = {"replay_preset": CUSTOM, "replay_id": position.replay_id}
        else:
            asked = {"replay_preset": EARLIEST if isinstance(position, Earliest) else LATEST}
        return new("FetchRequest", topic_name=self.topic, num_requested=MOST_OUTSTANDING, **asked)

    def _hand_out(self, came: _Response, stream: _Stream) -> Delivery:
        self._tries = 0  # only a response shows that it works; a connection does not
        self._line.accepted(stream.token)
        if came.message is None:
            raise self._broken("an answer that is none")
        response = came.message
        events = [
            Event((event := consumed.event).id, event.schema_id, event.payload, consumed.replay_id)
            for consumed in response.events
        ]
        if not all(event.replay_id for event in events):
            raise self._broken("an event without a replay id")
        delivery = Delivery(events, response.latest_replay_id, response.pending_num_requested)
        if delivery.replay_id:
            self._position = After(delivery.replay_id)
        return delivery

    def _broken(self, what: str) -> ProtocolError:
        error = ProtocolError(
            f"The Pub/Sub API sent {what} on {self.topic}: nothing behind it is taken, so that none is lost; "
            "please report this."
        )
        self._failure = error
        self.close()
        return error

    def _silent(self) -> Refused:
        seconds = self._line.timing.watchdog
        return Refused(
            "DEADLINE_EXCEEDED",
            "",
            Action.RETRY,
            f"The Pub/Sub API sent nothing on {self.topic} for {seconds:.0f} s, though it promises a sign of life: "
            "check the network, and run again.",
        )

    def _lost(self, stream: _Stream, refused: Refused) -> None:
        """The stream is over: wait and resume, or say that it cannot be."""
        stream.cancel()
        self._stream = None
        if self._closed.is_set():
            return
        line, clocks = self._line, self._line.clocks
        line.met(refused)
        if not self._tries:
            self._first_failure = clocks.monotonic()
        self._tries += 1
        error: MicroDecisionError | None = None
        if refused.action is Action.LOGIN_AGAIN:
            try:
                line.renew(stream.token, refused)
            except MicroDecisionError as caught:
                error = caught
        elif refused.action is not Action.RETRY:
            error = error_of(refused)
        delay = line.policy.delay(self._tries, clocks.random, _SLOWLY if refused.slow else None)
        over = clocks.monotonic() + delay - self._first_failure > line.policy.total_seconds
        if error is None and (over or self._tries >= line.most_tries):
            error = error_of(refused)
        if error is not None:
            self._failure = error
            raise error
        self.reconnects += 1
        self._not_before = clocks.monotonic() + delay
        logger.warning(
            "The stream of %s ended (%s %s); resuming in %.1f s (try %d).",
            self.topic,
            refused.status,
            refused.code or "without a code",
            delay,
            self._tries + 1,
        )


class _Response(msgspec.Struct, frozen=True, gc=False):
    """A `FetchResponse`; None where the bytes were none."""

    message: Any


class _Stream:
    """One Subscribe call, and the thread that empties it into `inbox`, a few responses ahead at most."""

    def __init__(self, line: Line, topic: str, token: Token, first: bytes) -> None:
        self.token = token
        self.inbox: queue.SimpleQueue[_Response | Refused | None] = queue.SimpleQueue()
        self._topic = topic
        self._now = line.clocks.monotonic
        self.heard_at = self._now()
        self._free = threading.Semaphore(_MOST_AHEAD)
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._requests.put(first)
        self._call = line.subscribe(iter(self._requests.get, None), token)
        threading.Thread(target=self._read, name=f"pubsub {topic}", daemon=True).start()

    def get(self, timeout_seconds: float) -> _Response | Refused | None:
        """The next response, how the stream ended, or None once it was cancelled.

        Raises:
            queue.Empty: Nothing came in time.
        """
        came = self.inbox.get(timeout=timeout_seconds)
        self.heard_at = self._now()  # while the inbox was full, the reading thread could hear nothing
        self._free.release()
        return came

    def cancel(self) -> None:
        """End the call; whoever waits for the inbox wakes up."""
        self._call.cancel()
        self._requests.put(None)
        self._free.release()
        self.inbox.put(None)

    def _read(self) -> None:
        ended = Refused("OK", "", Action.RETRY, f"The Pub/Sub API ended the stream of {self._topic}: run again.")
        try:
            for encoded in self._call:
                self._take(encoded)
        except grpc.RpcError as error:
            ended = refused_of(error, self._topic)
        finally:  # whatever happens here, the reader of the inbox must not wait for it
            self.inbox.put(ended)

    def _take(self, encoded: bytes) -> None:
        """Order as many events as a response brought once there is room for it, and put it into the inbox.

        In this sequence the order is on its way while the events are worked on, which leaves other threads no turn.
        """
        self.heard_at = self._now()
        try:
            message = parse("FetchResponse", encoded)
        except DecodeError:
            message = None
        self._free.acquire()
        if message is not None:
            # Nothing on order though we count on it: the service sees it otherwise, and would close the stream.
            asked = len(message.events) or (0 if message.pending_num_requested else MOST_OUTSTANDING)
            if asked:
                self._requests.put(_REQUESTS[min(asked, MOST_OUTSTANDING)])
        self.inbox.put(_Response(message))


_REQUESTS: Final = tuple(new("FetchRequest", num_requested=count) for count in range(MOST_OUTSTANDING + 1))
