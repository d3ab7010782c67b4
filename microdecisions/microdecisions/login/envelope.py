"""The XML of SOAP login(): a request with everything escaped, answers read without entities or document types."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from microdecisions.answers import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["login_request", "read_fault", "read_result"]

_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_PARTNER: Final = "urn:partner.soap.sforce.com"
_DEEPEST: Final = 40  # levels; an answer has eight
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,79}")


class _NotReadableError(ValueError):
    """The answer is no XML, or XML that nobody should read."""


def login_request(username: str, password: str, client: str) -> bytes:
    """The envelope of a login() call.

    Source: SOAP API Developer Guide, "login()", "CallOptions".

    Args:
        username: the user.
        password: the password and the security token, one after the other.
        client: the name that Salesforce's logs show.

    Raises:
        ValueError: one of them holds a character that XML cannot carry.
    """
    if _NOT_XML.search(username + password + client):
        raise ValueError("a character that XML does not have")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{_SOAP}" xmlns:urn="{_PARTNER}">'
        f"<soapenv:Header><urn:CallOptions><urn:client>{escape(client)}</urn:client></urn:CallOptions></soapenv:Header>"
        f"<soapenv:Body><urn:login><urn:username>{escape(username)}</urn:username>"
        f"<urn:password>{escape(password)}</urn:password></urn:login></soapenv:Body></soapenv:Envelope>"
    ).encode()


def read_result(body: bytes) -> Mapping[str, str] | None:
    """The leaves of a `loginResponse` by their names, such as `sessionId`; None when the body is something else."""
    try:
        leaves = _leaves(body)
    except _NotReadableError:
        return None
    inside = {path[-1]: text for path, text in leaves if path[:4] == ("Envelope", "Body", "loginResponse", "result")}
    return inside or None


def read_fault(body: bytes) -> Problem:
    """The exception code and message of a fault; empty when the body is none."""
    try:
        leaves = {path[-1]: text for path, text in _leaves(body) if path[:3] == ("Envelope", "Body", "Fault")}
    except _NotReadableError:
        return Problem()
    code = leaves.get("exceptionCode") or leaves.get("faultcode", "").rpartition(":")[2]
    message = leaves.get("exceptionMessage") or leaves.get("faultstring", "")
    return Problem(code if _CODE.fullmatch(code) else "", message)


def _leaves(body: bytes) -> list[tuple[tuple[str, ...], str]]:
    """The texts of a document with the names of the elements around them, namespaces left out.

    A document type is refused before it can declare an entity: that is how XML bombs and file inclusion begin.
    """
    path: list[str] = []
    texts: list[str] = []
    found: list[tuple[tuple[str, ...], str]] = []

    def start(name: str, _: object) -> None:
        path.append(name.rpartition(" ")[2])
        texts.clear()
        if len(path) > _DEEPEST:
            raise _NotReadableError

    def end(_: str) -> None:
        if texts:
            found.append((tuple(path), "".join(texts)))
            texts.clear()
        path.pop()

    def doctype(*_: object) -> None:
        raise _NotReadableError

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = texts.append
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the last two: an encoding that is not known
        raise _NotReadableError from error
    return found
