"""The org on loopback: HTTP around the API, the login service and the control endpoint."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
import sys
import threading
import time
import zlib
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import msgspec
from aiohttp import web

from localcloud.journal import Journal, JournalPage, Request
from localcloud.salesforce import describe
from localcloud.salesforce.control import Controller, State
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.faults import Switches
from localcloud.salesforce.oauth import LoginService, OAuthError, Sessions
from localcloud.salesforce.org import Org
from localcloud.salesforce.rest import Api
from localcloud.salesforce.storage import instant_text
from localcloud.salesforce.wire import Answer, Call, error_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

HOST = "127.0.0.1"
LONGEST_URI = 16_384
_CONTROL = "/__localcloud__/"
_DATA = "/services/data"
_JSON = "application/json;charset=UTF-8"
_GZIP_FROM = 1_024


class Service:
    """Everything behind the socket, wired together.

    Args:
        org: The org to serve.
        real: Seconds since the epoch by the real clock, for the login service.

    Attributes:
        journal: What was asked.
        controller: The switches.
    """

    def __init__(self, org: Org, *, real: Callable[[], float] = time.time) -> None:
        self.org = org
        self.url = ""
        self.journal = Journal()
        self._switches = Switches()
        self._sessions = Sessions(org.org_id)
        self._login = LoginService(org, self._sessions, now=real)
        self._api = Api(org, self._switches)
        self.controller = Controller(org, self._switches, self._sessions, self.journal)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request."""
        if request.path.startswith(_CONTROL):
            return await self._control(request)
        started = time.perf_counter()
        body = await request.read()
        call = Call(
            request.method, request.raw_path, {name.lower(): value for name, value in request.headers.items()}, body
        )
        shown = f"{call.method} {unquote_plus(request.raw_path, errors='replace')}"
        cut = self._switches.cut(shown)
        if cut == "drop":
            self._note(call, Answer(0, b""), started, 0)
            _abort(request)
            return web.Response()
        spent = self._switches.quota_used
        response_headers = {"Content-Type": _JSON, "Server": "localcloud"}
        if call.path.startswith(_DATA):  # the login service lives elsewhere and shows real time
            response_headers["Date"] = format_datetime(self.org.clock.now(), usegmt=True)
        try:
            _check_size(request)
            self._switches.check_failure(shown)
            answer = await self._route(call, response_headers)
        except ApiError as error:
            response_headers.update(error.headers)
            answer = Answer(error.status, error_body(error))
        except OAuthError as error:
            answer = Answer(400, error.body())
        if answer.status in {414, 431, 502}:  # a front end answers these, not the API
            response_headers["Content-Type"] = "text/html;charset=UTF-8"
            answer = Answer(answer.status, f"<h1>Error {answer.status}</h1>".encode())
        self._note(call, answer, started, self._switches.quota_used - spent)
        if cut == "truncate":
            return await _truncated(request, answer, response_headers)
        content = answer.body
        if len(content) >= _GZIP_FROM and "gzip" in call.headers.get("accept-encoding", ""):
            content = await asyncio.to_thread(_gzip, content)
            response_headers["Content-Encoding"] = "gzip"
            response_headers["Vary"] = "Accept-Encoding"
        return web.Response(status=answer.status, body=content, headers=response_headers)

    async def _route(self, call: Call, response_headers: dict[str, str]) -> Answer:
        path = call.path
        if path == "/services/oauth2/token":
            if call.method != "POST":
                raise OAuthError("invalid_request", "must use HTTP POST")
            own = {self.url, self.url.replace(HOST, "localhost")}
            return Answer(200, msgspec.json.encode(self._login.token(call.body, own, self.url)))
        if path == "/services/oauth2/userinfo" or path.startswith("/id/"):
            try:
                self._sessions.check(call.headers.get("authorization"))
            except ApiError as error:
                raise ApiError(403, "Bad_OAuth_Token", "Bad_OAuth_Token") from error
            return Answer(200, self._login.identity(self.url))
        if path == _DATA:
            return Answer(200, describe.versions())
        if not path.startswith(f"{_DATA}/"):
            raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")
        if self._switches.latency_ms:
            await asyncio.sleep(self._switches.latency_ms / 1000)
        self._sessions.check(call.headers.get("authorization"))
        self._switches.spend()
        answer = self._api.answer(call)
        usage = f"api-usage={self._switches.quota_used}/{self._switches.quota_max}"
        response_headers["Sforce-Limit-Info"] = usage
        return answer

    async def _control(self, request: web.BaseRequest) -> web.Response:
        if request.remote not in {HOST, "::1"}:
            return web.Response(status=403)
        if request.method == "GET" and request.path == f"{_CONTROL}journal":
            after = request.query.get("after", "0")
            page = self.journal.page(int(after) if after.isdecimal() else 0)
            return web.Response(body=msgspec.json.encode(page), content_type="application/json")
        if request.method == "POST" and request.path == f"{_CONTROL}control":
            try:
                state = self.controller.apply(await request.read())
            except ValueError as error:
                return web.Response(status=400, body=msgspec.json.encode({"error": str(error)}))
            return web.Response(body=msgspec.json.encode(state), content_type="application/json")
        return web.Response(status=404)

    def _note(self, call: Call, answer: Answer, started: float, api_calls: int) -> None:
        client = call.headers.get("sforce-call-options", "").partition("client=")[2].partition(",")[0].strip()
        self.journal.add(
            Request(
                number=0,
                kind=call.kind,
                at=instant_text(self.org.clock.now()),
                method=call.method,
                path=call.path,
                status=answer.status,
                query=call.parameter("q"),
                rows=answer.rows,
                client=client or call.headers.get("user-agent"),
                bytes=len(answer.body),
                api_calls=api_calls,
                duration_ms=round((time.perf_counter() - started) * 1000, 3),
                parts=answer.parts,
            )
        )


def _check_size(request: web.BaseRequest) -> None:
    uri = len(request.raw_path)
    if uri > LONGEST_URI:
        raise ApiError(414, "URI_TOO_LONG", "URI Too Long")
    if uri + sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > LONGEST_URI:
        raise ApiError(431, "HEADERS_TOO_LARGE", "Request Header Fields Too Large")


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(content) + packer.flush()


def _abort(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _truncated(request: web.BaseRequest, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """Promise the whole body, send half of it, hang up."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


class Running:
    """A server that runs.

    Attributes:
        url: Its address, such as `http://127.0.0.1:8080`.
        org_path: The folder of the org.
    """

    def __init__(self, url: str, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.org_path = service.org.path
        self._service = service
        self._loop = loop

    def control(self, **switches: object) -> State:
        """Turn switches, as the body of a control request names them.

        Raises:
            ValueError: A switch is unknown or its value not right.
        """
        body = msgspec.json.encode(switches)

        async def apply() -> State:
            return self._service.controller.apply(body)

        return asyncio.run_coroutine_threadsafe(apply(), self._loop).result()

    def journal(self, after: int = 0) -> JournalPage:
        """What it was asked."""
        return self._service.journal.page(after)


@contextlib.asynccontextmanager
async def _listening(service: Service, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    server = web.Server(service.handle, max_line_size=4 * 2**20, max_field_size=2**20, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, ssl_context=tls).start()
        bound = runner.addresses[0][1]
        service.url = f"{'https' if tls else 'http'}://{HOST}:{bound}"
        yield bound
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def serve_in_thread(
    org: Org | Path,
    port: int = 0,
    *,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    real: Callable[[], float] = time.time,
) -> Iterator[Running]:
    """Serve an org from a thread while the context lasts.

    Args:
        org: The org, whose clock is shared with the server, or its folder.
        port: 0 takes any free port.
        tls_cert: Certificate chain (PEM); with it the server speaks https.
        tls_key: Its private key.
        real: The real clock of the login service.

    Raises:
        OSError: The port is taken.
    """
    own = Org.open(org.path, clock=org.clock) if isinstance(org, Org) else Org.open(org)
    tls = _tls(tls_cert, tls_key)
    ready: list[Running | BaseException] = []
    started = threading.Event()
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        service = Service(own, real=real)
        async with _listening(service, port, tls):
            ready.append(Running(service.url, service, loop))
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            ready.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
            started.set()

    thread = threading.Thread(target=run, name="localcloud-salesforce", daemon=True)
    thread.start()
    started.wait()
    outcome = ready[0]
    try:
        if isinstance(outcome, BaseException):
            raise outcome
        yield outcome
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        own.close()


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def _serve(org: Org, port: int, ready_file: Path | None, tls: ssl.SSLContext | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(org)
    async with _listening(service, port, tls) as bound:
        print(f"mock Salesforce org on {service.url} (no data leaves this machine)", file=sys.stderr, flush=True)  # noqa: T201
        if ready_file is not None:
            part = ready_file.with_suffix(ready_file.suffix + ".part")
            part.write_text(f"{HOST}:{bound}\n")
            part.replace(ready_file)
        await stop.wait()


def main(arguments: list[str] | None = None) -> int:
    """Serve an org until SIGTERM or SIGINT; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.salesforce.server", description=__doc__)
    parser.add_argument("--org", type=Path, required=True, help="folder of the org")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (0: any)")
    parser.add_argument("--ready-file", type=Path, help="gets host:port once the server accepts")
    parser.add_argument("--tls-cert", type=Path, help="certificate chain (PEM); with it the server speaks https")
    parser.add_argument("--tls-key", type=Path, help="private key of the certificate (PEM)")
    options = parser.parse_args(arguments)
    try:
        with Org.open(options.org) as org:
            asyncio.run(_serve(org, options.port, options.ready_file, _tls(options.tls_cert, options.tls_key)))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"cannot listen on {HOST}:{options.port}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
