"""Ends a connection in the ways that a switch asks for: early, by a reset, in the middle of a body, or never."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.serving.faults import Cut

_LOOK_AFTER_CLIENT_S = 1.0
_LINGER_ZERO = struct.pack("ii", 1, 0)  # closing sends RST and forgets what was not sent


async def refuse(request: web.BaseRequest, cut: Cut, closing: asyncio.Event) -> web.StreamResponse:
    """End a request that gets no answer at all.

    Args:
        request: Whose connection it is.
        cut: How.
        closing: Set when the server stops.
    """
    await _end(request, cut, closing)
    return web.Response()  # nobody hears it


async def spoil(
    request: web.BaseRequest, status: int, body: bytes, headers: Mapping[str, str], cut: Cut, closing: asyncio.Event
) -> web.StreamResponse:
    """Promise the whole body, send a part of it, and end as the switch says."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(cut.part(body))
    if cut.mode in {"truncate", "drop"}:
        if request.transport is not None:
            request.transport.close()  # sends what is still to be sent
    else:
        await _end(request, cut, closing)
    return response


async def _end(request: web.BaseRequest, cut: Cut, closing: asyncio.Event) -> None:
    if cut.mode == "hang":
        while not closing.is_set() and request.transport is not None:
            try:
                await asyncio.wait_for(closing.wait(), _LOOK_AFTER_CLIENT_S)
            except TimeoutError:
                continue
    transport = request.transport
    if transport is None:
        return
    if cut.mode == "reset":
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
