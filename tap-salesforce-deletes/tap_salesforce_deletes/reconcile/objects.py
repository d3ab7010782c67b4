"""Which objects are asked for their deletes: the setting `reconcile_objects`. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from microdecisions import soql
from microdecisions.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from microdecisions.describe import ObjectSummary

__all__ = ["is_wanted", "objects_to_reconcile"]


def objects_to_reconcile(
    objects: Sequence[ObjectSummary], patterns: Sequence[str], asked_before: Collection[str] = ()
) -> tuple[str, ...]:
    """Choose objects: every replicateable one whose history is tracked, or those that patterns name.

    Args:
        objects: What describeGlobal lists.
        patterns: API names, or patterns of them such as `Invoice*`; none for the default.
        asked_before: Objects that earlier runs asked; that a pattern fits none but those is told elsewhere.

    Returns:
        API names in alphabetical order.

    Raises:
        ConfigurationError: an API name is of no object, or of one without a delete log; or a pattern fits none.
    """
    names = {summary.name for summary in objects}
    gone = [name for name in asked_before if name not in names]
    logged = {summary.name for summary in objects if summary.replicateable and _safe(summary.name)}
    if not patterns:
        tracked = {summary.associate_parent_entity for summary in objects if summary.associate_entity_type == "History"}
        return tuple(sorted(name for name in tracked if name is not None and name in logged))
    chosen: set[str] = set()
    for pattern in patterns:
        fitting = {name for name in logged if fnmatchcase(name, pattern)}
        if not fitting and not any(fnmatchcase(name, pattern) for name in gone):
            why = (
                "has no delete log that getDeleted could answer from"
                if pattern in names
                else "is the name of no object that the login user can see"
            )
            raise ConfigurationError(
                f"The setting `reconcile_objects` has {pattern[:100]!r}, which {why}: correct or remove it."
            )
        chosen |= fitting
    return tuple(sorted(chosen))


def is_wanted(name: str, patterns: Sequence[str]) -> bool:
    """Whether patterns fit an API name; without any, all objects that earlier runs asked are wanted."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _safe(name: str) -> bool:
    try:
        soql.identifier(name)
    except ValueError:
        return False
    return True
