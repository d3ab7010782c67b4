"""The resources of Bulk API 2.0 query: `/jobs/query` and what lies below it."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from localcloud.salesforce.bulk.job import Asked, JobList, ResultPage, ResultPages, aborted, created, listed, shown
from localcloud.salesforce.bulk.jobs import BulkJobs
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.ids import make_id
from localcloud.salesforce.wire import Answer

if TYPE_CHECKING:
    from localcloud.salesforce.bulk.job import Job
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema
    from localcloud.salesforce.tuning import Tuning
    from localcloud.salesforce.wire import Call

_FIRST_VERSION = 47.0
_PARALLEL_FROM = 58.0
_LIST_PAGE = 1_000
_MOST_PAGES = 5
_T = TypeVar("_T")


class Change(msgspec.Struct, frozen=True):
    """The body of a request that changes a job; there is one change only."""

    state: Literal["Aborted"]


class BulkApi:
    """Answers the calls below `/services/data/vXX.X/jobs/query`.

    Args:
        org: The org.
        tuning: How jobs behave, and the limits that they count on.
    """

    def __init__(self, org: Org, tuning: Tuning) -> None:
        self._settings = tuning.bulk
        self._jobs = BulkJobs(org, tuning)
        self._listings: dict[str, int] = {}

    def answer(self, steps: list[str], call: Call, version: float, schema: Schema) -> Answer:
        """The answer to a call.

        Args:
            steps: What follows `jobs/query/` in the path.
            call: The call.
            version: The API version of its path.
            schema: The objects the user may see.

        Raises:
            ApiError: As documented.
        """
        if version < _FIRST_VERSION:
            raise _not_found()
        if not steps:
            return self._of_all(call, version, schema)
        key, *below = steps
        if not below:
            return self._of_one(key, call)
        resource = [step.lower() for step in below]  # the documentation spells `resultPages` both ways
        if resource not in (["results"], ["resultpages"]) or (resource != ["results"] and version < _PARALLEL_FROM):
            raise _not_found()
        if call.method != "GET":
            raise _not_allowed(call.method, "GET,HEAD")
        job = self._job(key, version)
        if job.state != "JobComplete":
            return self._not_ready(job)
        return self._results(job, call) if resource == ["results"] else self._pages(job, call, version)

    def _of_all(self, call: Call, version: float, schema: Schema) -> Answer:
        if call.method == "POST":
            asked = _decoded(call.body, Asked)
            answer = _json(created(self._jobs.create(asked, schema, version)))
            return msgspec.structs.replace(answer, parts=(asked.query,))
        if call.method == "GET":
            return _json(self._list(call, version))
        raise _not_allowed(call.method, "GET,HEAD,POST")

    def _of_one(self, key: str, call: Call) -> Answer:
        match call.method:
            case "GET":
                return _json(shown(self._jobs.get(key)))
            case "PATCH":
                _decoded(call.body, Change)
                return _json(aborted(self._jobs.abort(key)))
            case "DELETE":
                self._jobs.delete(key)
                return Answer(204, b"")
        raise _not_allowed(call.method, "DELETE,GET,HEAD,PATCH")

    def close(self) -> None:
        """Stop what runs."""
        self._jobs.close()

    def _job(self, key: str, version: float) -> Job:
        job = self._jobs.get(key)
        if job.version != version:
            raise ApiError(
                409,
                "CONFLICT",
                f"The API version of the results ({version:.1f}) is not that of the job ({job.version:.1f})",
            )
        return job

    def _results(self, job: Job, call: Call) -> Answer:
        asked = call.parameter("maxRecords")
        most = self._settings.default_records
        if asked is not None:
            if not asked.isdecimal() or int(asked) < 1:
                raise ApiError(400, "API_ERROR", f"maxRecords must be a number above 0, not '{asked}'")
            most = int(asked)
        start = _row(call.parameter("locator"), job.processed)
        body, rows = self._jobs.results(job, start, most)
        following = start + rows
        headers = {
            "Content-Type": "text/csv;charset=UTF-8" if self._settings.charset else "text/csv",
            "Sforce-NumberOfRecords": str(rows),
            "Sforce-Locator": _locator(following) if following < job.processed else "null",
        }
        return Answer(200, job.header.encode() + body, rows, headers=headers)

    def _pages(self, job: Job, call: Call, version: float) -> Answer:
        root = f"/services/data/v{version:.1f}/jobs/query/{job.id}"
        *starts, end = self._jobs.sets(job, _row(call.parameter("locator"), job.processed), _MOST_PAGES)
        pages = [ResultPage(f"{root}/results?locator={_locator(start)}") for start in starts or [0]]
        following = f"{root}/resultPages?locator={_locator(end)}" if end < job.processed else None
        return _json(ResultPages(pages, following, following is None))

    def _not_ready(self, job: Job) -> Answer:
        if self._settings.not_ready == 204:
            return Answer(204, b"")
        raise ApiError(400, "INVALIDJOBSTATE", f"The job is in state {job.state}; results need JobComplete")

    def _list(self, call: Call, version: float) -> JobList:
        kind = call.parameter("jobType")
        if kind not in {None, "Classic", "V2Query", "V2Ingest", "BigObjectIngest"}:
            raise ApiError(400, "API_ERROR", f"Invalid jobType: {kind}")
        if (call.parameter("concurrencyMode") or "parallel").lower() not in {"parallel", "serial"}:
            raise ApiError(400, "API_ERROR", f"Invalid concurrencyMode: {call.parameter('concurrencyMode')}")
        locator = call.parameter("queryLocator")
        after = 0 if locator is None else self._listings.get(locator, -1)
        if after < 0:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        # All jobs here are of one kind, run in parallel, and PK chunking is a word of the older API.
        none = kind not in {None, "V2Query"} or (call.parameter("concurrencyMode") or "").lower() == "serial"
        none = none or (call.parameter("isPkChunkingEnabled") or "").lower() == "true"
        found = [] if none else [job for job in self._jobs.all() if job.number > after]
        following = None
        if len(found) > _LIST_PAGE:
            last = found[_LIST_PAGE - 1].number
            key = f"{make_id('01g', last)}-{_LIST_PAGE}"
            self._listings[key] = last
            kept = "".join(
                f"{name}={value}&"
                for name in ("jobType", "concurrencyMode", "isPkChunkingEnabled")
                if (value := call.parameter(name)) is not None
            )
            following = f"/services/data/v{version:.1f}/jobs/query?{kept}queryLocator={key}"
        return JobList(following is None, [listed(job) for job in found[:_LIST_PAGE]], following)


def _not_found() -> ApiError:
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def _not_allowed(method: str, allowed: str) -> ApiError:
    return ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are {allowed}")


def _json(document: msgspec.Struct) -> Answer:
    return Answer(200, msgspec.json.encode(document))


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, "API_ERROR", f"Value does not match expected type: {error}") from error
    except msgspec.DecodeError as error:
        raise ApiError(400, "JSON_PARSER_ERROR", str(error)) from error


def _locator(row: int) -> str:
    """The locator of the set that begins with a row: as in the documentation, base64 of its number."""
    return base64.urlsafe_b64encode(str(row).encode()).decode().rstrip("=")


def _row(locator: str | None, rows: int) -> int:
    """The row that a locator means."""
    if locator is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4))
        row = int(text) if text.isdigit() and len(text) < 12 else -1
    except (binascii.Error, ValueError):
        row = -1
    if not 0 <= row < max(rows, 1) or _locator(row) != locator:
        raise ApiError(400, "API_ERROR", f"Invalid locator: {locator}")
    return row
