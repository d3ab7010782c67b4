"""Which histories are read, and which fields of them: the settings `history_objects` and `history_fields`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from microdecisions import soql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_salesforce_temporal.sources.source import Source

__all__ = ["Narrowing"]

_ANY: Final = "*"


class Narrowing:
    """What the user wants of field histories; everything where no pattern is given.

    Args:
        objects: Patterns of API names, of the history object (`CaseHistory`) or of the object it is about (`Case`).
        fields: Patterns such as `Case.Status`: an object's pattern and a field's name, or `*` for all of its fields.
            An object that none of them is about is read whole.
    """

    def __init__(self, objects: Sequence[str] = (), fields: Sequence[str] = ()) -> None:
        self._objects = tuple(objects)
        self._fields = tuple(pattern.partition(".")[::2] for pattern in fields)

    def takes(self, sobject: str, parent: str | None) -> bool:
        """Whether the history of an object is wanted."""
        return not self._objects or any(
            fnmatchcase(name, pattern) for pattern in self._objects for name in (sobject, parent) if name is not None
        )

    def fields_of(self, parent: str | None) -> frozenset[str] | None:
        """The fields wanted of an object's history; None for all."""
        wanted = [field for pattern, field in self._fields if parent is not None and fnmatchcase(parent, pattern)]
        return frozenset(wanted) if wanted and _ANY not in wanted else None

    def applied(self, source: Source) -> Source | None:
        """The source with what is wanted of it; None when it is not wanted.

        Fields of a big object cannot be filtered by Salesforce: its normaliser asks `fields_of`.
        """
        if source.kind == "activity_history":
            return source if self.takes(source.sobject, None) or self._any(source.parents) else None
        if source.kind == "field_history_archive":
            return self._archive(source)
        if source.kind not in {"field_history", "opportunity_history"}:
            return source
        if not self.takes(source.sobject, source.parent):
            return None
        wanted = self.fields_of(source.parent)
        if wanted is None or source.kind == "opportunity_history":
            return source
        listed = ",".join(soql.quote(name) for name in sorted(wanted))
        return replace(source, conditions=(f"Field IN ({listed})",))

    def _any(self, parents: Sequence[str]) -> bool:
        return any(self.takes(parent, None) for parent in parents)

    def _archive(self, source: Source) -> Source | None:
        if self.takes(source.sobject, None):
            return source
        kept = [place for place, parent in enumerate(source.parents) if self.takes(parent, None)]
        if not kept:
            return None
        return replace(
            source,
            parents=tuple(source.parents[place] for place in kept),
            one_by_one=tuple(source.one_by_one[place] for place in kept),
        )
