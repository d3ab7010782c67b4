"""Cutting a script into statements: at each `;` that is not inside quotes or a comment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECES = re.compile(
    r"""
      '(?:[^'\\]|''|\\.)*'        # text
    | "(?:[^"]|"")*"              # quoted name
    | \$\$.*?\$\$                 # dollar-quoted text
    | --[^\n]*\n                  # comment to the end of the line
    | /\*.*?\*/                   # comment
    | (?P<end>;)
    | ['"]|\$\$|--|/\*            # the opening of one of these, not closed yet
    | .
    """,
    re.DOTALL | re.VERBOSE,
)
_OPENINGS = {"'", '"', "$$", "--", "/*"}


class Splitter:
    """Takes text as it comes and gives statements as they are completed."""

    def __init__(self) -> None:
        self._text = ""

    @property
    def pending(self) -> bool:
        """Whether a statement has begun and not ended."""
        return bool(self._text.strip())

    def feed(self, text: str) -> Iterator[str]:
        """Add text; yields each statement that it completes, without its semicolon."""
        self._text += text
        while (end := self._next_end()) is not None:
            statement, self._text = self._text[:end].strip(), self._text[end + 1 :]
            if statement:
                yield statement

    def rest(self) -> str:
        """What stands after the last semicolon, without comments at its end."""
        rest, self._text = self._text.strip(), ""
        return rest if re.sub(r"--[^\n]*|/\*.*?\*/", "", rest, flags=re.DOTALL).strip() else ""

    def _next_end(self) -> int | None:
        for piece in _PIECES.finditer(self._text):
            if piece["end"]:
                return piece.start()
            if piece[0] in _OPENINGS:
                return None
        return None
