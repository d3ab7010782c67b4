"""Several requests in one: `/composite` and `/composite/batch`.

Source: REST API Developer Guide, "Composite", "Composite Request Body", "allOrNone Parameters in Composite and
Collections Requests" and "Composite Batch".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from localcloud.salesforce.errors import ApiError
from localcloud.salesforce.references import References
from localcloud.salesforce.wire import Answer, Call, error_body

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from localcloud.salesforce.actions import Joint

    Run = Callable[[Call], Answer]
    Together = Callable[[], AbstractContextManager[Joint]]

_T = TypeVar("_T")
_MOST_REQUESTS = 25
_MOST_QUERIES = 5
_ERRORS = 400
_ROLLED_BACK = Answer(
    400,
    b'[{"errorCode":"PROCESSING_HALTED","message":"The transaction was rolled back since another operation in the '
    b'same transaction failed."}]',
)


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


def composite(body: bytes, run: Run, together: Together) -> Answer:
    """Run up to 25 requests, at most 5 of them queries or collections, at the price of one.

    A request may name values of earlier answers, as `@{referenceId.field}`; without such a value it is not run.
    With `allOrNone` all of them are one transaction, which the first error takes back.

    Args:
        body: The request's.
        run: Answers one request.
        together: Makes what is run inside one transaction.

    Raises:
        ApiError: The body is not right, or there are too many.
    """
    asked = _decoded(body, Composite)
    if len(asked.composite_request) > _MOST_REQUESTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The number of subrequests exceeds the limit of {_MOST_REQUESTS}")
    queries = [part for part in asked.composite_request if _is_query(part.url)]
    if len(queries) + sum(_is_collection(part.url) for part in asked.composite_request) > _MOST_QUERIES:
        raise ApiError(400, "LIMIT_EXCEEDED", f"The number of query subrequests exceeds the limit of {_MOST_QUERIES}")
    if len({part.reference_id for part in asked.composite_request}) < len(asked.composite_request):
        raise ApiError(400, "INVALID_INPUT", "Duplicate referenceId")
    if asked.all_or_none:
        with together() as joint:
            answers = _all_or_none(asked.composite_request, run, joint)
    else:
        known = References()
        answers = [_answered(part, run, known) for part in asked.composite_request]
    documents = [
        {
            "body": msgspec.Raw(answer.body or b"null"),
            "httpHeaders": dict(answer.headers),
            "httpStatusCode": answer.status,
            "referenceId": part.reference_id,
        }
        for part, answer in zip(asked.composite_request, answers, strict=True)
    ]
    encoded = msgspec.json.encode({"compositeResponse": documents})
    return Answer(200, encoded, sum(answer.rows for answer in answers), tuple(part.url for part in queries))


def _all_or_none(parts: list[Part], run: Run, joint: Joint) -> list[Answer]:
    """The answers of one transaction: after an error all others say that they were taken back."""
    known = References()
    answers: list[Answer] = []
    for part in parts:
        answer = _answered(part, run, known)
        if answer.status >= _ERRORS:
            joint.failed = True
        if joint.failed:
            return [*([_ROLLED_BACK] * len(answers)), answer, *([_ROLLED_BACK] * (len(parts) - len(answers) - 1))]
        answers.append(answer)
    return answers


def _answered(part: Part, run: Run, known: References) -> Answer:
    headers = {name.lower(): value for name, value in part.http_headers.items()}
    try:
        body = known.in_json(bytes(part.body).decode())
        answer = run(Call(part.method.upper(), known.in_url(part.url), headers, body.encode()))
    except ApiError as error:
        return Answer(error.status, error_body(error))
    known.add(part.reference_id, answer.body)
    return answer


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
        url = part.url.removeprefix("/services/data").lstrip("/")
        try:
            if number:  # the request as a whole was counted already
                spend()
        except ApiError as error:
            answers.append(Answer(error.status, error_body(error)))
            continue
        answers.append(run(Call(part.method.upper(), f"/services/data/{url}", {}, bytes(part.rich_input))))
    documents = [{"statusCode": answer.status, "result": msgspec.Raw(answer.body)} for answer in answers]
    encoded = msgspec.json.encode({"hasErrors": any(answer.status >= 400 for answer in answers), "results": documents})
    statements = tuple(part.url for part in asked.batch_requests if _is_query(part.url))
    return Answer(200, encoded, sum(answer.rows for answer in answers), statements)


def _is_query(url: str) -> bool:
    return url.partition("?")[0].strip("/").split("/")[-1:] in (["query"], ["queryAll"]) or "/query/01g" in url


def _is_collection(url: str) -> bool:
    return url.partition("?")[0].strip("/").split("/")[-2:] == ["composite", "sobjects"]


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(400, "JSON_PARSER_ERROR", str(error)) from error
