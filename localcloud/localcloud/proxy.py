"""A proxy for clients that hard-code Salesforce's hosts: every tunnel ends at the org on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

from localcloud.loopback import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PUBSUB_HOST = "api.pubsub.salesforce.com"
_CONNECT = re.compile(rb"CONNECT ([A-Za-z0-9.\-]{1,253}):(\d{1,5}) HTTP/1\.[01]")
_LONGEST_HEAD = 16_384
_CHUNK = 65_536
_OWN = re.compile(r"localhost|127\.0\.0\.1|([a-z0-9-]+\.)+salesforce\.com")


class _RefusedError(Exception):
    """A tunnel that is not dug; carries the status line and a sentence."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


def route(https: int, pubsub: int | None) -> Callable[[str, int], int | None]:
    """Where the tunnels of one org end.

    Args:
        https: Port on 127.0.0.1 where the org speaks https.
        pubsub: Port on 127.0.0.1 where its Pub/Sub API speaks TLS, if it does.

    Returns:
        For a host and a port that a client asks for: the port on 127.0.0.1, or None for what is neither
        Salesforce's nor this machine's.
    """

    def end(host: str, port: int) -> int | None:
        if host == PUBSUB_HOST or (pubsub is not None and port == pubsub):
            return pubsub
        return https if _OWN.fullmatch(host) else None

    return end


@contextlib.asynccontextmanager
async def beside(https: int, pubsub: int | None, port: int | None) -> AsyncIterator[int | None]:
    """Run the proxy of an org beside its servers; yields its port.

    Args:
        https: Port where the org speaks https.
        pubsub: Port where its Pub/Sub API speaks TLS, if it does.
        port: Where the proxy listens, 0 takes any free port; None: there is no proxy.

    Raises:
        OSError: The port is taken.
    """
    if port is None:
        yield None
        return
    async with proxying(port, route(https, pubsub)) as bound:
        yield bound


@contextlib.asynccontextmanager
async def proxying(port: int, ends: Callable[[str, int], int | None]) -> AsyncIterator[int]:
    """Serve as a proxy on 127.0.0.1 while the context lasts; yields the port.

    It knows CONNECT only. Whatever is asked for, it opens connections to 127.0.0.1 and to nothing else.

    Args:
        port: Where to listen; 0 takes any free port.
        ends: Where a tunnel ends, as `route` makes it.

    Raises:
        OSError: The port is taken.
    """
    tunnels: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a callback of start_server runs as a task
        tunnels.add(task)
        try:
            await _serve(reader, writer, ends)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass  # either end went away, or the proxy stops: there is nobody to tell
        finally:
            tunnels.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(accept, HOST, port, limit=_LONGEST_HEAD)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tunnels):
            task.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)
        await server.wait_closed()


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: Callable[[str, int], int | None]
) -> None:
    try:
        target = await _target(reader, ends)
        there_reader, there_writer = await asyncio.open_connection(HOST, target)
    except _RefusedError as refused:
        await _say(writer, refused.status, str(refused))
        return
    except OSError:
        await _say(writer, "502 Bad Gateway", "the org's server does not answer")
        return
    try:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
    finally:
        there_writer.transport.abort()


async def _target(reader: asyncio.StreamReader, ends: Callable[[str, int], int | None]) -> int:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise _RefusedError("431 Request Header Fields Too Large", "the request is too long") from error
    match = _CONNECT.fullmatch(head.partition(b"\r\n")[0])
    if match is None:
        raise _RefusedError("405 Method Not Allowed", "this proxy knows CONNECT only")
    host = match[1].decode().lower()
    target = ends(host, int(match[2]))
    if target is None:
        raise _RefusedError("403 Forbidden", f"this proxy leads to a mock Salesforce org and not to {host}")
    return target


async def _say(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.write_eof()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction; its end is passed on, so that the other direction may still finish."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
