"""What a background server leaves in its org's folder: a lock it holds, where it listens, and what it said."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud.loopback import Address, announced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The files of one server under `DIR/run`.

    Attributes:
        org: The org's folder.
        name: Of the server; the stem of its files.
    """

    org: Path
    name: str

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.org / "run"

    @property
    def lock(self) -> Path:
        """Locked while the server lives; holds its process id."""
        return self.folder / f"{self.name}.lock"

    @property
    def ready(self) -> Path:
        """Says where it listens, once it does."""
        return self.folder / f"{self.name}.ready"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / f"{self.name}.log"

    @contextmanager
    def locked(self) -> Iterator[int | None]:
        """The lock as a descriptor, or None while a server holds it."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield descriptor
        finally:
            os.close(descriptor)

    def pid(self) -> int | None:
        """The server's process id, once it is written."""
        text = self.lock.read_text(encoding="utf-8").strip()
        return int(text) if text.isdigit() else None

    def address(self) -> Address | None:
        """Where the server listens, once it says so."""
        return announced(self.ready)

    def last_words(self) -> str:
        """The last line that the server printed."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-1] if said else "it said nothing"
