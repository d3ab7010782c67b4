"""The one way the org says no: an HTTP status, a documented error code, a message."""

from __future__ import annotations


class ApiError(Exception):
    """An error as the REST API answers it.

    Attributes:
        status: The HTTP status.
        code: Salesforce's `errorCode`.
        message: Salesforce's `message`.
        headers: Further headers of the answer, such as Retry-After.
        fields: The fields that a refused record is refused for; None where no record is meant.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
        fields: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(message)
        self.fields = fields
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class SoqlError(ApiError):
    """A statement that cannot be run: `MALFORMED_QUERY`, `INVALID_FIELD`, `INVALID_TYPE`, ..."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(400, code, message)
