"""The data API without a socket: a request in, an answer out, sub-requests by the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce import composite, describe
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.queries import PAGE_ROWS, SMALLEST_PAGE, Queries
from localcloud.salesforce.wire import Answer, Call, error_body

if TYPE_CHECKING:
    from localcloud.salesforce.faults import Switches
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema, SObject

_VERSION = re.compile(r"v(\d{1,3})\.(\d)")
_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d{1,9})", re.IGNORECASE)


class Api:
    """Answers `/services/data/vXX.X/...` for a user who is logged in.

    Args:
        org: The org.
        switches: What the user may not see, what is to go wrong.
    """

    def __init__(self, org: Org, switches: Switches) -> None:
        self._org = org
        self._switches = switches
        self._queries = Queries(org)
        self._seen: tuple[frozenset[str], Schema] = (frozenset(), org.schema)

    @property
    def schema(self) -> Schema:
        """The objects and fields that the user may see now."""
        forbidden = frozenset(self._switches.forbidden_objects | self._switches.forbidden_fields)
        if forbidden != self._seen[0]:
            reduced = self._org.schema.without(self._switches.forbidden_objects, self._switches.forbidden_fields)
            self._seen = (forbidden, reduced)
        return self._seen[1]

    def answer(self, call: Call) -> Answer:
        """The answer to a call; errors of the API are answers too."""
        try:
            return self._dispatch(call)
        except ApiError as error:
            return Answer(error.status, error_body(error))

    def _dispatch(self, call: Call) -> Answer:
        first, *steps = call.path.removeprefix("/services/data/").split("/")
        if not call.path.startswith("/services/data/"):  # a part of a composite can name anything
            raise _not_found()
        version = _version(first)
        match steps, call.method:
            case ["query" | "queryAll"], "GET":
                return self._query(call, version, all_rows=steps == ["queryAll"])
            case ["query" | "queryAll", locator], "GET":
                self._switches.check_timeout(locator)
                page = self._queries.more(locator, version)
                return Answer(200, page.body, page.rows)
            case ["composite"], "POST":
                return composite.composite(call.body, lambda one: self._nested(call, one))
            case ["composite", "batch"], "POST":
                return composite.batch(call.body, self._switches.spend, lambda one: self._nested(call, one))
            case ["composite", *_], "GET":
                raise ApiError(405, "METHOD_NOT_ALLOWED", "HTTP Method 'GET' not allowed. Allowed are POST")
            case _, "GET":
                return Answer(200, self._metadata(steps, call, version))
        raise ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{call.method}' not allowed. Allowed are HEAD,GET")

    def _nested(self, outer: Call, inner: Call) -> Answer:
        if inner.path.split("/")[4:5] == ["composite"]:
            error = ApiError(400, "INVALID_INPUT", "a composite request cannot hold another one")
            return Answer(error.status, error_body(error))
        merged = msgspec.structs.replace(inner, headers={**outer.headers, **inner.headers})
        return self.answer(merged)

    def _query(self, call: Call, version: float, *, all_rows: bool) -> Answer:
        statement = call.parameter("q") or ""
        self._switches.check_timeout(statement)
        asked = _BATCH_SIZE.search(call.headers.get("sforce-query-options", ""))
        rows = min(max(int(asked.group(1)), SMALLEST_PAGE), PAGE_ROWS) if asked else PAGE_ROWS
        page = self._queries.run(statement, self.schema, version, all_rows=all_rows, page_rows=rows)
        return Answer(200, page.body, page.rows)

    def _metadata(self, steps: list[str], call: Call, version: float) -> bytes:
        match steps:
            case []:
                return describe.resources(version)
            case ["limits"]:
                return describe.limits(self._switches.quota_max, self._switches.quota_used)
            case ["sobjects"]:
                return describe.describe_global(self.schema, version)
            case ["sobjects", name]:
                return describe.describe_basic(self._sobject(name), version)
            case ["sobjects", name, "describe"]:
                return describe.describe(self._sobject(name), self.schema, version)
            case ["sobjects", name, record]:
                return self._record(self._sobject(name), record, call.parameter("fields"), version)
        raise _not_found()

    def _record(self, sobject: SObject, record: str, fields: str | None, version: float) -> bytes:
        names = fields or ",".join(field.name for field in sobject.fields if field.since <= version)
        if not record.isalnum():
            raise _not_found()
        statement = f"SELECT {names} FROM {sobject.name} WHERE Id = '{record}'"
        try:
            page = self._queries.run(statement, self.schema, version, all_rows=False)
        except ApiError as error:
            if error.code == "INVALID_QUERY_FILTER_OPERATOR":
                raise _not_found() from error
            raise
        if not page.rows:
            raise _not_found()
        return page.body[page.body.index(b"[") + 1 : -2]

    def _sobject(self, name: str) -> SObject:
        found = self.schema.get(name)
        if found is None:
            raise _not_found()
        return found


def _not_found() -> ApiError:
    return ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def _version(text: str) -> float:
    match = _VERSION.fullmatch(text)
    if match is None or match.group(2) != "0" or int(match.group(1)) > describe.NEWEST:
        raise _not_found()
    number = int(match.group(1))
    if number < describe.OLDEST:
        raise ApiError(410, "GONE", f"API version {text[1:]} has been retired")
    return float(number)
