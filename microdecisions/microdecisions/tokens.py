"""The token that all threads of a run share: one login at a time, one renewal for all, refusals remembered."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from microdecisions.errors import ConfigurationError, LoginError
from microdecisions.redaction import known_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from microdecisions.login import Exchange, LoginFlow, Token

__all__ = ["Lease", "TokenKeeper", "run_flow"]

logger = logging.getLogger(__name__)


class Lease:
    """A token, whether it came by renewal, and whether Salesforce ever accepted it."""

    def __init__(self, token: Token, *, renewal: bool) -> None:
        self.token = token
        self.renewal = renewal
        self.accepted = False


class TokenKeeper:
    """Holds the token of a session.

    Args:
        log_in: one whole login, retries included.
        renewable: False for a ready token, which cannot be had again.
    """

    def __init__(self, log_in: Callable[[], Token], *, renewable: bool) -> None:
        self._log_in = log_in
        self._renewable = renewable
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._refusal: ConfigurationError | None = None

    def current(self) -> Lease:
        """The token as it is now; logs in at first use."""
        lease = self._lease
        if lease is not None:
            return lease
        with self._lock:
            return self._lease or self._new_lease(renewal=False)

    def renew(self, stale: Lease) -> None:
        """Get a new token in place of an expired one, unless another thread just did.

        Raises:
            LoginError: the token cannot be renewed, or a token that came by renewal was refused at once.
        """
        with self._lock:
            if self._lease is not stale:
                return
            if not self._renewable:
                self._refusal = LoginError(
                    "Salesforce no longer takes the access token: set a new `access_token`, or use `auth_flow` "
                    "`jwt_bearer`, which renews it."
                )
            elif stale.renewal and not stale.accepted:
                self._refusal = LoginError(
                    "Salesforce refuses the session it has just opened: check that the user may use the API, and that "
                    "session settings and IP ranges let this machine in."
                )
            self._new_lease(renewal=True)

    def _new_lease(self, *, renewal: bool) -> Lease:
        """Log in; the lock is held. A refusal is final: credentials do not get better by repeating them."""
        if self._refusal is not None:
            raise type(self._refusal)(str(self._refusal))
        try:
            token = self._log_in()
        except ConfigurationError as error:
            self._refusal = type(error)(str(error))
            raise
        known_secrets.add(token.access_token)
        if self._lease is not None and self._lease.token.org_id != token.org_id:
            self._refusal = LoginError("The login now answers another org than at the start of the run: run again.")
            raise LoginError(str(self._refusal))
        self._lease = Lease(token, renewal=renewal)
        logger.info("Logged in to org %s at %s.", token.org_id, token.instance_url)
        return self._lease


def run_flow(flow: LoginFlow, exchange: Exchange) -> Token:
    """Drive a login flow to its token, sending each of its requests by `exchange`."""
    asked = next(flow)
    while True:
        answer = exchange(asked)
        try:
            asked = flow.send(answer)
        except StopIteration as done:
            token: Token = done.value
            return token
