"""Reads a scenario for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localcloud.commands import UsageError
from localcloud.scenario import ScenarioError, load_scenario

if TYPE_CHECKING:
    from pathlib import Path


def text(path: Path) -> bytes:
    """The text of a scenario that can be played.

    Raises:
        UsageError: It cannot be played, or not be read.
    """
    try:
        load_scenario(path)
    except ScenarioError as error:
        raise UsageError(str(error)) from error
    return path.read_bytes()
