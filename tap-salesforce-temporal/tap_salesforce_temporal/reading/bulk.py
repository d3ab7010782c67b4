"""SOQL by Bulk API 2.0: a job for each window, polled patiently, its sets of results as typed pages, then deleted."""

from __future__ import annotations

from contextlib import closing, suppress
from itertools import islice
from typing import IO, TYPE_CHECKING, Final, TypeVar

import msgspec

from microdecisions.errors import IncompleteReadError, MicroDecisionError, QueryTimeoutError, SalesforceError
from microdecisions.temporary import temporary_file
from tap_salesforce_temporal.reading.cells import rows_of
from tap_salesforce_temporal.reading.rest import QueryPage

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Iterator

    from microdecisions.event import Source as Api
    from microdecisions.pages import StopFlag
    from microdecisions.session import Response, SalesforceSession

__all__ = ["BulkReader", "JobFailedError", "NotForBulkError"]

_FIRST_PAUSE: Final = 0.2  # seconds; doubled with each look
_LONGEST_PAUSE: Final = 30.0
_PAGE_ROWS: Final = 2_000  # rows made and written at once, as many as REST gives
_ROW_BYTES: Final = 512  # about what a row takes while it waits
_STEP: Final = 0.1  # how soon a stop is noticed
_TOO_LONG: Final = ("QUERY_TIMEOUT", "retried more than", "took too long", "timed out", "timeout")
_NOT_HERE: Final = ("not supported", "InvalidEntity", "INVALIDENTITY", "FeatureNotEnabled", "FEATURENOTENABLED")
_NO_MORE_JOBS: Final = ("LIMIT_EXCEEDED", "ExceededQuota", "EXCEEDED_QUOTA", "MAX_JOBS")

RowT = TypeVar("RowT", bound=msgspec.Struct)


class NotForBulkError(SalesforceError):
    """Salesforce does not serve this statement by Bulk, or the org has no jobs left: it is to be read by REST."""


class JobFailedError(SalesforceError):
    """A job failed or was aborted for a reason that another job may not meet."""


class _Job(msgspec.Struct, rename="camel"):
    id: str
    state: str
    number_records_processed: int = 0
    error_message: str | None = None


class BulkReader:
    """Runs statements of one org as query jobs; deleted rows included.

    Args:
        session: Logged-in session.
        page_rows: Rows of one set of results.
        stop: Ends waits.
        sleep: Waits for so many seconds.
        log: For an operator.
    """

    source: Final[Api] = "bulk"

    def __init__(
        self,
        session: SalesforceSession,
        page_rows: int,
        stop: StopFlag,
        sleep: Callable[[float], None],
        log: logging.Logger,
    ) -> None:
        self._session = session
        self.page_rows = page_rows
        self._stop = stop
        self._sleep = sleep
        self._log = log

    def pages(self, statement: str, row_type: type[RowT]) -> Generator[QueryPage[RowT]]:
        """Run a statement and yield its sets of results; the job is deleted at the end, also when that comes early.

        Raises:
            NotForBulkError: Bulk does not take the statement, or takes no more jobs today.
            QueryTimeoutError: the statement reads too much at once.
            JobFailedError: the job ended without results for another reason.
            IncompleteReadError: a set holds more or fewer rows than Salesforce says.
            SalesforceError, UnreachableError: from the session.
        """
        job = self._create(statement)
        try:
            job = self._finished(job)
            locator: str | None = None
            with temporary_file() as content:
                while True:
                    answer = self._set(job, locator, content)
                    yield from self._pages(job, answer, content, row_type)
                    locator = answer.headers.get("Sforce-Locator", "null")
                    if locator in {"null", ""}:
                        return
        finally:
            self._delete(job)

    def _create(self, statement: str) -> _Job:
        asked = {
            "operation": "queryAll",
            "query": statement,
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
        }
        try:
            return self._session.post_json("jobs/query", asked, kind=_Job)
        except SalesforceError as error:
            if error.status in {400, 403, 404} and not isinstance(error, QueryTimeoutError):
                raise NotForBulkError(str(error), status=error.status, code=error.code) from None
            raise

    def _finished(self, job: _Job) -> _Job:
        pause = _FIRST_PAUSE
        while True:
            if job.state == "JobComplete":
                return job
            if job.state in {"Failed", "Aborted"}:
                raise self._failure(job)
            job = self._session.get_json(f"jobs/query/{job.id}", kind=_Job)
            if job.state in {"JobComplete", "Failed", "Aborted"}:
                continue
            self._pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _failure(self, job: _Job) -> SalesforceError:
        said = job.error_message or ""
        named = f"The Bulk query job {job.id}"
        if any(words.lower() in said.lower() for words in _TOO_LONG):
            return QueryTimeoutError(f"{named} took Salesforce too long.", status=400, code="QUERY_TIMEOUT")
        if any(words in said for words in (*_NOT_HERE, *_NO_MORE_JOBS)):
            return NotForBulkError(f"{named} is not served by Bulk.", status=400, code="NOT_FOR_BULK")
        return JobFailedError(
            f"{named} ended as {job.state}: its page in Setup, Bulk Data Load Jobs, says why.",
            status=400,
            code=job.state,
        )

    def _set(self, job: _Job, locator: str | None, content: IO[bytes]) -> Response:
        asked = {"maxRecords": str(self.page_rows), **({} if locator is None else {"locator": locator})}
        path, headers = f"jobs/query/{job.id}/results", {"Accept": "text/csv"}
        return self._session.request("GET", path, params=asked, headers=headers, into=content)

    def _pages(
        self, job: _Job, answer: Response, content: IO[bytes], row_type: type[RowT]
    ) -> Iterator[QueryPage[RowT]]:
        """The rows of one set of results, a page at a time: whole, they take many times the bytes they came in."""
        read, total = 0, job.number_records_processed
        with closing(rows_of(content, row_type)) as rows:  # before the file is
            while True:
                page = self._next(rows)
                if page or not read:
                    yield QueryPage(total=total, rows=page, size=len(page) * _ROW_BYTES)
                read += len(page)
                if len(page) < _PAGE_ROWS:
                    break
        said = answer.headers.get("Sforce-NumberOfRecords", "")
        if said.isdecimal() and int(said) != read:
            raise IncompleteReadError(
                f"A set of results of the Bulk query job {job.id} should hold {said} rows and held {read}. "
                "Nothing is lost: run again later."
            )

    @staticmethod
    def _next(rows: Iterator[RowT]) -> list[RowT]:
        try:
            return list(islice(rows, _PAGE_ROWS))
        except ValueError as error:  # names lines and columns, never a value
            what = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise SalesforceError(f"Salesforce's answer with Bulk results is not of the documented form: {what}.")

    def _delete(self, job: _Job) -> None:
        """Free the stored results; what cannot be deleted goes by itself after seven days."""
        path = f"jobs/query/{job.id}"
        try:
            try:
                self._session.free("DELETE", path)
            except SalesforceError:  # it has not ended
                with suppress(SalesforceError):  # it has ended meanwhile
                    self._session.free("PATCH", path, {"state": "Aborted"})
                self._session.free("DELETE", path)
        except MicroDecisionError as error:
            self._log.debug("The Bulk query job %s was not deleted: %s", job.id, error)

    def _pause(self, seconds: float) -> None:
        while seconds > 0:
            self._stop.check()
            self._sleep(min(seconds, _STEP))
            seconds -= _STEP
