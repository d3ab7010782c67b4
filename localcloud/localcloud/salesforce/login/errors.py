"""How the token endpoint says no."""

from __future__ import annotations

import msgspec


class OAuthError(Exception):
    """A refused login: the `error` and `error_description` of the answer.

    Source: Salesforce Help, "OAuth 2.0 Authorization Errors".

    Attributes:
        error: The documented error.
        description: What is wrong.
    """

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description

    def body(self) -> bytes:
        """The JSON body of the answer, whose status is 400."""
        return msgspec.json.encode({"error": self.error, "error_description": self.description})
