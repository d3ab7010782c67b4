"""SOAP login(): a user's password for a session id. Only when it is asked for; it retires in Summer '27.

Our own few lines of XML rather than simple-salesforce's: its login does not escape the security token, loses the
scheme of the address and the ids of the org and the user, and reads answers with entities allowed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from microdecisions.errors import LoginError
from microdecisions.ids import is_id, to_18
from microdecisions.login.envelope import login_request, read_fault, read_result
from microdecisions.login.parts import LoginAnswer, LoginFlow, LoginRequest, Token, answered_instance
from microdecisions.login.refusals import not_salesforce

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from microdecisions.settings import LoginSettings

__all__ = ["SOAP_VERSION", "soap_login_flow"]

SOAP_VERSION: Final = "64.0"
"""The last version with login(); it is sent whatever `api_version` says.

Source: SOAP API Developer Guide, "login()" and "SOAP API End-of-Life Policy"."""

_ENDS: Final = "SOAP login() retires in Summer '27"


def soap_login_flow(settings: LoginSettings, client: str, now: Callable[[], datetime]) -> LoginFlow:
    """Log in by login() of the SOAP API.

    Args:
        settings: `username`, `password`, `security_token` and the login address.
        client: the name that Salesforce's logs show.
        now: the wall clock, aware UTC.

    Raises:
        LoginError: Salesforce refused, or answered something that is no session.
    """
    try:
        envelope = login_request(settings.username or "", f"{settings.password}{settings.security_token or ''}", client)
    except ValueError:
        envelope = b""
    if not envelope:
        raise LoginError("Setting `password`, `security_token` or `username` holds a character that SOAP cannot carry.")
    answer = yield LoginRequest(
        "POST",
        f"{settings.login_origin}/services/Soap/u/{SOAP_VERSION}",
        None,
        {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": "login", "Accept": "text/xml"},
        envelope,
    )
    if answer.status != 200:
        raise _refused(answer, settings)
    said = read_result(answer.body)
    if said is None:
        raise not_salesforce(answer.status, settings)
    return _token(said, settings, now)


def _token(said: Mapping[str, str], settings: LoginSettings, now: Callable[[], datetime]) -> Token:
    if said.get("passwordExpired") == "true":
        raise LoginError("The password of the user has expired: set a new one in Salesforce, then in `password`.")
    session, org, user = (said.get(name, "") for name in ("sessionId", "organizationId", "userId"))
    if not (re.fullmatch(r"[!-~]+", session) and is_id(org) and is_id(user)):
        raise LoginError("The SOAP login answered no session, or not whose it is: use another `auth_flow`.")
    try:
        address = urlsplit(said.get("serverUrl", ""))
        instance = f"{address.scheme}://{address.netloc}"
    except ValueError:
        instance = ""
    return Token(
        access_token=session,
        instance_url=answered_instance(instance, settings),
        org_id=to_18(org),
        user_id=to_18(user),
        issued_at=now(),
    )


_BETTER: Final = "use `client_credentials` or `jwt_bearer`"
_HINTS: Final[Mapping[str, str]] = {
    "INVALID_LOGIN": "the user name, the password or the security token is wrong, or the user is locked out; the "
    "token changes with the password",
    "LOGIN_MUST_USE_SECURITY_TOKEN": "this machine is outside the org's trusted networks: set `security_token`, which "
    "the user gets by Reset My Security Token, or the address to the trusted ones",
    "INVALID_OPERATION": f"login() is switched off in this org, as in all new ones: {_BETTER}, or let an administrator "
    "switch it on in Setup, User Interface",
    "INSUFFICIENT_ACCESS": f"the user lacks the permission Use Any API Auth: give it to the user, or {_BETTER}",
    "UNSUPPORTED_API_VERSION": f"the org has no login() any more: {_BETTER}",
    "API_CURRENTLY_DISABLED": "the API is disabled for this user: give the profile the permission API Enabled",
    "API_DISABLED_FOR_ORG": "the org's edition or the user's profile has no API access",
    "PASSWORD_LOCKOUT": "the user is locked out after too many tries: wait, or let an administrator unlock it",
    "INACTIVE_OWNER_OR_USER": "the user is not active: activate it or use another `username`",
    "ORG_LOCKED": "the org is locked: ask its administrator",
    "LOGIN_DURING_RESTRICTED_TIME": "the user may not log in at this hour: change the login hours of the profile",
    "LOGIN_DURING_RESTRICTED_DOMAIN": "the user may not log in from this address: change the profile's IP ranges",
    "LOGIN_RATE_EXCEEDED": "there were too many logins: wait some minutes and run again",
}


def _refused(answer: LoginAnswer, settings: LoginSettings) -> LoginError:
    code = read_fault(answer.body).code
    if not code:
        return not_salesforce(answer.status, settings)
    hint = _HINTS.get(code, "see the user's Login History in Setup")
    return LoginError(f"Salesforce refused the SOAP login ({code}): {hint}. {_ENDS}.")
