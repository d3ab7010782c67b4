"""The OAuth flows that end at the token service: JWT bearer, client credentials, refresh token, username-password.

The app's id and secret always go into the form and never into a Basic header: the header would need its own
encoding of them, which servers read differently, and headers are what proxies and debug logs write down.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import jwt
import msgspec

from microdecisions.errors import LoginError
from microdecisions.ids import is_id, to_18
from microdecisions.login.parts import LoginAnswer, LoginFlow, LoginRequest, Token, answered_instance
from microdecisions.login.refusals import not_salesforce, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from microdecisions.settings import LoginSettings

__all__ = ["client_credentials_flow", "jwt_bearer_flow", "refresh_token_flow", "username_password_flow"]

JWT_LIFETIME: Final = timedelta(seconds=170)  # Salesforce takes at most 3 minutes; the rest is for clocks that differ
_IDENTITY: Final = re.compile(r"/id/(?P<org>[A-Za-z0-9]+)/(?P<user>[A-Za-z0-9]+)/?$")
_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class _TokenAnswer(msgspec.Struct):
    access_token: str
    instance_url: str
    id: str = ""
    issued_at: str = ""


class _Rotation(msgspec.Struct):
    refresh_token: str = ""


def jwt_bearer_flow(settings: LoginSettings, key: RSAPrivateKey, now: Callable[[], datetime]) -> LoginFlow:
    """Log in with a signed assertion (RS256) for a user who has approved the app, or whose admin has.

    Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration".

    Args:
        settings: `client_id`, `username` and the login address.
        key: the private key whose certificate the app holds.
        now: the wall clock, aware UTC.

    Raises:
        LoginError: Salesforce refused, or answered something that is no token.
    """
    claims = {
        "iss": settings.client_id,
        "sub": settings.username,
        "aud": settings.audience,
        "exp": int((now() + JWT_LIFETIME).timestamp()),
    }
    assertion = jwt.encode(claims, key, algorithm="RS256")
    answer = yield _request(settings, {"grant_type": _JWT_BEARER, "assertion": assertion})
    return _token(answer, settings, now)


def client_credentials_flow(settings: LoginSettings, now: Callable[[], datetime]) -> LoginFlow:
    """Log in as the app itself, which acts for the Run As user of its policies. There is no refresh token.

    Source: Salesforce Help, "OAuth 2.0 Client Credentials Flow for Server-to-Server Integration".

    Args:
        settings: `client_id`, `client_secret` and the org's My Domain.
        now: the wall clock, aware UTC.

    Raises:
        LoginError: Salesforce refused, or answered something that is no token.
    """
    answer = yield _request(settings, {"grant_type": "client_credentials", **_app(settings)})
    return _token(answer, settings, now)


def refresh_token_flow(
    settings: LoginSettings, refresh_token: str, keep: Callable[[str], None], now: Callable[[], datetime]
) -> LoginFlow:
    """Log in with what a user authorised earlier.

    Source: Salesforce Help, "OAuth 2.0 Refresh Token Flow for Renewed Sessions".

    Args:
        settings: `client_id`, `client_secret` if the app requires it, and the login address.
        refresh_token: the newest one.
        keep: called with the token that replaces it, where the app rotates them, before anything else is made of the
            answer: the old one is worth nothing from then on.
        now: the wall clock, aware UTC.

    Raises:
        LoginError: Salesforce refused, or answered something that is no token.
    """
    answer = yield _request(settings, {"grant_type": "refresh_token", "refresh_token": refresh_token, **_app(settings)})
    new = _rotation(answer)
    if new and new != refresh_token:
        keep(new)
    return _token(answer, settings, now)


def username_password_flow(settings: LoginSettings, now: Callable[[], datetime]) -> LoginFlow:
    """Log in with a user's password, followed by the security token. There is no refresh token.

    Source: Salesforce Help, "OAuth 2.0 Username-Password Flow for Special Scenarios".

    Args:
        settings: `client_id`, `client_secret` if the app requires it, `username`, `password`, `security_token`.
        now: the wall clock, aware UTC.

    Raises:
        LoginError: Salesforce refused, or answered something that is no token.
    """
    secret = f"{settings.password}{settings.security_token or ''}"
    form = {"grant_type": "password", **_app(settings), "username": settings.username or "", "password": secret}
    answer = yield _request(settings, form)
    return _token(answer, settings, now)


def _request(settings: LoginSettings, form: dict[str, str]) -> LoginRequest:
    address = f"{settings.login_origin}/services/oauth2/token"
    return LoginRequest("POST", address, form, {"Accept": "application/json"})


def _app(settings: LoginSettings) -> dict[str, str]:
    named = {"client_id": settings.client_id, "client_secret": settings.client_secret}
    return {name: value for name, value in named.items() if value is not None}


def _rotation(answer: LoginAnswer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=_Rotation).refresh_token if answer.status == 200 else ""
    except msgspec.DecodeError:
        return ""


def _token(answer: LoginAnswer, settings: LoginSettings, now: Callable[[], datetime]) -> Token:
    if answer.status != 200:
        raise refused(answer, settings)
    try:
        said = msgspec.json.decode(answer.body, type=_TokenAnswer)
    except msgspec.DecodeError:
        said = None
    if said is None:
        raise not_salesforce(answer.status, settings)
    identity = _IDENTITY.search(said.id)
    if identity is None or not (is_id(identity["org"]) and is_id(identity["user"])):
        raise LoginError("The login answered a token without the org's and the user's id: give the app the scope `id`.")
    return Token(
        access_token=said.access_token,
        instance_url=answered_instance(said.instance_url, settings),
        org_id=to_18(identity["org"]),
        user_id=to_18(identity["user"]),
        issued_at=_issued(said.issued_at) or now(),
    )


def _issued(text: str) -> datetime | None:
    """Salesforce's `issued_at`: milliseconds since 1970, as text."""
    return datetime.fromtimestamp(int(text) / 1000, UTC) if re.fullmatch(r"[0-9]{1,14}", text) else None
