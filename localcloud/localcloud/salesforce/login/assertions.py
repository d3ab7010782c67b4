"""The JWT bearer flow: which signed assertions are granted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jwt

from localcloud.salesforce.login.errors import OAuthError

if TYPE_CHECKING:
    from collections.abc import Collection

AUDIENCES = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})
_LONGEST_EXPIRY = 180
_NOT_YET = {"verify_exp": False, "verify_aud": False, "verify_sub": False, "verify_iat": False, "verify_nbf": False}


def check_assertion(
    assertion: str, key: str, *, issuer: str, subject: str, audiences: Collection[str], now: float
) -> None:
    """Check the signature and the claims, in the order in which Salesforce complains.

    Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration".

    Args:
        assertion: The token that was sent.
        key: The app's public key (PEM).
        issuer: The app's client id.
        subject: The user who logs in.
        audiences: Further audiences beside the login hosts: the addresses of the org itself.
        now: Seconds since the epoch.

    Raises:
        OAuthError: invalid_request, invalid_grant or invalid_client_id.
    """
    if not assertion:
        raise OAuthError("invalid_request", "missing required parameter: assertion")
    try:
        claims = jwt.decode(
            assertion, key, algorithms=["RS256"], options={"verify_signature": False, "verify_exp": False}
        )
    except jwt.PyJWTError as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error
    if claims.get("iss") != issuer:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    try:
        jwt.decode(assertion, key, algorithms=["RS256"], options=_NOT_YET)  # type: ignore[arg-type]
    except jwt.PyJWTError as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error
    audience = claims.get("aud")
    if not ({*audience} if isinstance(audience, list) else {audience}) & {*AUDIENCES, *audiences}:
        raise OAuthError("invalid_grant", "audience is invalid")
    _check_expiry(claims.get("exp"), now)
    if claims.get("sub") != subject:
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")


def _check_expiry(claim: object, now: float) -> None:
    try:
        expiry = float(claim) if isinstance(claim, (str, int, float)) else float("nan")
    except ValueError:
        expiry = float("nan")
    if not expiry > now:
        raise OAuthError("invalid_grant", "assertion is expired")
    if expiry > now + _LONGEST_EXPIRY + 5:  # what two clocks may differ
        raise OAuthError("invalid_grant", "assertion expires too far in the future")
