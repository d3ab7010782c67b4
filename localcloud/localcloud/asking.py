"""Asks a running server of an org what only it knows, and tells it to act."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, TypeVar

import msgspec

from localcloud.lifecycle import LifecycleError

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.lifecycle import Running

_PREFIX = "/__localcloud__/"
_PATIENCE_S = 600.0  # an action on many records takes its time
Answer = TypeVar("Answer")


class _Failed(msgspec.Struct):
    error: str


class ServerGoneError(LifecycleError):
    """The server ended while it was asked."""


def ask(server: Running, org: Path, path: str, kind: type[Answer], body: bytes | None = None) -> Answer:
    """Ask, or tell something.

    Args:
        server: The running Salesforce server.
        org: The org's folder, whose authority signed the certificate of a server with TLS.
        path: What of the control endpoint is asked, such as `journal?after=5`.
        kind: What the answer is.
        body: What is told; without it, the server is only asked.

    Raises:
        ServerGoneError: It no longer answers.
        LifecycleError: It refuses; the message is its own sentence.
    """
    request = urllib.request.Request(f"{server.url}{_PREFIX}{path}", body)  # noqa: S310 - our own address
    try:
        with _opener(server, org).open(request, timeout=_PATIENCE_S) as answer:
            return msgspec.json.decode(answer.read(), type=kind)
    except urllib.error.HTTPError as refused:
        with refused:
            said = refused.read()
        try:
            reason = msgspec.json.decode(said, type=_Failed).error
        except msgspec.DecodeError:
            reason = f"the server at {server.url} answered {refused.code}"
        raise LifecycleError(reason) from refused
    except (OSError, http.client.HTTPException) as error:
        msg = f"the server at {server.url} does not answer any more ({getattr(error, 'reason', error)})"
        raise ServerGoneError(msg) from error


def _opener(server: Running, org: Path) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]  # it is on this machine
    if server.scheme == "https":
        context = ssl.create_default_context(cafile=str(org / "tls" / "ca.pem"))
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)
