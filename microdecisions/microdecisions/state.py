"""The form of a Singer state, before a tap looks at its own entries. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from microdecisions.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_form"]


def check_form(state: object) -> dict[str, Any]:
    """Check that a state is one: `{"bookmarks": {"stream": {...}}}`.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(state, dict) and not _is_wrapped(state):
        bookmarks = state.get("bookmarks", {})
        if isinstance(bookmarks, dict) and all(isinstance(entry, dict) for entry in bookmarks.values()):
            return state
    raise ConfigurationError(
        'The state is not of the form {"bookmarks": {"<stream>": {...}}}. Restore it with `meltano state set`, '
        "or clear it with `meltano state clear` to read everything again."
    )


def _is_wrapped(state: Mapping[str, Any]) -> bool:
    """Whether it is a whole STATE message, or what a runner stores around a state: taken as it is, it would be lost."""
    inner = (value for value in state.values() if isinstance(value, dict))
    return "bookmarks" not in state and any("bookmarks" in value for value in inner)
