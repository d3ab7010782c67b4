"""What several kinds of rows share: ids, and the record that a decision is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from microdecisions.ids import to_18
from tap_salesforce_temporal.actors import Actor

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNKNOWN", "facts", "id_or_none", "record_of"]

UNKNOWN: Final = Actor(None, None, None)
"""Somebody whom the row does not name."""


def id_or_none(record_id: str | None) -> str | None:
    """The 18 characters of an id; None for none."""
    return to_18(record_id) if record_id else None


def record_of(record_id: str | None, objects_by_prefix: Mapping[str, str]) -> tuple[str | None, str | None]:
    """API name and id of a record; the name is None where the org does not show the object."""
    if not record_id:
        return None, None
    return objects_by_prefix.get(record_id[:3]), to_18(record_id)


def facts(**values: str | None) -> dict[str, str]:
    """Facts for `context.metadata`, without the empty ones."""
    return {name: value for name, value in values.items() if value}
