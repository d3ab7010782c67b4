"""What an answer of Salesforce means: a value, try again, log in again, or which exception of ours. Pure."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from microdecisions.errors import (
    ConfigurationError,
    LocatorExpiredError,
    MicroDecisionError,
    QueryTimeoutError,
    QuotaCeilingError,
    SalesforceError,
)

if TYPE_CHECKING:
    from microdecisions.transport import Response

__all__ = ["Problem", "Verdict", "answer_error", "decoded", "judge", "read_problem", "where"]

_EXPIRED_SESSION = frozenset({"INVALID_SESSION_ID", "InvalidSessionId", "INVALID_AUTH_HEADER"})
_PASSING_CODES = frozenset({"SERVER_UNAVAILABLE", "ServerUnavailable", "UNABLE_TO_LOCK_ROW", "UNKNOWN_EXCEPTION"})
_PASSING_STATUS = frozenset({408, 420, 429})
_FINAL_CODES = frozenset({"QUERY_TIMEOUT", "INVALID_QUERY_LOCATOR", "UNSUPPORTED_API_VERSION", "InvalidVersion"})
_API_VERSION_CODES = frozenset({"UNSUPPORTED_API_VERSION", "InvalidVersion", "GONE"})

_HINTS = {
    "API_CURRENTLY_DISABLED": "the API is disabled for this user: give the profile the permission API Enabled",
    "API_DISABLED_FOR_ORG": "the org's edition or the user's profile has no API access",
    "INSUFFICIENT_ACCESS": "the user may not do this: check the integration user's permissions",
    "INSUFFICIENT_ACCESS_OR_READONLY": "the user may not do this: check the integration user's permissions",
    "INVALID_FIELD": "the field does not exist, cannot be used like this, or is hidden from the user",
    "INVALID_TYPE": "the object does not exist, cannot be queried, or is hidden from the user",
    "MALFORMED_QUERY": "the query is not accepted",
    "NOT_FOUND": "there is no such resource, or not in this API version",
    "INVALID_QUERY_LOCATOR": "the cursor has expired",
    "QUERY_TIMEOUT": "the query reads too much at once",
    "QUERY_TOO_COMPLICATED": "the query is too long or too complicated",
    "TXN_SECURITY_METERING_ERROR": "a transaction security policy stopped it: exempt the integration user",
}
_KINDS: dict[str, type[SalesforceError]] = {
    "INVALID_QUERY_LOCATOR": LocatorExpiredError,
    "QUERY_TIMEOUT": QueryTimeoutError,
}
_SHOWN_NAMES = re.compile(
    r"No such column '([\w.]{1,120})' on entity '(\w{1,80})'|sObject type '(\w{1,80})' is not supported"
    r"|field '?([\w.]{1,120})'? (?:can not|cannot) be (?:filtered|sorted|grouped)",
    re.IGNORECASE,
)
_LOCATOR = re.compile(r"(?<=/query/)[^/]+|(?<=/queryAll/)[^/]+")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{1,79}")


class Verdict(Enum):
    """What to do with an answer."""

    OK = auto()
    RETRY = auto()
    LOG_IN_AGAIN = auto()
    FAIL = auto()


class Problem(msgspec.Struct, frozen=True):
    """The first error of an answer's body: `code` is Salesforce's `errorCode`, empty when the body has none."""

    code: str = ""
    message: str = ""


class _ErrorBody(msgspec.Struct, rename="camel"):
    error_code: str = ""
    exception_code: str = ""  # the Bulk API's names
    exception_message: str = ""
    message: str = ""
    error: str = ""  # the OAuth services' names
    error_description: str = msgspec.field(default="", name="error_description")


def read_problem(body: bytes) -> Problem:
    """Read an error body: a JSON list or object with `errorCode`, an OAuth `error`, or something else altogether."""
    try:
        said = msgspec.json.decode(body, type=list[_ErrorBody] | _ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Problem()
    first = said if isinstance(said, _ErrorBody) else next(iter(said), _ErrorBody())
    code = first.error_code or first.exception_code or first.error
    message = first.message or first.exception_message or first.error_description
    return Problem(code if _CODE.fullmatch(code) else "", message)


def decoded(response: Response, kind: Any) -> Any:
    """The value of a good answer.

    Args:
        response: with a JSON body.
        kind: the type of the value.

    Raises:
        SalesforceError: it is something else.
    """
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        path = urlsplit(response.url).path
    raise SalesforceError(
        f"The answer of {path} is not what the API promises: a proxy or a wrong address may have answered.",
        status=response.status_code,
    )


def judge(status: int, problem: Problem) -> Verdict:
    """Decide what an answer is good for."""
    if status < 300:
        return Verdict.OK
    if problem.code in _EXPIRED_SESSION or status == 401:
        return Verdict.LOG_IN_AGAIN
    if problem.code in _FINAL_CODES or status < 400:
        return Verdict.FAIL
    if problem.code == "REQUEST_LIMIT_EXCEEDED":
        return Verdict.RETRY if _is_concurrency(problem) else Verdict.FAIL
    if status in _PASSING_STATUS or problem.code in _PASSING_CODES or (status >= 500 and status != 501):
        return Verdict.RETRY
    return Verdict.FAIL


def answer_error(status: int, problem: Problem, place: str) -> MicroDecisionError:
    """The exception for an answer that is final.

    Also for the parts of a `/composite` answer, which carry a status and a body of their own.

    Args:
        status: HTTP status.
        problem: the first error of the body.
        place: what was asked, for the message: see `where`. The message repeats neither the query nor the body, only
            names of fields and objects that Salesforce complains about.
    """
    code = problem.code
    said = f"Salesforce answered {code or f'HTTP {status}'} to {place}"
    if code == "REQUEST_LIMIT_EXCEEDED":
        what = "its limit of concurrent long calls" if _is_concurrency(problem) else "its API calls of 24 hours"
        return QuotaCeilingError(f"{said}: the org has used up {what}; the state is kept, run again later.")
    if code in _API_VERSION_CODES or status == 410:
        return ConfigurationError(f"{said}: Salesforce no longer, or not yet, has this version; set `api_version`.")
    kind = _KINDS.get(code, SalesforceError)
    return kind(f"{said}{_names_in(problem.message)}{_advice(status, problem)}.", status=status, code=code)


def _advice(status: int, problem: Problem) -> str:
    if judge(status, problem) is Verdict.RETRY:
        return ", also when asked again: run again later"
    if 300 <= status < 400:
        return " and points to another address, which is not followed: the org may have moved, check its address"
    hint = _HINTS.get(problem.code)
    return f": {hint}" if hint else ""


def _names_in(message: str) -> str:
    """The field and the object that Salesforce complains about: of its messages only names are repeated."""
    names = _SHOWN_NAMES.search(message)
    return f" ({' of '.join(name for name in names.groups() if name)})" if names else ""


def where(method: str, url: str) -> str:
    """Name a request for messages: method and path, without query string and without the key of a locator."""
    return f"{method} {_LOCATOR.sub('...', urlsplit(url).path)}"


def _is_concurrency(problem: Problem) -> bool:
    """REQUEST_LIMIT_EXCEEDED has two meanings: calls of 24 hours, and long calls at the same time."""
    return "concurrent" in problem.message.lower()
