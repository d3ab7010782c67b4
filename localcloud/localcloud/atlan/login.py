"""Who may ask: API keys, OAuth clients and their tokens, and the user that each stands for."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from localcloud.atlan.errors import AtlanError, unauthorized

if TYPE_CHECKING:
    from localcloud.clock import OrgClock

API_KEY = "localcloud-api-key"
OAUTH_CLIENT_ID = "oauth-client-localcloud"
OAUTH_CLIENT_SECRET = "localcloud-oauth-secret"  # noqa: S105 - of a stand-in, and printed in its README
KEY_CLIENT_ID = "apikey-localcloud"
TOKEN_LIFETIME_S = 3_600
REALM_ROLES = ("$api-token-default-access", "$admin")


class TokenControl(msgspec.Struct, forbid_unknown_fields=True):
    """Ends OAuth tokens, refuses API keys from now on, or takes all back."""

    expire: bool = False
    revoke_keys: bool = False
    restore: bool = False


class TokenIn(msgspec.Struct, rename="camel"):
    """The body of a request for a token."""

    client_id: str = ""
    client_secret: str = ""


class TokenOut(msgspec.Struct, rename="camel"):
    """A token; it expires after so many seconds of the catalog's clock."""

    access_token: str
    expires_in: int = TOKEN_LIFETIME_S
    token_type: str = "Bearer"  # noqa: S105 - the kind of it


class Caller(msgspec.Struct, frozen=True):
    """The service user that a key or a client stands for."""

    username: str
    client_id: str


class Logins:
    """Knows who asks.

    Args:
        clock: The catalog's clock, by which tokens expire.
    """

    def __init__(self, clock: OrgClock) -> None:
        self._clock = clock
        self._tokens: dict[str, int] = {}
        self._keys = True

    def token(self, asked: TokenIn) -> TokenOut:
        """A token for an OAuth client.

        Raises:
            AtlanError: 401, the client or its secret is wrong.
        """
        known = secrets.compare_digest(asked.client_secret.encode(), OAUTH_CLIENT_SECRET.encode())
        if asked.client_id != OAUTH_CLIENT_ID or not known:
            raise AtlanError(401, "401", "Invalid client or Invalid client credentials")
        token = TokenOut(secrets.token_urlsafe(32))
        self._tokens[token.access_token] = self._clock.now_ms() + TOKEN_LIFETIME_S * 1_000
        return token

    def caller(self, authorization: str | None) -> Caller:
        """Who sends this header.

        Raises:
            AtlanError: 401, nobody that is known, or not any more.
        """
        kind, _, token = (authorization or "").partition(" ")
        if kind.lower() != "bearer":
            raise unauthorized()
        if self._keys and secrets.compare_digest(token.encode(), API_KEY.encode()):
            return Caller(f"service-account-{KEY_CLIENT_ID}", KEY_CLIENT_ID)
        if self._tokens.get(token, 0) > self._clock.now_ms():
            return Caller(f"service-account-{OAUTH_CLIENT_ID}", OAUTH_CLIENT_ID)
        raise unauthorized()

    def control(self, asked: TokenControl) -> None:
        """Do what a tester asks."""
        if asked.restore:
            self.restore()
        if asked.expire:
            self._tokens.clear()
        if asked.revoke_keys:
            self._keys = False

    def restore(self) -> None:
        """Take API keys again."""
        self._keys = True
