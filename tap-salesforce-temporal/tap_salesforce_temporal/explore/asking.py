"""Several queries in one API call, with what the org says to each: rows, or why not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote

import msgspec

from microdecisions import values
from microdecisions.answers import Verdict, answer_error, judge, read_problem
from microdecisions.errors import SalesforceError
from tap_salesforce_temporal.composite import MOST_QUERIES, get_together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from microdecisions.session import SalesforceSession
    from tap_salesforce_temporal.composite import Part

__all__ = ["Reply", "ask"]

T = TypeVar("T")
Resource = Literal["query", "queryAll"]

_TOO_MUCH_TOGETHER: Final = frozenset({"QUERY_TIMEOUT"})


class Reply(msgspec.Struct, frozen=True):
    """What the org said to one statement.

    Attributes:
        body: The answer's body; empty when it was refused.
        error: Why it was refused; None when it was not.
    """

    body: bytes = b""
    error: SalesforceError | None = None

    @property
    def code(self) -> str:
        """Salesforce's error code; empty when the statement was answered."""
        return "" if self.error is None else self.error.code or f"HTTP {self.error.status}"

    @property
    def total(self) -> int:
        """Rows that Salesforce counts for the statement; 0 when it was refused.

        Raises:
            SalesforceError: The answer is not of the documented form.
        """
        return 0 if self.error is not None else self._read(msgspec.json.Decoder(_Total)).total

    def rows(self, kind: type[T]) -> list[T]:
        """The rows of the first page; none when the statement was refused.

        Raises:
            SalesforceError: The answer is not of the documented form.
        """
        if self.error is not None:
            return []
        found: list[T] = self._read(values.page_decoder(_Page[kind])).rows  # type: ignore[valid-type]
        return found

    def _read(self, decoder: msgspec.json.Decoder[Any]) -> Any:
        try:
            return decoder.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = error if isinstance(error, msgspec.DecodeError) else "it is not UTF-8"
            raise SalesforceError(f"Salesforce's answer to a query is not of the documented form: {what}.") from None


class _Total(msgspec.Struct):
    total: int = msgspec.field(name="totalSize", default=0)


class _Page(msgspec.Struct, Generic[T]):
    rows: list[T] = msgspec.field(name="records")


def ask(session: SalesforceSession, statements: Sequence[str], resource: Resource = "queryAll") -> list[Reply]:
    """Run statements, up to five in one API call; those that cannot be run together are asked alone.

    Args:
        session: Logged-in session.
        statements: SOQL whose answers fit one page.
        resource: `queryAll`, or `query` for metadata.

    Returns:
        A reply for each statement, in their order.

    Raises:
        QuotaCeilingError, ConfigurationError, UnreachableError: What would meet each statement alone too.
    """
    replies: list[Reply] = []
    for place in range(0, len(statements), MOST_QUERIES):
        group = statements[place : place + MOST_QUERIES]
        together = list(_together(session, group, resource)) if len(group) > 1 else [None] * len(group)
        for statement, reply in zip(group, together, strict=True):
            replies.append(reply or _alone(session, statement, resource))
    return replies


def _together(session: SalesforceSession, statements: Sequence[str], resource: Resource) -> Iterator[Reply | None]:
    """A reply for each statement; None where it is worth to be asked alone."""
    for part in get_together(session, [f"{resource}?q={quote(statement, safe='')}" for statement in statements]):
        yield None if part is None else _reply(part, resource)


def _reply(part: Part, resource: Resource) -> Reply | None:
    body = bytes(part.body)
    if part.good:
        return Reply(body)
    problem = read_problem(body)
    if problem.code in _TOO_MUCH_TOGETHER or judge(part.http_status_code, problem) is not Verdict.FAIL:
        return None
    error = answer_error(part.http_status_code, problem, f"GET {resource}")
    if isinstance(error, SalesforceError):
        return Reply(error=error)
    raise error


def _alone(session: SalesforceSession, statement: str, resource: Resource) -> Reply:
    try:
        return Reply(session.get_bytes(resource, params={"q": statement}).body)
    except SalesforceError as error:
        if error.status >= 500:
            raise  # also after all tries: no answer about this statement
        return Reply(error=error)
