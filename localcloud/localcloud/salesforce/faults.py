"""Switches that make the org misbehave: all off until a test turns one on."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from localcloud.salesforce.errors import ApiError


class Trap(msgspec.Struct, forbid_unknown_fields=True):
    """Strikes the requests that match.

    `pattern` is searched in `METHOD path?decoded query`; of the matches, `skip` pass first, then `times`
    are struck (None: all).
    """

    pattern: str = ""
    times: int | None = 1
    skip: int = 0

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r}: {error}") from error

    def strikes(self, text: str) -> bool:
        """Whether it strikes a request; counts down."""
        if self.times == 0 or not re.search(self.pattern, text):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Failure(Trap, forbid_unknown_fields=True):
    """Answers with an error status; `retry_after` in seconds becomes a header."""

    status: int = 503
    retry_after: int | None = None

    def error(self) -> ApiError:
        """The answer."""
        code, message = {
            429: ("TOO_MANY_REQUESTS", "Too many requests"),
            500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact us"),
            502: ("BAD_GATEWAY", "Bad Gateway"),
        }.get(self.status, ("SERVER_UNAVAILABLE", "We are temporarily unable to process your request"))
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return ApiError(self.status, code, message, headers)


class Cut(Trap, forbid_unknown_fields=True):
    """Ends the connection: before the answer (`drop`) or in the middle of its body (`truncate`)."""

    mode: Literal["drop", "truncate"] = "drop"


class Switches:
    """The state of all switches, and the quota of API calls.

    Attributes:
        latency_ms: Added to each data request.
        quota_max: API calls that the org may make in a day.
        quota_used: Those it made.
        forbidden_objects: Objects that the user may not see.
        forbidden_fields: Fields that the user may not see, as `Object.Field`.
    """

    def __init__(self) -> None:
        self.quota_max = 100_000
        self.quota_used = 0
        self.reset()

    def reset(self) -> None:
        """Turn all switches off; what was spent stays spent."""
        self.latency_ms = 0.0
        self.failures: list[Failure] = []
        self.cuts: list[Cut] = []
        self.timeouts: list[Trap] = []
        self.forbidden_objects: set[str] = set()
        self.forbidden_fields: set[str] = set()
        self.quota_max = 100_000

    def check_failure(self, text: str) -> None:
        """Raise the failure that a request meets, if any.

        Raises:
            ApiError: The failure.
        """
        for failure in self.failures:
            if failure.strikes(text):
                raise failure.error()

    def cut(self, text: str) -> Literal["drop", "truncate"] | None:
        """How the connection of a request is to end, if it is."""
        return next((cut.mode for cut in self.cuts if cut.strikes(text)), None)

    def check_timeout(self, statement: str) -> None:
        """Raise when a query is to run too long.

        Raises:
            ApiError: 400 QUERY_TIMEOUT.
        """
        if any(trap.strikes(statement) for trap in self.timeouts):
            raise ApiError(400, "QUERY_TIMEOUT", "Your query request was running for too long.")

    def spend(self) -> None:
        """Count one API call.

        Raises:
            ApiError: 403 REQUEST_LIMIT_EXCEEDED, there is none left.
        """
        if self.quota_used >= self.quota_max:
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.quota_used += 1
