"""The one exception tree of the plugins, named by what the reader of the message can do about it.

    MicroDecisionError                exit 1   something failed; run again
      ConfigurationError              exit 2   change a setting, the catalog or the stored state
        LoginError                    exit 2   Salesforce refused the credentials
        CertificateError              exit 2   the server's certificate is not trusted
        ObjectPermissionError         exit 2   the user may not read what was selected
      UnreachableError                exit 1   the host did not answer in time, after all tries
      SalesforceError                 exit 1   Salesforce answered with an error code
        QueryTimeoutError                      ask for less: the reader halves the window
          SlowAnswerError                      the same, by `read_timeout_seconds` rather than by Salesforce
        LocatorExpiredError                    the cursor is gone: read the window again
      IncompleteReadError             exit 1   rows read and rows counted differ, after all tries
      InterruptedRunError             exit 1   SIGINT or SIGTERM; state is valid, run again
      QuotaCeilingError               exit 3   a ceiling for API calls is reached; state is kept
      TimeCeilingError                exit 3   `max_run_seconds` are over; state is kept
      GapError                        exit 4   a `gap` event was written; the next run is green

Every message is one sentence or two for a person: what is wrong, where, what to do. It never holds a secret or the
value of a customer's field. Exit code 0 means complete.
"""

from __future__ import annotations

from typing import ClassVar, Final

__all__ = [
    "NOT_FOR_THIS_USER",
    "CertificateError",
    "ConfigurationError",
    "GapError",
    "IncompleteReadError",
    "InterruptedRunError",
    "LocatorExpiredError",
    "LoginError",
    "MicroDecisionError",
    "ObjectPermissionError",
    "QueryTimeoutError",
    "QuotaCeilingError",
    "SalesforceError",
    "SlowAnswerError",
    "TimeCeilingError",
    "UnreachableError",
]


NOT_FOR_THIS_USER: Final = frozenset(
    {"INVALID_TYPE", "INVALID_FIELD", "INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "NOT_FOUND"}
)
"""Codes with which Salesforce says that an object or field is not there, or not for this user to see."""


class MicroDecisionError(Exception):
    """Base of all errors that a plugin reports as one sentence."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(MicroDecisionError):
    """A setting, the catalog or the stored state cannot be used as it is."""

    exit_code: ClassVar[int] = 2


class LoginError(ConfigurationError):
    """Salesforce refused the credentials."""


class CertificateError(ConfigurationError):
    """The server's certificate is not trusted by the certificates in use."""


class ObjectPermissionError(ConfigurationError):
    """The logged-in user may not read an object or field that was selected."""


class UnreachableError(MicroDecisionError):
    """The host did not answer in time, after all tries."""


class SalesforceError(MicroDecisionError):
    """Salesforce answered with an error.

    Attributes:
        status: HTTP status of the answer.
        code: Salesforce's `errorCode`, such as `MALFORMED_QUERY`; empty when the body had none.
    """

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class QueryTimeoutError(SalesforceError):
    """QUERY_TIMEOUT: the statement asks for too much at once."""


class SlowAnswerError(QueryTimeoutError):
    """A query was not answered within `read_timeout_seconds`, when asked again neither."""


class LocatorExpiredError(SalesforceError):
    """INVALID_QUERY_LOCATOR: the cursor is older than two days, or unknown."""


class IncompleteReadError(MicroDecisionError):
    """The number of rows read differs from the number Salesforce counted, after all tries."""


class InterruptedRunError(MicroDecisionError):
    """The run was asked to stop; what was written is kept and the state is valid.

    Args:
        cause: By what, such as ` by SIGTERM`; in the sentence it follows the word Interrupted.
    """

    def __init__(self, cause: str = "") -> None:
        super().__init__(
            f"Interrupted{cause}: everything up to the last STATE is written; run again to continue from there."
        )


class QuotaCeilingError(MicroDecisionError):
    """A ceiling for API calls is reached; the state is kept."""

    exit_code: ClassVar[int] = 3


class TimeCeilingError(MicroDecisionError):
    """`max_run_seconds` are over before everything is read; the state is kept."""

    exit_code: ClassVar[int] = 3


class GapError(MicroDecisionError):
    """A `gap` event was written: what lies in it could not be read."""

    exit_code: ClassVar[int] = 4
