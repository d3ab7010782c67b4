"""The HTTP side: fakesnow's endpoints, with every failure answered in a way that ends the client's wait."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import fakesnow.server as fs_server  # "from fakesnow import server" is a function
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.snowflake.errors import INTERNAL_ERROR

if TYPE_CHECKING:
    from localcloud.snowflake.warehouse import Warehouse

logger = logging.getLogger("localcloud.snowflake")

Endpoint = Callable[[Request], Awaitable[Response]]


def create_application(warehouse: Warehouse) -> Any:
    """Make the ASGI application that serves `warehouse`.

    fakesnow keeps its one instance and its sessions in module globals: a process serves one warehouse.
    """
    fs_server.shared_fs = warehouse
    return Starlette(
        routes=[
            Route("/session/v1/login-request", _answered(fs_server.login_request), methods=["POST"]),
            Route("/session", _session, methods=["POST"]),
            Route("/session/heartbeat", fs_server.session, methods=["POST"]),
            Route("/queries/v1/query-request", _Once(_answered(fs_server.query_request)).answer, methods=["POST"]),
            Route("/queries/v1/abort-request", _accept, methods=["POST"]),
            Route("/monitoring/queries/{sfqid}", fs_server.monitoring_query, methods=["GET"]),
            Route("/telemetry/send", _accept, methods=["POST"]),
            Route("/fs_bucket/{path:path}", _upload, methods=["PUT"]),
        ]
    )


def _answered(endpoint: Endpoint) -> Endpoint:
    """Turn what would be HTTP 500 into "success: false", which clients report instead of repeating the request."""

    async def answer(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except Exception as error:
            logger.exception("unexpected failure of %s", request.url.path)
            return _failure(f"{type(error).__name__}: {error}")
        if response.status_code < 500:
            return response
        return _failure(str(json.loads(bytes(response.body)).get("message")))

    return answer


class _Once:
    """Runs a request once, however often the client repeats it.

    A client that has waited too long for an answer sends its statement again under the same request
    id. As in Snowflake it then gets the first one's answer: the statement does not run twice.

    Args:
        endpoint: Answers a request.
        remembered: How many answers are kept for late repetitions.
    """

    def __init__(self, endpoint: Endpoint, *, remembered: int = 16) -> None:
        self._endpoint = endpoint
        self._remembered = remembered
        self._answers: OrderedDict[str, asyncio.Future[Response]] = OrderedDict()

    async def answer(self, request: Request) -> Response:
        """Answer the request, or wait for the answer to its first sending."""
        key = request.query_params.get("requestId")
        if key is None:
            return await self._endpoint(request)
        if key not in self._answers:
            await request.body()  # read while the sender is there; the work goes on if it goes away
            self._answers[key] = asyncio.ensure_future(self._endpoint(request))
            self._forget_old()
        return await asyncio.shield(self._answers[key])

    def _forget_old(self) -> None:
        surplus = len(self._answers) - self._remembered
        for key in [key for key, answer in self._answers.items() if answer.done()][: max(surplus, 0)]:
            del self._answers[key]


def _failure(message: str) -> JSONResponse:
    number, state = INTERNAL_ERROR
    code = f"{number:06d}"
    return JSONResponse(
        {
            "data": {"errorCode": code, "sqlState": state},
            "code": code,
            "message": f"The embedded Snowflake failed: {message}",
            "success": False,
        }
    )


async def _session(request: Request) -> Response:
    """End a session: its open transaction is rolled back, its locks are free."""
    token = request.headers.get("Authorization", "")[17:-1]
    connection = fs_server.sessions.get(token)
    response: Response = await fs_server.session(request)
    if connection is not None and token not in fs_server.sessions:
        connection.end()
    return response


async def _upload(request: Request) -> Response:
    """Take a staged file. A file that cannot be kept is refused for good: 5xx would be tried again and again."""
    try:
        response: Response = await fs_server.bucket_upload(request)
    except OSError as error:
        logger.error("cannot keep a staged file: %s", error)  # noqa: TRY400 - the sentence says it all
        return Response(f"cannot keep the staged file: {error.strerror}", status_code=400)
    return response


async def _accept(_request: Request) -> Response:
    return JSONResponse({"data": None, "code": None, "message": None, "success": True})
