"""Refresh tokens: one at a time, rotated or not, revoked with all their sessions."""

from __future__ import annotations

import asyncio
from hmac import compare_digest
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce.login.credentials import (
    load_credentials,
    new_refresh_token,
    save_credentials,
)
from localcloud.salesforce.login.errors import OAuthError

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.salesforce.login.policies import Policies
    from localcloud.salesforce.login.sessions import Sessions

_EXPIRED = "expired access/refresh token"
_BUSY = "token request is already being processed"
FAMILY = "refresh"
"""All refresh tokens of the one app and user are one family: the current token and what it replaced."""


class RefreshTokens:
    """The refresh token that the org's app holds for the integration user.

    Sources: Salesforce Help, "OAuth 2.0 Refresh Token Flow for Renewed Sessions" and article 005316711
    (rotation; a token used twice revokes the current one and its access tokens); release notes 252,
    "Simultaneous Token Requests Are Blocked During the Refresh Token Flow".

    Args:
        folder: Where the token is kept.
        sessions: What a revoked token takes along.
        policies: Rotation, and how long a request takes.
    """

    def __init__(self, folder: Path, sessions: Sessions, policies: Policies) -> None:
        self._folder = folder
        self._sessions = sessions
        self._policies = policies
        self._spent: set[str] = set()
        self._busy: set[str] = set()
        self._hurry = asyncio.Event()

    @property
    def busy(self) -> int:
        """How many tokens are in use by a request that is not answered yet."""
        return len(self._busy)

    def hurry(self) -> None:
        """Answer what is being worked on now."""
        self._hurry.set()

    async def use(self, token: str) -> str | None:
        """Spend a refresh token; returns its successor where tokens rotate.

        Raises:
            OAuthError: invalid_grant: it is expired, revoked, spent or in use this very moment.
        """
        if token in self._busy:
            raise OAuthError("invalid_grant", _BUSY)
        self._check(token)
        self._busy.add(token)
        try:
            await self._work()
            self._check(token)  # it may have been revoked meanwhile
            if not self._policies.rotate_refresh_tokens:
                return None
            self._spent.add(token)
            return self.renew()
        finally:
            self._busy.discard(token)

    def renew(self) -> str:
        """Make another token the valid one."""
        token = new_refresh_token()
        self._keep(token)
        return token

    def revoke(self) -> None:
        """End the valid token and every session that came from it."""
        self._keep(None)
        self._sessions.revoke_family(FAMILY)

    def is_valid(self, token: str) -> bool:
        """Whether it is the valid one."""
        current = load_credentials(self._folder).refresh_token
        return current is not None and compare_digest(current.encode(), token.encode())

    def _check(self, token: str) -> None:
        if self.is_valid(token):
            return
        if token in self._spent:
            self.revoke()
        raise OAuthError("invalid_grant", _EXPIRED)

    async def _work(self) -> None:
        if self._policies.refresh_seconds:
            self._hurry.clear()
            try:
                await asyncio.wait_for(self._hurry.wait(), self._policies.refresh_seconds)
            except TimeoutError:
                return

    def _keep(self, token: str | None) -> None:
        credentials = load_credentials(self._folder)
        save_credentials(self._folder, msgspec.structs.replace(credentials, refresh_token=token))
