"""What the commands of `localcloud` do; the modules that need much are imported only when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class UsageError(Exception):
    """The command cannot be carried out; the message is one sentence for the user."""


def later(module: str) -> Any:
    """A module of this package that takes its time to import: `folder`, `seeding`, `script`."""
    return import_module(f"{__name__}.{module}")
