"""A request as an API takes it, apart from any socket."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Call(msgspec.Struct, frozen=True):
    """A request; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path, without a slash at its end."""
        return unquote(self.target.partition("?")[0], errors="replace").rstrip("/")

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The decoded parameters."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True, errors="replace")
