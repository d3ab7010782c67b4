"""The data API without a socket: a request in, an answer out, sub-requests by the same way."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from localcloud.salesforce import blobs, composite, describe
from localcloud.salesforce.actions import Actions
from localcloud.salesforce.bulk.api import BulkApi
from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.queries import PAGE_ROWS, SMALLEST_PAGE, Queries
from localcloud.salesforce.records import RecordRequests
from localcloud.salesforce.replication import Replication
from localcloud.salesforce.tooling import Tooling
from localcloud.salesforce.tuning import Tuning
from localcloud.salesforce.wire import Answer, Call, error_body

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.salesforce.actions import Joint
    from localcloud.salesforce.faults import Switches
    from localcloud.salesforce.org import Org
    from localcloud.salesforce.sobject import Schema, SObject

_VERSION = re.compile(r"v(\d{1,3})\.(\d)")
_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d{1,9})", re.IGNORECASE)


class _Identified(msgspec.Struct):
    """The id of a record."""

    id: str = msgspec.field(name="Id")


class Api:
    """Answers `/services/data/vXX.X/...` for a user who is logged in.

    Args:
        org: The org.
        switches: What the user may not see, what is to go wrong.
        tuning: Limits, and how queries and Bulk jobs behave.
        actions: What changes records; by default nobody hears of changes.
    """

    def __init__(
        self, org: Org, switches: Switches, tuning: Tuning | None = None, actions: Actions | None = None
    ) -> None:
        self._actions = actions or Actions(org)
        self._records = RecordRequests(self._actions, lambda: self.schema)
        self._replication = Replication(org)
        self._org = org
        self._switches = switches
        self._tuning = tuning or Tuning(org.clock.now_ms)
        self._queries = Queries(org, self._tuning.query)
        self._bulk = BulkApi(org, self._tuning)
        self._tooling = Tooling(org)
        self._seen: tuple[frozenset[str], Schema] = (frozenset(), org.schema)

    @property
    def schema(self) -> Schema:
        """The objects and fields that the user may see now."""
        forbidden = frozenset(self._switches.forbidden_objects | self._switches.forbidden_fields)
        if forbidden != self._seen[0]:
            reduced = self._org.schema.without(self._switches.forbidden_objects, self._switches.forbidden_fields)
            self._seen = (forbidden, reduced)
        return self._seen[1]

    def close(self) -> None:
        """Stop what runs beside the calls."""
        self._bulk.close()
        self._tooling.close()

    def answer(self, call: Call) -> Answer:
        """The answer to a call; errors of the API are answers too. A HEAD is answered as the GET."""
        if call.method == "HEAD":
            call = msgspec.structs.replace(call, method="GET")
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
            case ["jobs", "query", *below], _:
                return self._bulk.answer(below, call, version, self.schema)
            case ["composite"] | ["composite", "batch"], "POST":
                return self._composite(steps, call, version)
            case ["composite", "sobjects"] | ["sobjects", _, *_], "POST" | "PATCH" | "DELETE":
                return self._change(steps, call, version)
            case ["composite", *_], "GET":
                raise _not_allowed(steps, call.method)
            case _, "GET":
                return self._read(steps, call, version)
        raise _not_allowed(steps, call.method)

    def _composite(self, steps: list[str], call: Call, version: float) -> Answer:
        if steps == ["composite"]:
            return composite.composite(
                call.body, lambda one: self._nested(call, one), lambda: self._together(_origin(call, version))
            )
        return composite.batch(call.body, self._switches.spend, lambda one: self._nested(call, one))

    @contextmanager
    def _together(self, origin: str) -> Iterator[Joint]:
        """Make what is done inside one transaction, which queries inside see."""
        with self._actions.together(origin=origin) as (joint, db), self._queries.reading(db):
            yield joint

    def _change(self, steps: list[str], call: Call, version: float) -> Answer:
        """The answer to a request that makes, changes or deletes records."""
        origin = _origin(call, version)
        match steps, call.method:
            case ["composite", _], "DELETE":
                return self._records.delete_all(call, origin)
            case ["composite", _], _:
                return self._records.save_all(call, origin)
            case [_, name], "POST":
                return self._records.create(self._sobject(name, version), call, origin)
            case [_, name, record], "PATCH":
                return self._records.update(self._sobject(name, version), record, call, origin)
            case [_, name, record], "DELETE":
                return self._records.delete(self._sobject(name, version), record, origin)
        raise _not_allowed(steps, call.method)

    def _nested(self, outer: Call, inner: Call) -> Answer:
        below = inner.path.split("/")[4:]
        if below[:1] == ["composite"] and (below != ["composite", "sobjects"] or "batch" in outer.path.split("/")):
            error = ApiError(400, "INVALID_INPUT", "a composite request cannot hold another one")
            return Answer(error.status, error_body(error))
        merged = msgspec.structs.replace(inner, headers={**outer.headers, **inner.headers})
        return self.answer(merged)

    def _query(self, call: Call, version: float, *, all_rows: bool) -> Answer:
        statement = call.parameter("q") or ""
        self._switches.check_timeout(statement)
        asked = _BATCH_SIZE.search(call.headers.get("sforce-query-options", ""))
        rows = min(max(int(asked.group(1)), SMALLEST_PAGE), PAGE_ROWS) if asked else PAGE_ROWS
        if self._tooling.asks(statement):
            page = self._tooling.run(statement, self.schema, version)
        else:
            page = self._queries.run(statement, self.schema, version, all_rows=all_rows, page_rows=rows)
        return Answer(200, page.body, page.rows)

    def _read(self, steps: list[str], call: Call, version: float) -> Answer:
        match steps:
            case ["tooling", *below]:
                return self._tooling.answer(below, call, self.schema, version)
            case ["sobjects", name, "deleted" | "updated" as which]:
                log = self._replication.deleted if which == "deleted" else self._replication.updated
                found = log(self._sobject(name, version), call.parameter("start"), call.parameter("end"))
                return Answer(200, msgspec.json.encode(found))
            case ["sobjects", name, record, field]:
                return self._blob(self._sobject(name, version), record, field, version)
        return Answer(200, self._metadata(steps, call, version))

    def _blob(self, sobject: SObject, record: str, field: str, version: float) -> Answer:
        found = msgspec.json.decode(self._record(sobject, record, "Id", version), type=_Identified)
        content = blobs.body(self._org, sobject, found.id, field)
        return Answer(200, content, headers={"Content-Type": blobs.CONTENT_TYPE})

    def _metadata(self, steps: list[str], call: Call, version: float) -> bytes:
        match steps:
            case []:
                return describe.resources(version)
            case ["limits"]:
                return self._tuning.usage.document()
            case ["sobjects"]:
                return describe.describe_global(self._tooling.with_metadata(self.schema), version)
            case ["sobjects", name]:
                return describe.describe_basic(self._sobject(name, version), version)
            case ["sobjects", name, "describe"]:
                schema = self._tooling.with_metadata(self.schema)
                return describe.describe(self._sobject(name, version), schema, version)
            case ["sobjects", name, record]:
                return self._record(self._sobject(name, version), record, call.parameter("fields"), version)
        raise _not_found()

    def _record(self, sobject: SObject, record: str, fields: str | None, version: float) -> bytes:
        names = fields or ",".join(field.name for field in sobject.fields if field.since <= version)
        if not record.isalnum():
            raise _not_found()
        statement = f"SELECT {names} FROM {sobject.name} WHERE Id = '{record}'"
        try:
            if self.schema.get(sobject.name) is None:
                page = self._tooling.run(statement, self.schema, version)
            else:
                page = self._queries.run(statement, self.schema, version, all_rows=False)
        except ApiError as error:
            if error.code == "INVALID_QUERY_FILTER_OPERATOR":
                raise _not_found() from error
            raise
        if not page.rows:
            raise _not_found()
        return page.body[page.body.index(b"[") + 1 : -2]

    def _sobject(self, name: str, version: float) -> SObject:
        found = self._tooling.with_metadata(self.schema).get(name)
        if found is None or found.since > version:
            raise _not_found()
        return found


def _origin(call: Call, version: float) -> str:
    """What change events call the origin of a change made by a request."""
    client = call.headers.get("sforce-call-options", "").partition("client=")[2].partition(",")[0].strip()
    return f"com/salesforce/api/rest/{version:.1f}" + (f";client={client}" if client else "")


def _not_allowed(steps: list[str], method: str) -> ApiError:
    match steps:
        case ["composite", "sobjects"]:
            allowed = "DELETE,PATCH,POST"
        case ["composite", *_]:
            allowed = "POST"
        case ["sobjects", _]:
            allowed = "HEAD,GET,POST"
        case ["sobjects", _, record] if record not in {"describe", "deleted", "updated"}:
            allowed = "HEAD,GET,PATCH,DELETE"
        case _:
            allowed = "HEAD,GET"
    return ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{method}' not allowed. Allowed are {allowed}")


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
