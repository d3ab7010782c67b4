"""All that the tap said in the tests of this process, at debug level, and what of it nobody should have been told."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

__all__ = ["OUTPUT", "Output"]

SECRET_SETTINGS: Final = (
    *("client_secret", "password", "security_token", "private_key", "refresh_token", "access_token"),
)
SHAPES: Final = {
    "a session id": re.compile(r"00D\w{12,15}(?:!|%21)[\w.]"),
    "a refresh token": re.compile(r"0Aep000\w"),
    "a signed token": re.compile(r"eyJ[\w-]{20,}\."),
    "an authorization": re.compile(r"(?i)\b(?:bearer|basic) [\w!.+/=-]{16,}"),
    "a key": re.compile(r"-----BEGIN [A-Z ]*KEY"),
}
"""Of texts whose digits are written as zeros."""

VALUES: Final = {
    "Account": ("Description", "Website"),
    "Case": ("Subject", "Description"),
    "ProcessInstanceStep": ("Comments",),
    "ApprovalWorkItem": ("Comments",),
    "Task": ("Subject",),
    "Event": ("Subject", "Location"),
    "SetupAuditTrail": ("Display",),
    "EventLogFile": ("LogFile",),
}
"""Columns of customers' texts beside the values of histories."""

_DIGITS: Final = str.maketrans("123456789", "000000000")
_PREFIX: Final = re.compile(r"^0000-00-00 00:00:00,000 \| ")
_SHORTEST: Final = 8
_MOST: Final = 2_000
_MOST_CHARACTERS: Final = 200_000
_LETTER: Final = re.compile("[A-Za-z]")
_NOT_OURS: Final = ("localcloud", "asyncio")


class Output(logging.Handler):
    """Keeps what was said, each line once and with zeros for digits, beside what must not be in it.

    Attributes:
        lines: What was said.
        secrets: Texts that stand for nothing but themselves.
        values: Values of customers' fields that no program has a reason to say.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: set[str] = set()
        self.secrets: set[str] = set()
        self.values: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Take what a logger of the tap, or of a library that it uses, says in this process."""
        if not record.name.startswith(_NOT_OURS):
            self.keep(self.format(record))

    def keep(self, text: str) -> None:
        """Take what a process said."""
        self.lines.update(_PREFIX.sub("", line.translate(_DIGITS)) for line in text.splitlines())

    def logs_in_with(self, config: Mapping[str, object]) -> None:
        """Take the secrets of a run's settings."""
        self._hide(str(config.get(name) or "") for name in SECRET_SETTINGS)

    def reads_from(self, org: Path) -> None:
        """Take the secrets of an org, and the texts that it holds."""
        for name in ("jwt.key", "login.json"):
            if (org / name).exists():
                text = (org / name).read_text()
                self._hide(json.loads(text).values() if name.endswith(".json") else text.splitlines()[1:-1])
        if not (org / "org.sqlite").exists():
            return
        with closing(sqlite3.connect(f"file:{org / 'org.sqlite'}?mode=ro", uri=True)) as db:
            names = [str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in names:
                is_history = table.endswith(("History", "Archive")) and table != "LoginHistory"
                self._texts(db, table, VALUES.get(table, ("OldValue", "NewValue") if is_history else ()))

    def leaks(self) -> list[str]:
        """What was said and should not have been, with the line in which it stands."""
        said = "\n".join(sorted(self.lines))
        found = []
        for what, shape in SHAPES.items():
            found += [f"{what}: {_around(said, match.start())}" for match in shape.finditer(said)]
        for what, hidden in (("a secret", self.secrets), ("a field's value", self.values)):
            found += [f"{what}: {_around(said, said.index(text))}" for text in sorted(hidden) if text in said]
        return found

    def _hide(self, secrets: Iterable[str | None]) -> None:
        for secret in secrets:
            if secret and len(secret) >= _SHORTEST and "redacted" not in secret:
                lines = [line for line in secret.splitlines() if not line.startswith("-----")]
                self.secrets.update(line.strip().translate(_DIGITS) for line in lines if len(line) >= _SHORTEST)

    def _texts(self, db: sqlite3.Connection, table: str, columns: Iterable[str]) -> None:
        present = {row[1] for row in db.execute(f"PRAGMA table_xinfo('{table}')")}
        for column in columns:
            if column in present:
                query = f'SELECT DISTINCT "{column}" FROM "{table}" WHERE length("{column}") >= ? LIMIT {_MOST}'
                for (stored,) in db.execute(query, (_SHORTEST,)):
                    self.values.update(text.translate(_DIGITS) for text in _words_of(str(stored)))


def _words_of(stored: str) -> Iterator[str]:
    """Lines of a text that could not be said by accident: of several words, or an address."""
    text = json.loads(stored) if stored[:1] == '"' and stored[-1:] == '"' and '","' not in stored else stored
    for line in str(text)[:_MOST_CHARACTERS].splitlines()[:20]:
        if len(line) >= _SHORTEST and any(_LETTER.search(word) for word in line.split()[:-1]):
            yield line


def _around(said: str, place: int) -> str:
    start, end = said.rfind("\n", 0, place) + 1, said.find("\n", place)
    return said[start : end if end > 0 else None][:300]


OUTPUT: Final = Output()
"""Of this process: each one of a parallel run judges its own."""
