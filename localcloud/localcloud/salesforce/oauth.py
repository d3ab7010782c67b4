"""The login service: access tokens for a signed assertion, and who holds one."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import jwt
import msgspec

from localcloud.salesforce.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from localcloud.salesforce.org import Org

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
AUDIENCES = frozenset({"https://login.salesforce.com", "https://test.salesforce.com"})
_LONGEST_EXPIRY = 180
_SESSION_SECONDS = 7_200


class TokenAnswer(msgspec.Struct, frozen=True):
    """What a successful login answers."""

    access_token: str
    scope: str
    instance_url: str
    id: str
    token_type: str
    issued_at: str


class OAuthError(Exception):
    """A refused login: the `error` and `error_description` of the answer.

    Attributes:
        error: The documented error.
        description: What is wrong.
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    def body(self) -> bytes:
        """The JSON body of the answer, whose status is 400."""
        return msgspec.json.encode({"error": self.error, "error_description": self.description})


class Sessions:
    """The access tokens that are valid.

    Args:
        org_id: Tokens begin with it.
        monotonic: Seconds; a session ends two hours after its last use.
    """

    def __init__(self, org_id: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._org_id = org_id
        self._monotonic = monotonic
        self._used: dict[str, float] = {}
        self._left: int | None = None

    def __len__(self) -> int:
        return len(self._used)

    def issue(self) -> str:
        """A new access token."""
        token = f"{self._org_id[:15]}!{secrets.token_urlsafe(72)}"
        self._used[token] = self._monotonic()
        return token

    def expire(self) -> None:
        """End all sessions now."""
        self._used.clear()
        self._left = None

    def expire_after(self, requests: int) -> None:
        """End all sessions once they made that many more requests."""
        self._left = requests

    def check(self, authorization: str | None) -> None:
        """Let the holder of a valid token pass.

        Args:
            authorization: The header, `Bearer <token>` or `OAuth <token>`.

        Raises:
            ApiError: 401 INVALID_SESSION_ID or INVALID_AUTH_HEADER.
        """
        if authorization is None:
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() not in {"bearer", "oauth"} or not token:
            raise ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
        if self._left is not None:
            if self._left <= 0:
                self.expire()
            else:
                self._left -= 1
        now = self._monotonic()
        used = self._used.get(token)
        if used is None or now - used > _SESSION_SECONDS:
            self._used.pop(token, None)
            raise ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self._used[token] = now


class LoginService:
    """Answers the token endpoint.

    Args:
        org: Holds the registered public key, the client id and the user.
        sessions: Where tokens are made.
        now: Seconds since the epoch by the real clock, which judges the expiry of an assertion.
    """

    def __init__(self, org: Org, sessions: Sessions, *, now: Callable[[], float] = time.time) -> None:
        self._org = org
        self._sessions = sessions
        self._now = now
        self._key = (org.path / "jwt.pub").read_text()
        self._grants: dict[str, Callable[[dict[str, str], Collection[str]], None]] = {JWT_BEARER: self._jwt_bearer}

    def token(self, form: bytes, own_urls: Collection[str], instance_url: str) -> TokenAnswer:
        """Grant an access token.

        Args:
            form: The url-encoded body.
            own_urls: Further audiences: the addresses of this server.
            instance_url: Where the caller is to go on.

        Raises:
            OAuthError: The request or the assertion is not right.
        """
        fields = dict(parse_qsl(form.decode("utf-8", "replace"), keep_blank_values=True))
        grant = fields.get("grant_type", "")
        if not grant:
            raise OAuthError("invalid_request", "missing required parameter: grant_type")
        check = self._grants.get(grant)
        if check is None:
            raise OAuthError("unsupported_grant_type", "grant type not supported")
        check(fields, own_urls)
        return TokenAnswer(
            access_token=self._sessions.issue(),
            scope="web api",
            instance_url=instance_url,
            id=f"{instance_url}/id/{self._org.org_id}/{self._org.user_id}",
            token_type="Bearer",  # noqa: S106 - the kind of token, not one
            issued_at=str(int(self._now() * 1000)),
        )

    def identity(self, instance_url: str) -> bytes:
        """Who the user is, as userinfo answers it."""
        settings = self._org.settings
        return msgspec.json.encode(
            {
                "sub": f"{instance_url}/id/{settings.org_id}/{settings.user_id}",
                "user_id": settings.user_id,
                "organization_id": settings.org_id,
                "preferred_username": settings.username,
                "username": settings.username,
                "nickname": "integration",
                "name": "Integration User",
                "email": settings.username,
                "email_verified": True,
                "given_name": "Integration",
                "family_name": "User",
                "zoneinfo": "GMT",
                "active": True,
                "user_type": "STANDARD",
                "language": "en_US",
                "locale": "en_US",
                "utcOffset": 0,
                "urls": {
                    "rest": f"{instance_url}/services/data/v{{version}}/",
                    "sobjects": f"{instance_url}/services/data/v{{version}}/sobjects/",
                    "query": f"{instance_url}/services/data/v{{version}}/query/",
                    "custom_domain": instance_url,
                },
            }
        )

    def _jwt_bearer(self, fields: dict[str, str], own_urls: Collection[str]) -> None:
        assertion = fields.get("assertion", "")
        if not assertion:
            raise OAuthError("invalid_request", "missing required parameter: assertion")
        try:
            claims = jwt.decode(
                assertion, self._key, algorithms=["RS256"], options={"verify_signature": False, "verify_exp": False}
            )
        except jwt.PyJWTError as error:
            raise OAuthError("invalid_grant", "invalid assertion") from error
        if claims.get("iss") != self._org.settings.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        try:
            jwt.decode(
                assertion,
                self._key,
                algorithms=["RS256"],
                options={
                    "verify_exp": False,
                    "verify_aud": False,
                    "verify_sub": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.PyJWTError as error:
            raise OAuthError("invalid_grant", "invalid assertion") from error
        audience = claims.get("aud")
        if not ({*audience} if isinstance(audience, list) else {audience}) & {*AUDIENCES, *own_urls}:
            raise OAuthError("invalid_grant", "audience is invalid")
        self._check_expiry(claims.get("exp"))
        if claims.get("sub") != self._org.settings.username:
            raise OAuthError("invalid_grant", "user hasn't approved this consumer")

    def _check_expiry(self, claim: object) -> None:
        try:
            expiry = float(claim) if isinstance(claim, (str, int, float)) else float("nan")
        except ValueError:
            expiry = float("nan")
        if not expiry > self._now():
            raise OAuthError("invalid_grant", "assertion is expired")
        if expiry > self._now() + _LONGEST_EXPIRY + 5:  # what two clocks may differ
            raise OAuthError("invalid_grant", "assertion expires too far in the future")
