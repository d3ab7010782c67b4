"""Spoils one TCP connection of the gRPC server from the outside: close, reset, or a silence that nothing breaks."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER of Linux
_DESCRIPTORS = Path("/dev/fd")


def spoil(port: int, peer: str, how: Literal["close", "reset", "frozen"]) -> bool:
    """Spoil the connection that a peer has to a port of this process.

    Args:
        port: Where the server listens.
        peer: As gRPC names it: `ipv4:127.0.0.1:41234`.
        how: `close` sends what is under way and then the end, `reset` a TCP reset, `frozen` drops whatever
            arrives, so that no ping is answered.

    Returns:
        Whether there was such a connection, and it could be done.
    """
    done = False
    for connection in _connections(port, peer):
        with connection, suppress(OSError):
            if how == "frozen":
                done = _freeze(connection) or done
                continue
            if how == "reset":  # the linger time is the connection's own: it holds when gRPC closes its end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RD)
            else:
                connection.shutdown(socket.SHUT_RDWR)
            done = True
    return done


def _connections(port: int, peer: str) -> Iterator[socket.socket]:
    """Copies of the descriptors of a connection."""
    address = peer.replace("%3A", ":").partition(":")[2]
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - names only, of descriptors that come and go
        try:
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        try:
            here, there = found.getsockname(), found.getpeername()
            matches = here[1] == port and f"{there[0].removeprefix('::ffff:')}:{there[1]}" == address
        except (OSError, IndexError):
            matches = False
        if matches:
            yield found
        else:
            found.close()


def _freeze(connection: socket.socket) -> bool:
    """Let the kernel drop all that arrives: one instruction, "accept no byte"."""
    if not hasattr(socket, "AF_PACKET"):  # not Linux
        return False
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(instruction))
    connection.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)
    return True
