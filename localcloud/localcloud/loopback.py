"""The one address on which everything here listens, and the file in which a server says where."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, as its ready file says it.

    Attributes:
        port: The port on 127.0.0.1.
        scheme: `http`, or `https` where it speaks TLS.
        pubsub: Where it serves the Pub/Sub API, for example `127.0.0.1:8182`, if it does.
        proxy: Where its proxy listens, likewise, if it has one.
    """

    port: int
    scheme: str = "http"
    pubsub: str | None = None
    proxy: str | None = None

    def announce(self, ready_file: Path) -> None:
        """Write the ready file, whole at once: the address first, then what else there is, a line each."""
        lines = [f"{HOST}:{self.port}"]
        lines += [self.pubsub] if self.pubsub else []
        lines += [f"proxy {self.proxy}"] if self.proxy else []
        lines += [f"scheme {self.scheme}"] if self.scheme != "http" else []
        part = ready_file.with_name(f"{ready_file.name}.part")
        part.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        part.replace(ready_file)


def announced(ready_file: Path) -> Address | None:
    """What a ready file says; None: it is not there, or names no port."""
    try:
        first, *others = ready_file.read_text(encoding="utf-8").strip().split("\n")
    except FileNotFoundError:
        return None
    port = first.rpartition(":")[2]
    if not port.isdigit():
        return None
    named = dict(line.split(" ", 1) for line in others if " " in line)
    pubsub = next((line for line in others if " " not in line), None)
    return Address(int(port), named.get("scheme", "http"), pubsub, named.get("proxy"))


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
