"""A request to the data API and its answer, apart from any socket."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from localcloud.serving import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localcloud.salesforce.errors import ApiError


_WHOLE_URL = re.compile(r"https?://[^/]*", re.IGNORECASE)
_RECORD_KINDS = {"POST": "create", "PATCH": "update", "DELETE": "delete"}


class Call(wire.Call, frozen=True):
    """A request to the data API."""

    @property
    def path(self) -> str:
        """The decoded path, without a slash at its end and without a host."""
        path = _WHOLE_URL.sub("", self.target.partition("?")[0])
        return unquote(path, errors="replace").rstrip("/")

    @property
    def kind(self) -> str:
        """The sort of request, for the journal: `query`, `query_more`, `describe`, `composite`, `token`, ..."""
        steps = self.path.split("/")[1:]
        match steps:
            case ["services", "oauth2", name]:
                return name
            case ["services", "Soap", *_]:
                return "soap"
            case ["services", "data", _, "query" | "queryAll", _]:
                return "query_more"
            case ["services", "data", _, "sobjects", *rest]:
                return self._object_kind(rest)
            case ["services", "data", _, first, *rest]:
                return self._bulk_kind(rest[1:]) if first == "jobs" else "_".join([first, *rest])
        return "versions" if steps[:2] == ["services", "data"] else "other"

    def _object_kind(self, rest: list[str]) -> str:
        match rest:
            case [_, "deleted" | "updated" as which]:
                return f"get_{which}"
            case [_, *_] if self.method in _RECORD_KINDS:
                return _RECORD_KINDS[self.method]
        return ("describe_global", "sobject", "describe")[min(len(rest), 2)]

    def _bulk_kind(self, rest: list[str]) -> str:
        match rest, self.method:
            case [], method:
                return "bulk_create" if method == "POST" else "bulk_list"
            case [_], method:
                return {"PATCH": "bulk_abort", "DELETE": "bulk_delete"}.get(method, "bulk_poll")
        return "bulk_results" if rest[1].lower() == "results" else "bulk_result_pages"

    def parameter(self, name: str) -> str | None:
        """The decoded value of a parameter."""
        found = self.parameters.get(name)
        return found[0] if found else None


class Answer(msgspec.Struct, frozen=True):
    """What goes back; `rows` records are in the body, `parts` are the statements of sub-requests.

    `headers` go beside those that every answer has, in the spelling that is given here.
    """

    status: int
    body: bytes
    rows: int = 0
    parts: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}


def error_body(error: ApiError) -> bytes:
    """The documented body of an error."""
    about: dict[str, object] = {"message": error.message, "errorCode": error.code}
    return msgspec.json.encode([about if error.fields is None else {**about, "fields": error.fields}])
