"""The way to Atlan: pyatlan for the requests, our own patience for what goes wrong.

pyatlan's retries are switched off: they are too short for a rate limit that blocks for a minute, they repeat a refusal
five times, and a 503 that stays ends in None or a TypeError (pyatlan 11.6, `client/atlan.py`). Here the status of every
answer is looked at. All writes are of absolute values, so one that is sent again changes nothing.
"""

from __future__ import annotations

import logging
import random
import ssl
import threading
import time
import warnings
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from httpx_retries import Retry

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of pyatlan's own, on Python 3.11: nothing a user could change
    from pyatlan.client.atlan import AtlanClient
from pyatlan.errors import AtlanError as PyatlanError

from microdecisions.errors import ConfigurationError, InterruptedRunError
from microdecisions.retries import parse_http_date, parse_retry_after
from target_atlan_metadata.clock import Clock
from target_atlan_metadata.errors import AtlanError, AtlanPermissionError, AtlanRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_atlan_metadata.settings import TargetSettings

    Result = TypeVar("Result")

__all__ = ["Gateway", "Throttle", "proxy_for"]

_TRIES: Final = 6
_LONGEST_WAIT: Final = 30.0  # seconds
_BLOCK: Final = 65.0  # seconds: a tenant over its rate limit answers 429 for a minute (docs.atlan.com, API limits)
_LONGEST_BLOCK: Final = 300.0
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def _is_passing(status: int) -> bool:
    """Whether a status tells of trouble that may be over at the next try; gateways on the way have 5xx of their own."""
    return status in {408, 429} or status >= 500


def proxy_for(origin: str) -> str | None:
    """The proxy that the environment asks for, for one address.

    pyatlan itself takes `HTTPS_PROXY` for every host and does not look at `NO_PROXY` (11.6, `client/atlan.py`).

    Args:
        origin: Scheme and host, perhaps with a port.

    Raises:
        ConfigurationError: the environment names something that is no proxy.
    """
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if host in _LOOPBACK or proxy_bypass(host if parts.port is None else f"{host}:{parts.port}"):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is None:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in {"http", "https"} or not urlsplit(proxy).hostname:
        raise ConfigurationError(
            "The environment variable HTTPS_PROXY (or ALL_PROXY) must be the address of an HTTP proxy, such as "
            "http://proxy.example.com:3128."
        )
    return proxy


class Throttle:
    """Lets at most so many requests pass in any minute.

    Args:
        per_minute: How many.
        monotonic: Seconds that only go up.
        sleep: Waits.
        is_stopped: Whether nobody has to wait any longer.
    """

    def __init__(
        self,
        per_minute: int,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._sleep = sleep
        self._is_stopped = is_stopped
        self._lock = threading.Lock()
        self._passed: deque[float] = deque()

    def wait(self) -> None:
        """Wait until one more may pass, and count it."""
        while not self._is_stopped():
            with self._lock:
                now = self._monotonic()
                while self._passed and self._passed[0] <= now - 60:
                    self._passed.popleft()
                if len(self._passed) < self._per_minute:
                    self._passed.append(now)
                    return
                pause = self._passed[0] + 60 - now
            self._sleep(max(pause, 0.001))


def _trust(ca_bundle: str | None) -> ssl.SSLContext | bool:
    """What certificates are checked by: a file's, or the usual ones."""
    return True if ca_bundle is None else ssl.create_default_context(cafile=ca_bundle)


class _Answer(threading.local):
    """The last answer to this thread."""

    status = 0
    retry_after: float | None = None  # seconds


class _Problem(NamedTuple):
    """Why a try is to be made again, in words after "Atlan"."""

    words: str


class Gateway:
    """A connection to one tenant.

    Args:
        settings: Address, credentials, limits.
        sleep: Waits between tries; by default until the gateway is stopped.
        monotonic: Seconds that only go up.
        machine: Tells the instant by the machine.

    Attributes:
        clock: The instant as Atlan tells it.
        requests: How many were made.
        writes: Of them, those that may change something.
    """

    def __init__(
        self,
        settings: TargetSettings,
        sleep: Callable[[float], object] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        machine: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.clock = Clock(machine, monotonic)
        self._stopped = threading.Event()
        sleep = sleep or self._stopped.wait
        # How pyatlan calls httpx, once a request; no user of the target could change it.
        warnings.filterwarnings("ignore", "Use 'content=<", DeprecationWarning)
        for name, level in (("pyatlan", logging.CRITICAL), ("httpx", logging.WARNING), ("httpcore", logging.WARNING)):
            logging.getLogger(name).setLevel(level)
        self.requests = 0
        self.writes = 0
        self._sleep = sleep
        self._throttle = Throttle(settings.max_requests_per_minute, monotonic, sleep, self._stopped.is_set)
        self._lock = threading.Lock()
        self._answer = _Answer()
        login = (
            {"api_key": settings.api_key, "oauth_client_id": None, "oauth_client_secret": None}
            if settings.api_key is not None
            else {
                "api_key": None,  # what is not given, the client takes from the environment
                "oauth_client_id": settings.oauth_client_id,
                "oauth_client_secret": settings.oauth_client_secret,
            }
        )
        self.client = AtlanClient(  # type: ignore[no-untyped-call]
            base_url=settings.origin,
            retry=Retry(total=0),
            connect_timeout=settings.connect_timeout_seconds,
            read_timeout=settings.read_timeout_seconds,
            verify=_trust(settings.ca_bundle),
            proxy=proxy_for(settings.origin),
            **login,
        )
        if (tokens := self.client._oauth_token_manager) is not None:
            # Its own client knows no CA bundle and no proxy, and is never closed.
            tokens.close()
            tokens._http_client = self.client._session
        self.client._session.event_hooks = {"request": [self._asked], "response": [self._answered]}

    def stop(self) -> None:
        """Have no thread wait any longer: the run is leaving."""
        self._stopped.set()

    def close(self) -> None:
        """Close its connections."""
        self.stop()
        self.client._session.close()

    def read(self, what: str, operation: Callable[[], Result]) -> Result:
        """Ask for something, with all tries.

        Args:
            what: In the sentence after "Atlan", if it fails: `refuses to ...`.
            operation: One call of pyatlan's.

        Raises:
            AtlanPermissionError: the token is refused, or may not.
            AtlanRefusedError: the request is refused as it is.
            AtlanError: no good answer after all tries.
        """
        return self._call(what, operation, is_write=False)

    def write(self, what: str, operation: Callable[[], Result]) -> Result:
        """Change something, with all tries; see `read`."""
        return self._call(what, operation, is_write=True)

    def _call(self, what: str, operation: Callable[[], Result], *, is_write: bool) -> Result:
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                self._sleep(self._pause(attempt - 1))
            self._throttle.wait()
            if self._stopped.is_set():
                raise InterruptedRunError
            if is_write:
                with self._lock:
                    self.writes += 1
            done = self._try(what, operation)
            if not isinstance(done, _Problem):
                return done
            problem = done.words
        raise AtlanError(
            f"Atlan {problem} after {_TRIES} tries to {what}: what is counted is kept in the ledger; run again later."
        )

    def _try(self, what: str, operation: Callable[[], Result]) -> Result | _Problem:
        answer = self._answer
        answer.status, answer.retry_after = 0, None
        try:
            result = operation()
        except httpx.HTTPStatusError:  # only from the request of an OAuth token
            self._refuse(what, answer.status if _is_passing(answer.status) else 401)
        except (httpx.HTTPError, OSError) as error:
            answer.status = 0
            return _Problem(f"cannot be reached ({type(error).__name__})")
        except AssertionError:
            # pyatlan loads its models when they are first needed; a thread may meet one that another is still making.
            answer.status = 0
            return _Problem("gives an answer that its client cannot read")
        except (PyatlanError, TypeError, ValueError, AttributeError, LookupError) as error:
            if answer.status < 400:  # not an answer of Atlan's that the client makes an error of
                raise AtlanError(f"Atlan's answer cannot be read, to {what} ({type(error).__name__}).") from None
            self._refuse(what, answer.status)
        else:
            if not _is_passing(answer.status):  # of a 503 the client makes an empty result
                return result
        return _Problem(f"answers {answer.status}")

    def _refuse(self, what: str, status: int) -> None:
        if status == 401:
            raise AtlanPermissionError(
                "Atlan refuses the token: give a valid `api_key`, or the right `oauth_client_id` and "
                "`oauth_client_secret`."
            )
        if status == 403:
            raise AtlanPermissionError(
                f"The token may not {what}: grant it that in Atlan (for custom metadata: update on the assets of the "
                "connection; to create the set: admin), or give another."
            )
        if not _is_passing(status) and status >= 400:
            raise AtlanRefusedError(f"Atlan refuses to {what} ({status}).")

    def _pause(self, attempt: int) -> float:
        if (told := self._answer.retry_after) is not None:
            return min(told, _LONGEST_BLOCK) + random.random()  # noqa: S311  # jitter
        if self._answer.status == 429:
            return _BLOCK
        return random.uniform(0.5, 1.0) * min(float(2**attempt), _LONGEST_WAIT)  # noqa: S311

    def _asked(self, request: httpx.Request) -> None:
        del request
        with self._lock:
            self.requests += 1

    def _answered(self, response: httpx.Response) -> None:
        self._answer.status = response.status_code
        date = response.headers.get("date")
        if response.is_success:
            self.clock.hear(date)
        now = parse_http_date(date) or self.clock.now()
        self._answer.retry_after = parse_retry_after(response.headers.get("retry-after"), now)
