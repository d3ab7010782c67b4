"""A token service whose refresh tokens are good for one use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

FIRST = "5Aep861First.Token"


class Rotating:
    """A token service whose refresh tokens are good for one use, and which ends them all when one comes back."""

    def __init__(self, org: Any) -> None:
        self.org = org
        self.valid: str | None = FIRST
        self.made = 0
        self.spent: set[str] = set()
        self.reused = 0
        self.before: list[Callable[[], Any]] = []
        org.token_answer = self.answer

    def answer(self, call: Any) -> Any:
        sent = call.form["refresh_token"]
        if sent != self.valid:
            self.reused += sent in self.spent
            self.valid = None if sent in self.spent else self.valid
            return self.org.reply.json(
                {"error": "invalid_grant", "error_description": "expired access/refresh token"}, 400
            )
        odd = self.before.pop(0)() if self.before else None
        if odd is not None and odd != "lost":
            return odd
        self.spent.add(sent)
        self.made += 1
        self.valid = f"5Aep861Successor.{self.made}"
        if odd == "lost":
            return None
        self.org.issued.append(f"00Dxx0000001gPL!Issued.{self.made}")
        return self.org.token_reply(self.org.issued[-1], refresh_token=self.valid)

    def busy(self) -> Any:
        text = "token request is already being processed"
        return self.org.reply.json({"error": "invalid_grant", "error_description": text}, 400)


def kept(path: Path) -> str:
    token: str = json.loads(path.read_text())["refresh_token"]
    return token
