"""A request to the data API and its answer, apart from any socket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.salesforce.errors import ApiError


_WHOLE_URL = re.compile(r"https?://[^/]*", re.IGNORECASE)


class Call(msgspec.Struct, frozen=True):
    """A request to the data API; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path, without a slash at its end."""
        path = _WHOLE_URL.sub("", self.target.partition("?")[0])
        return unquote(path, errors="replace").rstrip("/")

    @property
    def kind(self) -> str:
        """The sort of request, for the journal: `query`, `query_more`, `describe`, `composite`, `token`, ..."""
        steps = self.path.split("/")[1:]
        match steps:
            case ["services", "oauth2", name]:
                return name
            case ["services", "data", _, "query" | "queryAll", _]:
                return "query_more"
            case ["services", "data", _, "sobjects", *rest]:
                return ("describe_global", "sobject", "describe")[min(len(rest), 2)]
            case ["services", "data", _, first, *rest]:
                return "_".join([first, *rest])
        return "versions" if steps[:2] == ["services", "data"] else "other"

    def parameter(self, name: str) -> str | None:
        """The decoded value of a parameter."""
        found = parse_qs(self.target.partition("?")[2], keep_blank_values=True, errors="replace").get(name)
        return found[0] if found else None


class Answer(msgspec.Struct, frozen=True):
    """What goes back; `rows` records are in the body, `parts` are the statements of sub-requests."""

    status: int
    body: bytes
    rows: int = 0
    parts: tuple[str, ...] = ()


def error_body(error: ApiError) -> bytes:
    """The documented body of an error."""
    return msgspec.json.encode([{"message": error.message, "errorCode": error.code}])
