"""The gRPC server of the Pub/Sub API on loopback: `eventbus.v1.PubSub`."""

from __future__ import annotations

import errno
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

import grpc

from localcloud.loopback import HOST, is_free
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub import store
from localcloud.salesforce.pubsub.contract import CLASSES, FULL_SERVICE
from localcloud.salesforce.pubsub.errors import PubSubError
from localcloud.salesforce.pubsub.publishing import publish, publish_stream
from localcloud.salesforce.pubsub.room import Room, Rpc
from localcloud.salesforce.pubsub.subscribing import subscribe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localcloud.journal import Journal
    from localcloud.salesforce.faults import Switches
    from localcloud.salesforce.limits import Usage
    from localcloud.salesforce.login.sessions import Sessions
    from localcloud.salesforce.pubsub.patience import Patience


class PortTakenError(OSError):
    """The port of the Pub/Sub API is in use.

    Attributes:
        port: Which one.
    """

    def __init__(self, port: int) -> None:
        super().__init__(errno.EADDRINUSE, "Address already in use")
        self.port = port


_WORKERS = 256
_STOP_SECONDS = 1.0
_LOOK_SECONDS = 0.1
"""How often the file is looked at for what other processes committed."""
_OPTIONS = (
    ("grpc.so_reuseport", 1),  # so that a new server can take over while an old one drains
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 4 * 2**20),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),  # clients ping every 30 s in practice
)


class PubSubServer:
    """Serves the event bus of an org.

    Args:
        org: The org; it is opened once more for this server, with the same clock.
        sessions: Who is logged in.
        forbids: What the user may not see.
        usage: Where deliveries and publications are counted.
        journal: Where RPCs are noted.
        port: Where to listen on 127.0.0.1; 0 takes any free port.
        tls_cert: Certificate chain (PEM); with it the server speaks TLS.
        tls_key: Its private key.
        patience: The time that streams live in.

    Attributes:
        room: What the RPCs work with.
        port: Where it listens.

    Raises:
        PortTakenError: The port is taken (an OSError).
    """

    def __init__(
        self,
        org: Org,
        sessions: Sessions,
        forbids: Switches,
        usage: Usage,
        journal: Journal,
        *,
        port: int = 0,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._credentials = _credentials(tls_cert, tls_key)
        self._org = Org.open(org.path, clock=org.clock)
        self.room = Room(self._org, sessions, forbids, usage, journal, patience)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="pubsub")
        self._lock = Lock()
        self._draining: list[Event] = []
        try:
            # Servers share their port with their successors, so that a port in use has to be noticed here.
            if port and not is_free(port):
                raise PortTakenError(port)
            self._server, self.port = self._start(port)
        except OSError:
            self._org.close()
            self._pool.shutdown()
            raise
        self.room.port = self.port
        self._stopping = Event()
        self._watcher = Thread(target=self._watch, name="pubsub-watch", daemon=True)
        self._watcher.start()

    def go_away(self, grace_seconds: float = 0.0) -> None:
        """Send GOAWAY on every connection, and end what is still open after the grace; new calls are served."""
        with self._lock:
            old = self._server
            self._server, _ = self._start(self.port)
            self._draining.append(old.stop(grace_seconds))

    def stop(self) -> None:
        """End all calls and stop, within a second; once it has stopped, nothing."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            ended = [self._server.stop(0), *self._draining]
        self._watcher.join()
        for event in ended:
            event.wait(_STOP_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._org.close()

    def _start(self, port: int) -> tuple[grpc.Server, int]:
        server = grpc.server(self._pool, options=_OPTIONS)
        server.add_generic_rpc_handlers((_handlers(self.room),))
        address = f"{HOST}:{port}"
        try:
            if self._credentials is None:
                bound = server.add_insecure_port(address)
            else:
                bound = server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise PortTakenError(port) from error
        server.start()
        return server, bound

    def _watch(self) -> None:
        """Ring when another process commits events."""
        db = store.connect(self._org.path)
        known = store.tip(db)
        while not self._stopping.wait(_LOOK_SECONDS):
            with suppress(sqlite3.OperationalError):  # the file is busy: the next look sees it
                tip = store.tip(db)
                if tip != known:
                    known = tip
                    self.room.bus.hub.ring()
        db.close()


def get_topic(room: Room, request: Any, context: grpc.ServicerContext) -> bytes:
    """Answer a GetTopic call: an encoded `TopicInfo`.

    The schema id of a topic with several entities is blank. Source: a public issue of a client
    (pozil/pub-sub-api-node-client, issue 34).
    """
    rpc = Rpc(room, "GetTopic", context)
    with rpc.answering("pubsub_get_topic"):
        name = request.topic_name
        if not name:
            raise PubSubError("topic.validation.empty")
        rpc.about(name)
        rpc.pause(room.switches.latency_ms / 1000)
        with room.lock:
            topic = room.bus.topic(name)
            if topic is None:
                raise PubSubError("topic.not.found", topic=name, tenant=f"CORE/prod/{room.org.org_id}")
            allowed = topic.entity is None or topic.entity.lower() not in room.hidden()
            schema_id = room.bus.schema_of(topic.entity).id if topic.entity else ""
        return CLASSES["TopicInfo"](
            topic_name=name,
            tenant_guid=f"CORE/prod/{room.org.org_id}",
            can_publish=allowed and topic.platform and topic.entity is not None,
            can_subscribe=allowed,
            schema_id=schema_id,
            rpc_id=rpc.id,
        ).SerializeToString()
    raise AssertionError("the frame ends the call")


def get_schema(room: Room, request: Any, context: grpc.ServicerContext) -> bytes:
    """Answer a GetSchema call: an encoded `SchemaInfo`."""
    rpc = Rpc(room, "GetSchema", context)
    with rpc.answering("pubsub_get_schema"):
        if not request.schema_id:
            raise PubSubError("schema.validation.failed")
        rpc.about(request.schema_id)
        rpc.pause(room.switches.latency_ms / 1000)
        with room.lock:
            schema = room.bus.schema(request.schema_id)
        if schema is None or schema.entity.lower() in room.hidden():
            raise PubSubError("schema.meta.permission")
        return CLASSES["SchemaInfo"](schema_json=schema.json, schema_id=schema.id, rpc_id=rpc.id).SerializeToString()
    raise AssertionError("the frame ends the call")


def _handlers(room: Room) -> grpc.GenericRpcHandler:
    """The RPCs by name; answers are encoded already. ManagedSubscribe is not there: UNIMPLEMENTED."""

    def unary(answer: Any, request: str) -> grpc.RpcMethodHandler[Any, bytes]:
        return grpc.unary_unary_rpc_method_handler(
            lambda message, context: answer(room, message, context), CLASSES[request].FromString
        )

    def streaming(answer: Any, request: str) -> grpc.RpcMethodHandler[Any, bytes]:
        def respond(messages: Iterator[Any], context: grpc.ServicerContext) -> Iterator[bytes]:
            return answer(room, messages, context)  # type: ignore[no-any-return]

        return grpc.stream_stream_rpc_method_handler(respond, CLASSES[request].FromString)

    def sending(messages: Iterator[Any], context: grpc.ServicerContext, send: Any) -> None:
        subscribe(room, messages, context, send)

    # An attribute that grpcio calls experimental: it then hands over what sends, for whichever thread has something.
    sending.experimental_non_blocking = True  # type: ignore[attr-defined]
    return grpc.method_handlers_generic_handler(
        FULL_SERVICE,
        {
            "GetTopic": unary(get_topic, "TopicRequest"),
            "GetSchema": unary(get_schema, "SchemaRequest"),
            "Publish": unary(publish, "PublishRequest"),
            "PublishStream": streaming(publish_stream, "PublishRequest"),
            "Subscribe": grpc.stream_stream_rpc_method_handler(sending, CLASSES["FetchRequest"].FromString),
        },
    )


def _credentials(cert: Path | None, key: Path | None) -> grpc.ServerCredentials | None:
    if cert is None or key is None:
        return None
    return grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
