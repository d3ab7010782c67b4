"""Fixtures of the shared library's tests: a key pair, a clock that only moves when told, a server that misbehaves."""

from __future__ import annotations

import http.server
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rotating import FIRST, Rotating

from microdecisions.redaction import known_secrets
from microdecisions.retries import Clocks
from microdecisions.session import SalesforceSession, open_session
from microdecisions.settings import LoginSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORG_ID = "00Dxx0000001gPLEAY"
USER_ID = "005xx000001SwiUAAS"
DATE = "Mon, 15 Jan 2024 10:30:00 GMT"


@dataclass
class Call:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    body: bytes

    @property
    def token(self) -> str:
        return str(self.headers.get("Authorization", "")).removeprefix("Bearer ")

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Reply:
    """What to answer; `cut` sends only so many bytes of the body it announced and hangs up."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None

    @classmethod
    def json(cls, payload: object, status: int = 200, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, json.dumps(payload).encode(), {"Content-Type": "application/json", **named})

    @classmethod
    def error(cls, status: int, code: str, message: str = "", **headers: str) -> Reply:
        return cls.json([{"errorCode": code, "message": message}], status, **headers)


class FakeOrg:
    """An org of a few lines: a token service, and data answers from a script."""

    reply, call = Reply, Call

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.token_calls: list[Call] = []
        self.issued: list[str] = []
        self.expired: set[str] = set()
        self.answer: Callable[[Call], Reply | None] = lambda _: Reply.json({"ok": True})
        self.token_answer: Callable[[Call], Reply | None] = self._issue
        self.lock = threading.Lock()
        org = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                reply = org.handle(Call(self.command, url.path, parse_qs(url.query), self.headers, body))
                if reply is None:
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                for name, value in {"Date": DATE, "Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
                self.close_connection = self.close_connection or reply.cut is not None

            do_POST = do_GET  # noqa: N815  # the name that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def handle(self, call: Call) -> Reply | None:
        with self.lock:
            if call.path == "/services/oauth2/token":
                self.token_calls.append(call)
                return self.token_answer(call)
            self.calls.append(call)
        if call.token in self.expired:
            return Reply.error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        return self.answer(call)

    def _issue(self, _: Call) -> Reply:
        token = f"00Dxx0000001gPL!Issued.Token{len(self.issued) + 1}"
        self.issued.append(token)
        return self.token_reply(token)

    def token_reply(self, token: str, **changes: object) -> Reply:
        answer = {
            "access_token": token,
            "instance_url": self.url,
            "id": f"https://login.salesforce.com/id/{ORG_ID}/{USER_ID}",
            "issued_at": "1705314600000",
            "token_type": "Bearer",
        }
        return Reply.json({**answer, **changes})

    def script(self, *replies: Reply | None) -> None:
        """Answer data calls with these, in this order; the last one for ever. None hangs up."""
        left = list(replies)
        self.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


class FakeClock:
    """Time that passes only in sleeps, and chance that always takes the longest delay."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept = 0.0
        self.start = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)
        self.on_sleep: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept += seconds
        self.on_sleep()

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.seconds - 1000.0)

    @property
    def clocks(self) -> Clocks:
        return Clocks(now=self.now, monotonic=lambda: self.seconds, sleep=self.sleep, random=lambda: 1.0)


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """What one test registers as secret must not be blanked in the next one."""
    yield
    known_secrets.clear()


@pytest.fixture(scope="session")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def org() -> Iterator[FakeOrg]:
    fake = FakeOrg()
    thread = threading.Thread(target=fake.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()
    thread.join()


@pytest.fixture
def connect(org: FakeOrg, clock: FakeClock, pem: str) -> Iterator[Callable[..., SalesforceSession]]:
    """Open sessions with the fake org; keyword arguments change settings, `stop` and `policy` go to the session."""
    opened: list[SalesforceSession] = []

    def open_one(*, stop: Any = None, policy: Any = None, **changes: Any) -> SalesforceSession:
        values = {"login_url": org.url, "client_id": "a-consumer-key", "username": "user@example.invalid"}
        if changes.get("auth_flow") != "access_token":
            changes = {"private_key": pem, **values, **changes}
        session = open_session(LoginSettings(**changes), stop=stop, policy=policy, clocks=clock.clocks)
        opened.append(session)
        return session

    yield open_one
    for session in opened:
        session.close()


@pytest.fixture
def service(org: Any) -> Rotating:
    return Rotating(org)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def refresher(connect: Any, org: Any, service: Rotating, path: Path) -> Callable[..., Any]:
    """Open a session that logs in by refresh token, with the file unless told otherwise."""

    def open_one(**changes: Any) -> Any:
        config = {"refresh_token": FIRST, "refresh_token_path": str(path), **changes}
        return connect(auth_flow="refresh_token", private_key=None, username=None, **config)

    return open_one
