"""The session with an org: token, retries, API accounting and Salesforce's clock; shared by all threads of a run."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar, overload
from urllib.parse import urlsplit

import msgspec

from microdecisions.answers import Verdict, answer_error, decoded, judge, read_problem, where
from microdecisions.errors import LoginError, SalesforceError, SlowAnswerError, UnreachableError
from microdecisions.limits import LimitInfo, Usage, calls_left, check_ceilings, parse_limit_info
from microdecisions.login import LoginAnswer, LoginRequest, Token, passing_problem
from microdecisions.logins import login_of
from microdecisions.retries import (
    Clocks,
    Patience,
    RetryPolicy,
    StopFlag,
    TryAgainError,
    parse_http_date,
    parse_retry_after,
)
from microdecisions.tokens import TokenKeeper
from microdecisions.transport import Request, Response, Transport, TransportFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import Self

    from microdecisions.login import Exchange
    from microdecisions.settings import LoginSettings

__all__ = ["Clocks", "Response", "RetryPolicy", "SalesforceSession", "StopFlag", "Usage", "open_session"]

CLIENT_NAME = "salesforce-microdecisions"
_MOST_RENEWALS = 3  # for one request; more means that this resource takes no token at all
_FREEING_TRIES = 2
_OWN_HEADERS = frozenset({"authorization", "x-prettyprint"})

Purpose = Literal["query", "free"]

T = TypeVar("T")


def open_session(
    settings: LoginSettings,
    *,
    stop: StopFlag | None = None,
    client_name: str = CLIENT_NAME,
    policy: RetryPolicy | None = None,
    clocks: Clocks | None = None,
    most_at_once: int | None = None,
) -> SalesforceSession:
    """Make a session that logs in at its first use.

    Args:
        settings: checked login settings; the private key is read here, and a login on its way out is warned of.
        stop: when it is set, pauses end and further calls are refused with `InterruptedRunError`.
        client_name: shown in Salesforce's logs (`Sforce-Call-Options`, `User-Agent`).
        policy: how often and how long to try again.
        clocks: time, sleep and chance.
        most_at_once: requests that may wait for Salesforce at the same time.

    Raises:
        ConfigurationError: the private key cannot be read or used.
    """
    clocks = clocks or Clocks()
    patience = Patience(policy or RetryPolicy(), clocks, stop)
    return SalesforceSession(
        settings,
        log_in=login_of(settings, patience, client_name=client_name, now=clocks.now),
        transport=Transport(
            ca_bundle=settings.ca_bundle,
            connect_timeout=settings.connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            user_agent=client_name,
            most_at_once=most_at_once,
        ),
        patience=patience,
        clocks=clocks,
        client_name=client_name,
    )


class SalesforceSession:
    """HTTP with one org; make it with `open_session`. All methods may be called from many threads at once.

    Every call may raise `LoginError`, `CertificateError`, `UnreachableError`, `QuotaCeilingError`,
    `InterruptedRunError`, `ConfigurationError` (API version), and `SalesforceError` with its kinds for what Salesforce
    refuses. Their messages hold neither query nor body.
    """

    def __init__(
        self,
        settings: LoginSettings,
        *,
        log_in: Callable[[Exchange], Token],
        transport: Transport,
        patience: Patience,
        clocks: Clocks,
        client_name: str = CLIENT_NAME,
    ) -> None:
        self._settings = settings
        self._login = log_in
        self._transport = transport
        self._patience = patience
        self._freeing = patience.unstopped(_FREEING_TRIES)
        self._clocks = clocks
        self._headers = {"Accept": "application/json", "Sforce-Call-Options": f"client={client_name}"}
        self._tokens = TokenKeeper(self._log_in, renewable=settings.auth_flow != "access_token")
        self._count_lock = threading.Lock()
        self._usage = Usage()
        self._clock: tuple[datetime, float] | None = None
        self._met: set[str] = set()
        self.proxies: dict[str, str] = {}  # simple-salesforce reads it; the environment's proxies are used anyway

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def login(self) -> Token:
        """Log in unless that is done; the token as it is now."""
        return self._tokens.current().token

    def renewed(self, stale: Token) -> Token:
        """A token in place of one that another API of the org refused; many threads with the same one log in once.

        Args:
            stale: The token that was refused.

        Raises:
            LoginError: It cannot be renewed.
        """
        lease = self._tokens.current()
        if lease.token is stale:
            self._tokens.renew(lease)
        return self.login()

    @property
    def api_version(self) -> str:
        """Version of the API in use, such as `66.0`."""
        return self._settings.api_version

    @property
    def instance_url(self) -> str:
        """Scheme and host of the org; logs in at first use."""
        return self.login().instance_url

    @property
    def org_id(self) -> str:
        """18-character id of the org; logs in at first use."""
        return self.login().org_id

    @property
    def user_id(self) -> str:
        """18-character id of the logged-in user, or empty; logs in at first use."""
        return self.login().user_id

    @property
    def usage(self) -> Usage:
        """What was spent so far."""
        return self._usage

    def calls_left(self) -> int | None:
        """API calls until a ceiling is reached, the org's own or one of the settings; None when none is known."""
        settings = self._settings
        return calls_left(self._usage, settings.quota_percent_total, settings.quota_percent_run)

    def server_time(self) -> datetime:
        """Salesforce's own time, aware UTC: the `Date` of the last good answer, and what has passed since.

        It is never ahead of Salesforce. Before any answer it asks for the list of API versions.

        Raises:
            SalesforceError: the answers have no `Date`.
        """
        if self._clock is None:
            self.get_bytes("/services/data/")
        if self._clock is None:
            raise SalesforceError("The org's answers have no `Date` header: a proxy may remove it.")
        said, at = self._clock
        return said + timedelta(seconds=max(0.0, self._clocks.monotonic() - at))

    def get_bytes(
        self, target: str, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """GET; the body stays bytes for a typed decoder.

        Args:
            target: `/services/...`, or a path below `/services/data/vXX.0/` without leading slash such as `queryAll`,
                or a whole address of this org.
            params: the query string.
            headers: further request headers.
        """
        return self.request("GET", target, params=params, headers=headers)

    def query(self, target: str, statement: str) -> Response:
        """GET the first answer to a SOQL statement.

        Raises:
            SlowAnswerError: `read_timeout_seconds` ended before Salesforce answered, twice.
        """
        return self.request("GET", target, params={"q": statement}, purpose="query")

    def free(self, method: str, target: str, payload: object = None) -> None:
        """Put away what the org keeps for this run: also when the run is told to stop, or has reached a ceiling."""
        self.request(method, target, json=payload, purpose="free")

    def download(self, target: str, into: IO[bytes], headers: Mapping[str, str] | None = None) -> None:
        """GET; the body goes into a file, whole and from its beginning on, also when it took several tries.

        Args:
            target: as for `get_bytes`.
            into: an empty file of one's own, open for reading and writing; afterwards it stands at its beginning.
            headers: further request headers.
        """
        self.request("GET", target, headers=headers, into=into)

    @overload
    def get_json(self, target: str, params: Mapping[str, str] | None = None) -> Any: ...
    @overload
    def get_json(self, target: str, params: Mapping[str, str] | None = None, *, kind: type[T]) -> T: ...
    def get_json(self, target: str, params: Mapping[str, str] | None = None, *, kind: Any = Any) -> Any:
        """GET, and decode the answer into `kind`."""
        return decoded(self.request("GET", target, params=params), kind)

    @overload
    def post_json(self, target: str, payload: object, *, repeatable: bool = True) -> Any: ...
    @overload
    def post_json(self, target: str, payload: object, *, kind: type[T], repeatable: bool = True) -> T: ...
    def post_json(self, target: str, payload: object, *, kind: Any = Any, repeatable: bool = True) -> Any:
        """POST a payload as JSON, and decode the answer into `kind`.

        Args:
            target: as for `get_bytes`.
            payload: anything msgspec encodes.
            kind: the type of the answer.
            repeatable: False when a second arrival would do harm: it is not sent again once it may have arrived.
        """
        return decoded(self.request("POST", target, json=payload, repeatable=repeatable), kind)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        data: str | bytes | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
        into: IO[bytes] | None = None,
        purpose: Purpose | None = None,
    ) -> Response:
        """Any request, with token, retries and accounting; the signature that simple-salesforce needs of a session.

        An `Authorization` header given here is replaced by the session's own. What `purpose` changes is said at
        `query` and `free`.
        """
        asked = {name: value for name, value in (headers or {}).items() if name.lower() not in _OWN_HEADERS}
        if json is not None:
            data = msgspec.json.encode(json)
            asked["Content-Type"] = "application/json; charset=UTF-8"
        place = where(method, url)
        patience = self._freeing if purpose == "free" else self._patience
        seconds = self._settings.read_timeout_seconds
        slow = SlowAnswerError(f"Salesforce did not answer {place} within `read_timeout_seconds` ({seconds}), twice.")

        def attempt() -> Response:
            for _ in range(1 + _MOST_RENEWALS):
                lease = self._tokens.current()
                request = Request(
                    method=method,
                    url=self._address(url, lease.token),
                    params=params,
                    data=data,
                    headers={**self._headers, **asked},
                    authorization=f"Bearer {lease.token.access_token}",
                )
                if purpose != "free":
                    check_ceilings(self._usage, self._settings.quota_percent_total, self._settings.quota_percent_run)
                response = self._call(request, place, patience, repeatable=repeatable, into=into)
                if response is not None:
                    lease.accepted = True
                    return response
                self._tokens.renew(lease)
            raise LoginError(f"Salesforce takes no session for {place}, not even a new one: check the permissions.")

        return patience.persist(attempt, place, self._count_retry, slow if purpose == "query" else None)

    def _call(
        self, request: Request, place: str, patience: Patience, *, repeatable: bool, into: IO[bytes] | None
    ) -> Response | None:
        """One API call; None when the session has expired."""
        self._count(calls=1)
        response = self._send(request, patience, repeatable=repeatable, into=into)
        self._count(limits=parse_limit_info(response.headers.get("Sforce-Limit-Info")))
        if response.status_code < 300:
            if (said := parse_http_date(response.headers.get("Date"))) is not None:
                self._clock = (said, self._clocks.monotonic())
            return response
        problem = read_problem(response.body)
        verdict = judge(response.status_code, problem)
        if verdict is Verdict.LOG_IN_AGAIN:
            return None
        error = answer_error(response.status_code, problem, place)
        if verdict is Verdict.RETRY:
            raise TryAgainError(error, retry_after=self._retry_after(response), final=not repeatable)
        raise error

    def _send(
        self,
        request: Request,
        patience: Patience,
        *,
        repeatable: bool = True,
        login: bool = False,
        into: IO[bytes] | None = None,
    ) -> Response:
        """Send; a missing answer becomes a `TryAgainError`."""
        patience.check_stop()
        address = urlsplit(request.url)
        fault: TransportFault
        try:
            response = self._transport.send(request, into, patience.check_stop)
        except TransportFault as caught:
            fault = caught
        else:
            self._met.add(address.netloc)
            self._count(received=response.wire_bytes)
            return response
        met = address.netloc in self._met
        given = login or self._settings.auth_flow == "access_token"  # the address is the user's own
        setting = f"`{self._settings.address_setting}`, " if given and not met else ""
        error = UnreachableError(
            f"The Salesforce host {address.hostname} {fault.reason}: check {setting}the network and the proxy."
        )
        raise TryAgainError(error, met=met, final=fault.sent and not repeatable, unknown=fault.sent, slow=fault.slow)

    def _log_in(self) -> Token:
        token = self._patience.persist(lambda: self._login(self._login_exchange), "the login", self._count_retry)
        self._count(logins=1)
        return token

    def _login_exchange(self, asked: LoginRequest) -> LoginAnswer:
        headers = dict(asked.headers)
        authorization = headers.pop("Authorization", None)
        data = asked.form if asked.xml is None else asked.xml
        request = Request(method=asked.method, url=asked.url, data=data, headers=headers, authorization=authorization)
        response = self._send(request, self._patience, login=True)
        answer = LoginAnswer(response.status_code, response.body)
        error = passing_problem(asked, answer)
        if error is not None:
            raise TryAgainError(error, retry_after=self._retry_after(response), unknown=answer.status >= 500)
        return answer

    def _address(self, target: str, token: Token) -> str:
        if target.startswith("/"):
            return token.instance_url + target
        if "://" not in target.partition("?")[0]:
            return f"{token.instance_url}/services/data/v{self.api_version}/{target}"
        if not target.startswith(f"{token.instance_url}/"):
            raise SalesforceError("An address outside the org was asked for; the session only goes to the org itself.")
        return target

    def _retry_after(self, response: Response) -> float | None:
        now = parse_http_date(response.headers.get("Date")) or self._clocks.now()
        return parse_retry_after(response.headers.get("Retry-After"), now)

    def _count_retry(self) -> None:
        self._count(retries=1)

    def _count(
        self, *, calls: int = 0, retries: int = 0, logins: int = 0, received: int = 0, limits: LimitInfo | None = None
    ) -> None:
        with self._count_lock:
            was = self._usage
            self._usage = Usage(
                calls=was.calls + calls,
                retries=was.retries + retries,
                logins=was.logins + logins,
                bytes_received=was.bytes_received + received,
                limits=limits or was.limits,
            )
