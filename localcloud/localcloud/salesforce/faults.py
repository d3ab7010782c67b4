"""Switches that make the org misbehave: all off until a test turns one on."""

from __future__ import annotations

from typing import Annotated

import msgspec

from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.limits import API_REQUESTS, MAXIMA, LimitControl, Usage
from localcloud.serving.faults import CommonSwitches, Trap, note

__all__ = ["Failure", "Pad", "Switches", "Trap"]


class Failure(Trap, forbid_unknown_fields=True):
    """Answers with an error status; `retry_after` in seconds becomes a header.

    `code` and `message` replace the usual ones of the status.
    """

    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 503
    retry_after: int | None = None
    code: str | None = None
    message: str | None = None

    def error(self) -> ApiError:
        """The answer."""
        code, message = {
            429: ("TOO_MANY_REQUESTS", "Too many requests"),
            500: ("UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact us"),
            502: ("BAD_GATEWAY", "Bad Gateway"),
        }.get(self.status, ("SERVER_UNAVAILABLE", "We are temporarily unable to process your request"))
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return ApiError(self.status, self.code or code, self.message or message, headers)


class Pad(Trap, forbid_unknown_fields=True):
    """Makes a JSON answer at least `bytes` long, with blanks at its end; the data stays what it is."""

    bytes: Annotated[int, msgspec.Meta(ge=0, le=512 * 2**20)] = 5 * 2**20


class Switches(CommonSwitches):
    """The state of all switches, and the quota of API calls.

    Attributes:
        spent: API calls that were made since the start.
        forbidden_objects: Objects that the user may not see.
        forbidden_fields: Fields that the user may not see, as `Object.Field`.
    """

    def __init__(self, usage: Usage | None = None) -> None:
        self._usage = usage or Usage()
        self.spent = 0
        super().__init__()

    def reset(self) -> None:
        """Turn all switches off; what was spent stays spent."""
        super().reset()
        self.failures: list[Failure] = []
        self.pads: list[Pad] = []
        self.timeouts: list[Trap] = []
        self.expiries: list[Trap] = []
        self._expired: set[str] = set()
        self.forbidden_objects: set[str] = set()
        self.forbidden_fields: set[str] = set()
        self.quota_max = MAXIMA[API_REQUESTS]

    @property
    def quota_max(self) -> int:
        """API calls that the org may make in 24 hours."""
        return self._usage.maximum(API_REQUESTS)

    @quota_max.setter
    def quota_max(self, calls: int) -> None:
        self._usage.apply({API_REQUESTS: LimitControl(max=calls)})

    @property
    def quota_used(self) -> int:
        """API calls of the last 24 hours of the org's clock."""
        return int(self._usage.used(API_REQUESTS))

    @quota_used.setter
    def quota_used(self, calls: int) -> None:
        self._usage.apply({API_REQUESTS: LimitControl(used=calls)})

    def check_failure(self, text: str) -> None:
        """Raise the failure that a request meets, if any.

        Raises:
            ApiError: The failure.
        """
        failure = self._first(self.failures, text)
        if failure is not None:
            note(f"fail {failure.status}")
            raise failure.error()

    def pad(self, text: str, body: bytes) -> bytes:
        """The body of a JSON answer, made longer where that is asked for."""
        pad = self._first(self.pads, text)
        if pad is None:
            return body
        note(f"pad {pad.bytes}")
        return body.ljust(pad.bytes)

    def check_locator(self, text: str, locator: str) -> None:
        """Raise when the cursor behind a locator is to have expired; it stays so.

        Args:
            text: The request.
            locator: The last part of its path, `<cursor>-<row>`.

        Raises:
            ApiError: 400 INVALID_QUERY_LOCATOR.
        """
        cursor = locator.partition("-")[0]
        if self._first(self.expiries, text) is not None:
            self._expired.add(cursor)
        if cursor in self._expired:
            note("expire_locator")
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")

    def check_timeout(self, statement: str) -> None:
        """Raise when a query is to run too long.

        Raises:
            ApiError: 400 QUERY_TIMEOUT.
        """
        if self._first(self.timeouts, statement) is not None:
            note("query_timeout")
            raise ApiError(400, "QUERY_TIMEOUT", "Your query request was running for too long.")

    def spend(self) -> None:
        """Count one API call.

        Raises:
            ApiError: 403 REQUEST_LIMIT_EXCEEDED, there is none left.
        """
        if not self._usage.take(API_REQUESTS):
            note("quota")
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.spent += 1
