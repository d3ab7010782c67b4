"""Salesforce login as pure flows: a generator yields requests, receives answers, returns a token. No I/O in here."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import jwt
import msgspec

from microdecisions.errors import ConfigurationError, LoginError
from microdecisions.ids import is_id, to_18
from microdecisions.redaction import BLANK, redact
from microdecisions.settings import is_loopback, origin_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from microdecisions.settings import LoginSettings

__all__ = ["LoginAnswer", "LoginFlow", "LoginRequest", "Token", "access_token_flow", "jwt_bearer_flow"]

JWT_LIFETIME = timedelta(seconds=170)  # Salesforce takes at most 3 minutes; the rest is for clocks that differ
_GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class LoginRequest(msgspec.Struct, frozen=True):
    """A request that a flow wants sent: `form` goes as `application/x-www-form-urlencoded`, None means no body."""

    method: str
    url: str
    form: dict[str, str] | None
    headers: dict[str, str]

    def __repr__(self) -> str:
        """Method and address; form and headers hold secrets."""
        return f"LoginRequest({self.method} {self.url})"


class LoginAnswer(msgspec.Struct, frozen=True):
    """What came back: HTTP status and the body's bytes."""

    status: int
    body: bytes

    def __repr__(self) -> str:
        """Only the status; the body holds the token."""
        return f"LoginAnswer({self.status})"


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A session with an org.

    Attributes:
        access_token: goes into the `Authorization` header, and nowhere else.
        instance_url: scheme and host of the org, without a trailing slash.
        org_id: 18-character id of the org.
        user_id: 18-character id of the logged-in user; empty when Salesforce did not say.
        issued_at: when the token was issued, aware UTC.
    """

    access_token: str
    instance_url: str
    org_id: str
    user_id: str
    issued_at: datetime

    def __repr__(self) -> str:
        """Everything but the token."""
        return f"Token({BLANK}, {self.instance_url}, org {self.org_id}, user {self.user_id})"


LoginFlow = Generator[LoginRequest, LoginAnswer, Token]


class _TokenAnswer(msgspec.Struct):
    access_token: str
    instance_url: str
    id: str = ""
    issued_at: str = ""


class _UserInfo(msgspec.Struct):
    organization_id: str
    user_id: str = ""


class _Refusal(msgspec.Struct):
    error: str = ""
    error_description: str = ""


def jwt_bearer_flow(settings: LoginSettings, key: RSAPrivateKey, now: Callable[[], datetime]) -> LoginFlow:
    """Log in with a signed assertion (RS256) for a user who has approved the app, or whose admin has.

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
    answer = yield LoginRequest(
        "POST",
        f"{settings.login_origin}/services/oauth2/token",
        {"grant_type": _GRANT_TYPE, "assertion": assertion},
        {"Accept": "application/json"},
    )
    if answer.status != 200:
        raise _refused(answer, settings)
    return _token(answer, settings, now)


def access_token_flow(settings: LoginSettings, now: Callable[[], datetime]) -> LoginFlow:
    """Use a ready access token; the user's and the org's id come from the org's userinfo.

    A token whose scope does not include userinfo still works when it is a session id, which begins with the org's id.

    Raises:
        LoginError: the token is not valid, or does not tell the org.
    """
    token, instance = settings.access_token or "", origin_of(settings.instance_url or "", "instance_url")
    answer = yield LoginRequest(
        "GET",
        f"{instance}/services/oauth2/userinfo",
        None,
        {"Accept": "application/json", "Authorization": f"Bearer {token}"},
    )
    org_id, user_id = _who(answer, token)
    return Token(access_token=token, instance_url=instance, org_id=org_id, user_id=user_id, issued_at=now())


def _who(answer: LoginAnswer, token: str) -> tuple[str, str]:
    if answer.status == 200:
        try:
            info = msgspec.json.decode(answer.body, type=_UserInfo)
            return to_18(info.organization_id), to_18(info.user_id) if info.user_id else ""
        except (msgspec.DecodeError, ValueError):
            pass
    refused = answer.status == 401 or b"OAuth_Token" in answer.body or b"INVALID_SESSION" in answer.body
    start = token.partition("!")[0]
    if answer.status in {403, 404} and not refused and "!" in token and start.startswith("00D") and is_id(start):
        return to_18(start), ""
    if refused or answer.status in {400, 403}:
        raise LoginError(
            "Salesforce refused the access token: it has expired or belongs to another org than `instance_url`; "
            "set a new `access_token`, or use `auth_flow` `jwt_bearer`."
        )
    raise LoginError(
        f"The host of `instance_url` did not answer the login like Salesforce (HTTP {answer.status}): it must be "
        "the org's own address, such as `https://acme.my.salesforce.com`."
    )


def _token(answer: LoginAnswer, settings: LoginSettings, now: Callable[[], datetime]) -> Token:
    try:
        said = msgspec.json.decode(answer.body, type=_TokenAnswer)
    except msgspec.DecodeError:
        said = None
    if said is None:
        raise _not_salesforce(answer.status, settings)
    path = urlsplit(said.id).path.strip("/").split("/")
    if len(path) < 3 or path[-3] != "id" or not (is_id(path[-2]) and is_id(path[-1])):
        raise LoginError("The login answered a token without the org's and the user's id: give the app the scope `id`.")
    return Token(
        access_token=said.access_token,
        instance_url=_instance(said.instance_url, settings),
        org_id=to_18(path[-2]),
        user_id=to_18(path[-1]),
        issued_at=_issued(said.issued_at) or now(),
    )


def _instance(url: str, settings: LoginSettings) -> str:
    """The answered instance address; a login over the network may not send us to plain http on this machine."""
    try:
        origin = origin_of(url, "instance_url")
    except ConfigurationError:
        origin = ""
    if origin.startswith("http://") and not is_loopback(urlsplit(settings.login_origin).hostname):
        origin = ""
    if not origin:
        raise LoginError(
            f"The login answered an instance address that is not https: check `{settings.address_setting}`."
        )
    return origin


def _issued(text: str) -> datetime | None:
    """Salesforce's `issued_at`: milliseconds since 1970, as text."""
    return datetime.fromtimestamp(int(text) / 1000, UTC) if re.fullmatch(r"[0-9]{1,14}", text) else None


# What Salesforce says, and what to do about it. The first row whose code and words fit is taken.
_HINTS: tuple[tuple[str, str, str], ...] = (
    (
        "invalid_grant",
        r"approved this consumer",
        (
            "the user is not pre-authorised for the app: pre-authorise users in its policies, and give the "
            "user's profile or a permission set access to it"
        ),
    ),
    (
        "invalid_grant",
        r"audience",
        (
            "the audience is not this org's: `domain` must be `test` or the sandbox's My Domain for a sandbox, `login` "
            "for production, or set `jwt_audience`"
        ),
    ),
    ("invalid_grant", r"expired", "the assertion counts as expired: set this machine's clock"),
    (
        "invalid_grant",
        r"invalid assertion|signature|certificate",
        (
            "the assertion is not accepted: the private key must belong to the certificate in the app, and `username` "
            "to a user of this org"
        ),
    ),
    (
        "invalid_grant",
        r"\bip\b|ip restricted|login hours",
        "the user may not log in from this address or at this hour: relax the app's IP restrictions or the profile",
    ),
    ("invalid_grant", r"inactive|user is not active", "the user is not active: activate it or use another `username`"),
    (
        "invalid_grant",
        r"authentication failure|user .*not found|no such user",
        "the user is not known there: check `username` and `domain`",
    ),
    ("inactive_user", r"", "the user is not active: activate it or use another `username`"),
    ("inactive_org", r"", "the org is locked or closed: ask its administrator"),
    (
        "invalid_client_id",
        r"",
        "`client_id` is not a consumer key that this org knows: copy it again; a new app needs up to ten minutes",
    ),
    ("invalid_client", r"", "`client_id` or the app's credentials are not accepted: copy the consumer key again"),
    (
        "invalid_app_access",
        r"",
        "the user is not approved for the app: give the user's profile or a permission set access to it",
    ),
    (
        "unsupported_grant_type",
        r"",
        "the app does not allow the JWT bearer flow: enable it in the app, with digital signatures and a certificate",
    ),
    ("rate_limit_exceeded", r"", "there were too many logins: wait some minutes and run again"),
    ("login must use", r"", "the org only takes logins at its My Domain: set `domain` to it"),
    ("unknown_error", r"", "Salesforce could not say why: see Login History of the user in Setup"),
)


def _refused(answer: LoginAnswer, settings: LoginSettings) -> LoginError:
    try:
        said = msgspec.json.decode(answer.body, type=_Refusal)
    except msgspec.DecodeError:
        said = _Refusal()
    code = said.error if re.fullmatch(r"[A-Za-z0-9_ -]{1,60}", said.error) else ""
    if not code:
        return _not_salesforce(answer.status, settings)
    for wanted, words, hint in _HINTS:
        if wanted == code and re.search(words, said.error_description, re.IGNORECASE):
            return LoginError(f"Salesforce refused the login ({code}): {hint}.")
    told = " ".join(redact(said.error_description).split())[:120]
    return LoginError(
        f"Salesforce refused the login ({code}{': ' + told if told else ''}): see the user's Login History in Setup."
    )


def _not_salesforce(status: int, settings: LoginSettings) -> LoginError:
    name, host = settings.address_setting, urlsplit(settings.login_origin).hostname
    names = ", which must be `login`, `test` or the org's My Domain" if name == "domain" else ""
    return LoginError(f"{host} did not answer the login like Salesforce (HTTP {status}): check `{name}`{names}.")
