"""What a request of a composite takes from the answers of earlier ones: `@{referenceId.field}`.

Source: REST API Developer Guide, "Composite Request Body" and "Composite Subrequest Result".
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from localcloud.salesforce.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

_REFERENCE = re.compile(r"@\{(\w+)((?:\.\w+|\[\d+\])+)\}", re.ASCII)
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]", re.ASCII)


class References:
    """The answers that can be referred to, by the `referenceId` of their requests; letter case counts."""

    def __init__(self) -> None:
        self._answers: dict[str, bytes] = {}

    def add(self, name: str, body: bytes) -> None:
        """Remember an answer."""
        self._answers[name] = body

    def in_url(self, text: str) -> str:
        """The text of a url with values in place of its references.

        Raises:
            ApiError: 400 PROCESSING_HALTED, there is no such value.
        """
        return self._filled(text, lambda value: quote(value, safe=""))

    def in_json(self, text: str) -> str:
        """The text of a JSON document with values in place of the references in its strings.

        Raises:
            ApiError: 400 PROCESSING_HALTED, there is no such value.
        """
        return self._filled(text, lambda value: json.dumps(value)[1:-1])

    def _filled(self, text: str, spelled: Callable[[str], str]) -> str:
        return _REFERENCE.sub(lambda match: spelled(self._value(match[1], match[2])), text)

    def _value(self, name: str, way: str) -> str:
        found: Any = json.loads(self._answers.get(name) or b"null", parse_float=str, parse_int=str)
        for field, place in _STEP.findall(way):
            if field:
                found = found.get(field) if isinstance(found, dict) else None
            else:
                found = found[int(place)] if isinstance(found, list) and int(place) < len(found) else None
        if isinstance(found, bool):
            return "true" if found else "false"
        if not isinstance(found, str):
            message = f"Invalid reference specified. No value for {name}{way} found in {name}."
            raise ApiError(400, "PROCESSING_HALTED", message)
        return found
