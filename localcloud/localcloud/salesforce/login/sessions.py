"""Who is logged in: access tokens, their holders and their end."""

from __future__ import annotations

import secrets
import time
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

SESSION_SECONDS = 7_200
"""How long a session lasts after its last use: the default of the org-wide session settings."""


class Session(msgspec.Struct, frozen=True):
    """A login that succeeded.

    `client_id` is None after a SOAP login, which knows no app; `family` names the refresh token that the
    access token belongs to, over all its rotations; `issued_at` is in seconds since the epoch.
    """

    user_id: str
    client_id: str | None = None
    family: str | None = None
    issued_at: float = 0.0


class Sessions:
    """The access tokens that are valid; may be asked from any thread.

    Args:
        org_id: Tokens begin with it.
        monotonic: Seconds; a session ends two hours after its last use.
    """

    def __init__(self, org_id: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._org_id = org_id
        self._monotonic = monotonic
        self._lock = Lock()
        self._held: dict[str, Session] = {}
        self._used: dict[str, float] = {}
        self._left: int | None = None

    def __len__(self) -> int:
        with self._lock:
            return len(self._held)

    def issue(self, session: Session | None = None) -> str:
        """A new access token for the holder."""
        token = f"{self._org_id[:15]}!{secrets.token_urlsafe(72)}"
        with self._lock:
            self._held[token] = session or Session("")
            self._used[token] = self._monotonic()
        return token

    def expire(self) -> None:
        """End all sessions now."""
        with self._lock:
            self._expire()

    def expire_after(self, requests: int) -> None:
        """End all sessions once they made that many more requests."""
        with self._lock:
            self._left = requests

    def revoke(self, token: str) -> Session | None:
        """End the session of one access token; returns whose it was."""
        with self._lock:
            return self._drop(token)

    def revoke_family(self, family: str) -> int:
        """End all sessions that came from one refresh token; returns how many."""
        with self._lock:
            ended = [token for token, session in self._held.items() if session.family == family]
            for token in ended:
                self._drop(token)
            return len(ended)

    def check(self, authorization: str | None) -> Session:
        """Let the holder of a valid token make one request.

        Args:
            authorization: The header, `Bearer <token>` or `OAuth <token>`.

        Raises:
            ApiError: 401 INVALID_SESSION_ID or INVALID_AUTH_HEADER.
        """
        if authorization is None:
            raise _expired()
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "oauth"} or not token:
            raise ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        with self._lock:
            if self._left is not None:
                if self._left <= 0:
                    self._expire()
                else:
                    self._left -= 1
            held = self._holder(token)
        if held is None:
            raise _expired()
        return held

    def holder(self, token: str | None) -> Session | None:
        """Who holds an access token, or None; counts as a use of it and as no request."""
        with self._lock:
            return None if token is None else self._holder(token)

    def peek(self, token: str) -> tuple[Session, float] | None:
        """Who holds an access token and the seconds it has left; no use of it."""
        with self._lock:
            held = self._held.get(token)
            left = self._used.get(token, 0.0) + SESSION_SECONDS - self._monotonic()
            return None if held is None or left < 0 else (held, left)

    def _holder(self, token: str) -> Session | None:
        now = self._monotonic()
        held = self._held.get(token)
        if held is None or now - self._used[token] > SESSION_SECONDS:
            self._drop(token)
            return None
        self._used[token] = now
        return held

    def _drop(self, token: str) -> Session | None:
        self._used.pop(token, None)
        return self._held.pop(token, None)

    def _expire(self) -> None:
        self._held.clear()
        self._used.clear()
        self._left = None


def _expired() -> ApiError:
    return ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
