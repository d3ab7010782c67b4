"""One HTTP exchange over requests: TLS always verified, no redirects, no cookies, no netrc, faults told apart."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from threading import BoundedSemaphore
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.cookies import RequestsCookieJar

from microdecisions.errors import CertificateError
from microdecisions.settings import is_loopback
from microdecisions.temporary import no_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from requests.structures import CaseInsensitiveDict

__all__ = ["Request", "Response", "Transport", "TransportFault"]

_PART_BYTES = 256 * 1024  # of a body that goes into a file
_LOOK_UP_SECONDS = 0.25  # how soon who waits for a turn notices that the run should end
_POOL_SIZE = 10  # connections kept open: the largest useful `max_concurrent_requests`


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send; `authorization` is the header's value and is added as late as possible."""

    method: str
    url: str
    params: Mapping[str, str] | None = None
    data: Mapping[str, str] | str | bytes | None = None
    headers: Mapping[str, str] = {}
    authorization: str | None = None

    def __repr__(self) -> str:
        """Method and path only."""
        return f"Request({self.method} {urlsplit(self.url).path})"


class Response(msgspec.Struct, frozen=True):
    """A whole answer; also has what simple-salesforce reads of a `requests.Response`.

    Attributes:
        status_code: HTTP status.
        headers: names in any case.
        body: the bytes, decompressed.
        url: the address that answered.
        wire_bytes: size of the body as it was sent.
    """

    status_code: int
    headers: CaseInsensitiveDict[str]
    body: bytes
    url: str
    wire_bytes: int

    def __repr__(self) -> str:
        """Status and size only."""
        return f"Response({self.status_code}, {len(self.body)} bytes)"

    @property
    def content(self) -> bytes:
        """The body."""
        return self.body

    @property
    def text(self) -> str:
        """The body as text: Salesforce always sends UTF-8, also where the header does not say so."""
        return self.body.decode("utf-8", "replace")

    def json(self, **options: Any) -> Any:
        """The body as `json.loads` reads it."""
        return json.loads(self.body, **options)


class TransportFault(Exception):  # noqa: N818 - a fault is tried again; what ends a run is an error
    """No whole answer came.

    Attributes:
        reason: the rest of a sentence that begins with the host.
        sent: the request may have reached the server.
        slow: it was sent, and no answer came in time.
    """

    def __init__(self, reason: str, *, sent: bool, slow: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.slow = slow


class Transport:
    """Sends requests over a pool of connections; safe to use from many threads.

    Certificates are checked against `ca_bundle`, else `REQUESTS_CA_BUNDLE` or `CURL_CA_BUNDLE`, else requests' own.
    Proxies come from the environment; this machine is never reached through one.

    Args:
        ca_bundle: path of a PEM file.
        connect_timeout: seconds to wait for a connection.
        read_timeout: seconds to wait for the next bytes.
        user_agent: the `User-Agent` header.
        most_at_once: requests that may be on their way at the same time; None for as many as there are threads.
    """

    def __init__(
        self,
        *,
        ca_bundle: str | None,
        connect_timeout: float,
        read_timeout: float,
        user_agent: str,
        most_at_once: int | None = None,
    ) -> None:
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_connections=_POOL_SIZE, pool_maxsize=_POOL_SIZE, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._session.cookies = RequestsCookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.update({"User-Agent": user_agent, "Accept-Encoding": "gzip"})
        self._verify = ca_bundle
        self._timeout = (connect_timeout, read_timeout)
        self._options: dict[str, dict[str, Any]] = {}
        self._turns = None if most_at_once is None else BoundedSemaphore(most_at_once)

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def send(
        self, request: Request, into: IO[bytes] | None = None, check: Callable[[], None] = lambda: None
    ) -> Response:
        """Send a request and read the whole answer, whatever its status.

        Args:
            request: what to send.
            into: a file that takes the body of a good answer in place of the `Response`, from its beginning on and a
                part at a time: for bodies that are too large for memory.
            check: called while others have their turn; what it raises ends the wait.

        Raises:
            TransportFault: there was no whole answer.
            CertificateError: the server's certificate is not trusted.
            MicroDecisionError: `into` takes no more.
        """
        prepared = self._session.prepare_request(
            requests.Request(
                request.method,
                request.url,
                params=request.params,
                data=request.data,
                headers=dict(request.headers),
                auth=_Authorization(request.authorization),
            )
        )
        failure: Exception
        try:
            with self._turn(check):
                return self._exchange(request.url, prepared, into)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = self._explain(error, urlsplit(request.url).hostname or "")
        raise failure  # outside the handler: the library's message holds the query, and would travel as context

    @contextmanager
    def _turn(self, check: Callable[[], None]) -> Iterator[None]:
        if self._turns is None:
            yield
            return
        while not self._turns.acquire(timeout=_LOOK_UP_SECONDS):
            check()
        try:
            yield
        finally:
            self._turns.release()

    def _exchange(self, url: str, prepared: requests.PreparedRequest, into: IO[bytes] | None) -> Response:
        options = self._options_for(url)
        answer = self._session.send(prepared, timeout=self._timeout, allow_redirects=False, **options)
        try:
            body = _body(answer.raw, into if answer.status_code < 300 else None)
            size = answer.raw.tell()
        finally:
            answer.close()
        return Response(answer.status_code, answer.headers, body, url, size)

    def _options_for(self, url: str) -> dict[str, Any]:
        """What the environment says of a host: looked up once, as it takes a fifth of the time of a request."""
        address = urlsplit(url)
        if address.netloc not in self._options:
            options: Any = self._session.merge_environment_settings(url, {}, True, self._verify, None)
            if is_loopback(address.hostname):
                options["proxies"] = {}
            self._options[address.netloc] = options
        return self._options[address.netloc]

    def _explain(self, error: Exception, host: str) -> Exception:
        causes = _causes(error)
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            detail = next(
                (cause.verify_message for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), ""
            )
            return CertificateError(
                f"The certificate of {host} is not trusted ({detail}): set `ca_bundle` to a PEM file that holds the "
                "certificate of the authority that signed it."
            )
        if isinstance(error, OSError) and "CA certificate bundle" in str(error):
            return CertificateError(
                "The file of trusted certificates cannot be found: check `ca_bundle` or REQUESTS_CA_BUNDLE."
            )
        for kinds, reason, sent in _REASONS:
            if any(isinstance(cause, kinds) for cause in causes):
                return TransportFault(reason, sent=sent, slow=reason == _SLOW)
        return TransportFault("broke off the connection", sent=True)


def _body(raw: Any, into: IO[bytes] | None) -> bytes:
    if into is None:
        read: bytes = raw.read(decode_content=True)
        return read
    with _disk():
        into.seek(0)
        into.truncate()
    for part in raw.stream(_PART_BYTES, decode_content=True):
        with _disk():
            into.write(part)
    with _disk():
        into.seek(0)  # writes what is still in the buffer
    return b""


@contextmanager
def _disk() -> Iterator[None]:
    """Tell a fault of the disk from one of the network."""
    try:
        yield
    except OSError as error:
        raise no_room(error.strerror) from None


_SLOW = "does not answer in time"
# In this order: urllib3 counts a refused connection among the connection timeouts.
_REASONS: tuple[tuple[tuple[type[BaseException], ...], str, bool], ...] = (
    ((requests.exceptions.ProxyError, urllib3.exceptions.ProxyError), "is behind a proxy that does not connect", False),
    ((socket.gaierror, urllib3.exceptions.NameResolutionError), "is a name that is not found", False),
    ((ConnectionRefusedError,), "refuses the connection", False),
    ((urllib3.exceptions.NewConnectionError,), "takes no connection", False),
    (
        (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
        "takes no connection in time",
        False,
    ),
    ((requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError), _SLOW, True),
    ((ssl.SSLError, requests.exceptions.SSLError, urllib3.exceptions.SSLError), "does not speak TLS there", True),
    ((urllib3.exceptions.DecodeError, requests.exceptions.ContentDecodingError), "sent a damaged answer", True),
    ((urllib3.exceptions.IncompleteRead,), "broke off its answer", True),
)


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and everything it wraps: requests keeps urllib3's errors in `args`, urllib3 in `reason`."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        current = waiting.pop()
        if isinstance(current, BaseException) and not any(current is seen for seen in found):
            found.append(current)
            waiting += [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
    return found


class _Authorization(AuthBase):
    """Sets the header, or nothing; being there keeps requests from reading ~/.netrc."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request
