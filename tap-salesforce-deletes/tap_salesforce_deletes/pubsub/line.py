"""The connection to the Pub/Sub API that all topics share: channel, session, and the calls that answer once."""

from __future__ import annotations

import os
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

import grpc
import msgspec
from google.protobuf.message import DecodeError

from microdecisions.errors import CertificateError, ConfigurationError, LoginError
from microdecisions.retries import Clocks, Patience, RetryPolicy, TryAgainError
from microdecisions.settings import is_loopback
from tap_salesforce_deletes.pubsub.contract import GET_SCHEMA, GET_TOPIC, SUBSCRIBE, new, parse
from tap_salesforce_deletes.pubsub.errors import (
    Action,
    ProtocolError,
    Refused,
    SubscriptionClosedError,
    classify,
    error_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from microdecisions.login import Token
    from microdecisions.retries import StopFlag
    from tap_salesforce_deletes.pubsub.subscription import Subscription

__all__ = ["Line", "Timing", "TokenSource", "TopicInfo", "refused_of"]

DEFAULT_PORT: Final = 7443
_LARGEST_MESSAGE: Final = 64 * 2**20  # bytes; a response has 3 MB as a rule, and gRPC's own limit of 4 is too close
_SLOWLY: Final = 5.0  # seconds to wait at least when the service asks for less

TokenSource: TypeAlias = "Callable[[Token | None], Token]"
"""None: the session's token as it is now. A token: that one was refused, so a new one, unless there is one already."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds.

    Attributes:
        unary: For an answer of GetTopic or GetSchema; the latter was seen to take a second.
        watchdog: For a sign of life on a stream: the service promises one within 270.
        ping: Between two HTTP/2 pings, which notice a connection that is half open.
        ping_answer: For the answer of a ping.
        connect: For a connection.
    """

    unary: float = 30.0
    watchdog: float = 300.0
    ping: float = 30.0
    ping_answer: float = 20.0
    connect: float = 15.0


class TopicInfo(msgspec.Struct, frozen=True):
    """What the service says about a topic.

    Attributes:
        name: Its name.
        schema_id: Of its events now; empty where it has several.
        can_subscribe: Whether the user may.
        can_publish: Whether the user may.
        tenant: The org as the service names it.
    """

    name: str
    schema_id: str
    can_subscribe: bool
    can_publish: bool
    tenant: str


class Line:
    """See `PubSubClient`, which has the same arguments. May be used by many threads."""

    def __init__(
        self,
        endpoint: str,
        *,
        tokens: TokenSource,
        plaintext: bool,
        ca_bundle: str | None,
        policy: RetryPolicy,
        clocks: Clocks,
        stop: StopFlag | None,
        timing: Timing,
    ) -> None:
        self.policy = policy
        self.clocks = clocks
        self.timing = timing
        self._tokens = tokens
        self._patience = Patience(policy, clocks, stop)
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renewed = False
        self._accepted = False
        self._met = False
        self._open: set[Subscription] = set()
        self._channel = _channel(endpoint, plaintext=plaintext, ca_bundle=ca_bundle, timing=timing)
        self._subscribe: Any = self._channel.stream_stream(SUBSCRIBE)
        self._unaries: dict[str, Any] = {path: self._channel.unary_unary(path) for path in (GET_TOPIC, GET_SCHEMA)}

    @property
    def most_tries(self) -> int:
        """Tries in a row: fewer for a service that never answered yet."""
        return self.policy.tries if self._met else min(self.policy.first_tries, self.policy.tries)

    def close(self) -> None:
        """End all subscriptions and calls, and close the connection."""
        with self._lock:
            subscriptions = tuple(self._open)
        for subscription in subscriptions:
            subscription.close()
        self._channel.close()

    def remember(self, subscription: Subscription) -> None:
        """Keep a subscription, to be closed with the line."""
        with self._lock:
            self._open.add(subscription)

    def forget(self, subscription: Subscription) -> None:
        """A subscription was closed."""
        with self._lock:
            self._open.discard(subscription)

    def token(self) -> Token:
        """The token to call with; logs in at first use."""
        with self._lock:
            if self._token is None:
                self._token = self._tokens(None)
            return self._token

    def accepted(self, token: Token) -> None:
        """The service answered a call with that token."""
        self._met = True
        if token is self._token:
            self._accepted = True

    def met(self, refused: Refused) -> None:
        """A call failed: note whether it was the service that said so."""
        self._met = self._met or refused.answered

    def renew(self, stale: Token, refused: Refused) -> None:
        """Get another token, unless another thread just did.

        Raises:
            LoginError: A token that came by renewal was refused at once, or there is no new one.
        """
        with self._lock:
            if self._token is not stale:
                return
            if self._renewed and not self._accepted:
                raise LoginError(refused.sentence)
            self._token = self._tokens(stale)
            self._renewed, self._accepted = True, False

    def subscribe(self, requests: Iterator[bytes], token: Token) -> Any:
        """Begin a Subscribe call; responses are bytes.

        Raises:
            SubscriptionClosedError: The connection was closed.
        """
        metadata = _metadata(token)
        try:
            return self._subscribe(requests, metadata=metadata)
        except ValueError:  # of gRPC, for a channel that is closed
            raise _closed() from None

    def topic(self, name: str, *, patient: bool = True) -> TopicInfo:
        """Ask what the service says about a topic, once or with patience; see `PubSubClient.topic`."""
        said = self._ask(GET_TOPIC, new("TopicRequest", topic_name=name), "TopicInfo", name, patient=patient)
        return TopicInfo(said.topic_name, said.schema_id, said.can_subscribe, said.can_publish, said.tenant_guid)

    def schema_json(self, schema_id: str) -> str:
        """The text of a schema; see `PubSubClient.schema`."""
        said = self._ask(GET_SCHEMA, new("SchemaRequest", schema_id=schema_id), "SchemaInfo", "the schema of an event")
        if said.schema_id not in ("", schema_id):
            raise ProtocolError("The Pub/Sub API answered another schema than was asked for: please report this.")
        text: str = said.schema_json
        return text

    def _ask(self, path: str, request: bytes, answer: str, place: str, *, patient: bool = True) -> Any:
        def attempt() -> bytes:
            while True:
                token = self.token()
                metadata = _metadata(token)
                refused: Refused
                try:
                    response: bytes = self._unaries[path](request, metadata=metadata, timeout=self.timing.unary)
                except grpc.RpcError as error:
                    refused = refused_of(error, place)
                    self.met(refused)
                except ValueError:  # of gRPC, for a channel that is closed
                    raise _closed() from None
                else:
                    self.accepted(token)
                    return response
                if refused.action is Action.RETRY:
                    raise TryAgainError(error_of(refused), met=self._met, retry_after=_SLOWLY if refused.slow else None)
                if refused.action is not Action.LOGIN_AGAIN:
                    raise error_of(refused)
                self.renew(token, refused)

        encoded = self._patience.persist(attempt, place, lambda: None) if patient else _once(attempt)
        try:
            return parse(answer, encoded)
        except DecodeError:
            raise ProtocolError(f"The Pub/Sub API answered something else than {answer}: please report this.") from None


def _once(attempt: Callable[[], bytes]) -> bytes:
    try:
        return attempt()
    except TryAgainError as failure:
        raise failure.error from None


def _closed() -> SubscriptionClosedError:
    return SubscriptionClosedError("The connection to the Pub/Sub API was closed.")


def refused_of(error: grpc.RpcError, place: str) -> Refused:
    """What the end of a call means.

    Args:
        error: As gRPC raises it; it is a call as well.
        place: What was asked for.
    """
    call: Any = error
    trailers = {str(key): value for key, value in call.trailing_metadata() or ()}
    code = trailers.get("error-code", "")
    return classify(call.code().name, code if isinstance(code, str) else "", call.details() or "", place=place)


def _metadata(token: Token) -> tuple[tuple[str, str], ...]:
    """The headers of every call. Source: `pubsub_api.proto`, and the guide's "Supported Authentication"."""
    headers = (
        ("accesstoken", token.access_token),
        ("instanceurl", token.instance_url),
        ("tenantid", token.org_id),
    )
    if not all(value.isascii() and value.isprintable() and value for _, value in headers):
        raise LoginError("The login answered a session that cannot be sent in a header: check `access_token`.")
    return headers


def _channel(endpoint: str, *, plaintext: bool, ca_bundle: str | None, timing: Timing) -> grpc.Channel:
    host, port = _address(endpoint)
    local = is_loopback(host)
    options = (
        ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
        ("grpc.max_send_message_length", 2**20),
        ("grpc.keepalive_time_ms", int(timing.ping * 1000)),
        ("grpc.keepalive_timeout_ms", int(timing.ping_answer * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.min_reconnect_backoff_ms", int(timing.connect * 1000)),  # gRPC's name for the time a connection may take
        ("grpc.initial_reconnect_backoff_ms", 100),  # pauses are ours, with jitter
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0 if local else 1),
        ("grpc.primary_user_agent", "salesforce-microdecisions"),
    )
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if plaintext:
        if not local:
            raise ConfigurationError("Setting `pubsub_plaintext` is for an endpoint on this machine only.")
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, grpc.ssl_channel_credentials(_roots(ca_bundle)), options)


def _address(endpoint: str) -> tuple[str, int]:
    """Host and port of an endpoint.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        parts = urlsplit(f"//{endpoint.strip()}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    bare = f"//{endpoint.strip()}" == f"//{parts.netloc}" if host else False
    if host is None or not bare or "@" in endpoint or not all(c.isalnum() or c in "-.:_" for c in host):
        raise ConfigurationError(
            "Setting `pubsub_endpoint` must be a host and port such as `api.pubsub.salesforce.com:7443`."
        )
    return host, port or DEFAULT_PORT


def _roots(ca_bundle: str | None) -> bytes | None:
    """Certificates to trust (PEM): as for the REST API the given ones, else those of the environment's variables.

    Else the system's, else gRPC's own.

    Raises:
        CertificateError: The file cannot be read, or holds no certificate.
    """
    if ca_bundle is not None:
        return _certificates("`ca_bundle`", Path(ca_bundle))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            return _certificates(name, Path(path))
    store = ssl.create_default_context()
    found = store.get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, found)).encode() or None


def _certificates(named: str, path: Path) -> bytes:
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        given = b"\n".join(file.read_bytes() for file in files if not file.is_dir())
    except OSError:
        given = b""
    if b"-----BEGIN CERTIFICATE-----" not in given:
        raise CertificateError(f"The file of {named} cannot be read, or holds no certificate: check its path.")
    return given
