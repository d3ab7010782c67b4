"""The login service: the token endpoint with its grants, revocation, introspection, userinfo, SOAP login."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from localcloud.salesforce import keys
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.login import soap
from localcloud.salesforce.login.assertions import check_assertion
from localcloud.salesforce.login.credentials import load_credentials
from localcloud.salesforce.login.errors import OAuthError
from localcloud.salesforce.login.policies import Policies
from localcloud.salesforce.login.refresh import FAMILY, RefreshTokens
from localcloud.salesforce.login.sessions import Session
from localcloud.salesforce.wire import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.salesforce.login.policies import LoginControl
    from localcloud.salesforce.login.sessions import Sessions
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.wire import Call

LOGIN_HOSTS = frozenset({"login.salesforce.com", "test.salesforce.com"})
_OAUTH = "/services/oauth2"


class TokenAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a successful login answers."""

    access_token: str
    instance_url: str
    id: str
    token_type: str
    issued_at: str
    signature: str
    scope: str | None = None
    refresh_token: str | None = None


class LoginService:
    """Answers everything that has to do with logging in.

    Sources: Salesforce Help, "OAuth 2.0 JWT Bearer Flow", "... Client Credentials Flow", "... Refresh Token
    Flow for Renewed Sessions", "... Username-Password Flow for Special Scenarios", "Revoke OAuth Tokens",
    "OpenID Connect Token Introspection"; SOAP API Developer Guide, "login()".

    Args:
        org: Holds the client id and the user; its folder the secrets.
        sessions: Where tokens are made.
        now: Seconds since the epoch by the real clock, which judges the expiry of an assertion.

    Attributes:
        policies: What an administrator has set.
    """

    def __init__(self, org: Org, sessions: Sessions, *, now: Callable[[], float] = time.time) -> None:
        self.policies = Policies()
        self._org = org
        self._sessions = sessions
        self._now = now
        self._refresh = RefreshTokens(org.path, sessions, self.policies)
        self._soap = soap.SoapLogin(org, sessions, self.policies, now)
        load_credentials(org.path)  # an org made before there were any gets them now

    @property
    def refreshing(self) -> int:
        """How many refresh requests are being worked on."""
        return self._refresh.busy

    def control(self, asked: LoginControl) -> None:
        """Turn the switches of the login service."""
        self.policies.apply(asked)
        if asked.refresh_seconds is not None:
            self._refresh.hurry()
        if asked.rotate_key:
            keys.rotate_keys(self._org.path)
        if asked.revoke_refresh_token:
            self._refresh.revoke()
        if asked.new_refresh_token:
            self._refresh.renew()

    def answers(self, path: str) -> bool:
        """Whether a path belongs to the login service."""
        return path.startswith((f"{_OAUTH}/", "/id/", soap.PREFIX))

    async def answer(self, call: Call, url: str) -> Answer:
        """Answer a request to the login service.

        Args:
            call: The request.
            url: The address of the org, where a client goes on.

        Raises:
            OAuthError: A login is refused.
            ApiError: 403 Bad_OAuth_Token of userinfo; 404.
        """
        if call.path.startswith(soap.PREFIX):
            return self._soap.answer(call, url)
        if call.path.startswith("/id/"):
            return self._identity(call, url)
        match call.path.removeprefix(f"{_OAUTH}/"):
            case "token":
                return Answer(200, msgspec.json.encode(await self._token(call, url)))
            case "userinfo":
                return self._identity(call, url)
            case "revoke":
                return self._revoke(call)
            case "introspect":
                return self._introspect(call, url)
        raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")

    async def _token(self, call: Call, url: str) -> TokenAnswer:
        if call.method != "POST":
            raise OAuthError("invalid_request", "must use HTTP POST")
        form = _form(call)
        match form.get("grant_type", ""):
            case "":
                raise OAuthError("invalid_request", "missing required parameter: grant_type")
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                self._jwt_bearer(form, url)
                return self._grant(url, scope="web api")
            case "client_credentials":
                self._client_credentials(call, form)
                return self._grant(url, scope="api")
            case "password":
                self._password(call, form)
                return self._grant(url)
            case "refresh_token":
                rotated = await self._refresh_token(call, form)
                return self._grant(url, scope="refresh_token web api", family=FAMILY, refresh_token=rotated)
        raise OAuthError("unsupported_grant_type", "grant type not supported")

    def _grant(
        self, url: str, *, scope: str | None = None, family: str | None = None, refresh_token: str | None = None
    ) -> TokenAnswer:
        settings = self._org.settings
        now = self._now()
        identity, issued_at = f"{url}/id/{settings.org_id}/{settings.user_id}", str(int(now * 1000))
        secret = load_credentials(self._org.path).client_secret
        signed = hmac.digest(secret.encode(), f"{identity}{issued_at}".encode(), hashlib.sha256)
        return TokenAnswer(
            access_token=self._sessions.issue(Session(settings.user_id, settings.client_id, family, now)),
            instance_url=url,
            id=identity,
            token_type="Bearer",  # noqa: S106 - the kind of token, not one
            issued_at=issued_at,
            signature=base64.b64encode(signed).decode(),
            scope=scope,
            refresh_token=refresh_token,
        )

    def _jwt_bearer(self, form: dict[str, str], url: str) -> None:
        check_assertion(
            form.get("assertion", ""),
            (self._org.path / keys.PUBLIC).read_text(),
            issuer=self._org.settings.client_id,
            subject=self._org.settings.username,
            audiences={url, url.replace("127.0.0.1", "localhost")},
            now=self._now(),
        )

    def _client_credentials(self, call: Call, form: dict[str, str]) -> None:
        host = call.headers.get("host", "").partition(":")[0].lower()
        if host in LOGIN_HOSTS:
            raise OAuthError("invalid_grant", "request not supported on this domain")
        self._check_client(call, form)
        if not self.policies.run_as_user:
            raise OAuthError("invalid_grant", "no client credentials user enabled")

    def _password(self, call: Call, form: dict[str, str]) -> None:
        self._check_client(call, form)
        secrets = load_credentials(self._org.path)
        right = {secrets.password + secrets.security_token}
        if self.policies.trusted_network:
            right.add(secrets.password)
        allowed = self.policies.username_password_flow
        if not allowed or form.get("username") != self._org.settings.username or form.get("password") not in right:
            raise OAuthError("invalid_grant", "authentication failure")  # nothing says which of these it was

    async def _refresh_token(self, call: Call, form: dict[str, str]) -> str | None:
        self._check_client(call, form, secret=self.policies.require_secret_for_refresh)
        token = form.get("refresh_token", "")
        if not token:
            raise OAuthError("invalid_request", "missing required parameter: refresh_token")
        return await self._refresh.use(token)

    def _check_client(self, call: Call, form: dict[str, str], *, secret: bool = True) -> None:
        """Check who the app is: by a Basic header, or by the form."""
        client, sent = _basic(call) or (form.get("client_id"), form.get("client_secret"))
        if not client:
            raise OAuthError("invalid_request", "missing required parameter: client_id")
        if client != self._org.settings.client_id:
            raise OAuthError("invalid_client_id", "client identifier invalid")
        if sent is None and not secret:
            return
        right = load_credentials(self._org.path).client_secret
        if not hmac.compare_digest((sent or "").encode(), right.encode()):
            raise OAuthError("invalid_client", "invalid client credentials")

    def _revoke(self, call: Call) -> Answer:
        token = (_form(call) if call.method == "POST" else {}).get("token") or call.parameter("token") or ""
        if self._refresh.is_valid(token):
            self._refresh.revoke()
        elif self._sessions.revoke(token) is None:
            raise OAuthError("invalid_token", "invalid token")
        return Answer(200, b"")

    def _introspect(self, call: Call, url: str) -> Answer:
        if call.method != "POST":
            raise OAuthError("invalid_request", "must use HTTP POST")
        form = _form(call)
        self._check_client(call, form)
        token, settings = form.get("token", ""), self._org.settings
        told: dict[str, object] = {
            "active": True,
            "scope": "api web refresh_token",
            "client_id": settings.client_id,
            "username": settings.username,
            "sub": f"{url}/id/{settings.org_id}/{settings.user_id}",
        }
        found = self._sessions.peek(token)
        if found is not None:
            session, left = found
            now = int(self._now())
            issued = int(session.issued_at)
            told |= {"token_type": "access_token", "exp": now + int(left), "iat": issued, "nbf": issued}
        elif self._refresh.is_valid(token):
            told |= {"token_type": "refresh_token"}
        else:
            told = {"active": False}
        return Answer(200, msgspec.json.encode(told))

    def _identity(self, call: Call, url: str) -> Answer:
        try:
            self._sessions.check(call.headers.get("authorization"))
        except ApiError as error:
            raise ApiError(403, "Bad_OAuth_Token", "Bad_OAuth_Token") from error
        settings = self._org.settings
        told = {
            "sub": f"{url}/id/{settings.org_id}/{settings.user_id}",
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
                "rest": f"{url}/services/data/v{{version}}/",
                "sobjects": f"{url}/services/data/v{{version}}/sobjects/",
                "query": f"{url}/services/data/v{{version}}/query/",
                "custom_domain": url,
            },
        }
        return Answer(200, msgspec.json.encode(told))


def _form(call: Call) -> dict[str, str]:
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _basic(call: Call) -> tuple[str, str] | None:
    """The client id and secret of a Basic header, if there is one."""
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OAuthError("invalid_client", "invalid client credentials") from error
    return unquote_plus(client), unquote_plus(secret)
