"""A static server: hands requests on to an org and records the answers, then repeats them byte for byte from memory.

    python -m benchmarks.replay https://127.0.0.1:PORT FOLDER READY_FILE

It runs in a process of its own, so that what is measured against it hangs on no mock org. One port speaks https, and is
also a proxy: a client that asks it for `CONNECT login.salesforce.com:443` talks to the same server, as it does with the
org's own proxy. Answers are kept on a tape for each client, by method, address and JSON body; equal requests get their
answers in the order of the recording, the last one again and again. Nothing is computed for an answer but its place.
"""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.measured import cpu_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL = "/__replay__"
_API = ("/services/data/", "/services/async/")
_HANDSHAKE = b"\x16"  # the first byte that a client of TLS sends
_OF_THE_CONNECTION = frozenset({"connection", "transfer-encoding", "keep-alive", "content-length", "host"})
_PATIENCE_S = 600.0
Key = tuple[str, str, bytes]


@dataclass(frozen=True)
class Recorder:
    """The static server, seen from the benchmark.

    Attributes:
        url: Its https address, and with `http` that of its proxy.
        authority: PEM file of the authority that signed its certificate.
        process: Its process.
    """

    url: str
    authority: Path
    process: int

    @property
    def proxy(self) -> str:
        """Address of the proxy."""
        return self.url.replace("https", "http", 1)

    def tape(self, name: str, *, replay: bool) -> None:
        """Go on with the tape of a client: at its end to record, at its beginning to replay."""
        self._control(tape=name, replay=replay)

    def calls(self) -> int:
        """API calls that were answered since the tape was put in."""
        return int(self._control()["calls"])

    def cpu(self) -> float:
        """CPU seconds that the server has used."""
        return cpu_of(self.process)

    def _control(self, **switches: object) -> dict[str, Any]:
        context = ssl.create_default_context(cafile=str(self.authority))
        request = urllib.request.Request(f"{self.url}{CONTROL}", json.dumps(switches).encode())  # noqa: S310
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(request, timeout=_PATIENCE_S) as answer:
            told: dict[str, Any] = json.load(answer)
            return told


@contextmanager
def recorder(url: str, folder: Path, work: Path) -> Iterator[Recorder]:
    """Run the static server while the context lasts.

    Args:
        url: The org's https address.
        folder: The org's folder, which holds the certificates.
        work: A folder for its files.
    """
    ready = work / "replay-ready"
    command = [sys.executable, "-m", "benchmarks.replay", url, str(folder), str(ready)]
    process = subprocess.Popen(command, cwd=Path(__file__).parent.parent, stdin=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if process.poll() is not None:
                sys.exit("the static server did not start")
            time.sleep(0.05)
        yield Recorder(f"https://127.0.0.1:{ready.read_text()}", folder / "tls" / "ca.pem", process.pid)
    finally:
        process.terminate()
        process.wait(30)


class Tapes:
    """What was recorded, and where each tape stands.

    Attributes:
        replaying: Whether requests are answered from the tape alone.
        calls: API calls since the tape was put in.
    """

    def __init__(self) -> None:
        self.replaying = False
        self.calls = 0
        self._lock = threading.Lock()
        self._tapes: dict[str, dict[Key, list[bytes]]] = {}
        self._tape: dict[Key, list[bytes]] = defaultdict(list)
        self._places: dict[Key, int] = {}

    def put_in(self, name: str, *, replay: bool) -> None:
        """Change the tape."""
        with self._lock:
            self._tape = self._tapes.setdefault(name, defaultdict(list))
            self._places, self.replaying, self.calls = {}, replay, 0

    def count(self, path: str) -> None:
        """Count a request, if it is an API call."""
        if path.startswith(_API):
            with self._lock:
                self.calls += 1

    def keep(self, key: Key, answer: bytes) -> None:
        """Record an answer."""
        with self._lock:
            self._tape[key].append(answer)

    def next(self, key: Key) -> bytes | None:
        """The answer to a request; None when it was not recorded."""
        with self._lock:
            answers = self._tape.get(key)
            if not answers:
                return None
            place = self._places.get(key, 0)
            self._places[key] = place + 1
            return answers[min(place, len(answers) - 1)]


class StaticServer(socketserver.ThreadingTCPServer):
    """A thread for each connection.

    Args:
        org: Address of the org that answers while recording.
        folder: Its folder, with the certificates.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, org: str, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.org = urlsplit(org)
        self.own = f"127.0.0.1:{self.server_address[1]}".encode()
        self.tapes = Tapes()
        self.to_org = ssl.create_default_context(cafile=str(folder / "tls" / "ca.pem"))
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(folder / "tls" / "server.pem", folder / "tls" / "server.key")

    def handle_error(self, request: object, client_address: object) -> None:
        """A client may leave in the middle; anything else is told."""
        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the end of each answer waits for the client's acknowledgement
    server: StaticServer
    connection: socket.socket

    def setup(self) -> None:
        """Speak TLS with who begins with it."""
        self._org: http.client.HTTPSConnection | None = None
        if self.request.recv(1, socket.MSG_PEEK) == _HANDSHAKE:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_CONNECT(self) -> None:
        """Be the host that the client wants to talk to."""
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()
        self.close_connection = False

    def do_GET(self) -> None:
        """Answer any request."""
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == CONTROL:
            self._control(json.loads(given))
            return
        tapes = self.server.tapes
        tapes.count(self.path)
        # Forms are logins: what is signed in them differs each time.
        key = (self.command, self.path, given if "json" in self.headers.get("Content-Type", "") else b"")
        answer = tapes.next(key) if tapes.replaying else self._from_org(given)
        if answer is None:
            print(f"not on the tape: {self.command} {self.path[:200]}", file=sys.stderr, flush=True)
            answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        elif not tapes.replaying:
            tapes.keep(key, answer)
        self.wfile.write(answer)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _control(self, asked: dict[str, Any]) -> None:
        told = json.dumps({"calls": self.server.tapes.calls}).encode()
        if "tape" in asked:
            self.server.tapes.put_in(asked["tape"], replay=asked["replay"])
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))

    def _from_org(self, given: bytes) -> bytes:
        """The org's answer as it goes over the wire, its own address replaced by this server's."""
        asked = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        if not self.path.startswith(_API):
            asked["Accept-Encoding"] = "identity"  # the answer to a login holds the address
        org = self.server.org
        if self._org is None:
            self._org = http.client.HTTPSConnection(
                org.hostname or "", org.port, timeout=_PATIENCE_S, context=self.server.to_org
            )
        self._org.request(self.command, self.path, given or None, {"Host": self.headers["Host"], **asked})
        said = self._org.getresponse()
        body = said.read().replace(org.netloc.encode(), self.server.own)
        lines = [f"HTTP/1.1 {said.status} {said.reason}"]
        lines += [f"{name}: {value}" for name, value in said.getheaders() if name.lower() not in _OF_THE_CONNECTION]
        lines += [f"Content-Length: {len(body)}", "", ""] if said.status != 204 else ["", ""]
        return "\r\n".join(lines).encode("latin-1") + body

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """Nothing."""


def main() -> None:
    """Serve until the process is ended."""
    org, folder, ready = sys.argv[1:]
    server = StaticServer(org, Path(folder))
    written = Path(ready).with_suffix(".new")
    written.write_text(str(server.server_address[1]))
    written.rename(ready)
    server.serve_forever()


if __name__ == "__main__":
    main()
