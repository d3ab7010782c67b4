"""Which histories are read, and which fields of them: the settings `history_objects` and `history_fields`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from microdecisions import soql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_salesforce_temporal.sources.source import Source

__all__ = ["Narrowing", "fits"]

_ANY: Final = "*"
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def fits(name: str, pattern: str) -> bool:
    """Whether a pattern takes an API name; Salesforce does not tell capitals from small letters in them."""
    return fnmatchcase(name.lower(), pattern.lower())


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
        names = [name for name in (sobject, parent) if name is not None]
        return not self._objects or any(fits(name, pattern) for pattern in self._objects for name in names)

    def fields_of(self, parent: str | None) -> frozenset[str] | None:
        """The fields wanted of an object's history, as the user writes them; None for all."""
        wanted = [field for pattern, field in self._fields if parent is not None and fits(parent, pattern)]
        return frozenset(wanted) if wanted and _ANY not in wanted else None

    def takes_field(self, parent: str | None, field: str) -> bool:
        """Whether the history of a field is wanted, of an object whose history is."""
        wanted = self.fields_of(parent)
        return wanted is None or field.lower() in {name.lower() for name in wanted}

    def applied(self, source: Source, histories: Mapping[str, str] = _NONE) -> Source | None:
        """The source with what is wanted of it; None when it is not wanted.

        Fields of a big object cannot be filtered by Salesforce: its normaliser asks `takes_field`.

        Args:
            source: As describe tells it.
            histories: API name of the field-history object by that of the object it is about.
        """
        if source.kind == "activity_history":
            return source if self.takes(source.sobject, None) or any(self._parents(source, _NONE)) else None
        if source.kind == "field_history_archive":
            return self._archive(source, histories)
        if source.kind not in {"field_history", "opportunity_history"}:
            return source
        if not self.takes(source.sobject, source.parent):
            return None
        wanted = self.fields_of(source.parent)
        if wanted is None or source.kind == "opportunity_history":
            return source
        listed = ",".join(soql.quote(name) for name in sorted(wanted))
        return replace(source, conditions=(f"Field IN ({listed})",))

    def _parents(self, source: Source, histories: Mapping[str, str]) -> list[bool]:
        return [self.takes(parent, histories.get(parent)) for parent in source.parents]

    def _archive(self, source: Source, histories: Mapping[str, str]) -> Source | None:
        if self.takes(source.sobject, None):
            return source
        kept = [place for place, taken in enumerate(self._parents(source, histories)) if taken]
        if not kept:
            return None
        return replace(
            source,
            parents=tuple(source.parents[place] for place in kept),
            one_by_one=tuple(source.one_by_one[place] for place in kept),
        )
