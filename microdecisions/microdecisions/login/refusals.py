"""What a refused login means and what to do about it: one sentence for each refusal that Salesforce documents."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from microdecisions.answers import Verdict, answer_error, judge, read_problem, where
from microdecisions.errors import LoginError, MicroDecisionError, SalesforceError
from microdecisions.login.envelope import read_fault
from microdecisions.redaction import redact

if TYPE_CHECKING:
    from microdecisions.login.parts import LoginAnswer, LoginRequest
    from microdecisions.settings import LoginSettings

__all__ = ["not_salesforce", "passing_problem", "refused"]

_BUSY: Final = "token request is already being processed"


class _Refusal(msgspec.Struct):
    error: str = ""
    error_description: str = ""


class _Row(msgspec.Struct, frozen=True):
    """A code, words of the description (a pattern, in any case), and what to do; `flow` keeps it to one flow."""

    code: str
    words: str
    hint: str
    flow: str = ""


_FLOW_WORDS: Final = {
    "jwt_bearer": "the JWT bearer flow: enable it in the app, with digital signatures and a certificate",
    "client_credentials": "the client credentials flow: enable it in the app, and name a Run As user in its policies",
    "refresh_token": "the refresh token flow: give the app the scope `refresh_token` and authorise it again",
    "username_password": "the username-password flow, as External Client Apps never do: use `client_credentials` or "
    "`jwt_bearer`",
}

# What Salesforce says, and what to do about it. The first row whose code, words and flow fit is taken.
_ROWS: Final = (
    _Row(
        "invalid_grant",
        r"approved this consumer",
        "the user is not pre-authorised for the app: pre-authorise users in its policies, and give the user's profile "
        "or a permission set access to it",
    ),
    _Row(
        "invalid_grant",
        r"audience",
        "the audience is not this org's: `domain` must be `test` or the sandbox's My Domain for a sandbox, `login` "
        "for production, or set `jwt_audience`",
    ),
    _Row(
        "invalid_grant",
        r"not supported on this domain",
        "this flow is only served at the org's My Domain: set `domain` to it",
    ),
    _Row(
        "invalid_grant",
        r"no client credentials user",
        "the app has nobody to act for: name a Run As user with API access in its policies, under Client Credentials "
        "Flow",
    ),
    _Row(
        "invalid_grant",
        r"expired|revoked|invalid refresh|not valid",
        "the refresh token has expired, was revoked, or was used before where the app rotates them: authorise the app "
        "again and set the new `refresh_token`, with a `refresh_token_path` if they rotate",
        "refresh_token",
    ),
    _Row("invalid_grant", r"expire", "it is not the time that the assertion names: set this machine's clock"),
    _Row(
        "invalid_grant",
        r"invalid assertion|signature|certificate",
        "the assertion is not accepted: the private key must belong to the certificate in the app, and `username` "
        "to a user of this org",
    ),
    _Row(
        "invalid_grant",
        r"\bip\b|ip restricted|login hours",
        "the user may not log in from this address or at this hour: relax the app's IP restrictions or the profile",
    ),
    _Row("invalid_grant", r"inactive|user is not active", "the user is not active: activate it or use another"),
    _Row(
        "invalid_grant",
        r"",
        "`username`, `password` or `security_token` is wrong, or the flow is blocked, as it is by default in orgs "
        "since Summer '23 and always in External Client Apps: see the user's Login History in Setup, and rather use "
        "`client_credentials` or `jwt_bearer`",
        "username_password",
    ),
    _Row(
        "invalid_grant",
        r"authentication failure|user .*not found|no such user",
        "the user is not known there: check `username` and `domain`",
        "jwt_bearer",
    ),
    _Row("inactive_user", r"", "the user is not active: activate it or use another"),
    _Row("inactive_org", r"", "the org is locked or closed: ask its administrator"),
    _Row(
        "invalid_client_id",
        r"",
        "`client_id` is not a consumer key that this org knows: copy it again; a new app needs up to ten minutes",
    ),
    _Row(
        "invalid_client",
        r"",
        "`client_id` or the app's credentials are not accepted: copy the consumer key again",
        "jwt_bearer",
    ),
    _Row(
        "invalid_client",
        r"",
        "`client_secret` is missing or not the one of the app with this `client_id`: copy both again",
    ),
    _Row(
        "invalid_app_access",
        r"",
        "the user is not approved for the app: give the user's profile or a permission set access to it",
    ),
    _Row("rate_limit_exceeded", r"", "there were too many logins: wait some minutes and run again"),
    _Row("login must use", r"", "the org only takes logins at its My Domain: set `domain` to it"),
    _Row("unknown_error", r"", "Salesforce could not say why: see Login History of the user in Setup"),
)


def refused(answer: LoginAnswer, settings: LoginSettings) -> LoginError:
    """The error for an answer of the token service that is no token."""
    try:
        said = msgspec.json.decode(answer.body, type=_Refusal)
    except msgspec.DecodeError:
        said = _Refusal()
    code = said.error if re.fullmatch(r"[A-Za-z0-9_ -]{1,60}", said.error) else ""
    if not code:
        return not_salesforce(answer.status, settings)
    if code in {"unsupported_grant_type", "unauthorized_client"} or "not enabled" in said.error_description.lower():
        return LoginError(f"Salesforce refused the login ({code}): the app does not allow {_words(settings)}.")
    for row in _ROWS:
        fits = row.code == code and row.flow in {"", settings.auth_flow}
        if fits and re.search(row.words, said.error_description, re.IGNORECASE):
            return LoginError(f"Salesforce refused the login ({code}): {row.hint}.")
    told = " ".join(redact(said.error_description).split())[:120]
    return LoginError(
        f"Salesforce refused the login ({code}{': ' + told if told else ''}): see the user's Login History in Setup."
    )


def _words(settings: LoginSettings) -> str:
    return _FLOW_WORDS.get(settings.auth_flow, "this flow")


def not_salesforce(status: int, settings: LoginSettings) -> LoginError:
    """The error for an answer that Salesforce would not give."""
    name, host = settings.address_setting, urlsplit(settings.login_origin).hostname
    names = ", which must be `login`, `test` or the org's My Domain" if name == "domain" else ""
    return LoginError(f"{host} did not answer the login like Salesforce (HTTP {status}): check `{name}`{names}.")


def passing_problem(asked: LoginRequest, answer: LoginAnswer) -> MicroDecisionError | None:
    """The error of an answer that may be another one when asked again; None when the flow is to read the answer.

    Source of the second one: Salesforce release notes of Winter '25, "Simultaneous Token Requests Are Blocked During
    the Refresh Token Flow".
    """
    place = where(asked.method, asked.url)
    if asked.xml is not None:
        fault = read_fault(answer.body)
        status = 400 if fault.code else answer.status  # SOAP says 500 to everything that is a fault
        return answer_error(status, fault, place) if judge(status, fault) is Verdict.RETRY else None
    problem = read_problem(answer.body)
    if answer.status == 400 and _BUSY in problem.message.lower():
        return SalesforceError(
            "Salesforce is still working on another login with this refresh token: run again later, and let runs that "
            "go on at the same time share one `refresh_token_path` or have a token each.",
            status=answer.status,
            code=problem.code,
        )
    if judge(answer.status, problem) is Verdict.RETRY or (
        answer.status >= 400 and "retry your request" in problem.message
    ):
        return answer_error(answer.status, problem, place)
    return None
