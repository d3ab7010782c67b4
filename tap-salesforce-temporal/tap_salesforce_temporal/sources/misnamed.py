"""Patterns of `history_objects` and `history_fields` that fit nothing: a name mistyped would read nothing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

import msgspec

from tap_salesforce_temporal.normalise.field_change import is_pseudo_field
from tap_salesforce_temporal.sources.narrowing import fits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

__all__ = ["Misnamed", "misnamed"]

_WILD: Final = frozenset("*?[")


class Misnamed(msgspec.Struct, frozen=True):
    """What to say of patterns that fit nothing.

    Attributes:
        wrong: Sentences about names that the org does not know: as they are they can only be a mistake.
        doubtful: Sentences about patterns that may fit something tomorrow.
    """

    wrong: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def misnamed(
    objects: Sequence[str],
    fields: Sequence[str],
    histories: Collection[tuple[str, str | None]],
    fields_of: Callable[[Collection[str]], Mapping[str, Collection[str]]],
) -> Misnamed:
    """Find the patterns that fit nothing.

    Args:
        objects: The setting `history_objects`.
        fields: The setting `history_fields`.
        histories: Of each object with history the API names of the history and of what it is about.
        fields_of: Tells the names of the fields of objects, by object; of those that can be described.
    """
    names = {name for pair in histories for name in pair if name is not None}
    parents = sorted({parent for _, parent in histories if parent is not None})
    wrong: list[str] = []
    doubtful: list[str] = []
    unfit = [pattern for pattern in objects if not any(fits(name, pattern) for name in names)]
    for pattern in unfit:
        sentence = f"Setting `history_objects` names `{pattern[:80]}`, {_NO_HISTORY}{_near(pattern, names)}."
        (doubtful if _is_wild(pattern) and len(unfit) < len(objects) else wrong).append(sentence)
    asked = {pattern: [one for one in parents if fits(one, pattern.partition(".")[0])] for pattern in fields}
    described = fields_of(sorted({one for found in asked.values() for one in found})) if fields else {}
    for pattern, found in asked.items():
        owner, _, field = pattern.partition(".")
        if not found:
            sentence = f"Setting `history_fields` names `{owner[:80]}`, {_NO_HISTORY}{_near(owner, parents)}."
            (doubtful if _is_wild(owner) else wrong).append(sentence)
            continue
        known = {name for one in found for name in described.get(one, ())}
        if field == "*" or not known or field.lower() in {name.lower() for name in known}:
            continue
        of = ", ".join(found[:3])
        sentence = (
            f"Setting `history_fields` names `{pattern[:80]}`, but the login user sees no such field of {of}{_NO_FIELD}"
            f"{_near(field, known)}."
        )
        (doubtful if is_pseudo_field(field) else wrong).append(sentence)
    return Misnamed(tuple(wrong), tuple(doubtful))


_NO_HISTORY: Final = (
    "but the org shows no history of such an object to the login user: correct the name, switch on its field history "
    "tracking, grant read access to it, or take the entry out"
)
_NO_FIELD: Final = (
    ", so nothing would be read by it: write it as its history names it, such as `Owner` for `OwnerId`, grant read "
    "access to it, or take the entry out"
)


def _is_wild(pattern: str) -> bool:
    return not _WILD.isdisjoint(pattern)


def _near(pattern: str, names: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in sorted(names)}
    near = difflib.get_close_matches(pattern.lower(), list(by_lower), n=1)
    return f" (did you mean `{by_lower[near[0]]}`?)" if near else ""
