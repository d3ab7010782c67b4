"""An org with an event bus, its server on a clock that the test moves, and a bare client."""

from __future__ import annotations

import io
import json
import queue
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import fastavro
import grpc
import pytest

from localcloud.clock import OrgClock
from localcloud.journal import Journal, Request
from localcloud.salesforce.changes import Change, Transaction
from localcloud.salesforce.faults import Switches
from localcloud.salesforce.limits import Usage
from localcloud.salesforce.login import Sessions
from localcloud.salesforce.org import Org
from localcloud.salesforce.pubsub.bus import Bus
from localcloud.salesforce.pubsub.contract import CLASSES
from localcloud.salesforce.pubsub.control import PubSubController
from localcloud.salesforce.pubsub.server import PubSubServer

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ORIGIN = "com/salesforce/api/rest/60.0;client=tests"
PATIENCE = 20.0
LATEST, EARLIEST, CUSTOM = 0, 1, 2


class MovedTime:
    """A time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._asked: set[float | None] = set()
        self._news = threading.Condition()

    def now(self) -> float:
        return self.seconds

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        with self._news:
            self._asked.add(seconds)
            self._news.notify_all()
        condition.wait(0.01)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds

    def until_asked_for(self, seconds: float) -> None:
        """Return once somebody waits for so long."""
        with self._news:
            assert self._news.wait_for(lambda: seconds in self._asked, PATIENCE), self._asked


class World:
    """An org, what happens in it, and its server."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.clock = OrgClock(NOW, real=lambda: 1_700_000_000.0)
        self.org = stack.enter_context(Org.open(path, clock=self.clock))
        self.bus = Bus(self.org)
        self.sessions = Sessions(self.org.org_id)
        self.switches = Switches()
        self.usage = Usage(self.clock.now_ms)
        self.journal = Journal()
        self.time = MovedTime()
        self._stack = stack
        self._server: PubSubServer | None = None

    @property
    def server(self) -> PubSubServer:
        if self._server is None:
            self._server = PubSubServer(
                self.org, self.sessions, self.switches, self.usage, self.journal, patience=self.time
            )
            self._stack.callback(self._server.stop)
        return self._server

    @property
    def control(self) -> PubSubController:
        return PubSubController(self.server, self.org)

    def id(self, sobject: str, n: int) -> str:
        return self.org.new_id(sobject, n)

    def commit(self, *changes: Change, key: str | None = None, origin: str = ORIGIN) -> Transaction:
        """One transaction that was committed."""
        done = Transaction(key or str(uuid.uuid4()), self.clock.now(), self.org.user_id, origin, changes)
        with self.org.lock, self.org.db:
            self.bus.publish(done)
        self.bus.wake()
        return done

    def delete(self, *numbers: int, sobject: str = "Account") -> Transaction:
        return self.commit(*[Change(sobject, self.id(sobject, n), "DELETE") for n in numbers])

    def deletes(self, count: int, sobject: str = "Account", first: int = 0) -> None:
        """So many transactions of one deletion each."""
        with self.org.lock, self.org.db:
            for n in range(first, first + count):
                change = Change(sobject, self.id(sobject, n), "DELETE")
                key = str(uuid.uuid4())
                self.bus.publish(Transaction(key, self.clock.now(), self.org.user_id, ORIGIN, (change,)))
        self.bus.wake()

    def client(self, **changes: str) -> Client:
        """A caller with a session of its own; headers can be changed."""
        headers = {
            "accesstoken": self.sessions.issue(),
            "instanceurl": "http://127.0.0.1",
            "tenantid": self.org.org_id,
        }
        address = f"127.0.0.1:{self.server.port}"
        return self._stack.enter_context(Client(grpc.insecure_channel(address), headers | changes))

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


class Client:
    """A bare client: the six RPCs and nothing else."""

    def __init__(self, channel: grpc.Channel, headers: dict[str, str]) -> None:
        self._channel = channel
        self.headers = headers
        self._streams: list[Stream] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.cancel()
        self._channel.close()

    def unary(self, rpc: str, request: Any, answer: str) -> Any:
        call: Any = self._channel.unary_unary(
            f"/eventbus.v1.PubSub/{rpc}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=CLASSES[answer].FromString,
        )
        return call(request, metadata=tuple(self.headers.items()), timeout=PATIENCE)

    def topic(self, name: str) -> Any:
        return self.unary("GetTopic", CLASSES["TopicRequest"](topic_name=name), "TopicInfo")

    def schema(self, schema_id: str) -> Any:
        return self.unary("GetSchema", CLASSES["SchemaRequest"](schema_id=schema_id), "SchemaInfo")

    def publish(self, topic: str, *events: Any, **more: Any) -> Any:
        request = CLASSES["PublishRequest"](topic_name=topic, events=events, **more)
        return self.unary("Publish", request, "PublishResponse")

    def subscribe(self, topic: str, count: int = 100, preset: int = EARLIEST, replay_id: bytes = b"") -> Stream:
        stream = self.stream("Subscribe", "FetchResponse")
        stream.send(
            CLASSES["FetchRequest"](topic_name=topic, num_requested=count, replay_preset=preset, replay_id=replay_id)
        )
        return stream

    def stream(self, rpc: str, answer: str) -> Stream:
        call: Any = self._channel.stream_stream(
            f"/eventbus.v1.PubSub/{rpc}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=CLASSES[answer].FromString,
        )
        stream = Stream(call, tuple(self.headers.items()))
        self._streams.append(stream)
        return stream

    def events(self, topic: str, **options: Any) -> list[Any]:
        """All events that a topic holds now, read as a client does that knows how many there are."""
        found: list[Any] = []
        stream = self.subscribe(topic, **options)
        stream.finish()
        while (response := stream.next_or_end()) is not None:
            found += response.events
        return found

    def decode(self, event: Any) -> dict[str, Any]:
        """The payload by the schema that the event names."""
        schema = fastavro.parse_schema(json.loads(self.schema(event.event.schema_id).schema_json))
        buffer = io.BytesIO(event.event.payload)
        record: Any = fastavro.schemaless_reader(buffer, schema, None)
        assert buffer.read() == b""
        return record  # type: ignore[no-any-return]


class Stream:
    """One stream; what comes is read by a thread, so that a test never waits for ever."""

    def __init__(self, call: Any, headers: tuple[tuple[str, str], ...]) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._responses: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = call(iter(self._requests.get, None), metadata=headers)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for response in self.call:
                self._responses.put(response)
        except grpc.RpcError as error:
            self._responses.put(error)
        self._responses.put(None)

    def send(self, request: Any) -> None:
        self._requests.put(request)

    def ask(self, count: int, topic: str = "") -> None:
        self.send(CLASSES["FetchRequest"](topic_name=topic, num_requested=count))

    def finish(self) -> None:
        """Say that nothing more is asked for."""
        self._requests.put(None)

    def next(self) -> Any:
        response = self._responses.get(timeout=PATIENCE)
        if isinstance(response, grpc.RpcError):
            raise response
        assert response is not None, "the stream ended"
        return response

    def next_or_end(self) -> Any:
        response = self._responses.get(timeout=PATIENCE)
        if isinstance(response, grpc.RpcError):
            raise response
        return response

    def read(self, count: int) -> list[Any]:
        """So many events."""
        found: list[Any] = []
        while len(found) < count:
            found += self.next().events
        return found

    def error(self) -> Any:
        """The error that the stream ends with; responses before it are passed over."""
        while True:
            response = self._responses.get(timeout=PATIENCE)
            assert response is not None, "the stream ended without an error"
            if isinstance(response, grpc.RpcError):
                return response

    def quiet(self) -> bool:
        """Whether nothing has come."""
        return self._responses.empty()

    def cancel(self) -> None:
        self.call.cancel()
        self._requests.put(None)
        self._reader.join(PATIENCE)


def code(error: Any) -> str:
    """The documented code without its prefix, from the trailers."""
    trailers = dict(error.trailing_metadata())
    prefix = "sfdc.platform.eventbus.grpc."
    found = str(trailers.get("error-code", prefix))
    assert found.startswith(prefix)
    return found.removeprefix(prefix)


@pytest.fixture(scope="session")
def empty_org(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an org without rows, closed; to be copied."""
    path = tmp_path_factory.mktemp("empty") / "org"
    Org.create(path, clock=OrgClock(NOW, real=lambda: 1_700_000_000.0)).close()
    return path


@pytest.fixture
def world(empty_org: Path, tmp_path: Path) -> Iterator[World]:
    """An empty org on 2 March 2026, 08:00, with its event bus; the server starts when it is first asked for."""
    with ExitStack() as stack:
        yield World(shutil.copytree(empty_org, tmp_path / "org"), stack)


@pytest.fixture
def error_code() -> Callable[[Any], str]:
    """Gives the documented code of an error."""
    return code
