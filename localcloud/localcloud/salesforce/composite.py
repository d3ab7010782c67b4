"""Several requests in one: `/composite` and `/composite/batch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.wire import Answer, Call

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[Call], Answer]

_T = TypeVar("_T")
_MOST_REQUESTS = 25
_MOST_QUERIES = 5


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """One request of a composite."""

    method: str
    url: str
    reference_id: str
    http_headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"")


class Composite(msgspec.Struct, frozen=True, rename="camel"):
    """The body of `/composite`."""

    composite_request: list[Part]
    all_or_none: bool = False
    collate_subrequests: bool = False


class BatchPart(msgspec.Struct, frozen=True, rename="camel"):
    """One request of a batch; its url begins with the version."""

    method: str
    url: str
    rich_input: msgspec.Raw = msgspec.Raw(b"")


class Batch(msgspec.Struct, frozen=True, rename="camel"):
    """The body of `/composite/batch`."""

    batch_requests: list[BatchPart]
    halt_on_error: bool = False


def composite(body: bytes, run: Run) -> Answer:
    """Run up to 25 requests, at most 5 of them queries, at the price of one.

    Raises:
        ApiError: The body is not right, or there are too many.
    """
    asked = _decoded(body, Composite)
    if len(asked.composite_request) > _MOST_REQUESTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The number of subrequests exceeds the limit of {_MOST_REQUESTS}")
    queries = [part for part in asked.composite_request if _is_query(part.url)]
    if len(queries) > _MOST_QUERIES:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The number of query subrequests exceeds the limit of {_MOST_QUERIES}")
    if len({part.reference_id for part in asked.composite_request}) < len(asked.composite_request):
        raise ApiError(400, "INVALID_INPUT", "Duplicate referenceId")
    answers = []
    for part in asked.composite_request:
        headers = {name.lower(): value for name, value in part.http_headers.items()}
        answers.append(run(Call(part.method.upper(), part.url, headers, bytes(part.body))))
    halted = asked.all_or_none and any(answer.status >= 400 for answer in answers)
    documents = []
    for part, answer in zip(asked.composite_request, answers, strict=True):
        status, content = answer.status, answer.body
        if halted and status < 400:
            status = 400
            content = b'[{"errorCode":"PROCESSING_HALTED","message":"The transaction was rolled back since another '
            content += b'operation in the same transaction failed."}]'
        documents.append(
            {
                "body": msgspec.Raw(content),
                "httpHeaders": {},
                "httpStatusCode": status,
                "referenceId": part.reference_id,
            }
        )
    encoded = msgspec.json.encode({"compositeResponse": documents})
    return Answer(200, encoded, sum(answer.rows for answer in answers), tuple(part.url for part in queries))


def batch(body: bytes, spend: Callable[[], None], run: Run) -> Answer:
    """Run up to 25 requests, each of which costs one API call.

    Args:
        body: The request's.
        spend: Counts one API call.
        run: Answers one request.

    Raises:
        ApiError: The body is not right, or there are too many.
    """
    asked = _decoded(body, Batch)
    if len(asked.batch_requests) > _MOST_REQUESTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The number of subrequests exceeds the limit of {_MOST_REQUESTS}")
    answers: list[Answer] = []
    for number, part in enumerate(asked.batch_requests):
        if asked.halt_on_error and any(answer.status >= 400 for answer in answers):
            answers.append(
                Answer(412, b'[{"errorCode":"BATCH_PROCESSING_HALTED","message":"Batch processing halted"}]')
            )
            continue
        if number:  # the request as a whole was counted already
            spend()
        url = part.url.removeprefix("/services/data").lstrip("/")
        answers.append(run(Call(part.method.upper(), f"/services/data/{url}", {}, bytes(part.rich_input))))
    documents = [{"statusCode": answer.status, "result": msgspec.Raw(answer.body)} for answer in answers]
    encoded = msgspec.json.encode({"hasErrors": any(answer.status >= 400 for answer in answers), "results": documents})
    statements = tuple(part.url for part in asked.batch_requests if _is_query(part.url))
    return Answer(200, encoded, sum(answer.rows for answer in answers), statements)


def _is_query(url: str) -> bool:
    return url.partition("?")[0].strip("/").split("/")[-1:] in (["query"], ["queryAll"]) or "/query/01g" in url


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(400, "JSON_PARSER_ERROR", str(error)) from error
